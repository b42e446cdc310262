"""Checkpoints in safetensors, and the way back from a finished run to its model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.manifest import DATASETS, DatasetManifest
from lrea_cli.errors import DamagedArtifact, UserError
from lrea_cli.features import select_counters, select_fields
from lrea_cli.model import CTRModel
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.runs.manifest import RUNS, RunManifest
from lrea_cli.workspace.home import Artifact, Workspace, require_intact, require_made_from

CHECKPOINT = "checkpoint/model.safetensors"


@dataclass(frozen=True)
class Run:
    """A trained model with what it was made from."""

    artifact: Artifact[RunManifest]
    recipe: Recipe
    dataset: DatasetInfo
    model: CTRModel

    @property
    def name(self) -> str:
        return self.artifact.name

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def checkpoint(self) -> Path:
        return self.artifact.path / CHECKPOINT


def build_model(recipe: Recipe, dataset: DatasetInfo) -> CTRModel:
    """An untrained model; its start depends on the recipe's seed alone.

    Raises:
        UserError: the recipe names a field that the dataset has not.
    """
    counted = select_counters(dataset.manifest.fields, recipe.data.match_counters)
    torch.manual_seed(recipe.train.seed)
    data = replace(recipe.data, match_counters=counted)
    return CTRModel(select_fields(dataset.manifest.fields, recipe.data.fields), recipe.model, data)


def save_checkpoint(model: CTRModel, path: Path) -> None:
    """Write all weights; a file of the same name is replaced whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    try:
        partial.touch()
        mode = partial.stat().st_mode  # the umask's, as of all files; safetensors leaves its own
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}, partial)
        partial.chmod(mode)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def recipe_of(run: Artifact[RunManifest]) -> Recipe:
    """What a run was trained by; a `UserError` where another version of lrea wrote it."""
    return Recipe.from_dict(run.manifest.recipe, str(run.path / run.kind.file))


def open_dataset(workspace: Workspace, name: str | None) -> tuple[Artifact[DatasetManifest], DatasetInfo]:
    """The named dataset, or the latest."""
    artifact = workspace.open(DATASETS, name)
    return artifact, DatasetInfo.of(artifact)


def open_run(
    workspace: Workspace, name: str | None, dataset: str | None, device: torch.device, method: str | None = None
) -> Run:
    """Load a run with the dataset that it was trained on.

    Args:
        name: of the run; None = the latest (of the dataset and method, where given).

    Raises:
        UserError: no such run, another version of the dataset, or a damaged checkpoint.
    """
    wanted = {k: v for k, v in {"dataset": dataset, "method": method}.items() if v}
    artifact = workspace.open(RUNS, name, **wanted)
    for key, value in wanted.items():
        if (own := getattr(artifact.manifest, key)) != value:
            raise UserError(f"The run '{artifact.name}' has {key} '{own}', not '{value}'.")
    data, info = open_dataset(workspace, artifact.manifest.dataset)
    require_made_from(artifact, data)
    require_intact(artifact, CHECKPOINT)
    recipe = recipe_of(artifact)
    model = build_model(recipe, info)
    try:
        model.load_state_dict(load_file(artifact.path / CHECKPOINT))
    except RuntimeError as error:
        raise DamagedArtifact(
            f"{artifact.path / CHECKPOINT} has other weights than the recipe in run.json says: {error}",
            artifact.remedy,
        ) from error
    return Run(artifact, recipe, info, model.to(device).eval())
