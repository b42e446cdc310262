"""One recipe to one run in the workspace: what `lrea train`, `lrea demo` and `lrea sweep` do alike."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from dataclasses import replace as replaced
from pathlib import Path

import torch

import lrea_cli
from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Reporter
from lrea_cli.console.stopping import Stopped, undisturbed
from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import TrainSettings
from lrea_cli.runs.checkpoint import open_dataset
from lrea_cli.runs.loop import Trained, train
from lrea_cli.runs.manifest import RUNS, RunManifest
from lrea_cli.workspace.home import Artifact, Workspace, write_manifest

RESERVED_BYTES = 1 << 18
"""Of disk that a training holds for its manifest and metrics."""


def train_run(
    workspace: Workspace,
    recipe: Recipe,
    name: str | None,
    device: torch.device,
    reporter: Reporter,
    *,
    replace: bool = False,
) -> tuple[str, Trained]:
    """Train one recipe into a run, with as many threads as torch has; the run appears when it is complete.

    Args:
        name: None = `<dataset>-<method>-<number>`.
        replace: the new run replaces one of its name once it is complete.

    Raises:
        UserError: no such dataset, or the name is taken.
        LreaError: see `loop.train`.
        Whatever stopped the training, once the run of its best epoch is kept.
    """
    data, info = open_dataset(workspace, recipe.data.dataset)
    recipe = replaced(recipe, data=replaced(recipe.data, dataset=data.name))
    stem = f"{data.name}-{recipe.model.method}"
    with ExitStack() as finishing, workspace.create(RUNS, name, stem=stem, replace=replace) as (name, folder):
        reporter.say(f"run {name}: {recipe.model.method} on {data.name}, {_planned(recipe.train, device)}")
        with _reserve(folder):
            trained = train(recipe, info, folder, device, reporter)
        finishing.enter_context(undisturbed())
        lines = "".join(json.dumps(asdict(epoch)) + "\n" for epoch in trained.epochs)
        (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
        write_manifest(folder, RUNS, _manifest(name, recipe, data, trained, device))
    if trained.stopped is not None:
        ended = f"{len(trained.epochs)} of at most {counted(recipe.train.epochs, 'epoch')}"
        trained.stopped.add_note(f"the run '{name}' is kept as of epoch {trained.best.epoch}, the best of {ended}")
        raise trained.stopped
    reporter.say(f"run {name}: {_summary(trained, recipe.train)}")
    return name, trained


def _manifest(
    name: str, recipe: Recipe, data: Artifact[DatasetManifest], trained: Trained, device: torch.device
) -> RunManifest:
    best, threads = trained.best, torch.get_num_threads()
    return RunManifest(
        run=name,
        method=recipe.model.method,
        dataset=data.name,
        made_from=data.identity,
        recipe=recipe.to_dict(),
        best_valid_auc=best.valid_auc,
        best_epoch=best.epoch,
        epochs=len(trained.epochs),
        stopped_early=_reason(trained.stopped),
        column_entropy=best.column_entropy,
        seconds=trained.seconds,
        train_rows=trained.rows,
        threads=threads,
        device=str(device),
        arguments=("--threads", str(threads), "--device", device.type),
        versions={"lrea": lrea_cli.__version__, "torch": torch.__version__, "python": platform.python_version()},
    )


def _planned(settings: TrainSettings, device: torch.device) -> str:
    patience = f", patience {settings.patience}" if settings.patience else ""
    threads = counted(torch.get_num_threads(), "thread")
    return f"at most {counted(settings.epochs, 'epoch')}{patience}, {threads}, {device}"


def _summary(trained: Trained, settings: TrainSettings) -> str:
    """The best epoch, and what ended the training."""
    best, count = trained.best, len(trained.epochs)
    said = f"best valid AUC {best.valid_auc:.4f} in epoch {best.epoch} of {count}, {trained.seconds:.1f} s"
    if count == settings.epochs:
        return said
    last = "the last one was not" if settings.patience == 1 else f"none of the last {settings.patience} was"
    return f"{said}. It stopped early, at most {settings.epochs} epochs were asked for: {last} better (patience)."


@contextmanager
def _reserve(folder: Path) -> Iterator[None]:
    """Hold some disk until the block ends, so that a training that a full disk ended can still write its manifest."""
    path = folder / "reserved"
    path.write_bytes(bytes(RESERVED_BYTES))
    try:
        yield
    finally:
        path.unlink()


def _reason(stopped: BaseException | None) -> str | None:
    return stopped.name if isinstance(stopped, Stopped) else stopped and f"{type(stopped).__name__}: {stopped}"
