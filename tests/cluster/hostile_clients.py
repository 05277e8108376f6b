# SPDX-License-Identifier: MIT
"""hostile_clients.py HOST:PORT PID scans|halves: what many connections begin or do not read stays within bounds (RULES F3)."""
import socket
import sys
import time

import msgpack

host, port = sys.argv[1].rsplit(":", 1)
pid = int(sys.argv[2])
COUNT = 40
VALUE = b"x" * (8 * 1024 * 1024 - 64)
SCAN = msgpack.packb([0, 1, "scan", [0, None]])
HALF = b"\x94\x00\x01\xa5write\x92\xa1k\xc6\x00\x7f\xff\x00" + b"y" * (7 << 20)


def connect():
    return socket.create_connection((host, int(port)))


def call(sock, method, params):
    unpacker = msgpack.Unpacker(max_buffer_size=1 << 30)
    sock.sendall(msgpack.packb([0, 1, method, params]))
    while True:
        data = sock.recv(1 << 20)
        if not data:
            sys.exit("cut off")
        unpacker.feed(data)
        for reply in unpacker:
            return reply


def insist(sock, method, params):
    while (reply := call(sock, method, params))[2] is not None:
        if reply[2][0] != 2:  # TRY_LATER
            sys.exit("%s: %r" % (method, reply[2]))


def memory_mib():
    with open("/proc/%d/status" % pid, encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) >> 10


def send_some(sock, rest):
    try:
        return rest[sock.send(rest[: 1 << 20]) :]
    except BlockingIOError:
        return rest


# As much as the server takes: until nothing has moved for a while.
def send_all(socks, message):
    rests = [message] * len(socks)
    peak = still = 0
    while still < 50:
        before = sum(map(len, rests))
        rests = [send_some(sock, rest) if rest else rest for sock, rest in zip(socks, rests)]
        still = 0 if sum(map(len, rests)) < before else still + 1
        peak = max(peak, memory_mib())
        time.sleep(0.01)
    return peak


talk = connect()
insist(talk, "write", [b"large", VALUE])
hostile = [connect() for _ in range(COUNT)]
for sock in hostile:
    sock.setblocking(False)
print("memory", send_all(hostile, SCAN if sys.argv[3] == "scans" else HALF), "MiB")
if call(talk, "write", [b"small", 1])[2] is not None:
    sys.exit("small requests are refused, too")
for sock in hostile:
    sock.close()
insist(talk, "write", [b"other", VALUE])
insist(talk, "scan", [0, None])
print("served again")
