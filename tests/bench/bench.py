# SPDX-License-Identifier: MIT
"""What `run` and `rebalance` share: rows of a table, how they are measured and judged, and where they go.

A row compares two figures of an experiment, or holds one against a limit of its own. Rows of one
experiment are measured together; an experiment gives, for each round, a dictionary of figures.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from typing import Callable, Optional

import experiments
from servers import Failure

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@dataclass
class Row:
    name: str
    workload: str
    against: str
    sign: str  # "<=" or ">="
    limit: float
    experiment: Callable
    ours: str  # figures of the experiment
    theirs: Optional[str]  # None: ours is held against the limit itself
    unit: str


def most(name, workload, against, limit, experiment, ours, theirs=None, unit="us"):
    return Row(name, workload, against, "<=", limit, experiment, ours, theirs, unit)


def least(name, workload, against, limit, experiment, ours, theirs=None, unit="/s"):
    return Row(name, workload, against, ">=", limit, experiment, ours, theirs, unit)


class Bench:
    """What experiments need to know, and where they leave what they saw."""

    def __init__(self, build, options):
        self.bin = build / "bin"
        self.tools = build / "tests" / "bench"
        self.is_quick = options.quick
        self.given_rounds = options.rounds
        self.seconds = options.seconds or (1 if options.quick else 5)
        self.longest = 10 if options.quick else 180
        self.million = 50_000 if options.quick else experiments.MILLION
        (build / "bench").mkdir(parents=True, exist_ok=True)
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=build / "bench"))
        self.help = subprocess.run([self.bin / "shardd", "--help"], capture_output=True, text=True,
                                   check=False).stdout
        self.runs = []
        self.remarks = []
        self.home_count = 0

    def rounds(self, headline=False):
        return self.given_rounds or (1 if self.is_quick else 5 if headline else 3)

    def new_home(self, name):
        self.home_count += 1
        home = self.home / f"{name}-{self.home_count}"
        home.mkdir()
        return home

    def supported(self, options):
        """Those that this shardd has, as it spells them."""
        named = {name.replace("_", "-"): value for name, value in options.items()}
        return {name: value for name, value in named.items() if f"--{name} " in self.help}

    def note(self, what, result):
        self.runs.append({"what": what, "result": result})
        rate = result.get("ops_per_s")
        if rate is not None:
            cpu = result["server_cpu_us_per_op"]
            print(f"    {what}: {rate:,.0f}/s, p99 {result['p99_us']:,.0f} us, "
                  f"{cpu if cpu is not None else 0:.3f} us/op", file=sys.stderr, flush=True)

    def remark(self, text):
        if text not in self.remarks:
            self.remarks.append(text)


def measure(bench, experiment):
    """Medians of the figures, or why there are none."""
    print(f"{experiment.__name__}: {experiment.__doc__.splitlines()[0]}", file=sys.stderr, flush=True)
    rounds = []
    first_run = len(bench.runs)
    bench.remarks = []
    try:
        for figures in experiment(bench):
            rounds.append(figures)
    except (Failure, OSError, subprocess.SubprocessError, ValueError) as failure:
        return {"problem": str(failure) or traceback.format_exc(limit=1), "rounds": rounds,
                "runs": bench.runs[first_run:], "remarks": bench.remarks, "medians": {}}
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return {"problem": None, "rounds": rounds, "runs": bench.runs[first_run:],
            "remarks": bench.remarks, "medians": medians}


def judge(row, result):
    sign = {"<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b}[row.sign]
    limit = f"{row.limit:g}" if row.theirs else show(row.limit, row.unit)
    judged = {"name": row.name, "workload": row.workload, "against": row.against,
              "reach": f"{row.sign} {limit}", "unit": row.unit, "ours": None, "theirs": None,
              "ratio": None, "reached": None, "problem": result["problem"],
              "remarks": result["remarks"]}
    if result["problem"] is None:
        ours = result["medians"][row.ours]
        judged["ours"] = judged_figure = ours
        if row.theirs:
            theirs = result["medians"][row.theirs]
            judged_figure = ours / theirs if theirs else float("inf")
            judged.update(theirs=theirs, ratio=judged_figure)
        judged["reached"] = sign(judged_figure, row.limit)
    return judged


def show(number, unit):
    if number is None:
        return "-"
    if unit == "/s" and number >= 1e6:
        return f"{number / 1e6:.2f} M/s"
    if unit == "/s" and number >= 1e4:
        return f"{number / 1e3:.0f} k/s"
    if not unit:
        return f"{number:g}"
    digits = 0 if number >= 100 else 1 if number >= 10 else 3
    return f"{number:.{digits}f}{unit}" if unit == "/s" else f"{number:.{digits}f} {unit}"


def table(judged):
    lines = [("workload", "against", "ours", "theirs", "ratio", "reach", "reached")]
    for one in judged:
        reached = "not measured" if one["reached"] is None else "yes" if one["reached"] else "NO"
        ratio = "-" if one["ratio"] is None else f"{one['ratio']:.2f}"
        lines.append((one["workload"], one["against"], show(one["ours"], one["unit"]),
                      show(one["theirs"], one["unit"]), ratio, one["reach"], reached))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    rows = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
            for line in lines]
    rows.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(rows)


def machine():
    model = re.search(r"^model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True,
                           check=False) if shutil.which("redis-server") else None
    version = re.search(r"v=(\S+)", redis.stdout) if redis else None
    return {"cpu": model.group(1) if model else platform.machine(), "cpus": os.cpu_count(),
            "kernel": platform.release(), "redis": version.group(1) if version else None}


def caption(about):
    return (f"{about['cpus']} CPUs ({about['cpu']}), Linux {about['kernel']}, "
            f"Redis {about['redis'] or 'not installed'}; {datetime.date.today().isoformat()}; medians.")


def write_readme(text, mark):
    """Between `<!-- MARK -->` and `<!-- end of MARK -->`."""
    path = ROOT / "README.md"
    readme = path.read_text()
    begin, end = readme.index(f"<!-- {mark} -->"), readme.index(f"<!-- end of {mark} -->")
    begin += len(f"<!-- {mark} -->")
    path.write_text(f"{readme[:begin]}\n{text}\n{readme[end:]}")


def parse_arguments(description, rows):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="names of rows; all unless told")
    parser.add_argument("--rounds", type=int, help="of each measurement (3; headline rows 5)")
    parser.add_argument("--seconds", type=int, help="of each measurement (5)")
    parser.add_argument("--quick", action="store_true", help="one short round of few records: whether it works")
    parser.add_argument("--list", action="store_true", help="print the rows' names, and end")
    parser.add_argument("--readme", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    unknown = set(options.rows) - {row.name for row in rows}
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; see --list")
    return options


def run_all(bench, rows):
    results = {}
    for row in rows:
        if row.experiment not in results:
            results[row.experiment] = measure(bench, row.experiment)
    return results


def main(description, rows, mark, result_name, finish=None):
    """`finish`, with the bench, may add lines to the text and leave files."""
    options = parse_arguments(description, rows)
    if options.list:
        print("\n".join(f"{row.name:20} {row.workload}, against {row.against}" for row in rows))
        return 0
    if experiments.cpu_count() < 2:
        print("bench: server and client need a CPU each; there is one", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    build = (ROOT / os.environ.get("BUILD", "build")).resolve()
    rows = [row for row in rows if not options.rows or row.name in options.rows]
    bench = Bench(build, options)
    try:
        results = run_all(bench, rows)
        more = finish(bench, options.readme) if finish else []
    finally:
        shutil.rmtree(bench.home, ignore_errors=True)
    judged = [judge(row, results[row.experiment]) for row in rows]
    about = machine()
    text = "\n\n".join([table(judged), *more, caption(about)])
    print(text)
    for one in judged:
        for line in [one["problem"], *one["remarks"]]:
            if line:
                print(f"{one['name']}: {line}")
    everything = {"machine": about, "quick": options.quick, "rows": judged,
                  "experiments": {key.__name__: value for key, value in results.items()}}
    (build / "bench" / result_name).write_text(json.dumps(everything, indent=1))
    if options.readme:
        write_readme(text, mark)
    return 1 if any(one["problem"] for one in judged) else 0
