"""One recipe to one run in the workspace: what `lrea train`, `lrea demo` and `lrea sweep` do alike."""

from __future__ import annotations

import platform
from dataclasses import replace as replaced

import torch

import lrea_cli
from lrea_cli.progress import Reporter
from lrea_cli.recipe import Recipe
from lrea_cli.training.checkpoint import open_dataset
from lrea_cli.training.loop import Trained, train
from lrea_cli.workspace import Workspace, write_manifest


def train_run(
    workspace: Workspace,
    recipe: Recipe,
    name: str | None,
    device: torch.device,
    threads: int,
    reporter: Reporter,
    *,
    replace: bool = False,
) -> tuple[str, Trained]:
    """Train one recipe into a run; the run appears when it is complete.

    Args:
        name: of the run; None = `<dataset>-<method>-<number>`. threads: what torch was given, to say and to keep.
        replace: a run of this name gives way when the new one is complete.

    Returns:
        the run's name, and how its training went.

    Raises:
        UserError: no such dataset, or the name is taken. LreaError: see `loop.train`.
    """
    artifact, info = open_dataset(workspace, recipe.data.dataset)
    recipe = replaced(recipe, data=replaced(recipe.data, dataset=artifact.name))
    method = recipe.model.method
    stem = f"{artifact.name}-{method}"
    with workspace.claim("runs", name, stem=stem, replace=replace) as claim, claim.folder() as folder:
        name = claim.name
        reporter.say(f"run {name}: {method} on {artifact.name}, {threads} threads, {device}")
        trained = train(recipe, info, folder, device, reporter)
        best = trained.best
        content = {
            "run": name,
            "method": method,
            "dataset": artifact.name,
            "made_from": artifact.identity,
            "recipe": recipe.to_dict(),
            "best_valid_auc": best.valid_auc,
            "best_epoch": best.epoch,
            "epochs": len(trained.epochs),
            "column_entropy": best.column_entropy,
            "seconds": trained.seconds,
            "threads": threads,
            "versions": {
                "lrea": lrea_cli.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        write_manifest(folder, "runs", content)
    reporter.say(f"run {name}: best valid AUC {best.valid_auc:.4f} in epoch {best.epoch}, {trained.seconds:.1f} s")
    return name, trained
