# SPDX-License-Identifier: MIT
"""unread_replies.py HOST:PORT PID: large replies that many ask for and nobody reads stay within bounds (RULES F3)."""
import socket
import sys

import msgpack

host, port = sys.argv[1].rsplit(":", 1)
pid = int(sys.argv[2])
VALUE = b"x" * (8 * 1024 * 1024 - 64)
REFUSED = "too many replies wait to be read"


def connect():
    return socket.create_connection((host, int(port)))


def replies(sock, count):
    unpacker = msgpack.Unpacker(max_buffer_size=1 << 30)
    found = []
    while len(found) < count:
        data = sock.recv(1 << 20)
        if not data:
            sys.exit("cut off after %d replies" % len(found))
        unpacker.feed(data)
        found.extend(unpacker)
    return found


def call(sock, method, params):
    sock.sendall(msgpack.packb([0, 1, method, params]))
    return replies(sock, 1)[0]


def memory_mib():
    with open("/proc/%d/status" % pid, encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) >> 10


talk = connect()
while (reply := call(talk, "write", [b"large", VALUE]))[2] is not None:
    if "memory" not in str(reply[2]):
        sys.exit("cannot write: %r" % reply[2])

# One that asks for 64 at once and reads: none is lost, some may be told to come again.
eager = connect()
eager.sendall(b"".join(msgpack.packb([0, i, "read", [b"large"]]) for i in range(64)))
answers = replies(eager, 64)
read = sum(1 for answer in answers if answer[2] is None)
later = [answer for answer in answers if answer[2] is not None]
assert sorted(answer[1] for answer in answers) == list(range(64))
assert read >= 1 and all(REFUSED in str(answer[2]) for answer in later), later[:1]

# Many that ask and do not read.
mute = [connect() for _ in range(20)]
asked = 0
while call(talk, "read", [b"large"])[2] is None:
    for sock in mute:
        sock.sendall(msgpack.packb([0, 1, "read", [b"large"]]) * 2)
    asked += 1
    if asked > 1000:
        sys.exit("nobody is refused")
print("read", read, "refused", len(later), "memory", memory_mib(), "MiB")
if call(talk, "exists", [b"large"])[2] is not None:
    sys.exit("small requests are refused, too")
for sock in mute:
    sock.close()
while call(talk, "read", [b"large"])[2] is not None:
    pass
print("served again")
