# SPDX-License-Identifier: MIT
"""push_writes.py HOST:PORT PID MIB VALUE-SIZE: eight connections write MIB MiB in all as fast as the server takes them.

What is refused for want of memory is written again. Prints the server's highest RssAnon in MiB, then the number of keys.
"""
import socket
import sys
import threading

import msgpack

host, port = sys.argv[1].rsplit(":", 1)
pid = int(sys.argv[2])
value = b"v" * int(sys.argv[4])
WRITERS, DEPTH = 8, max(1, (1 << 20) // len(value))
each = (int(sys.argv[3]) << 20) // len(value) // WRITERS
failures = []


def memory_mib():
    with open("/proc/%d/status" % pid, encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) >> 10


def write(number):
    sock = socket.create_connection((host, int(port)))
    unpacker = msgpack.Unpacker()
    left, waiting = list(range(each)), 0
    while left or waiting:
        batch = [left.pop() for _ in range(min(len(left), DEPTH - waiting))]
        sock.sendall(b"".join(msgpack.packb([0, i, "write", [b"%d-%d" % (number, i), value]]) for i in batch))
        waiting += len(batch)
        unpacker.feed(sock.recv(1 << 16))
        for answer in unpacker:
            waiting -= 1
            if answer[2] is None:
                continue
            left.append(answer[1])
            if "full of what the tree" not in str(answer[2]):
                failures.append(answer[2])
                return


threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
for thread in threads:
    thread.start()
peak = 0
while any(thread.is_alive() for thread in threads):
    peak = max(peak, memory_mib())
    threads[0].join(0.02)
    for thread in threads:
        thread.join(0.001)
if failures:
    sys.exit("refused: %r" % failures[0])
print(peak, WRITERS * each)
