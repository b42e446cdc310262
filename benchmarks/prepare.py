"""`lrea prepare taobao` on a raw file of any size in Taobao's format: wall time, peak memory of all processes, disk.

The limit for 100 million rows is 120 s on 2 cores within --memory 4GB. `--rows 1M,10M,100M` shows the cost per row at
each size, beyond what the command takes for next to no rows. That the fast way gives the right rows is what
tests/prepare/test_samples.py and test_agreement.py show.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from taobao_format import write_taobao_format

from lrea_cli.bench.machine import cpu_name

LIMIT_SECONDS = 120.0
SAMPLE_SECONDS = 0.05
FIXED_ROWS = 20_000
"""A file of so many rows shows what the command takes for its start, its page of plots and its many small steps."""

FEW_ROWS, RUNS = 10_000_000, 3
"""Up to so many rows are prepared several times: they take seconds, and other programs run beside."""

UNITS = {"K": 1_000, "M": 1_000_000, "B": 1_000_000_000}


@dataclass(frozen=True)
class Timed:
    """One preparation.

    Args:
        peak_mb: resident memory of the command and its children, the largest of all samples (10^6 bytes).
        scratch_gb: the largest that the workspace grew to. dataset_gb: what is left of it.
    """

    rows: int
    raw_gb: float
    seconds: float
    rows_per_second: float
    peak_mb: float
    scratch_gb: float
    dataset_gb: float
    events_kept: int
    samples: dict[str, int]


def prepare(raw: Path, home: Path, memory: str, threads: int) -> Timed:
    """Run the command as a user would, and watch it."""
    command = [sys.executable, "-m", "lrea_cli", "prepare", "taobao", "--raw", str(raw), "--json"]
    command += ["--memory", memory, "--threads", str(threads)]
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | {"LREA_HOME": str(home)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    watch = Watch(process.pid, home)
    out, _ = process.communicate()
    seconds = time.perf_counter() - started
    watch.stop()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed with {process.returncode}")
    found = json.loads(out)
    return Timed(
        rows=found["events_read"],
        raw_gb=raw.stat().st_size / 1e9,
        seconds=seconds,
        rows_per_second=found["events_read"] / seconds,
        peak_mb=watch.peak_bytes / 1e6,
        scratch_gb=watch.disk_bytes / 1e9,
        dataset_gb=bytes_under(home) / 1e9,
        events_kept=found["events_kept"],
        samples=found["samples"],
    )


class Watch:
    """Samples memory and disk while a process runs."""

    def __init__(self, pid: int, home: Path) -> None:
        self.peak_bytes = self.disk_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(pid, home), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self, pid: int, home: Path) -> None:
        turn = 0
        while not self._stop.wait(SAMPLE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, sum(resident_bytes(p) for p in family(pid)))
            if turn % 20 == 0:
                self.disk_bytes = max(self.disk_bytes, bytes_under(home))
            turn += 1


def family(pid: int) -> list[int]:
    """A process and all its descendants (Linux)."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue  # it has ended
    return found


def resident_bytes(pid: int) -> int:
    """Memory that is resident now, mapped files included; 0 of a process that has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # it is gone already
    return total


def number(text: str) -> int:
    """10M -> 10,000,000."""
    return int(float(text[:-1]) * UNITS[text[-1]]) if text[-1] in UNITS else int(text)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", default="1M", help="comma list, such as 1M,10M,100M")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--raw", type=Path, help="folder to keep the raw files in, and to find them again")
    asked = parser.parse_args()
    print(f"{cpu_name()}, {asked.threads} threads, --memory {asked.memory}")
    results: list[Timed] = []  # of several runs the one of the median time
    with tempfile.TemporaryDirectory(prefix="lrea-prepare-") as scratch:
        folder = asked.raw or Path(scratch) / "raw"
        folder.mkdir(parents=True, exist_ok=True)
        for rows in (FIXED_ROWS, *map(number, asked.rows.split(","))):
            raw = folder / f"taobao-format-{rows}.csv"
            if not raw.exists():
                write_taobao_format(raw, rows)
            home = Path(scratch) / f"home-{rows}"
            runs = []
            for _ in range(RUNS if rows <= FEW_ROWS else 1):
                runs.append(prepare(raw, home, asked.memory, asked.threads))
                shutil.rmtree(home)
            found = sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]
            results.append(found)
            print(
                f"{found.rows:>11,} rows ({found.raw_gb:.2f} GB) in {found.seconds:.1f} s: "
                f"{found.rows_per_second:,.0f} rows/s, peak {found.peak_mb:,.0f} MB, scratch {found.scratch_gb:.1f} GB"
            )
            if asked.raw is None:
                raw.unlink()
    fixed, *timed = results
    cost = [(r.seconds - fixed.seconds) / (r.rows - fixed.rows) for r in timed]
    for run, each in zip(timed, cost, strict=True):
        print(f"{run.rows:>11,} rows: {each * 1e6:.2f} us a row beyond the fixed {fixed.seconds:.1f} s")
    print(f"cost per row, largest over smallest: {max(cost) / min(cost):.2f}")
    within = all(r.seconds <= LIMIT_SECONDS for r in timed if r.rows > 50_000_000)
    print(
        json.dumps(
            {
                "cpu": cpu_name(),
                "threads": asked.threads,
                "memory": asked.memory,
                "fixed": asdict(fixed),
                "runs": [asdict(r) for r in timed],
                "cost_ratio": max(cost) / min(cost),
                "within_limit": within,
            }
        )
    )


if __name__ == "__main__":
    main()
