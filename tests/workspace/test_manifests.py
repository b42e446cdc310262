"""Manifests: what is not as it was written, or not of this version, is refused by name."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path
from typing import Any

import pytest
import torch

import lrea_cli
from lrea_cli.artifacts import KINDS
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import DamagedArtifact
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.cache import CacheSettings, compress, open_cache
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.checkpoint import CHECKPOINT, Run, open_run
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.home import Workspace, read_artifact
from lrea_cli.workspace.kinds import FOLDERS, Inventory, Kind
from lrea_cli.workspace.sealed import read_json, write_json
from tests.changed import change_json
from tests.manifests import manifest_of

CPU = torch.device("cpu")
PLACES: tuple[tuple[Kind[Any], str], ...] = ((DATASETS, "synthetic"), (RUNS, "tiny-lrea"))


def test_a_run_with_another_short_is_refused(workspace_copy: Workspace) -> None:
    path = workspace_copy.home / "runs" / "tiny-lrea" / "run.json"
    path.write_text(path.read_text().replace('"short": 8', '"short": 9'))
    with pytest.raises(DamagedArtifact, match=r"run\.json is damaged or was changed after it was written") as error:
        open_run(workspace_copy, "tiny-lrea", None, CPU)
    assert "lrea train" in error.value.remedy


@pytest.mark.parametrize(("kind", "name"), PLACES)
@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"created": "2020", "files": {}}'])
def test_a_foreign_manifest_is_refused_with_its_remedy(
    workspace_copy: Workspace, kind: Kind[Any], name: str, text: str
) -> None:
    path = workspace_copy.home / kind.folder / name / kind.file
    path.write_text(text)
    with pytest.raises(DamagedArtifact) as error:
        workspace_copy.open(kind, name)
    assert str(path) in error.value.message
    assert kind.maker in error.value.remedy


@pytest.mark.parametrize("key", ["created", "files", "bytes"])
def test_a_manifest_without_what_every_manifest_has_is_refused(workspace_copy: Workspace, key: str) -> None:
    path = workspace_copy.home / "runs" / "tiny-lrea" / "run.json"
    content = read_json(path, "")
    del content[key]
    write_json(path, content)
    with pytest.raises(DamagedArtifact, match=f"has no '{key}'"):
        workspace_copy.open(RUNS, "tiny-lrea")


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (DATASETS, {"users": "150"}),
        (DATASETS, {"users": True}),
        (DATASETS, {"users": 150.0}),
        (DATASETS, {"fields": {}}),
        (DATASETS, {"splits": None}),
        (RUNS, {"recipe": []}),
        (RUNS, {"made_from": None}),
        (RUNS, {"best_valid_auc": "0.7"}),
    ],
)
def test_a_value_of_another_type_is_refused_though_the_hash_fits(
    workspace_copy: Workspace, kind: Kind[Any], changed: dict[str, Any]
) -> None:
    name = dict(PLACES)[kind]
    change_json(workspace_copy.home / kind.folder / name / kind.file, **changed)
    with pytest.raises(DamagedArtifact, match=f"'{next(iter(changed))}' is .*another version of lrea wrote it"):
        workspace_copy.open(kind, name)


def test_a_key_that_is_read_and_is_not_there_is_named(workspace_copy: Workspace) -> None:
    path = workspace_copy.home / "runs" / "tiny-lrea" / "run.json"
    content = read_json(path, "")
    del content["recipe"]
    write_json(path, content)
    with pytest.raises(
        DamagedArtifact, match=r"run\.json has no 'recipe': another version of lrea wrote it\.$"
    ) as error:
        workspace_copy.open(RUNS, "tiny-lrea")
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
    with pytest.raises(DamagedArtifact, match=r"data\.json.*: another version of lrea wrote it\.$") as error:
        workspace_copy.open(DATASETS, "synthetic")
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
    assert workspace_copy.open(CACHES, "c").manifest.compression == Compression("recent", 2)
    change_json(workspace_copy.home / "caches" / "c" / "cache.json", **changed)
    with pytest.raises(DamagedArtifact, match=r"cache\.json.*nother version of lrea wrote") as error:
        open_cache(workspace_copy, run, "c")
    assert "lrea compress" in error.value.remedy


@pytest.mark.parametrize(
    ("kind", "identity"),
    [
        (DATASETS, "0d4e3d5e91f118dd8aa200e81b767a302a9d53d3ac3076e78e5a94c133fef39b"),
        (RUNS, "875db238b1ce3623db5c83d540b07f578cadd3a020ff334c4647df382e23e6b9"),
        (CACHES, "8ef10da3e17e9b9da96082a16caac9311b31f2de63a70029ccddfb2d29ddc083"),
    ],
    ids=str,
)
def test_what_versions_without_classes_wrote_has_its_identity_and_its_bytes(
    kind: Kind[Any], identity: str, tmp_path: Path
) -> None:
    """`written/` holds manifests as dictionaries wrote them: children name these identities."""
    path = tmp_path / kind.folder / "x" / kind.file
    path.parent.mkdir(parents=True)
    path.write_bytes((Path(__file__).parent / "written" / kind.file).read_bytes())
    artifact = read_artifact(kind, path.parent)
    assert artifact.identity == identity
    again = {**artifact.manifest.to_dict(), **asdict(artifact.inventory)}
    write_json(tmp_path / "again.json", again)
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    change_json(path, of_a_later_version=1)
    assert read_artifact(kind, path.parent).manifest == artifact.manifest
    assert read_artifact(kind, path.parent).identity != identity


def test_what_is_no_identity_is_marked_in_the_class() -> None:
    marked = {kind.folder: kind.manifest.not_identity() - Inventory.__dataclass_fields__.keys() for kind in KINDS}
    assert marked == {
        "data": {"raw_files", "arguments"},
        "runs": {"stopped_early", "seconds", "threads", "device", "arguments", "versions"},
        "caches": {"ms_per_user", "seconds", "arguments", "device"},
    }


def test_every_kind_has_its_folder() -> None:
    assert tuple(kind.folder for kind in KINDS) == FOLDERS


def test_a_manifest_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        manifest_of(RUNS).method = "din"  # type: ignore[misc]


def test_no_code_reads_a_manifest_by_a_string() -> None:
    package = Path(lrea_cli.__file__).parent
    read = re.compile(r"manifest\[|manifest\.get\(")
    assert not [path for path in package.rglob("*.py") if read.search(path.read_text(encoding="utf-8"))]


def test_files_have_the_mode_of_the_umask(lrea_run: Run) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in lrea_run.artifact.path.rglob("*") if path.is_file()}
    assert lrea_run.artifact.path / CHECKPOINT == lrea_run.checkpoint
    assert len(set(modes.values())) == 1, modes
