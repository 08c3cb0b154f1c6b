#!/usr/bin/python3
"""Every TCP byte on the loopback interface, a file a direction of a connection, until stdin ends.

    sniff.py FOLDER        # needs CAP_NET_RAW; exit code 3 and the reason without it

Says "ready" first, and in the end how many packets it took and how many the kernel dropped. The
streams are joined, so that nothing hides in the gap between two packets; a packet sent twice is
written twice, which does no harm to a search.
"""

import pathlib
import select
import socket
import struct
import sys

ETH_P_ALL, PACKET_OUTGOING = 3, 4
SOL_PACKET, PACKET_STATISTICS, SO_RCVBUFFORCE = 263, 6, 33
TCP = 6


def tcp_payload(frame):
    """(source port, destination port, payload) of an IPv4 TCP packet, or None."""
    packet = frame[14:]
    if len(packet) < 40 or packet[0] >> 4 != 4 or packet[9] != TCP:
        return None
    total = struct.unpack_from("!H", packet, 2)[0] or len(packet)  # 0: larger than 64 KiB
    segment = packet[(packet[0] & 15) * 4:total]
    source, target = struct.unpack_from("!HH", segment)
    return source, target, segment[(segment[12] >> 4) * 4:]


def main():
    folder = pathlib.Path(sys.argv[1])
    try:
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sniffer.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 512 << 20)
        sniffer.bind(("lo", 0))
    except OSError as error:
        print(f"no capture: {error}", flush=True)
        sys.exit(3)
    files = {}
    print("ready", flush=True)
    while True:
        readable = select.select([sniffer, sys.stdin], [], [])[0]
        if sniffer not in readable:
            break  # and nothing waits to be taken
        frame, address = sniffer.recvfrom(1 << 18)
        found = None if address[2] == PACKET_OUTGOING else tcp_payload(frame)
        if found and found[2]:
            source, target, payload = found
            if (source, target) not in files:
                files[source, target] = open(folder / f"{source}-{target}", "wb")
            files[source, target].write(payload)
    for file in files.values():
        file.close()
    packets, dropped = struct.unpack("II", sniffer.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    print(f"{packets} {dropped}", flush=True)


if __name__ == "__main__":
    main()
