# SPDX-License-Identifier: MIT
"""A client whose reply was lost asks again after the range has moved, and gets what it would have got (RULES Q1).

retry_after_move.py ask ADDRESS          an increment and a pop, each with an identity, at whoever owns their keys
retry_after_move.py again ADDRESS        the same again: the same answers, and nothing is done twice
"""
import sys

import msgpack

from foreign_client import WRONG_SHARD, Cluster

CLIENT = bytes(range(16))


def ask(cluster, method, params):
    """The result; WRONG_SHARD is followed to the owner."""
    address = cluster.first
    for _ in range(3):
        data = cluster.send(address, msgpack.packb([0, 1, method, params]))
        _, _, error, result = msgpack.unpackb(data, strict_map_key=False)
        if error is None:
            return result
        if error[0] != WRONG_SHARD:
            raise RuntimeError(error)
        entry = error[2][1]
        address = "%s:%d" % (entry[8], entry[9])
    raise RuntimeError("sent round in circles")


def identity(seq):
    return {"client": CLIENT, "seq": seq, "done": 1}


def main():
    cluster = Cluster([sys.argv[2]])
    if sys.argv[1] == "ask":
        ask(cluster, "write", [b"popped", "the value"])
    seq = 0
    for index in range(10):
        seq += 1
        print(ask(cluster, "incr", [b"counter%d" % index, 7, identity(seq)]))
    seq += 1
    print(ask(cluster, "pop", [b"popped", identity(seq)])[0])


if __name__ == "__main__":
    main()
