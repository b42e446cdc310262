"""Runs what the commands run on a GPU, on a device that is not there: train, compress, gate, eval.

    python -m tests.product_on_pretend_device HOME

Args:
    HOME: a workspace with the dataset and the runs of the fixture `tiny`; caches are added to it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from lrea_cli.bench.gate import run_gate
from lrea_cli.console.progress import Silent, ignore
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.recipe.settings import COMPRESSOR_NAMES, METHOD_NAMES, CacheDtype, Compression
from lrea_cli.records.cache import CacheSettings, compress, open_cache
from lrea_cli.records.maker import RecordMaker
from lrea_cli.runs.checkpoint import Run, build_model, open_run
from lrea_cli.runs.loop import reader_of, score_split, train
from lrea_cli.score.cached import score_split_cached
from lrea_cli.sequence import Empty
from lrea_cli.serving.scorer import CandidatePool, Served, Visitor
from lrea_cli.workspace.home import Workspace
from tests.pretend_device import Mixed, dense_embeddings, pretending

CPU = torch.device("cpu")
USERS = np.arange(0, 150, 6)


def refuses_what_a_card_refuses(device: torch.device) -> None:
    """The device itself: tensors of two kinds do not meet."""
    there, here = torch.ones(3, 2, device=device), torch.ones(3, 2)
    mask = torch.tensor([True, False, True])
    mixes = (
        lambda: there + here,
        lambda: there[mask],
        lambda: torch.where(mask[:, None], there, 0),
        there.numpy,
        lambda: there.to("cpu", non_blocking=True),
        lambda: here.copy_(there, non_blocking=True),
    )
    for mix in mixes:
        try:
            mix()
        except (Mixed, RuntimeError):
            continue
        raise AssertionError("the device let tensors on it meet tensors on the CPU")
    assert Empty(rows=there).to(CPU).rows.device == CPU
    assert Empty(rows=here).to(device).rows.device == device
    assert there.cpu().sum() == (there + there.to(device)).sum() / 2


def trains_every_method(run: Run, device: torch.device) -> None:
    """One step of each, in both forms of lrea, and a whole small training."""
    for method, form in [*((name, "decomposed") for name in METHOD_NAMES), ("lrea", "absorbed")]:
        recipe = replace(run.recipe, model=replace(run.recipe.model, method=method, form=form, k=6))
        reader = reader_of(run.dataset, "valid", recipe.data, 64)
        model = build_model(recipe, run.dataset).to(device).train()
        logits, penalty = model(reader.batch(np.arange(9)).to(device))
        (logits.sum() + sum(penalty.values())).backward()
        assert all(p.grad.device == device for p in model.parameters() if p.grad is not None), method
    with TemporaryDirectory() as folder:
        few = replace(run.recipe, train=replace(run.recipe.train, epochs=1, batch_size=4096))
        trained = train(few, run.dataset, Path(folder), device, Silent())
        assert (Path(folder) / "checkpoint" / "model.safetensors").exists()
    assert len(trained.epochs) == 1


def serves(
    workspace: Workspace, run: Run, device: torch.device, compression: Compression | None, dtype: CacheDtype = "float16"
) -> None:
    """Compress, read back, hold in the device's memory, pass the gate."""
    name = f"pretend-{run.name}-{compression.compressor if compression else 'own'}-{dtype}"
    compress(workspace, run, CacheSettings(dtype, users=USERS, compression=compression), Silent(), name)
    cache = open_cache(workspace, run, name)
    histories = open_histories(run.dataset)
    known = histories.lengths_before(run.dataset.manifest.splits.end)
    visitors = [Visitor(int(user), int(known[user])) for user in USERS[:4]]
    pool = CandidatePool(histories, read_samples(run.dataset, "test"), 0)
    served = Served.of(run, cache, histories)
    assert run_gate(served, visitors, pool, ("gemm",)).passed
    records = served.records.fetch(USERS[:2])
    past = (records.past.length, *records.past.values.values(), *records.past.counts.values())
    assert len(past) > 1
    assert all(tensor.device == device for tensor in (*vars(records.summary).values(), *past) if tensor is not None)


def scores_as_the_cpu(run: Run, there: Run, device: torch.device) -> None:
    """`eval`: the training form and the served form of the valid split."""
    reader = reader_of(run.dataset, "valid", run.recipe.data, 512)
    expected = score_split(run.model, reader, ignore)
    np.testing.assert_allclose(score_split(there.model, reader, ignore), expected, rtol=1e-4, atol=1e-5)
    expected = score_split_cached(RecordMaker.of(run), reader, ignore).logits
    found = score_split_cached(RecordMaker.of(there), reader, ignore).logits
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def main(home: Path) -> None:
    workspace = Workspace(home)
    with pretending() as device, dense_embeddings():
        refuses_what_a_card_refuses(device)
        with torch.inference_mode():
            refuses_what_a_card_refuses(device)
        for name in ("tiny-lrea", "tiny-din"):
            run, there = (open_run(workspace, name, None, where) for where in (CPU, device))
            scores_as_the_cpu(run, there, device)
            serves(workspace, there, device, None)
            serves(workspace, there, device, None, "int8")
        for name in COMPRESSOR_NAMES:
            serves(workspace, there, device, Compression(name, 4))
        trains_every_method(run, device)
    print("done")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
