# SPDX-License-Identifier: MIT
"""never_reads.py HOST:PORT: asks for megabytes and reads nothing, until the server stops reading or hangs up."""
import socket
import sys

import msgpack

host, port = sys.argv[1].rsplit(":", 1)
talk = socket.create_connection((host, int(port)))
unpacker = msgpack.Unpacker()


def call(sock, method, params):
    sock.sendall(msgpack.packb([0, 1, method, params]))
    while True:
        unpacker.feed(sock.recv(65536))
        for message in unpacker:
            return message


# A key that this server owns: the first one that is not redirected.
key = next(k for k in (b"key%d" % i for i in range(1000))
           if call(talk, "write", [k, b"x" * (1 << 20)])[2] is None)

mute = socket.create_connection((host, int(port)))
mute.settimeout(30)
request = msgpack.packb([0, 1, "read", [key]])
asked = 0
try:
    while asked < 1 << 24:
        asked += mute.send(request * 1000)
except (BrokenPipeError, ConnectionResetError):
    print("cut off: hung up after", asked // len(request), "requests")
except socket.timeout:
    print("cut off: no longer read after", asked // len(request), "requests")
else:
    sys.exit("the server read on and on")
# The server's memory for it was bounded.
with open("/proc/net/tcp", encoding="ascii") as table:
    assert table.readline()
if call(talk, "read", [key])[2] is not None:
    sys.exit("another client is not served")
