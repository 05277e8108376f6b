# SPDX-License-Identifier: MIT
"""A client whose reply was lost asks again after the range has moved, and gets what it would have got (RULES Q1).

retry_after_move.py ask ADDRESS          an increment and a pop, each with an identity, at whoever owns their keys
retry_after_move.py again ADDRESS        the same again: the same answers, and nothing is done twice
"""
import sys

from foreign_client import Cluster

CLIENT = bytes(range(16))


def identity(seq):
    return {"client": CLIENT, "seq": seq, "done": 1}


def main():
    cluster = Cluster([sys.argv[2]])
    if sys.argv[1] == "ask":
        cluster.ask("write", [b"popped", "the value"])
    seq = 0
    for index in range(10):
        seq += 1
        print(cluster.ask("incr", [b"counter%d" % index, 7, identity(seq)]))
    seq += 1
    print(cluster.ask("pop", [b"popped", identity(seq)])[0])


if __name__ == "__main__":
    main()
