"""Golden losses, the seed, and early stopping."""

import errno
import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Silent, ignore
from lrea_cli.console.stopping import Stopped
from lrea_cli.errors import LreaError, UserError
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.runs import loop
from lrea_cli.runs.checkpoint import build_model, open_dataset, open_run
from lrea_cli.runs.loop import Epoch, Optimizer, reader_of, score_split, train, training_steps
from lrea_cli.runs.train import train_run
from lrea_cli.stats.metrics.auc import auc
from tests.fixtures.one_label import give_one_label
from tests.selection import one_by_default

GOLDEN = {
    "lrea-softmax": [0.745667, 0.709947, 0.621557],
    "mean-softmax": [0.745591, 0.707401, 0.62455],
    "sdim-narrow": [0.655161, 0.642061, 0.549138],
    "din-short": [0.793967, 0.77122, 0.761296],
    "mean": [0.712815, 0.60516, 0.587759],
    "din": [0.710128, 0.607282, 0.581724],
    "lrea": [0.719518, 0.637995, 0.58664],
    "lrea-absorbed": [0.719495, 0.641578, 0.590058],
    "lrea-free": [0.719518, 0.638001, 0.586636],
    "lrea-exact": [0.716022, 0.603081, 0.621218],
    "lrea-sum": [0.719518, 0.638111, 0.586038],
    "sim": [0.727178, 0.634488, 0.61779],
    "sim-soft": [0.722713, 0.681463, 0.628954],
    "sim-din": [0.68926, 0.628519, 0.56796],
    "eta": [0.696197, 0.65166, 0.591133],
    "eta-din": [0.700925, 0.649822, 0.6021],
    "sdim": [0.797065, 0.70333, 0.650079],
    "twin": [0.745772, 0.696405, 0.635033],
    "twin-v2": [0.745772, 0.696405, 0.635033],
    "category": [0.683978, 0.654908, 0.608422],
    "category-alone": [0.741511, 0.722466, 0.704794],
    "category-recent": [0.822649, 0.805835, 0.754867],
    "sketch": [0.778232, 0.728706, 0.667545],
    "sketch-two": [0.809243, 0.740485, 0.744671],
    "sketch-tokens": [0.785997, 0.726902, 0.682831],
    "sketch-softmax": [0.807142, 0.753785, 0.739166],
    "sketch-two-softmax": [0.659889, 0.609891, 0.584166],
    "linear": [0.758464, 0.684976, 0.669906],
    "vq": [0.760209, 0.685514, 0.652384],
}


def recipe_of(method, **model):
    base = Recipe().with_values(
        {
            "data": {"short": 8, "long": 40},
            "train": {"batch_size": 256, "epochs": 3},
            "model": {"method": method, "rank": 6, "k": 5},
        }
    )
    return replace(base, model=replace(base.model, hidden=(16, 8), **model))


def losses(workspace, recipe, steps=3):
    _, dataset = open_dataset(workspace, "synthetic")
    model = build_model(recipe, dataset)
    reader = reader_of(dataset, "train", recipe.data, recipe.train.batch_size)
    batches = list(reader.batches([recipe.train.seed, 1]))[:steps]
    return [loss for loss, _, _ in training_steps(model, Optimizer(model, recipe.train), iter(batches))]


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_losses(tiny, name):
    """A refactoring that changes numbers is seen here; a change that is meant to writes the new ones."""
    method, variant = (name, "") if name in ("din-short", "twin-v2") else name.partition("-")[::2]
    options = {
        "": {},
        "absorbed": {"form": "absorbed"},
        "free": {"decomp_columns": "free"},
        "exact": {"short_histories": "exact", "rank": 30},
        "sum": {"penalty": "sum"},
        "soft": {"search": "soft"},
        "din": {"target_attention": "din"},
        "alone": {"shared_rows": 0},
        "recent": {"half_life": 10},
        "two": {"layers": 2},
        "tokens": {"normalize": "tokens"},
        "softmax": {"reader": "softmax"},
        "two-softmax": {"layers": 2, "reader": "softmax"},
        "narrow": {"scorer_hidden": 8},
    }[variant]
    if method in (
        "twin",
        "twin-v2",
    ):  # with fewer, rounding decides between two clicks on one item, whose scores are equal
        options = {"k": 40}
    found = losses(tiny, recipe_of(method, **options))
    assert found == pytest.approx(GOLDEN[name], rel=2e-4), found


def test_the_seed_decides_and_is_not_ignored(tiny):
    recipe = recipe_of("lrea")
    other = replace(recipe, train=replace(recipe.train, seed=1))
    assert losses(tiny, recipe) == losses(tiny, recipe)
    assert losses(tiny, recipe) != losses(tiny, other)


@pytest.mark.parametrize(("method", "weight"), [("lrea", "lam"), ("vq", "beta")])
def test_lambda_weighs_the_penalty(tiny, method, weight):
    recipe = recipe_of(method)
    without = replace(recipe, model=replace(recipe.model, **{weight: 0.0}))
    first, second = losses(tiny, recipe), losses(tiny, without)
    assert first[0] == second[0]
    assert first[2] != second[2]


def test_the_best_epoch_is_kept_and_stopping_is_early(tiny, tmp_path):
    recipe = recipe_of("mean")
    recipe = replace(recipe, train=replace(recipe.train, epochs=6, patience=1))
    _, dataset = open_dataset(tiny, "synthetic")
    found = train(recipe, dataset, tmp_path, torch.device("cpu"), Silent())
    assert found.stopped is None
    assert [e.epoch for e in found.epochs] == list(range(1, len(found.epochs) + 1))
    assert found.best.valid_auc == max(e.valid_auc for e in found.epochs)
    worse = [e for e in found.epochs if e.epoch > found.best.epoch]
    assert len(worse) <= 1
    assert (tmp_path / "checkpoint" / "model.safetensors").is_file()


def test_a_share_of_the_users_is_learnt_from_and_validation_is_whole(workspace_copy, monkeypatch):
    seen, real = {}, loop._epoch

    def epoch(number, model, optimizer, readers, recipe, reporter):
        seen[recipe.train.share] = [reader.samples for reader in readers]
        return real(number, model, optimizer, readers, recipe, reporter)

    monkeypatch.setattr(loop, "_epoch", epoch)
    rows = {}
    for share in (0.25, 1.0):
        recipe = recipe_of("mean")
        recipe = replace(recipe, train=replace(recipe.train, epochs=1, share=share, seed=3))
        train_run(workspace_copy, recipe, f"of-{share}", torch.device("cpu"), Silent())
        rows[share] = open_run(workspace_copy, f"of-{share}", None, torch.device("cpu")).artifact.manifest.train_rows
    (part, valid), (whole, whole_valid) = seen[0.25], seen[1.0]
    assert rows == {0.25: part.rows, 1.0: whole.rows}
    assert set(part.user) == set(whole.of_share(0.25, 3).user)
    assert len(set(part.user)) == round(len(set(whole.user)) / 4)
    assert valid.rows == whole_valid.rows
    assert set(valid.user) > set(part.user)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_split_with_one_label_is_refused_before_the_first_epoch(workspace_copy, tmp_path, monkeypatch, split):
    _, dataset = open_dataset(workspace_copy, "synthetic")
    dataset = give_one_label(dataset, split, 0)
    monkeypatch.setattr(loop, "build_model", lambda *_: pytest.fail("the training has begun"))
    with pytest.raises(UserError, match=f"All samples of the {split} split of 'synthetic' have label 0"):
        train(recipe_of("mean"), dataset, tmp_path, torch.device("cpu"), Silent())


class Stopping(Silent):
    """A reporter that ends the training when an epoch has been told of."""

    def __init__(self, after, error):
        self.after, self.error = after, error

    def task(self, description, total, unit):
        if description == f"epoch {self.after + 1}":
            raise self.error
        return super().task(description, total, unit)


ENDS = {
    "Ctrl-C": Stopped(signal.SIGINT),
    "SIGTERM": Stopped(signal.SIGTERM),
    "OSError: [Errno 28] No space left on device": OSError(errno.ENOSPC, "No space left on device"),
    "LreaError: The loss became nan.": LreaError("The loss became nan."),
    "RuntimeError: out of memory": RuntimeError("out of memory"),
}


@pytest.mark.parametrize("reason", one_by_default(*ENDS))
def test_what_ends_a_training_keeps_its_best_epoch(workspace_copy, reason):
    recipe = recipe_of("mean")
    error = type(ENDS[reason])(*ENDS[reason].args) if not isinstance(ENDS[reason], Stopped) else ENDS[reason]
    with pytest.raises(type(error)) as caught:
        train_run(workspace_copy, recipe, "cut", torch.device("cpu"), Stopping(2, error))
    run = open_run(workspace_copy, "cut", None, torch.device("cpu"))
    manifest = run.artifact.manifest
    assert (manifest.epochs, manifest.stopped_early) == (2, reason)
    lines = [json.loads(line) for line in (run.artifact.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    best = max(lines, key=lambda line: line["valid_auc"])
    assert (manifest.best_epoch, manifest.best_valid_auc) == (best["epoch"], best["valid_auc"])
    reader = reader_of(run.dataset, "valid", recipe.data, recipe.train.batch_size)
    logits = score_split(run.model, reader, ignore)
    assert auc(logits, reader.samples.label) == best["valid_auc"]
    said = f"the run 'cut' is kept as of epoch {best['epoch']}, the best of 2 of at most 3 epochs"
    assert caught.value.__notes__[-1:] == [said]
    assert sorted(p.name for p in run.artifact.path.iterdir()) == [
        ".finished",
        "checkpoint",
        "metrics.jsonl",
        "run.json",
    ]
    assert [p.name for p in (run.artifact.path / "checkpoint").iterdir()] == ["model.safetensors"]


def test_before_the_first_epoch_has_ended_nothing_is_kept(workspace_copy):
    with pytest.raises(Stopped) as caught:
        train_run(workspace_copy, recipe_of("mean"), "cut", torch.device("cpu"), Stopping(0, Stopped()))
    assert caught.value.__notes__ == ["the run 'cut' was not finished and is not kept"]
    assert sorted(p.name for p in (workspace_copy.home / "runs").iterdir()) == ["tiny-din", "tiny-lrea"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(workspace_copy, monkeypatch):
    """The epoch whose weights were lost is not among those that ended."""
    real, calls = loop.save_checkpoint, []

    def save(model, path):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(model, path)

    monkeypatch.setattr(loop, "save_checkpoint", save)
    recipe = recipe_of("din")
    recipe = replace(recipe, train=replace(recipe.train, lr=0.005))  # slow, so that the second epoch is better
    with pytest.raises(OSError, match="No space"):
        train_run(workspace_copy, recipe, "cut", torch.device("cpu"), Silent())
    run = open_run(workspace_copy, "cut", None, torch.device("cpu"))
    reader = reader_of(run.dataset, "valid", recipe.data, recipe.train.batch_size)
    logits = score_split(run.model, reader, ignore)
    assert auc(logits, reader.samples.label) == run.artifact.manifest.best_valid_auc
    assert run.artifact.manifest.stopped_early.endswith("No space left on device")


def test_no_batch_of_training_has_a_single_row(tiny):
    _, dataset = open_dataset(tiny, "synthetic")
    reader = reader_of(dataset, "train", recipe_of("mean").data, 2)
    few = replace(reader, samples=reader.samples.of_requests(np.arange(3)), histories=reader.histories)
    for rows in (few, reader):
        for seed in range(3):
            sizes = [int(batch.candidates.mask.sum()) for batch in rows.batches([seed])]
            assert sum(sizes) == rows.samples.rows
            assert min(sizes) >= 2


def test_one_training_sample_is_refused(tiny, tmp_path, monkeypatch):
    _, dataset = open_dataset(tiny, "synthetic")
    real = loop.reader_of

    def one(dataset, split, settings, size):
        reader = real(dataset, split, settings, size)
        first = np.flatnonzero(np.diff(reader.samples.offsets) == 1)[:1]
        return replace(reader, samples=reader.samples.of_requests(first)) if split == "train" else reader

    monkeypatch.setattr(loop, "reader_of", one)
    with pytest.raises(UserError, match="has one sample"):
        train(recipe_of("mean"), dataset, tmp_path, torch.device("cpu"), Silent())


class Heard(Silent):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize(
    ("patience", "why"),
    [(0, ""), (1, "the last one was not better"), (2, "none of the last 2 was better"), (4, "")],
)
def test_a_training_says_which_epoch_was_best_and_why_it_ended(workspace_copy, monkeypatch, patience, why):
    aucs = [0.6, 0.7, 0.65, 0.66, 0.69]
    ended = iter(Epoch(n, 0.5, {}, auc, 0.5, 100.0, None) for n, auc in enumerate(aucs, 1))
    monkeypatch.setattr(loop, "_epoch", lambda *_: next(ended))
    recipe = recipe_of("mean")
    recipe = replace(recipe, train=replace(recipe.train, epochs=5, patience=patience))
    heard = Heard()
    train_run(workspace_copy, recipe, "told", torch.device("cpu"), heard)
    told, threads = f", patience {patience}" if patience else "", counted(torch.get_num_threads(), "thread")
    assert heard.lines[0] == f"run told: mean on synthetic, at most 5 epochs{told}, {threads}, cpu"
    assert f"best valid AUC 0.7000 in epoch 2 of {2 + patience if why else 5}, " in heard.lines[-1]
    assert why in heard.lines[-1]
    assert ("It stopped early, at most 5 epochs were asked for" in heard.lines[-1]) == bool(why)
