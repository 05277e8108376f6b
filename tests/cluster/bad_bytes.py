# SPDX-License-Identifier: MIT
"""bad_bytes.py HOST:PORT...: bad frames and bad arguments; each server must answer as PROTOCOL.md says."""
import random
import socket
import sys

import msgpack

INVALID, TOO_LARGE, UNKNOWN_METHOD, NO_TABLE = 8, 9, 7, 10


def connect(address):
    host, port = address.rsplit(":", 1)
    sock = socket.create_connection((host, int(port)))
    sock.settimeout(20)
    return sock


def answer(sock):
    """The next message, or None when the server hung up."""
    unpacker = msgpack.Unpacker(strict_map_key=False)
    while True:
        try:
            data = sock.recv(65536)
        except ConnectionResetError:
            return None
        if not data:
            return None
        unpacker.feed(data)
        for message in unpacker:
            return message


def frame_is_refused(address, data, name):
    sock = connect(address)
    try:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError, OSError):
        pass
    message = answer(sock)
    if message is not None:
        assert message[0] == 1 and message[1] == 0 and message[2][0] in (INVALID, TOO_LARGE), (name, message)
        assert answer(sock) is None, name + ": still open"
    print("refused:", name, message[2][1] if message else "(hung up)")


def argument_is_refused(address, method, params, code, name):
    sock = connect(address)
    sock.sendall(msgpack.packb([0, 7, method, params]))
    message = answer(sock)
    assert message is not None, name + ": hung up"
    assert message[1] == 7 and message[2] is not None, (name, message)
    assert message[2][0] == code, (name, message)
    assert message[2][1], name + ": no text"
    sock.sendall(b"\x94\x00\x08\xa4ping\x90")
    assert answer(sock) == [1, 8, None, None], name + ": the connection is gone"
    print("refused:", name, message[2][1])


for address in sys.argv[1:]:
    frame_is_refused(address, b"\xdd\xff\xff\xff\xff", "an array of four billion")
    frame_is_refused(address, b"\xc6\xff\xff\xff\xff", "a bin of four gigabytes")
    frame_is_refused(address, b"\x91" * 40, "depth 40")
    frame_is_refused(address, b"\xc1", "a byte that is no MessagePack")
    frame_is_refused(address, b"\x01", "a number")
    frame_is_refused(address, b"\x94\x09\x01\xa4ping\x90", "a type that is none")
    frame_is_refused(address, b"\x93\x00\x01\xa4ping", "a request without params")
    frame_is_refused(address, b"\x94\x00\x01\xa4ping\xc0", "params that are no array")
    frame_is_refused(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP")
    frame_is_refused(address, b"\x94\x00\x01\xa5wri", "a request cut in the middle")
    seed = random.randrange(1 << 32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(50):
        sock = connect(address)
        try:
            sock.sendall(bytes([source.randrange(0xc4, 0x100)]) + source.randbytes(2000))
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        while answer(sock) is not None:
            pass
    argument_is_refused(address, "no.such", [], UNKNOWN_METHOD, "an unknown method")
    argument_is_refused(address, "ping", [1], INVALID, "too many arguments")
    argument_is_refused(address, "hello", [5], INVALID, "options that are no map")

data = sys.argv[1]
deep = None
for _ in range(33):
    deep = [deep]
for method, params, code, name in [
    ("write", [], INVALID, "no arguments"),
    ("write", ["k"], INVALID, "no value"),
    ("write", ["k", 1, {}, 1], INVALID, "too many arguments"),
    ("write", [1, 1], INVALID, "a key that is a number"),
    ("write", ["", 1], INVALID, "an empty key"),
    ("write", ["k" * 481, 1], TOO_LARGE, "a key of 481 bytes"),
    ("write", ["k", b"x" * ((8 << 20) - 4)], TOO_LARGE, "a value over 8 MiB"),
    ("write", ["k", 1, {"colour": "red"}], INVALID, "an unknown option"),
    ("write", ["k", 1, {"if_absent": 1}], INVALID, "an option of the wrong type"),
    ("write", ["k", 1, {"client": b"short", "seq": 1, "done": 1}], INVALID, "a short client id"),
    ("write", ["k", 1, {"client": b"x" * 16, "seq": 1}], INVALID, "client without done"),
    ("write", ["k", 1, {"table": "none"}], NO_TABLE, "an unknown table"),
    ("write", ["k", deep], INVALID, "a value of depth 33"),
    ("read", ["k", {"if_absent": True}], INVALID, "an option that read does not take"),
    ("incr", ["k", "one"], INVALID, "a step that is a word"),
    ("incr", ["k", 1 << 63], INVALID, "a step over 63 bits"),
    ("scan", [0], INVALID, "scan without a key"),
    ("scan", ["0", None], INVALID, "a point that is a word"),
]:
    argument_is_refused(data, method, params, code, method + ": " + name)
frame_is_refused(data, msgpack.packb([0, 1, "write", ["k", b"x" * ((8 << 20) + (64 << 10))]]), "a frame over the limit")
