"""What happens when a file of an artifact is damaged: flips, truncations and zeroed blocks, then what reads the file.

A bit of each kind of artifact is changed, and the command that reads it runs in this process. It may refuse
(`caught`), or end with the very result of the undamaged file (`harmless`). Another result with exit code 0 (`silent`)
and an exception that is no sentence (`traceback`) are faults: the exit code is 1 where there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from lrea_cli.cli import main as lrea
from lrea_cli.errors import LreaError
from lrea_cli.records.cache import open_cache
from lrea_cli.runs.checkpoint import open_run
from lrea_cli.workspace.home import Workspace

Outcome = Literal["silent", "traceback", "caught", "harmless"]
OUTCOMES: tuple[Outcome, ...] = ("silent", "traceback", "caught", "harmless")
FLIPS, TRUNCATIONS = 0.80, 0.15
"""Shares of the mutations; the rest are zeroed blocks."""

VOLATILE = ("seconds", "ms_per_user", "cache")
"""Keys of a result that differ from run to run."""

RECIPE = """
[data]
short = 5
long = 20
[model]
method = "lrea"
rank = 4
hidden = [8]
embedding_dim = 4
[train]
epochs = 1
batch_size = 256
"""


@dataclass(frozen=True)
class Reader:
    """Files of one kind of artifact, and what reads them.

    Args:
        files: glob within the home. read: gives the result, as plain values.
    """

    files: str
    read: Callable[[Path], Any]


def command(*arguments: str) -> Callable[[Path], Any]:
    """The result of a command line with `--json`, without what differs from run to run."""

    def read(home: Path) -> Any:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            try:
                lrea(["--debug", *(a.format(home=home) for a in arguments), "--json"])
            except SystemExit as stop:
                if stop.code:
                    raise LreaError(f"exit code {stop.code}") from None
        return _steady(json.loads(out.getvalue()))

    return read


def served(home: Path) -> Any:
    """Every record of the cache, as it would be served."""
    workspace = Workspace(home)
    run = open_run(workspace, "run", None, torch.device("cpu"))
    cache = open_cache(workspace, run, "cache")
    with cache.store as store:
        digest = hashlib.sha256(b"".join(store.verified(int(key))[0] for key in store.keys))
    return [digest.hexdigest(), cache.manifest.as_of, cache.manifest.dtype, cache.manifest.bytes_per_user]


def compressed(home: Path) -> Any:
    """The result of compressing some users, and the bytes of their records."""
    folder = home / "caches" / "some"
    try:
        found = command("compress", "--run", "run", "--users", "{home}/users.txt", "--cache", "some")(home)
        return [found, hashlib.sha256((folder / "records-00000.bin").read_bytes()).hexdigest()]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


EVAL = command("eval", "--run", "run")
VERIFY_DATA = command("verify", "synthetic")
COMPARE = command("compare", "run", "cache")

READERS: dict[str, Reader] = {
    "histories": Reader("data/*/histories/*.npy", EVAL),
    "hashes of blocks": Reader("data/*/blocks.xxh3", EVAL),
    "train": Reader("data/*/train.parquet", command("eval", "--run", "run", "--split", "train")),
    "valid": Reader("data/*/valid.parquet", command("eval", "--run", "run", "--split", "valid")),
    "test": Reader("data/*/test.parquet", EVAL),
    "events": Reader("data/*/events/*.parquet", VERIFY_DATA),
    "rejected": Reader("data/*/rejected.parquet", VERIFY_DATA),
    "vocabulary of users": Reader("data/*/vocab/user.parquet", compressed),
    "vocabulary of fields": Reader("data/*/vocab/[!u]*.parquet", VERIFY_DATA),
    "data.json": Reader("data/*/data.json", EVAL),
    "run.json": Reader("runs/*/run.json", EVAL),
    "checkpoint": Reader("runs/*/checkpoint/*", EVAL),
    "cache.json": Reader("caches/cache/cache.json", served),
    "index": Reader("caches/cache/index.npy", served),
    "records": Reader("caches/cache/records-*.bin", served),
    "kept scores": Reader("*/*/scores-test.parquet", COMPARE),
    "eval json": Reader("*/*/eval-test.json", COMPARE),
    "bench json": Reader("bench/*.json", command("compare", "{home}/bench/a.json", "{home}/bench/b.json")),
}


def make_home(home: Path) -> None:
    """One of each kind of artifact, small."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "recipe.toml").write_text(RECIPE)
    (home / "users.txt").write_text("3\n17\n25\n")
    for line in (
        "prepare synthetic --users 40",
        f"train --recipe {home}/recipe.toml --run run --threads 1",
        "compress --cache cache",
        "eval --run run",
        "eval --run run --cache cache",
        "serve-bench --candidates 3 --seconds 0.1 --kernel gemm",
    ):
        command(*line.split())(home)
    (bench,) = (home / "bench").glob("*.json")
    shutil.copy(bench, bench.with_name("b.json"))
    bench.rename(bench.with_name("a.json"))


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one flipped bit, without their end, or with some of them zero."""
    kind, place = rng.random(), rng.randrange(len(data))
    if kind < FLIPS:
        return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
    if kind < FLIPS + TRUNCATIONS:
        return data[:place]
    stop = min(len(data), place + rng.choice((1, 8, 64, 512, 4096)))
    return data[:place] + bytes(stop - place) + data[stop:]


def outcome(home: Path, reader: Reader, expected: Any) -> tuple[Outcome, str]:
    """What becomes of a damaged file, and the first words of an exception."""
    try:
        found = reader.read(home)
    except (LreaError, OSError) as error:
        return "caught", str(error)
    except Exception as error:
        return "traceback", f"{type(error).__name__}: {error}"
    return ("harmless", "") if found == expected else ("silent", "")


def try_all(home: Path, mutations: int, seed: int, kinds: list[str]) -> Iterator[tuple[str, str, Outcome, str]]:
    """Damage the kinds by turns.

    Yields:
        kind, file and number of the mutation, outcome, words of the exception.
    """
    os.environ["LREA_HOME"] = str(home)
    results = {read: read(home) for read in {READERS[kind].read for kind in kinds}}
    for number in range(mutations):
        kind = kinds[number % len(kinds)]
        rng = random.Random(f"{seed} {number}")
        path = rng.choice(sorted(home.glob(READERS[kind].files)))
        whole, mode = path.read_bytes(), path.stat().st_mode
        changed = mutated(whole, rng)
        if changed == whole:
            continue
        path.write_bytes(changed)
        try:
            yield (
                kind,
                f"{path.relative_to(home)} #{number}",
                *outcome(home, READERS[kind], results[READERS[kind].read]),
            )
        finally:
            path.write_bytes(whole)
            path.chmod(mode)


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(inner) for key, inner in value.items() if key not in VOLATILE}
    return [_steady(inner) for inner in value] if isinstance(value, list) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", nargs="*", default=list(READERS), choices=list(READERS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    counts: dict[str, Counter[Outcome]] = {kind: Counter() for kind in asked.kinds}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lrea-damage-") as name:
        home = Path(name) / "home"
        os.environ["LREA_HOME"] = str(home)
        make_home(home)
        for kind, where, found, words in try_all(home, asked.mutations, asked.seed, asked.kinds):
            counts[kind][found] += 1
            if found in ("silent", "traceback"):
                print(f"{found}: {where} {words[:200]}", flush=True)
    print(f"{'artifact':22}{'n':>6}" + "".join(f"{o:>11}" for o in OUTCOMES))
    for kind, of_kind in counts.items():
        print(f"{kind:22}{of_kind.total():6}" + "".join(f"{of_kind[o]:11}" for o in OUTCOMES))
    total = sum(counts.values(), Counter[Outcome]())
    print(f"{'all':22}{total.total():6}" + "".join(f"{total[o]:11}" for o in OUTCOMES))
    seconds = time.monotonic() - began
    print(json.dumps({"mutations": total.total(), "seed": asked.seed, "seconds": seconds, **total, "kinds": counts}))
    sys.exit(1 if total["silent"] or total["traceback"] else 0)


if __name__ == "__main__":
    main()
