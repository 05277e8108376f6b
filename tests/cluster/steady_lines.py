# SPDX-License-Identifier: MIT
"""A load that does not change: prints the lines of a file again and again, so many a second, until nobody reads.

Its beginning, middle and end come equally often in any short time.

steady_lines.py FILE LINES_PER_SECOND
"""
import math
import sys
import time

# Lines that are printed together: fifty times a second.
PORTIONS_PER_S = 50


# Of the file: from one line to the next. By the golden section points fall most evenly.
STEP = 0.618034


def step_of(count):
    """Lines to go on by, round and round, so that all are met before any comes again."""
    step = int(count * STEP)
    while math.gcd(step, count) != 1:
        step += 1
    return step


def main():
    with open(sys.argv[1], "rb") as file:
        lines = file.readlines()
    portion = int(sys.argv[2]) // PORTIONS_PER_S
    step = step_of(len(lines))
    due, at = time.monotonic(), 0
    while True:
        sys.stdout.buffer.write(b"".join(lines[(at + i) * step % len(lines)] for i in range(portion)))
        sys.stdout.buffer.flush()
        at += portion
        due += 1 / PORTIONS_PER_S
        time.sleep(max(0, due - time.monotonic()))


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.stderr.close()
