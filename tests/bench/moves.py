# SPDX-License-Identifier: MIT
"""How moves are measured: each experiment gives, for each round, a dictionary of figures.

Three servers of each system on this machine, nothing pinned; a third of the hash space, what the first
has, moves to the next one, by `shardkv bench rebalance`, whose load is one thread. Every run reads all
records back; what any of them has lost or done twice counts in the row of all runs.
"""

import json
import os
import socket
import statistics
import subprocess
import time

from servers import Cluster, Failure, RedisCluster

# Of the hash space: what one of three has.
SHARE = 0.3333

# redis-cli's --cluster-pipeline: what it takes unless told, and what is fastest.
PIPELINES = (10, 1000)

MOVES = 200

# Of the file by which the disk is measured: more than was freed just before. A virtual machine's system
# hands out what it has had lately ten times as fast as what its host must first provide, and a move's
# data is new memory, too.
DISK_LEN = 4 << 30


class Run:
    """One run of `shardkv bench rebalance`: its JSON, and what its data file has beside it."""

    def __init__(self, bench, server, workload, **options):
        words = []
        for name, value in options.items():
            if value is not None and value is not False:
                words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        self.what = f"{server.name}: {workload} {' '.join(words)}"
        self.plot = bench.new_home("plot") / "run.svg"
        argv = [str(bench.bin / "shardkv"), *server.cluster, "bench", "rebalance", workload, "--json",
                *server.target, "--plot", str(self.plot), *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if not done.stdout.strip():
            raise Failure(f"{self.what}: {done.stderr.strip()}")
        self.result = json.loads(done.stdout)
        if done.returncode != 0:
            bench.remark(f"{self.what}: {done.stderr.strip()}")
        self.moves, self.phases = self.read_data()
        bench.runs.append({"what": self.what, "result": self.result, "phases": self.phases})
        if self.result["records_moved"] == 0:
            raise Failure(f"{self.what}: nothing has moved: {done.stderr.strip()}")
        print(f"    {self.what}: {self.result['records_per_s']:,.0f} records/s, "
              f"{self.result['mb_per_s']:,.1f} MB/s, {self.result['errors']} errors, "
              f"{self.result['lost']} lost, {self.result['doubled']} doubled", flush=True)

    def read_data(self):
        """Of each move its numbers (NaN for what is not known), and each phase by its name."""
        blocks = self.plot.with_suffix(".dat").read_text().split("\n\n\n")
        rows = [[line.split() for line in block.splitlines() if not line.startswith("#")]
                for block in blocks]
        moves = [[float("nan") if word == "-" else float(word) for word in row] for row in rows[1]]
        phases = {row[0]: dict(zip(("ops", "p50", "p99", "p999", "max"), map(float, row[1:])))
                  for row in rows[2]}
        return moves, phases

    def took_s(self):
        """From asking for the first move until the last one's source had nothing left."""
        return self.moves[-1][2] - self.moves[0][0]

    def holds_ms(self):
        return [sum(move[4:9]) / 1000 for move in self.moves]


def records_of(bench, millions):
    return int(bench.million * millions)


def move_idle(bench, server, records, **options):
    """Loads, gives the servers a while to come to rest, and moves with nobody about."""
    return Run(bench, server, "idle", records=records, share=SHARE, warmup=3, connections=16,
               pipeline=64, **options)


# --- nobody about ---


def idle_records(bench):
    """700 k records of 100 bytes: ours, and Redis's reshard with both pipelines."""
    records = records_of(bench, 2.1)
    for _ in range(bench.rounds()):
        figures = {}
        with Cluster(bench) as ours:
            figures["ours"] = move_idle(bench, ours, records).result["records_per_s"]
        for pipeline in PIPELINES:
            with RedisCluster(bench) as redis:
                run = move_idle(bench, redis, records, cluster_pipeline=pipeline)
                figures[f"redis {pipeline}"] = run.result["records_per_s"]
        yield figures


def disk_rate(folder, length):
    """MB/s of writing a file from its beginning to its end, and having it on disk."""
    path = folder / "disk"
    chunk = os.urandom(1 << 20)
    begin = time.monotonic()
    with open(path, "wb", buffering=0) as file:
        for _ in range(length >> 20):
            file.write(chunk)
        os.fdatasync(file.fileno())
    took = time.monotonic() - begin
    path.unlink()
    return length / 1e6 / took


def loopback_rate(length):
    """MB/s of one TCP connection of this machine to itself."""
    listener = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if child == 0:
        with socket.create_connection(listener.getsockname()) as sender:
            chunk = bytes(1 << 20)
            for _ in range(length >> 20):
                sender.sendall(chunk)
        os._exit(0)
    taken, buffer = 0, bytearray(1 << 20)
    with listener, listener.accept()[0] as receiver:
        begin = time.monotonic()
        while (got := receiver.recv_into(buffer)) > 0:
            taken += got
        took = time.monotonic() - begin
    os.waitpid(child, 0)
    return taken / 1e6 / took


def idle_bytes(bench):
    """Values of 16 KB, beside what the disk and loopback can do."""
    records = records_of(bench, 0.06)
    for _ in range(bench.rounds()):
        with Cluster(bench, log_size="4GiB") as ours:
            run = move_idle(bench, ours, records, value_size=16384)
        home = bench.new_home("rates")
        figures = {"ours": run.result["mb_per_s"], "disk": disk_rate(home, DISK_LEN),
                   "loopback": loopback_rate(1 << 30)}
        figures["slower"] = min(figures["disk"], figures["loopback"])
        bench.runs.append({"what": "rates", "result": figures})
        yield figures


def many_moves(bench):
    """640,000 records in 64 moves one after another, and in one."""
    records = records_of(bench, 1.92)
    for _ in range(bench.rounds()):
        figures = {}
        for name, parts in (("many", 64), ("one", 1)):
            with Cluster(bench) as ours:
                figures[name] = move_idle(bench, ours, records, parts=parts).took_s()
        yield figures


# --- under load ---


def top_rate(bench, server, records):
    """Operations a second of a 50/50 load with nothing moving."""
    run = Run(bench, server, "mixed", records=records, share=0.001, seconds=bench.seconds)
    server.settle()
    return run.result["before"]["ops_per_s"]


def half_rate(bench):
    """A 50/50 load at half of its top rate: before the move, during it, while the source deletes."""
    records = records_of(bench, 2.1)
    for _ in range(bench.rounds()):
        with Cluster(bench) as ours:
            top = top_rate(bench, ours, records)
        with Cluster(bench) as ours:
            run = Run(bench, ours, "mixed", records=records, share=SHARE, rate=int(top / 2),
                      seconds=2 * bench.seconds)
        before, during = run.result["before"], run.result["during"]
        deleting = run.phases.get("deleting", {"p999": 0})
        yield {"before ops": before["ops_per_s"], "during ops": during["ops_per_s"],
               "before p999": before["p999_us"], "during p999": during["p999_us"],
               "deleting p999": deleting["p999"] * 1000}


def writers(bench):
    """Writers alone, all of them on what moves, as fast as they can."""
    records = records_of(bench, 2.1)
    for _ in range(bench.rounds()):
        with Cluster(bench) as ours:
            run = Run(bench, ours, "write", records=records, share=SHARE, moving_only=True,
                      seconds=bench.seconds)
        yield {"during ops": run.result["during"]["ops_per_s"]}


def holds(bench):
    """Moves there and back under load: how long requests were held, and who saw an error."""
    records = records_of(bench, 0.1)
    count = 10 if bench.is_quick else MOVES
    with Cluster(bench) as ours:
        run = Run(bench, ours, "mixed", records=records, share=0.1, moves=count, rate=20000,
                  seconds=bench.seconds)
    held = sorted(run.holds_ms())
    yield {"median": statistics.median(held), "p99": held[min(len(held) - 1, int(len(held) * 0.99))],
           "errors": run.result["errors"]}


# --- both, in one picture ---


def both(bench):
    """The same 50/50 load, at half of Redis's top rate, on both while a third moves."""
    records = records_of(bench, 0.6)
    with RedisCluster(bench) as redis:
        rate = int(top_rate(bench, redis, records) / 2)
    figures = {"rate": rate}
    bench.pictures = {}
    for name, kind, options in (("ours", Cluster, {}), ("redis", RedisCluster, {"cluster_pipeline": 10})):
        with kind(bench) as server:
            run = Run(bench, server, "mixed", records=records, share=SHARE, rate=rate,
                      seconds=bench.seconds, **options)
        bench.pictures[name] = run
        figures[f"{name} p999"] = run.result["during"]["p999_us"]
        figures[f"{name} seconds"] = run.result["seconds"]
    yield figures


def all_runs(bench):
    """What any run has lost or done twice; the last experiment."""
    results = [one["result"] for one in bench.runs if "lost" in one["result"]]
    if not results:
        raise Failure("no run came to its end")
    yield {"wrong": sum(result["lost"] + result["doubled"] for result in results),
           "runs": len(results)}
