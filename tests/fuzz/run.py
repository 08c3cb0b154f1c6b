#!/usr/bin/python3
"""Runs the fuzz targets of build/fuzz, each from its seeds and from the inputs kept in corpus/.

    tests/fuzz/run.py                          # every target for a minute
    tests/fuzz/run.py --seconds 7200 manifest  # one, for two hours
    tests/fuzz/run.py --seed 1                 # the same inputs in every run, as far as time allows
    tests/fuzz/run.py --keep                   # then adds what found new paths to corpus/

Ends with 1 if a target failed; the input is kept in build/fuzz/found/, and running the target's
program on it shows the failure again.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("ZERODB_FUZZ_BUILD", ROOT / "build/fuzz"))
PROGRAMS = BUILD / "tests/fuzz"
CORPUS = HERE / "corpus"  # a text file for each target: an input a line, in hexadecimal
INPUT_BYTES_MAX = 16384
KEPT_BYTES_MAX = 512  # of an input: larger ones are not worth keeping


def targets():
    return sorted(p.name.removeprefix("fuzz_") for p in PROGRAMS.glob("fuzz_*") if p.is_file())


def unpack(target):
    """A folder with the target's seeds and kept inputs."""
    folder = BUILD / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / f"{target}.hex"
    for number, line in enumerate(kept.read_text().split() if kept.exists() else []):
        (folder / f"kept{number}").write_bytes(bytes.fromhex(line))
    return folder


def keep(target):
    """Writes the smallest set of inputs that reaches all that is reached into corpus/."""
    folder, small = BUILD / "corpus" / target, BUILD / "small" / target
    shutil.rmtree(small, ignore_errors=True)
    small.mkdir(parents=True)
    subprocess.run([PROGRAMS / f"fuzz_{target}", "-merge=1", f"-max_len={KEPT_BYTES_MAX}", small,
                    folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = sorted((path.read_bytes().hex() for path in small.iterdir()), key=lambda h: (len(h), h))
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{target}.hex").write_text("".join(line + "\n" for line in lines if line))
    return len(lines)


def fuzz(target, seconds, seed):
    """(whether all went well, what to say of it)."""
    folder, found = unpack(target), BUILD / "found"
    found.mkdir(exist_ok=True)
    log = BUILD / f"{target}.log"
    words = [PROGRAMS / f"fuzz_{target}", f"-max_total_time={seconds}", f"-seed={seed}",
             f"-max_len={INPUT_BYTES_MAX}", "-timeout=60", "-rss_limit_mb=2048",
             "-print_final_stats=1", f"-artifact_prefix={found}/{target}-", folder]
    with open(log, "wb") as out:
        process = subprocess.Popen(words, stdout=out, stderr=out,
                                   env={**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"})
        _, status, used = os.wait4(process.pid, 0)
        code = process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(errors="replace")
    if code != 0:
        return False, f"{target}: FAILED, see {log}\n" + "\n".join(text.splitlines()[-40:])
    runs = re.findall(r"number_of_executed_units: *(\d+)", text)
    reached = re.findall(r"cov: (\d+)", text)
    processor_s = used.ru_utime + used.ru_stime
    return True, (f"{target}: {int(runs[-1]):,} inputs in {processor_s:.0f} s of a processor, "
                  f"{reached[-1] if reached else '?'} edges, {len(list(folder.iterdir()))} kept")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("targets", nargs="*", help="all, if none is named")
    arguments.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets at a time")
    arguments.add_argument("--seed", type=int, default=0, help="0: another one in every run")
    arguments.add_argument("--keep", action="store_true", help="write corpus/ anew afterwards")
    options = arguments.parse_args()
    chosen = options.targets or targets()
    if not chosen:
        sys.exit(f"no fuzz targets in {PROGRAMS}: make fuzz builds them")
    subprocess.run([PROGRAMS / "make_seeds", ROOT / "tests/vectors", BUILD / "corpus"], check=True)
    failed = False
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for well, said in pool.map(lambda target: fuzz(target, options.seconds, options.seed),
                                   chosen):
            print(said, flush=True)
            failed |= not well
    if options.keep and not failed:
        for target in chosen:
            print(f"{target}: {keep(target)} inputs in corpus/")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
