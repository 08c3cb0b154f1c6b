#!/usr/bin/python3
"""Tells what a sanitizer said of our code from what it said of RocksDB's.

    tests/cli/sanitizer_reports.py PROGRAM ARGUMENT...

runs a program under ThreadSanitizer, and takes for well what ended so but for races of RocksDB's.
"""

import re
import subprocess
import sys

BEGINS = r"(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:)"
RACES = 66  # how a program ends that did well, of whose races ThreadSanitizer told


def is_within_rocksdb(report):
    """Whether a race is between RocksDB's threads and what made them, which ThreadSanitizer sees
    without the locks between: one side is a thread that was started below store/, which starts none
    itself, in no code of ours. tsan.supp cannot say that: it knows no threads."""
    started = re.findall(r"  Thread (T\d+) .*? created by .*? at:\n(.*?)\n\n", report + "\n\n",
                         re.DOTALL)
    theirs = {name for name, stack in started
              if re.search(r"_M_start_thread\(.*\n +#\d+ [^\n]*/store/\w+\.cpp:", stack)}
    sides = re.findall(r" by (?:thread )?(T\d+|main thread)[^\n]*:\n(.*?)\n\n", report, re.DOTALL)
    return any(name in theirs and "zerodb::" not in stack for name, stack in sides)


def first_of_ours(text):
    """The first report in a program's output that is of our code, or ""."""
    for found in re.finditer(BEGINS, text):
        report = text[found.start():].split("\n=====", 1)[0]
        if not is_within_rocksdb(report):
            return report
    return ""


def run(command):
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    sys.stderr.buffer.write(done.stderr)
    is_well = done.returncode == RACES and not first_of_ours(done.stderr.decode(errors="replace"))
    return 0 if is_well else done.returncode


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
