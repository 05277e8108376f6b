# SPDX-License-Identifier: MIT
"""How the figures are measured: each experiment gives, for each round, a dictionary of them.

Ours and theirs take turns within a round, so that what the machine does meanwhile meets both. In
memory the server has CPU 0 to itself and the client CPU 1; where the disk or a second thread of the
server counts, nothing is pinned. Either is the same for both sides.
"""

import contextlib
import json
import os
import signal
import subprocess
import time

from servers import CLIENT_CPU, Cluster, Echo, Failure, Ours, Process, Redis, drop_page_cache, rss_anon

MILLION = 1_000_000

# Ids that a logical shard can give in a second: 1,024 in each millisecond.
IDS_PER_S = 1_024_000


class Load:
    """One run of `shardkv bench`; `start` and `finish` apart for what runs beside it."""

    def __init__(self, bench, server, workload, is_pinned=False, **options):
        words = []
        for name, value in options.items():
            if value is not None and value is not False:
                words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        pin = ["taskset", "-c", str(CLIENT_CPU)] if is_pinned else []
        self.bench = bench
        self.what = f"{server.name}: {workload} {' '.join(words)}"
        self.argv = [*pin, str(bench.bin / "shardkv"), *server.cluster, "bench", workload, "--json",
                     *server.target, "--server-pid", ",".join(map(str, server.pids())), *words]
        self.child = None

    def start(self):
        self.child = subprocess.Popen(
            self.argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        return self

    def interrupt(self):
        self.child.send_signal(signal.SIGINT)

    def finish(self):
        try:
            out, errors = self.child.communicate()
        except BaseException:
            self.child.kill()
            self.child.wait()
            raise
        if self.child.returncode != 0:
            raise Failure(f"{self.what}: {errors.strip()}")
        result = json.loads(out)
        self.bench.note(self.what, result)
        return result

    def run(self):
        return self.start().finish()


def fill(bench, server, records, seconds=1):
    """The records are there, and the server has come to rest."""
    Load(bench, server, "read", records=records, seconds=seconds).run()
    server.settle()


def until_two_rounds(bench, ours, **options):
    """Writes until the sweep's hand has gone round twice; at least as long as any measurement.

    A server that has no rounds, or does not finish them in time, is measured for the longest time.
    """
    load = Load(bench, ours, "write", seconds=999999, no_load=True, **options).start()
    try:
        time.sleep(1.5)
        begin, first = time.monotonic(), ours.number("sweep_rounds")
        least, most = (bench.seconds, bench.longest) if first is not None else (bench.seconds,) * 2
        while time.monotonic() - begin < most and load.child.poll() is None:
            time.sleep(0.5)
            is_round = first is not None and ours.number("sweep_rounds") >= first + 2
            if is_round and time.monotonic() - begin >= least:
                break
        else:
            bench.remark("the hand did not go round twice: too few writes, or no sweep_rounds")
    finally:
        if load.child.poll() is None:
            load.interrupt()
        result = load.finish()
    return result


# --- in memory ---


def reads(bench):
    """Reads of 1 M keys: ours, Redis without persistence, the floor."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(kind(bench, is_pinned=True)) for kind in (Ours, Redis, Echo)]
        for server in servers[:2]:
            fill(bench, server, bench.million)
        for _ in range(bench.rounds(headline=True)):
            figures = {}
            for pipeline in (16, 1):
                for server in servers:
                    result = Load(bench, server, "read", is_pinned=True, records=bench.million,
                                  pipeline=pipeline, seconds=bench.seconds, no_load=True).run()
                    figures[f"{server.name} p{pipeline} cpu"] = result["server_cpu_us_per_op"]
            yield figures


def read_cpu(bench, server, records, figures, name):
    for pipeline in (16, 1):
        result = Load(bench, server, "read", is_pinned=True, records=records, pipeline=pipeline,
                      seconds=bench.seconds, no_load=True).run()
        figures[f"{name} p{pipeline} cpu"] = result["server_cpu_us_per_op"]


def more_keys(bench):
    """10 M keys beside 1 M."""
    with Ours(bench, is_pinned=True) as few, Ours(bench, is_pinned=True) as many:
        fill(bench, few, bench.million)
        fill(bench, many, 10 * bench.million)
        for _ in range(bench.rounds()):
            figures = {}
            read_cpu(bench, few, bench.million, figures, "few")
            read_cpu(bench, many, 10 * bench.million, figures, "many")
            yield figures


def more_connections(bench):
    """50 connections at work, alone and beside 10,000 that are idle."""
    count = 10000
    with Ours(bench, is_pinned=True, max_connections=str(count + 1000)) as ours:
        fill(bench, ours, bench.million)
        for _ in range(bench.rounds()):
            figures = {}
            read_cpu(bench, ours, bench.million, figures, "few")
            idle = Process(ours.home, "idle", [bench.tools / "idle_connections",
                                               ours.listen.rsplit(":", 1)[1], count],
                           ready=r"^ready: (\d+)")
            try:
                read_cpu(bench, ours, bench.million, figures, "many")
            finally:
                idle.stop()
            yield figures


def more_shards(bench):
    """1,024 shards on one server beside one."""
    with Ours(bench, is_pinned=True) as few, Ours(bench, is_pinned=True, shards=1024) as many:
        for server in (few, many):
            fill(bench, server, bench.million)
        for _ in range(bench.rounds()):
            figures = {}
            read_cpu(bench, few, bench.million, figures, "few")
            read_cpu(bench, many, bench.million, figures, "many")
            yield figures


def memory(bench):
    """Allocated memory for each record, all of them hot."""
    for _ in range(bench.rounds()):
        figures = {}
        for kind in (Ours, Redis):
            with kind(bench) as server:
                before = rss_anon(server.pid)
                fill(bench, server, bench.million)
                if kind is Ours:
                    until_two_rounds(bench, server, records=bench.million, pipeline=16)
                    server.settle()
                    Load(bench, server, "read", records=bench.million, pipeline=16, no_load=True,
                         seconds=bench.seconds).run()
                figures[f"{server.name} bytes"] = (rss_anon(server.pid) - before) / bench.million
        yield figures


# --- on disk ---


def write_both(bench, ours, redis, figures, pipeline):
    """Ours until the hand has gone round twice, theirs as long."""
    options = {"records": bench.million, "pipeline": pipeline}
    result = until_two_rounds(bench, ours, **options)
    ours.settle()
    theirs = Load(bench, redis, "write", no_load=True, seconds=round(result["seconds"]) or 1,
                  **options).run()
    redis.settle()
    for server, one in ((ours, result), (redis, theirs)):
        figures[f"{server.name} p{pipeline} ops"] = one["ops_per_s"]
        figures[f"{server.name} p{pipeline} cpu"] = one["server_cpu_us_per_op"]


def durable_writes(bench):
    """Each write on disk before it is answered."""
    with Ours(bench, durability="disk") as ours, Redis(bench, fsync="always") as redis:
        for server in (ours, redis):
            fill(bench, server, bench.million)
        for _ in range(bench.rounds(headline=True)):
            figures = {}
            for pipeline in (1, 16):
                write_both(bench, ours, redis, figures, pipeline)
            for connections in (8, 1):
                for server in (ours, redis):
                    result = Load(bench, server, "write", records=bench.million, no_load=True,
                                  connections=connections, seconds=bench.seconds).run()
                    figures[f"{server.name} c{connections} ops"] = result["ops_per_s"]
            yield figures


def second_writes(bench):
    """Writes that are on disk within a second."""
    with Ours(bench, durability="os") as ours, Redis(bench, fsync="everysec") as redis:
        for server in (ours, redis):
            fill(bench, server, bench.million)
        for _ in range(bench.rounds(headline=True)):
            figures = {}
            write_both(bench, ours, redis, figures, 16)
            yield figures


def sustained(bench):
    """10 M records, written over for a minute."""
    seconds = 60 if not bench.is_quick else bench.seconds
    with Ours(bench, durability="os") as ours, Redis(bench, fsync="everysec") as redis:
        for server in (ours, redis):
            fill(bench, server, 10 * bench.million)
        for _ in range(bench.rounds()):
            figures = {}
            for server in (ours, redis):
                result = Load(bench, server, "write", records=10 * bench.million, pipeline=16,
                              no_load=True, seconds=seconds).run()
                server.settle()
                figures[f"{server.name} ops"] = result["ops_per_s"]
            yield figures


def half_rate(bench):
    """The latency of a mix at half of what Redis can do."""
    options = {"records": bench.million, "zipf": True, "no_load": True, "seconds": bench.seconds}
    with Ours(bench, durability="os") as ours, Redis(bench, fsync="everysec") as redis:
        for server in (ours, redis):
            fill(bench, server, bench.million)
        top = Load(bench, redis, "mixed", **options).run()["ops_per_s"]
        redis.settle()
        for _ in range(bench.rounds()):
            figures = {}
            for server in (ours, redis):
                result = Load(bench, server, "mixed", rate=int(top / 2), **options).run()
                server.settle()
                figures[f"{server.name} p99"] = result["p99_us"]
            yield figures


# --- ids ---


def batches(bench):
    """Ids of one logical shard, 4,096 in a call: once the second is used up that may be borrowed."""
    with Ours(bench) as ours:
        for _ in range(bench.rounds()):
            result = Load(bench, ours, "mint", count=4096, connections=4, warmup=3,
                          seconds=bench.seconds).run()
            yield {"ours": result["ids_per_s"], "format": IDS_PER_S}


def single_mints(bench):
    """One id in each call, beside reads of one key that is hot."""
    with Ours(bench, is_pinned=True) as ours:
        fill(bench, ours, 1)
        for _ in range(bench.rounds(headline=True)):
            figures = {}
            for workload, options in (("mint", {}), ("read", {"records": 1, "no_load": True})):
                result = Load(bench, ours, workload, is_pinned=True, seconds=bench.seconds,
                              **options).run()
                figures[f"{workload} cpu"] = result["server_cpu_us_per_op"]
            yield figures


def puts(bench):
    """Documents of 100 bytes on disk before they are answered, beside values written to keys as new.

    Each time to an empty server: the second time the keys of `write` would be the same ones, and not new.
    """
    turns = (("put", {}), ("write", {"records": 10**12, "no_load": True}))
    for _ in range(bench.rounds(headline=True)):
        figures = {}
        for pipeline in (1, 16):
            for workload, options in turns:
                with Ours(bench, durability="disk") as server:
                    result = Load(bench, server, workload, pipeline=pipeline, seconds=bench.seconds,
                                  **options).run()
                figures[f"{workload} p{pipeline} ops"] = result["ops_per_s"]
        yield figures


def moving_mints(bench):
    """One connection mints 5,000 times a second while the shard that its ids are of, with its records, moves."""
    options = {"connections": 1, "rate": 5000, "warmup": 2}
    for _ in range(bench.rounds(headline=True)):
        with Cluster(bench, count=2) as ours:
            Load(bench, ours, "read", records=bench.million // 5, seconds=1).run()
            ours.settle()
            still = Load(bench, ours, "mint", seconds=bench.seconds, **options).run()["longest_gap_us"]
            load = Load(bench, ours, "mint", seconds=999999, **options).start()
            try:
                time.sleep(3)
                move(ours, "s0", ours.shardds[1].ready)
                time.sleep(1)
            finally:
                load.interrupt()
                result = load.finish()
        if still > 5000:
            bench.remark(f"the machine is not quiet: {still / 1000:.1f} ms without an id when nothing moved")
        yield {"gap": result["longest_gap_us"] / 1000, "still": still / 1000}


def move(cluster, shard, target):
    done = subprocess.run([cluster.bin / "shardkv", *cluster.cluster, "move", shard, "--to", target],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"move: {done.stderr.strip()}")


# --- the sweep ---


def sweep_rate(bench):
    """Records applied per second under full load, beside the same tree in log order."""
    records = 2 * bench.million
    for _ in range(bench.rounds()):
        home = bench.new_home("tree")
        done = subprocess.run([bench.tools / "apply_order", home, str(records)],
                              capture_output=True, text=True, check=True)
        orders = json.loads(done.stdout)
        for path in home.iterdir():
            path.unlink()
        home.rmdir()
        bench.note("apply_order", orders)
        figures = {"hash order": orders["hash_per_s"], "log order": orders["log_per_s"]}
        with Ours(bench, durability="disk", log_size="1GiB") as ours:
            fill(bench, ours, records)
            load = Load(bench, ours, "write", records=records, pipeline=16, no_load=True,
                        seconds=999999).start()
            try:
                figures["ours"] = watch_sweep(bench, ours, load)
            finally:
                load.interrupt()
                load.finish()
        yield figures


def watch_sweep(bench, ours, load):
    """Over the second round of the hand: in the first it meets records that nobody has written."""
    deadline = time.monotonic() + bench.longest
    if ours.number("sweep_rounds") is None or ours.number("sweep_records") is None:
        raise Failure("status does not tell sweep_rounds and sweep_records")

    def await_round(count):
        while ours.number("sweep_rounds") < count and time.monotonic() < deadline:
            time.sleep(0.1)
            if load.child.poll() is not None:
                raise Failure("the writer has ended")
        return time.monotonic(), ours.number("sweep_records")

    first = ours.number("sweep_rounds")
    begin, before = await_round(first + 1)
    end, after = await_round(first + 2)
    if end == begin or after == before:
        raise Failure("the hand did not go round in time")
    return (after - before) / (end - begin)


def sweep_latency(bench):
    """Reads at 10 k/s beside writes at 100 k/s, while the sweep runs and with a log so large that it need not."""
    if not bench.supported({"log_size": "1GiB"}):
        raise Failure("shardd has no --log-size: the sweep cannot be kept from running")
    records = 2 * bench.million
    with Ours(bench, log_size="512MiB") as busy, Ours(bench, log_size="64GiB") as calm:
        for server in (busy, calm):
            fill(bench, server, records)
        until_two_rounds(bench, busy, records=records, pipeline=16)
        for _ in range(bench.rounds()):
            figures = {}
            for name, server in (("sweep", busy), ("calm", calm)):
                before = server.number("sweep_rounds")
                writes = Load(bench, server, "write", records=records, no_load=True, rate=100000,
                              pipeline=16, seconds=999999).start()
                try:
                    result = Load(bench, server, "read", records=records, no_load=True, rate=10000,
                                  connections=10, seconds=2 * bench.seconds).run()
                finally:
                    writes.interrupt()
                    written = writes.finish()["ops_per_s"]
                if written < 95000:
                    bench.remark(f"{name}: only {written:,.0f} of 100,000 writes/s were done")
                figures[f"{name} p99"] = result["p99_us"]
                if name == "calm" and server.number("sweep_rounds") != before:
                    bench.remark("the sweep ran where it was not to")
            yield figures


# --- what does not fit, and what a crash leaves ---


def cold_reads(bench):
    """Hot reads alone, and beside reads of what is in the tree and nowhere else."""
    limit = 16 << 20 if bench.is_quick else 128 << 20
    records = 8 * limit // 180
    hot = records // 32
    if not bench.supported({"memory": "128MiB"}):
        raise Failure("shardd has no --memory")
    with Ours(bench, durability="os", memory=f"{limit >> 20}MiB") as ours:
        fill(bench, ours, records)
        # What a process has mapped stays in the page cache: it must end first.
        ours.shardd.stop()
        drop_page_cache(ours.home)
        ours.restart(signal.SIGTERM)
        for _ in range(bench.rounds()):
            Load(bench, ours, "read", records=hot, no_load=True, seconds=bench.seconds).run()
            figures = {}
            options = {"records": hot, "no_load": True, "rate": 10000, "connections": 10,
                       "seconds": bench.seconds}
            figures["alone p99"] = Load(bench, ours, "read", **options).run()["p99_us"]
            cold = Load(bench, ours, "read", records=records, no_load=True, rate=2000,
                        connections=10, seconds=999999).start()
            try:
                figures["beside p99"] = Load(bench, ours, "read", **options).run()["p99_us"]
            finally:
                cold.interrupt()
                cold.finish()
            yield figures


def read_all(folder):
    """Seconds that it takes to read every file once."""
    begin = time.monotonic()
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb", buffering=0) as file:
                while file.read(1 << 20):
                    pass
    return time.monotonic() - begin


def recovery(bench):
    """Killed with all records in the log alone; the disk's rate is that of reading what is there."""
    for _ in range(bench.rounds()):
        with Ours(bench, durability="os", log_size="8GiB") as ours:
            empty_s = ours.restart(signal.SIGTERM)
            Load(bench, ours, "read", records=bench.million, seconds=1).run()
            ours.shardd.stop(signal.SIGKILL)
            drop_page_cache(ours.home)
            disk_s = read_all(ours.home / "shardd")
            drop_page_cache(ours.home)
            took_s = ours.restart(signal.SIGKILL) - empty_s
            missing = Load(bench, ours, "read", records=bench.million, no_load=True,
                           seconds=1).run()["missing"]
            if missing:
                raise Failure(f"{missing} reads found nothing after the restart")
            yield {"ours": bench.million / max(took_s, 1e-3),
                   "reach": min(2 * MILLION, bench.million / disk_s)}


def cpu_count():
    return len(os.sched_getaffinity(0))
