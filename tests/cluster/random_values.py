# SPDX-License-Identifier: MIT
"""random_values.py ADDRESS ADDRESS COUNT [check]: writes random MessagePack, or checks that it is all there, byte for byte."""
import random
import struct
import sys

from foreign_client import Cluster

source = random.Random(20261121)


def text():
    return "".join(chr(source.choice([source.randrange(32, 127), source.randrange(0xD7FF), source.randrange(0xE000, 0x10FFFF), 0, 9, 34, 92]))
                   for _ in range(source.randrange(12)))


def encoded(depth):
    """One MessagePack object, in any of its forms, the needlessly long ones included."""
    kind = source.randrange(14 if depth else 11)
    if kind == 0:
        return source.choice([b"\xc0", b"\xc2", b"\xc3"])
    if kind == 1:
        return bytes([source.randrange(128)])
    if kind == 2:
        return b"\xcf" + struct.pack(">Q", source.getrandbits(source.randrange(1, 65)))
    if kind == 3:
        return b"\xd3" + struct.pack(">q", -source.getrandbits(source.randrange(1, 64)))
    if kind == 4:
        return b"\xcb" + struct.pack(">d", source.choice([0.1, -0.0, 1e300, source.random(), float("nan"), float("inf")]))
    if kind == 5:
        return b"\xca" + struct.pack(">f", source.random())
    if kind in (6, 7):
        data = text().encode()
        return (b"\xd9" + bytes([len(data)]) if kind == 6 or len(data) > 31 else bytes([0xA0 | len(data)])) + data
    if kind == 8:
        data = source.randbytes(source.randrange(10))
        return b"\xc4" + bytes([len(data)]) + data
    if kind == 9:
        return b"\xd6" + bytes([source.randrange(256)]) + source.randbytes(4)
    if kind == 10:
        return b"\xa3" + source.randbytes(3)
    count = source.randrange(5)
    if kind == 11:
        return bytes([0x90 | count]) + b"".join(encoded(depth - 1) for _ in range(count))
    if kind == 12:
        return bytes([0x80 | count]) + b"".join(b"\xa2k" + bytes([65 + i]) + encoded(depth - 1) for i in range(count))
    return bytes([0x80 | count]) + b"".join(encoded(0) + encoded(depth - 1) for _ in range(count))


def key(index):
    return b"%d:" % index + (source.randbytes(source.randrange(20)) if index % 2 else text().encode())


def main():
    cluster = Cluster(sys.argv[1:3])
    for index in range(int(sys.argv[3])):
        name, value = key(index), encoded(4)
        if len(sys.argv) > 4:
            assert cluster.read_encoded(name) == value, (index, name, value)
        else:
            cluster.write_encoded(name, value)


main()
