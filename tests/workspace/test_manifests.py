"""Manifests: what is not as it was written, or not of this version, is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lrea_cli.console.progress import Silent
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.errors import DamagedArtifact, UserError
from lrea_cli.recipe.recipe import Compression
from lrea_cli.records.cache import CacheSettings, compress, compression_of, open_cache
from lrea_cli.runs.checkpoint import CHECKPOINT, Run, open_run
from lrea_cli.workspace.home import Workspace, write_json
from lrea_cli.workspace.kinds import MAKERS, MANIFESTS, Kind
from lrea_cli.workspace.sealed import read_json
from tests.changed import change_json

CPU = torch.device("cpu")
PLACES: tuple[tuple[Kind, str], ...] = (("data", "synthetic"), ("runs", "tiny-lrea"))


def test_a_run_with_another_short_is_refused(workspace_copy: Workspace) -> None:
    path = workspace_copy.home / "runs" / "tiny-lrea" / "run.json"
    path.write_text(path.read_text().replace('"short": 8', '"short": 9'))
    with pytest.raises(DamagedArtifact, match=r"run\.json is damaged or was changed after it was written") as error:
        open_run(workspace_copy, "tiny-lrea", None, CPU)
    assert "lrea train" in error.value.remedy


@pytest.mark.parametrize(("kind", "name"), PLACES)
@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"created": "2020", "files": {}}'])
def test_a_foreign_manifest_is_refused_with_its_remedy(
    workspace_copy: Workspace, kind: Kind, name: str, text: str
) -> None:
    path = workspace_copy.home / kind / name / MANIFESTS[kind]
    path.write_text(text)
    with pytest.raises(DamagedArtifact) as error:
        workspace_copy.open(kind, name)
    assert str(path) in error.value.message
    assert MAKERS[kind] in error.value.remedy


@pytest.mark.parametrize("key", ["created", "files", "bytes"])
def test_a_manifest_without_what_every_manifest_has_is_refused(workspace_copy: Workspace, key: str) -> None:
    path = workspace_copy.home / "runs" / "tiny-lrea" / "run.json"
    content = read_json(path, "")
    del content[key]
    write_json(path, content)
    with pytest.raises(DamagedArtifact, match=f"has no '{key}'"):
        workspace_copy.open("runs", "tiny-lrea")


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("data", {"users": "150"}),
        ("data", {"users": True}),
        ("data", {"users": 150.0}),
        ("data", {"fields": {}}),
        ("data", {"splits": None}),
        ("runs", {"recipe": []}),
        ("runs", {"made_from": None}),
        ("runs", {"best_valid_auc": "0.7"}),
    ],
)
def test_a_value_of_another_type_is_refused_though_the_hash_fits(
    workspace_copy: Workspace, kind: Kind, changed: dict[str, Any]
) -> None:
    name = dict(PLACES)[kind]
    change_json(workspace_copy.home / kind / name / MANIFESTS[kind], **changed)
    with pytest.raises(DamagedArtifact, match=f"'{next(iter(changed))}' is .*another version of lrea wrote it"):
        workspace_copy.open(kind, name)


def test_a_key_that_is_read_and_is_not_there_is_named(workspace_copy: Workspace) -> None:
    path = workspace_copy.home / "runs" / "tiny-lrea" / "run.json"
    content = read_json(path, "")
    del content["recipe"]
    write_json(path, content)
    with pytest.raises(UserError):  # of another version of its dataset, or without a recipe
        open_run(workspace_copy, "tiny-lrea", None, CPU)
    with pytest.raises(DamagedArtifact, match=r"run\.json has no 'recipe'") as error:
        _ = workspace_copy.open("runs", "tiny-lrea").manifest["recipe"]
    assert "lrea train" in error.value.remedy


@pytest.mark.parametrize(
    "changed",
    [
        {"fields": ["item"]},
        {"fields": [{"name": "item"}]},
        {"fields": [{"name": "item", "role": "item", "numeric": False, "size": "9", "late": 0}]},
        {"fields": [{"name": "item", "role": "thing", "numeric": False, "size": 9, "late": 0}]},
        {"fields": [{"name": "item", "role": "item", "unknown": 1}]},
        {"splits": {}},
        {"splits": {"valid_from": "soon", "test_from": 1, "end": 2}},
    ],
    ids=str,
)
def test_fields_and_splits_of_another_form_are_refused(workspace_copy: Workspace, changed: dict[str, Any]) -> None:
    change_json(workspace_copy.home / "data" / "synthetic" / "data.json", **changed)
    artifact = workspace_copy.open("data", "synthetic")
    with pytest.raises(DamagedArtifact, match=r"data\.json: another version of lrea wrote it") as error:
        DatasetInfo.from_manifest(artifact.path, artifact.manifest)
    assert "lrea prepare" in error.value.remedy


@pytest.mark.parametrize(
    "changed",
    [
        {"compression": {"compressor": "none", "rank": 1}},
        {"compression": {"ranks": 1}},
        {"layout": {"dtype": "float32"}},
    ],
    ids=str,
)
def test_a_cache_of_another_form_is_refused(workspace_copy: Workspace, changed: dict[str, Any]) -> None:
    run = open_run(workspace_copy, "tiny-din", None, CPU)
    compress(workspace_copy, run, CacheSettings(compression=Compression("recent", 2)), Silent(), "c")
    assert compression_of(workspace_copy.open("caches", "c")) == Compression("recent", 2)
    change_json(workspace_copy.home / "caches" / "c" / "cache.json", **changed)
    with pytest.raises(DamagedArtifact, match=r"cache\.json.*nother version of lrea wrote") as error:
        open_cache(workspace_copy, run, "c")
    assert "lrea compress" in error.value.remedy


def test_files_have_the_mode_of_the_umask(lrea_run: Run) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in lrea_run.artifact.path.rglob("*") if path.is_file()}
    assert lrea_run.artifact.path / CHECKPOINT == lrea_run.checkpoint
    assert len(set(modes.values())) == 1, modes
