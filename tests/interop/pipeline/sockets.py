"""The pipeline's own sockets: each is a file in the folder PIPES, and has one end that binds."""

import zmq


def bound(kind, pipes, name):
    socket = zmq.Context.instance().socket(kind)
    socket.bind(f"ipc://{pipes}/{name}")
    return socket


def connected(kind, pipes, name):
    socket = zmq.Context.instance().socket(kind)
    socket.connect(f"ipc://{pipes}/{name}")
    return socket
