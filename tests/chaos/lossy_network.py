"""A network of the test's own, between namespaces, that loses, doubles, delays and cuts.

Each host is a network namespace with one TUN device. One thread carries IP packets from device to
device, and does to each what the Line between the two says, each direction for itself. So real TCP
meets real loss, and a partition can be of one direction only. Wants root, or a user namespace.
"""

import ctypes
import dataclasses
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import subprocess
import threading
import time

from harness import die_with_parent, eventually

CLONE_NEWNET, TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x40000000, 0x400454CA, 0x0001, 0x1000
MTU = 9000
QUEUED_MAX = 2000  # packets on their way; more are lost, as in any router


@dataclasses.dataclass
class Line:
    """One direction between two hosts."""

    cut: bool = False
    loss: float = 0.0
    doubled: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0  # added by chance, so packets overtake each other
    bytes_per_s: float = 0.0
    free_at: float = 0.0  # when the last packet has gone out


class Network:
    def __init__(self, count, seed):
        self.choice, self.lines, self.hosts = random.Random(seed), {}, []
        self.queue, self.numbers = [], itertools.count()
        self.carried = self.lost = 0
        for number in range(1, count + 1):
            self.hosts.append(Host(number))
        self.heal()
        self.ended_read, self.ended_write = os.pipe()
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    def close(self):
        os.close(self.ended_write)
        self.thread.join()
        os.close(self.ended_read)
        for host in self.hosts:
            host.close()

    def heal(self):
        self.lines = {(a.number, b.number): Line() for a in self.hosts for b in self.hosts}

    def change(self, pairs, **changes):
        """Sets what the lines between `pairs` of host numbers do, from the first to the second."""
        for pair in pairs:
            for name, value in changes.items():
                setattr(self.lines[pair], name, value)

    def everywhere(self):
        return [pair for pair in self.lines if pair[0] != pair[1]]

    def around(self, number):
        return [pair for pair in self.everywhere() if number in pair]

    # -- the thread

    def _carry(self):
        devices = {host.device: host for host in self.hosts}
        while True:
            wait = max(0, self.queue[0][0] - time.monotonic()) if self.queue else None
            readable = select.select([self.ended_read, *devices], [], [], wait)[0]
            if self.ended_read in readable:
                return
            for device in readable:
                self._take(devices[device].number, os.read(device, 1 << 16))
            while self.queue and self.queue[0][0] <= time.monotonic():
                _, _, device, packet = heapq.heappop(self.queue)
                self._deliver(device, packet)

    def _take(self, source, packet):
        target = packet[19] if len(packet) >= 20 and packet[0] >> 4 == 4 else 0
        line = self.lines.get((source, target))
        chance = self.choice.random()
        if not line or line.cut or chance < line.loss or len(self.queue) > QUEUED_MAX:
            self.lost += 1
            return
        for _ in range(2 if self.choice.random() < line.doubled else 1):
            self._send(line, self.hosts[target - 1].device, packet)

    def _send(self, line, device, packet):
        now = time.monotonic()
        due = now + line.delay_s + self.choice.random() * line.jitter_s
        if line.bytes_per_s:
            line.free_at = max(now, line.free_at) + len(packet) / line.bytes_per_s
            due += line.free_at - now
        if due <= now:
            self._deliver(device, packet)
        else:
            heapq.heappush(self.queue, (due, next(self.numbers), device, packet))

    def _deliver(self, device, packet):
        try:
            os.write(device, packet)
            self.carried += 1
        except OSError:
            self.lost += 1


class Host:
    """A namespace that lives as long as a process that sleeps in it."""

    def __init__(self, number):
        self.number, self.address = number, f"10.77.0.{number}"
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "infinity"],
                                        preexec_fn=die_with_parent)
        self.under = ["nsenter", "-t", str(self.process.pid), "-n"]
        ours = os.readlink("/proc/self/ns/net")
        eventually(lambda: os.readlink(f"/proc/{self.process.pid}/ns/net") != ours, "a namespace")
        opener = threading.Thread(target=self._open)  # setns is of a thread
        opener.start()
        opener.join()
        for words in (["addr", "add", f"{self.address}/24", "dev", "z0"],
                      ["link", "set", "z0", "mtu", str(MTU), "up"], ["link", "set", "lo", "up"]):
            subprocess.run([*self.under, "ip", *words], check=True)

    def _open(self):
        with open(f"/proc/{self.process.pid}/ns/net") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")
        self.device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.device, TUNSETIFF, struct.pack("16sH14x", b"z0", IFF_TUN | IFF_NO_PI))

    def close(self):
        os.close(self.device)
        self.process.kill()
        self.process.wait()
