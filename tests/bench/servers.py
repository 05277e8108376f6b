# SPDX-License-Identifier: MIT
"""The servers that are measured, each a child process with a directory of its own.

    Ours    bootstrapd and one shardd        Redis    redis-server        Echo    the floor
    Cluster            and several           RedisCluster    several

Each has `pid`, whose CPU time counts, and what tells `shardkv bench` where it is: `cluster` stands
before the command, `target` behind it. Only what was started here is ended, by process id.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

READY_S = 600

# Of shardd, unless a row says otherwise: ten million records are hot, as all of Redis's are.
MEMORY = "8GiB"
SERVER_CPU, CLIENT_CPU = 0, 1


class Failure(Exception):
    """Why a row cannot be measured."""


class Process:
    def __init__(self, home, name, argv, is_pinned=False, ready=None):
        pin = ["taskset", "-c", str(SERVER_CPU)] if is_pinned else []
        self.name = name
        self.errors = home / f"{name}.err"
        with open(self.errors, "wb") as errors, open(home / f"{name}.out", "wb") as out:
            self.child = subprocess.Popen(
                [*pin, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=out, stderr=errors
            )
        self.pid = self.child.pid
        self.ready = self.await_line(ready) if ready else None

    def await_line(self, pattern):
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            found = re.search(pattern, self.errors.read_text(errors="replace"), re.MULTILINE)
            if found:
                return found.group(1)
            if self.child.poll() is not None:
                break
            time.sleep(0.002)
        self.stop(signal.SIGKILL)
        raise Failure(f"{self.name} did not start: {self.errors.read_text(errors='replace')[-500:]}")

    def stop(self, number=signal.SIGTERM):
        if self.child.poll() is None:
            self.child.send_signal(number)
            try:
                self.child.wait(READY_S)
            except subprocess.TimeoutExpired:
                self.child.kill()
        self.child.wait()


def cpu_ns(pid):
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            pass
    return total


def rss_anon(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^RssAnon:\s+(\d+) kB", text, re.MULTILINE).group(1)) << 10


class Server:
    """What all three have in common."""

    processes = ()
    cluster = ()
    target = ()

    def pids(self):
        """Of the servers that hold records."""
        return (self.pid,)

    def settle(self, limit_s=120):
        """Waits until it does nothing any more: under 2 % of a CPU for a second."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            before = sum(map(cpu_ns, self.pids()))
            time.sleep(1)
            if sum(map(cpu_ns, self.pids())) - before < 20_000_000 and not self.is_busy():
                return

    def is_busy(self):
        return False

    def stop(self):
        for process in reversed(self.processes):
            process.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)


class Ours(Server):
    """`options` are shardd's: durability="os", memory="128MiB", ..."""

    name = "ours"

    def __init__(self, bench, shards=1, is_pinned=False, **options):
        self.home = bench.new_home("ours")
        self.bin = bench.bin
        self.is_pinned = is_pinned
        self.options = bench.supported({"memory": MEMORY, **options})
        self.listen = "127.0.0.1:0"
        self.shardd = self.start_shardd()
        self.write_map(shards)
        self.bootstrapd = Process(
            self.home, "bootstrapd",
            [self.bin / "bootstrapd", "--listen", "127.0.0.1:0", "--config",
             self.home / "map.json", "--data", self.home / "bootstrapd"],
            ready=r"^ready: listening on (\S+)",
        )
        self.processes = (self.shardd, self.bootstrapd)
        self.cluster = ["-b", self.bootstrapd.ready]
        self.await_founding()

    @property
    def pid(self):
        return self.shardd.pid

    def start_shardd(self):
        options = [text for name, value in self.options.items() for text in (f"--{name}", value)]
        process = Process(
            self.home, "shardd",
            [self.bin / "shardd", "--listen", self.listen, "--data", self.home / "shardd", *options],
            is_pinned=self.is_pinned, ready=r"^ready: listening on (\S+)",
        )
        self.listen = process.ready
        return process

    def restart(self, number, **options):
        """Ends shardd with this signal and starts it again; returns the seconds until it was ready."""
        self.shardd.stop(number)
        self.options.update(options)
        begin = time.monotonic()
        self.shardd = self.start_shardd()
        took = time.monotonic() - begin
        self.processes = (self.shardd, self.bootstrapd)
        self.await_founding()
        return took

    def write_map(self, shards):
        host, port = self.listen.rsplit(":", 1)
        entries = [
            {"name": f"s{i}", "start": i / shards, "end": (i + 1) / shards, "size": "1TiB",
             "host": host, "port": int(port)}
            for i in range(shards)
        ]
        (self.home / "map.json").write_text(json.dumps({"shards": entries}))

    def await_founding(self):
        done = subprocess.run(
            [self.bin / "shardkv", *self.cluster, "--timeout", "60000", "exists", "founding"],
            capture_output=True, text=True, check=False,
        )
        if done.returncode > 1:
            raise Failure(done.stderr.strip())

    def stat(self):
        """What `status` tells of the server; numbers that it does not tell are None."""
        done = subprocess.run(
            [self.bin / "shardkv", *self.cluster, "status", "--json"],
            capture_output=True, text=True, check=False,
        )
        try:
            return json.loads(done.stdout)["servers"][0]
        except (ValueError, LookupError):
            raise Failure(f"status: {done.stderr.strip()}") from None

    def number(self, name):
        value = self.stat().get(name)
        return None if value is None else int(value)


class Cluster(Server):
    """`count` servers, each with an equal range; `options` are shardd's."""

    name = "ours"

    def __init__(self, bench, count=3, **options):
        self.home = bench.new_home("cluster")
        self.bin = bench.bin
        self.processes = ()
        options = bench.supported({"memory": MEMORY, **options})
        words = [text for name, value in options.items() for text in (f"--{name}", value)]
        self.shardds = []
        try:
            for i in range(count):
                self.shardds.append(self.start(f"shardd-{i}", "shardd", *words))
            self.write_map([shardd.ready for shardd in self.shardds])
            bootstrapd = self.start("bootstrapd", "bootstrapd", "--config", self.home / "map.json")
        except Failure:
            self.stop()
            raise
        self.cluster = ["-b", bootstrapd.ready]
        self.await_founding()

    def start(self, name, program, *words):
        process = Process(
            self.home, name,
            [self.bin / program, "--listen", "127.0.0.1:0", "--data", self.home / name, *words],
            ready=r"^ready: listening on (\S+)",
        )
        self.processes += (process,)
        return process

    def pids(self):
        return [shardd.pid for shardd in self.shardds]

    def write_map(self, addresses):
        entries = []
        for i, address in enumerate(addresses):
            host, port = address.rsplit(":", 1)
            entries.append({"name": f"s{i}", "start": i / len(addresses), "host": host,
                            "end": (i + 1) / len(addresses), "port": int(port), "size": "1TiB"})
        (self.home / "map.json").write_text(json.dumps({"shards": entries}))

    await_founding = Ours.await_founding


class Redis(Server):
    """`fsync` is "always" or "everysec"; None: nothing is kept on disk."""

    name = "redis"

    def __init__(self, bench, fsync=None, is_pinned=False):
        if not shutil.which("redis-server"):
            raise Failure("redis-server is not installed")
        self.home = bench.new_home("redis")
        self.port = free_port()
        keep = ["--appendonly", "yes", "--appendfsync", fsync] if fsync else ["--appendonly", "no"]
        self.process = Process(
            self.home, "redis-server",
            ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", self.home,
             "--save", "", "--maxclients", "20000", "--loglevel", "warning", *keep],
            is_pinned=is_pinned,
        )
        self.pid = self.process.pid
        self.processes = (self.process,)
        self.target = ["--redis", f"127.0.0.1:{self.port}"]
        self.await_pong()

    def ask(self, command):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(65536).decode(errors="replace")

    def await_pong(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.ask("PING").startswith("+PONG"):
                    return
            except OSError:
                pass
            time.sleep(0.02)
        self.stop()
        raise Failure("redis-server did not start")

    def is_busy(self):
        """Its append-only file is written anew by a process of its own."""
        return "aof_rewrite_in_progress:1" in self.ask("INFO persistence")


class RedisCluster(Server):
    """Three masters, which redis-cli makes one cluster; nothing is kept on disk."""

    name = "redis"

    def __init__(self, bench, count=3):
        if not shutil.which("redis-server") or not shutil.which("redis-cli"):
            raise Failure("redis-server is not installed")
        self.home = bench.new_home("redis-cluster")
        self.processes = ()
        addresses = []
        for i in range(count):
            port = free_port()
            home = self.home / str(i)
            home.mkdir()
            # Its bus listens 10,000 above, where that is a port at all, unless told.
            self.processes += (Process(
                self.home, f"redis-{i}",
                ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", home, "--save", "",
                 "--appendonly", "no", "--cluster-enabled", "yes", "--cluster-port", free_port(),
                 "--maxclients", "20000", "--loglevel", "warning"],
            ),)
            addresses.append(f"127.0.0.1:{port}")
        self.target = ["--redis", addresses[0]]
        try:
            self.create(addresses)
        except Failure:
            self.stop()
            raise

    def pids(self):
        return [process.pid for process in self.processes]

    def create(self, addresses):
        deadline = time.monotonic() + 60
        words = ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"]
        while True:
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            if time.monotonic() > deadline:
                raise Failure(f"redis-cli --cluster create: {done.stdout[-300:]}")
            time.sleep(0.2)
        while time.monotonic() < deadline:
            states = [subprocess.run(["redis-cli", "-p", address.rsplit(":", 1)[1], "cluster", "info"],
                                     capture_output=True, text=True, check=False).stdout
                      for address in addresses]
            if all("cluster_state:ok" in state for state in states):
                return
            time.sleep(0.1)
        raise Failure("the Redis Cluster did not come up")


class Echo(Server):
    name = "echo"

    def __init__(self, bench, is_pinned=False):
        self.home = bench.new_home("echo")
        self.process = Process(
            self.home, "echo_server", [bench.tools / "echo_server"], is_pinned=is_pinned,
            ready=r"^ready: listening on (\S+)",
        )
        self.pid = self.process.pid
        self.processes = (self.process,)
        self.target = ["--echo", self.process.ready]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def drop_page_cache(folder):
    """Of the whole machine where that is permitted, else of the files under `folder`."""
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
    except OSError:
        for path in folder.rglob("*"):
            if path.is_file():
                fd = os.open(path, os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)
