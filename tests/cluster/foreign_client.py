# SPDX-License-Identifier: MIT
"""A client from PROTOCOL.md alone: Debian's python3-msgpack and a socket; follows WRONG_SHARD.

foreign_client.py ADDRESS: asks one server for everything, of both tables, says how often it was sent elsewhere.
"""
import socket
import struct
import sys

import msgpack

WRONG_SHARD = 1
CONDITION = 4


class Cluster:
    def __init__(self, addresses):
        self.first = addresses[0]
        self.sockets = {}
        self.redirects = 0
        self.owner = self.first  # who answered last

    def send(self, address, frame):
        """The bytes of the response to the frame."""
        if address not in self.sockets:
            host, port = address.rsplit(":", 1)
            self.sockets[address] = socket.create_connection((host, int(port)))
        sock = self.sockets[address]
        sock.sendall(frame)
        unpacker, data = msgpack.Unpacker(strict_map_key=False), b""
        while True:
            more = sock.recv(65536)
            assert more, "hung up"
            data += more
            unpacker.feed(more)
            try:
                unpacker.skip()
                return data
            except msgpack.OutOfData:
                continue

    def call(self, method, key, rest=b"", count=1):
        """Error and the encoded result; WRONG_SHARD is followed to the owner that it names."""
        return self.follow(b"\x94\x00\x01" + msgpack.packb(method) + bytes([0x90 | count])
                           + b"\xc4" + struct.pack("B", len(key)) + key + rest)

    def ask(self, method, params):
        """The result."""
        return msgpack.unpackb(self.follow(msgpack.packb([0, 1, method, params])))

    def scan(self, point, key, options):
        return self.ask("scan", [point, key, options])

    def follow(self, frame):
        address = self.first
        for _ in range(3):
            data = self.send(address, frame)
            assert data[:3] == b"\x94\x01\x01", data[:20]
            if data[3:4] == b"\xc0":
                self.owner = address
                return data[4:]
            error = msgpack.unpackb(data, strict_map_key=False)[2]
            if error[0] != WRONG_SHARD:
                raise RuntimeError(error)
            entry = error[2][1]
            address = "%s:%d" % (entry[8], entry[9])
            self.redirects += 1
        raise RuntimeError("sent round in circles")

    def write_encoded(self, key, value):
        self.call("write", key, value, 2)

    def read_encoded(self, key):
        """The value as it was stored: the first element of the result array, which has seven or more."""
        result = self.call("read", key)
        assert 0x97 <= result[0] <= 0x9f, result
        unpacker = msgpack.Unpacker(strict_map_key=False, unicode_errors="surrogateescape")
        unpacker.feed(result[1:])
        unpacker.skip()
        return result[1:1 + unpacker.tell()]


def scan_all(cluster, options):
    """The keys of all records, range after range."""
    keys, point, key = [], 0, None
    while point < 1 << 64:
        records, cursor, end = cluster.scan(point, key, options)
        keys += [record[0] for record in records]
        point, key = cursor if cursor else (end << 32, None)
    return keys


def check_entities(cluster):
    """Entities of two kinds, over all logical shards, beside keys of the same bytes."""
    entities = msgpack.packb({"table": "entities"})
    ids = [struct.pack(">Q", 123456789 << 23 | shard << 10 | shard % 7) for shard in range(0, 8192, 400)]
    for index, key in enumerate(ids):
        options = {"table": "entities", "kind": 1 + index % 2}
        cluster.call("write", key, msgpack.packb({"n": index}) + msgpack.packb(options), 3)
        cluster.write_encoded(key, msgpack.packb(index))
    for index, key in enumerate(ids):
        found = msgpack.unpackb(cluster.call("read", key, entities, 2))
        assert found[0] == {"n": index} and found[4] == 1 + index % 2, found
    assert scan_all(cluster, {"table": "entities"}) == ids  # one to a slice, so in their order
    assert scan_all(cluster, {"table": "entities", "kind": 2}) == ids[1::2]
    assert sorted(scan_all(cluster, {})) == ids
    for key in ids:
        assert msgpack.unpackb(cluster.call("delete", key, entities, 2)) is True
        try:
            cluster.call("write", key, msgpack.packb({}) + msgpack.packb({"table": "entities", "if_present": True}), 3)
            raise AssertionError("written where nothing is")
        except RuntimeError as error:
            assert error.args[0][0] == CONDITION and error.args[0][2] == [0], error
        assert msgpack.unpackb(cluster.read_encoded(key)) == ids.index(key)
        cluster.call("delete", key)


def main():
    cluster = Cluster(sys.argv[1:2])
    check_entities(cluster)
    for index in range(20):
        key = b"foreign%d" % index
        cluster.write_encoded(key, msgpack.packb({"n": index}))
    for index in range(20):
        key = b"foreign%d" % index
        assert msgpack.unpackb(cluster.read_encoded(key)) == {"n": index}
        popped = msgpack.unpackb(cluster.call("pop", key))
        assert popped[0] == {"n": index}
        assert msgpack.unpackb(cluster.call("read", key)) is None
    assert cluster.redirects > 0, "never redirected"
    print("redirected", cluster.redirects, "times")


if __name__ == "__main__":
    main()
