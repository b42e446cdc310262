"""Compressing 100,000 users with 500 long behaviors by `clusters`, read and written; the limit is 240 s on 2 cores.

The gate of serve-bench compares records with the slow twin first. `--users 2000` for a quick look.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from lrea_cli.bench.gate import run_gate
from lrea_cli.bench.machine import cpu_name
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import Histories, open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.sources.synthetic import Synthetic
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.cache import COMPRESS_BATCH
from lrea_cli.records.maker import Known, RecordMaker
from lrea_cli.records.store import RecordStore, RecordWriter
from lrea_cli.runs.checkpoint import open_run
from lrea_cli.runs.train import train_run
from lrea_cli.serving.scorer import CandidatePool, Served, Visitor
from lrea_cli.workspace.home import Workspace

RANK, LIMIT_SECONDS = 16, 240.0
CPU = torch.device("cpu")


def many_users(log: Histories, users: int, length: int) -> Histories:
    """Histories of so many users, each of `length` behaviors drawn from a log."""
    drawn = np.random.default_rng(0).integers(len(log.time), size=users * length)
    columns = {name: np.asarray(column)[drawn] for name, column in log.columns.items()}
    return Histories(np.arange(users + 1) * length, np.tile(np.arange(length), users), columns)


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
        run, how = open_run(workspace, "din", None, CPU), Compression("clusters", RANK)
        length = recipe.data.short + recipe.data.long
        histories = many_users(open_histories(run.dataset), asked.users, length)
        maker, keys = RecordMaker.of(run, how), np.arange(asked.users)
        (folder := Path(home) / "records").mkdir()
        started = time.perf_counter()
        with torch.inference_mode(), RecordWriter(folder, maker.layout) as writer:
            for users in np.split(keys, range(COMPRESS_BATCH, asked.users, COMPRESS_BATCH)):
                maker.write(writer, users, Known(histories, users, np.full(len(users), length)))
        seconds = time.perf_counter() - started
        store = RecordStore(folder, maker.layout, run.model.long.summary_type)
        visitors = [Visitor(user, length) for user in range(0, asked.users, max(1, asked.users // 16))]
        pool = CandidatePool(histories, read_samples(run.dataset, "test"), 1)
        gate = run_gate(Served(run, store, how, histories), visitors, pool, ("gemm",))
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
        "bytes_per_user": writer.bytes / asked.users,
        "gate_error": gate.max_relative_error,
        "limit_seconds": LIMIT_SECONDS,
    }
    print(json.dumps({**result, "ok": seconds * 100_000 / asked.users < LIMIT_SECONDS}))


if __name__ == "__main__":
    main()
