"""Compressing 100,000 users with 500 long behaviors by `clusters`, read and written; the limit is 240 s on 2 cores.

The gate of serve-bench compares records with the slow twin first. `--users 2000` for a quick look.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lrea_cli.bench.gate import run_gate
from lrea_cli.bench.machine import cpu_name
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.sources.synthetic import Synthetic
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.cache import CacheSettings, compress, open_cache
from lrea_cli.runs.checkpoint import Run, open_run
from lrea_cli.runs.train import train_run
from lrea_cli.serving.scorer import CandidatePool, Served, Visitor
from lrea_cli.workspace.home import Workspace

RANK, LIMIT_SECONDS = 16, 240.0
CPU = torch.device("cpu")


def many_users(run: Run, folder: Path, users: int) -> Run:
    """The run over a log of as many users, each with short + long behaviors in random order from the run's own log."""
    settings, log = run.recipe.data, open_histories(run.dataset)
    length = settings.short + settings.long
    (folder / "histories").mkdir(parents=True)
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(log.time), size=users * length)
    columns = {"offsets": np.arange(users + 1) * length, "time": np.tile(np.arange(length), users)}
    columns.update({name: np.asarray(column)[drawn] for name, column in log.columns.items()})
    for name, column in columns.items():
        np.save(folder / "histories" / f"{name}.npy", column)
    (folder / "train.parquet").write_bytes((run.dataset.files.folder / "train.parquet").read_bytes())
    return replace(run, dataset=replace(run.dataset, path=folder, users=users, end=length))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory(prefix="lrea-compress-") as home:
        workspace = Workspace(Path(home) / "home")
        prepare(Synthetic(users=200), [], "synthetic", workspace, PrepareOptions())
        recipe = Recipe().with_flags({"model": {"method": "din"}, "train": {"epochs": 1}})
        train_run(workspace, recipe, "din", CPU, Silent())
        trained = open_run(workspace, "din", None, CPU)
        run = many_users(trained, Path(home) / "many", asked.users)
        how = Compression("clusters", RANK)
        started = time.perf_counter()
        info = compress(workspace, run, CacheSettings(compression=how), Silent(), "cache")
        seconds = time.perf_counter() - started
        cache = open_cache(workspace, run, "cache")
        length = recipe.data.short + recipe.data.long
        visitors = [Visitor(user, length) for user in range(0, asked.users, max(1, asked.users // 16))]
        pool = CandidatePool(open_histories(run.dataset), read_samples(trained.dataset, "test"), 1)
        gate = run_gate(Served.of(run, cache, open_histories(run.dataset)), visitors, pool, ("gemm",))
    print(f"{cpu_name()}, {asked.threads} threads; clusters at rank {RANK}, {recipe.data.long} long behaviors")
    print(f"gate: largest relative error {gate.max_relative_error:.1e} over {gate.users} users")
    print(f"{asked.users:,} users in {seconds:.1f} s: {1000 * seconds / asked.users:.2f} ms a user")
    result = {
        "cpu": cpu_name(),
        "threads": asked.threads,
        "rank": RANK,
        "long": recipe.data.long,
        "users": asked.users,
        "seconds": seconds,
        "bytes_per_user": info.bytes_per_user,
        "gate_error": gate.max_relative_error,
        "limit_seconds": LIMIT_SECONDS,
    }
    print(json.dumps({**result, "ok": seconds * 100_000 / asked.users < LIMIT_SECONDS}))


if __name__ == "__main__":
    main()
