# SPDX-License-Identifier: MIT
"""The servers that are measured, each a child process with a directory of its own.

    Ours    bootstrapd and one shardd        Redis    redis-server        Echo    the floor

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

    def settle(self, limit_s=120):
        """Waits until it does nothing any more: under 2 % of a CPU for a second."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            before = cpu_ns(self.pid)
            time.sleep(1)
            if cpu_ns(self.pid) - before < 20_000_000 and not self.is_busy():
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
