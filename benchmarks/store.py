"""Reading the store of histories: a batch of 1,024 x (64 + 500), opening 100 million events, pages shared by processes.

Limits: 30 ms a batch from a warm page cache, 1 s to open. A batch is compared with plain slices first. Each block is
compared with its hash when it is first touched: the first batches pay for that, and are timed by themselves.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from lrea_cli.bench.machine import cpu_name
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.layout import HISTORIES
from lrea_cli.workspace.blocks import BLOCKS, DatasetFiles, open_files, write_blocks
from lrea_cli.workspace.home import sha256_of

SHORT, LONG, BATCH = 64, 500, 1_024
FIELDS = ("item", "category")
LIMIT_BATCH_MS, LIMIT_OPEN_S = 30.0, 1.0


def write_store(folder: Path, events: int) -> int:
    """Histories of short + long behaviors each; return how many."""
    length = SHORT + LONG
    users = events // length
    rng = np.random.default_rng(0)
    (folder / HISTORIES).mkdir()
    np.save(folder / HISTORIES / "offsets.npy", np.arange(users + 1) * length)
    np.save(folder / HISTORIES / "time.npy", np.arange(users * length))
    for field, size in zip(FIELDS, (4_000_000, 9_000), strict=True):
        np.save(folder / HISTORIES / f"{field}.npy", rng.integers(2, size, users * length, dtype=np.int32))
    write_blocks(folder, list(sizes_in(folder)))
    return users


def sizes_in(folder: Path) -> dict[str, int]:
    """Bytes of each file, as a manifest has them."""
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*.npy")}


def open_store(folder: Path) -> DatasetFiles:
    """The store's files, compared with their hashes as they are read."""
    return open_files(folder, sizes_in(folder), sha256_of(folder / BLOCKS), "write it anew")


def check(histories: Histories) -> None:
    """The newest behaviors of some users, newest first, against slices of the columns."""
    users = np.array([0, 7, histories.users - 1])
    lengths = np.array([0, 70, SHORT + LONG])
    for skip, width in ((0, SHORT), (SHORT, LONG)):
        found = histories.newest(users, lengths, skip, width)
        for row, (user, length) in enumerate(zip(users, lengths, strict=True)):
            start = int(histories.offsets[user])
            expected = histories.columns["item"][start : start + length][::-1][skip : skip + width]
            assert (found.ids["item"][row][found.mask[row]].numpy() == expected).all()


def touch(folder: Path, other: Connection) -> None:
    """Map the store in a process of its own, read all of it, and tell what of its memory no other process has."""
    histories = Histories.open(open_store(folder), FIELDS)
    total = sum(int(np.asarray(column).sum()) for column in (histories.time, *histories.columns.values()))
    other.send(total)
    other.recv()  # until all have read
    other.send(memory_kb("Rss") - memory_kb("Pss"))
    other.recv()


def memory_kb(name: str) -> int:
    """Of this process, kB: Rss counts shared pages in full, Pss a process' part of them (Linux)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def shared_mb(folder: Path, processes: int) -> list[float]:
    """What each of several readers saves by sharing pages with the others."""
    context = multiprocessing.get_context("spawn")
    pipes, running = [], []
    for _ in range(processes):
        mine, theirs = context.Pipe()
        process = context.Process(target=touch, args=(folder, theirs))
        process.start()
        pipes.append(mine)
        running.append(process)
    for pipe in pipes:
        pipe.recv()
    for pipe in pipes:
        pipe.send("all have read")
    saved = [pipe.recv() / 1e3 for pipe in pipes]
    for pipe, process in zip(pipes, running, strict=True):
        pipe.send("end")
        process.join()
    return saved


def batch_times(histories: Histories, batches: int) -> tuple[list[float], list[float]]:
    """Wall and CPU milliseconds of each of some batches of random users."""
    rng = np.random.default_rng(1)
    wall, cpu = [], []
    for _ in range(batches):
        drawn, lengths = rng.integers(histories.users, size=BATCH), np.full(BATCH, SHORT + LONG)
        began, used = time.perf_counter(), time.process_time()
        histories.newest(drawn, lengths, 0, SHORT)
        histories.newest(drawn, lengths, SHORT, LONG)
        wall.append(1e3 * (time.perf_counter() - began))
        cpu.append(1e3 * (time.process_time() - used))
    return wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lrea-store-") as name:
        folder = Path(name)
        users = write_store(folder, asked.events)
        began = time.perf_counter()
        histories = Histories.open(open_store(folder), FIELDS)
        opened = time.perf_counter() - began
        check(histories)
        first_ms, first_cpu_ms = batch_times(histories, 1)  # every block is new
        began = time.perf_counter()
        for column in (histories.time, *histories.columns.values()):
            np.asarray(column).sum()  # into the page cache, and compared
        compared = time.perf_counter() - began
        batch_ms, cpu_ms = batch_times(histories, 30)
        again = Histories.open(open_store(folder), FIELDS)
        batch_times(again, 200)  # most blocks are known, and some are not: what is known is asked at each batch
        partly_ms, partly_cpu_ms = batch_times(again, 30)
        store_mb = sum(path.stat().st_size for path in folder.rglob("*.npy")) / 1e6
        saved = shared_mb(folder, 2)
    median = statistics.median(batch_ms)
    print(f"{cpu_name()}; {users * (SHORT + LONG):,} events in {store_mb:,.0f} MB")
    print(f"opened in {1e3 * opened:.1f} ms; {BATCH:,} x {SHORT + LONG} behaviors in {median:.1f} ms (median of 30)")
    print(
        f"CPU time of a batch {statistics.median(cpu_ms):.1f} ms; while some blocks are still unknown"
        f" {statistics.median(partly_ms):.1f} ms, CPU {statistics.median(partly_cpu_ms):.1f} ms"
    )
    print(f"first batch, all its blocks compared: {first_ms[0]:.1f} ms, CPU {first_cpu_ms[0]:.1f} ms")
    print(f"all blocks compared and read in {compared:.2f} s: {store_mb / 1e3 / compared:.1f} GB/s")
    print(f"two processes that read all of it: each saves {saved[0]:,.0f} and {saved[1]:,.0f} MB by shared pages")
    result = {
        "cpu": cpu_name(),
        "batch": BATCH,
        "behaviors": SHORT + LONG,
        "events": users * (SHORT + LONG),
        "store_mb": store_mb,
        "open_s": opened,
        "batch_ms": median,
        "batch_cpu_ms": statistics.median(cpu_ms),
        "partly_known_batch_ms": statistics.median(partly_ms),
        "first_batch_ms": first_ms[0],
        "compare_all_s": compared,
        "shared_mb": saved,
        "within_limit": median <= LIMIT_BATCH_MS and opened <= LIMIT_OPEN_S,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
