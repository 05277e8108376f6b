# SPDX-License-Identifier: MIT
"""A client whose reply to a put was lost asks again, and gets the id that it would have got; what it mints it never has twice.

retry_put.py lose ADDRESS      ten puts into slices all over the circle, and hangs up before an answer has come
retry_put.py again ADDRESS     the same again, until they are answered: the ids
retry_put.py mint ADDRESS      ten ids, each minted twice as if the first reply had been lost: the twenty
"""
import socket
import sys

import msgpack

from foreign_client import Cluster

CLIENT = bytes(range(1, 17))
KIND = 3
SHARDS = range(300, 8192, 800)


def point(shard):
    return shard << 51 | 4711


def put_params(seq, shard):
    return [point(shard), KIND, {"n": seq}, {"client": CLIENT, "seq": seq, "done": 1}]


def lose(cluster):
    for seq, shard in enumerate(SHARDS, 1):
        cluster.ask("mint", [point(shard), 1])
        host, port = cluster.owner.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall(msgpack.packb([0, 1, "put", put_params(seq, shard)]))
            sock.shutdown(socket.SHUT_WR)


def main():
    cluster = Cluster([sys.argv[2]])
    if sys.argv[1] == "lose":
        lose(cluster)
    for seq, shard in enumerate(SHARDS, 1):
        if sys.argv[1] == "again":
            print(cluster.ask("put", put_params(seq, shard))[0])
        if sys.argv[1] == "mint":
            for _ in range(2):
                print(cluster.ask("mint", [point(shard), 1])[0][0])


if __name__ == "__main__":
    main()
