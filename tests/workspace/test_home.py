"""The workspace: artifacts appear whole or not at all, and the chain of hashes holds them together."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lrea_cli.artifacts import KINDS
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.claims import FINISHED
from lrea_cli.workspace.home import Workspace, require_intact, require_made_from, sha256_of, write_manifest
from lrea_cli.workspace.kinds import BLOCKS, Kind
from lrea_cli.workspace.places import FOLDER
from lrea_cli.workspace.sealed import SEAL, read_json, write_json
from tests.manifests import manifest_of


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


def make(workspace: Workspace, name: str, kind: Kind[Any] = RUNS, text: str = "weights", **values: str) -> None:
    with workspace.create(kind, name, replace=True) as (_, folder):
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text(text)
        write_manifest(folder, kind, manifest_of(kind, **values))


def left_in(workspace: Workspace) -> list[str]:
    """Files that a user meets: neither lock files nor the numbers in which the order is kept."""
    files = (p.relative_to(workspace.home) for p in workspace.home.rglob("*") if p.is_file())
    return sorted(str(p) for p in files if p.parts[0] != FOLDER and p.name != FINISHED)


@pytest.mark.parametrize("kind", KINDS)
def test_an_artifact_is_its_files_and_their_hashes(workspace: Workspace, kind: Kind[Any]) -> None:
    make(workspace, "one", kind)
    found = workspace.open(kind, "one")
    assert (found.kind, found.name, found.path) == (kind, "one", workspace.home / kind.folder / "one")
    assert found.manifest == manifest_of(kind)
    assert found.inventory.files.pop("inner/file") == sha256_of(found.path / "inner" / "file")
    assert found.inventory.bytes.pop("inner/file") == len("weights")
    beside = {BLOCKS: sha256_of(found.path / BLOCKS)} if kind is DATASETS else {}  # of a dataset's large files
    assert found.inventory.files == beside
    assert [a.name for a in workspace.all(kind)] == ["one"]
    assert all(not p.name.startswith(".partial-") for p in (workspace.home / kind.folder).iterdir())


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, UserError])
def test_an_exception_leaves_nothing(workspace: Workspace, failure: type[BaseException]) -> None:
    with pytest.raises(failure), workspace.create(RUNS, "one") as (_, folder):  # noqa: PT012
        (folder / "file").write_text("half")
        raise failure("stop")
    assert left_in(workspace) == []
    assert list((workspace.home / "runs").iterdir()) == []


def test_nothing_is_visible_before_the_end(workspace: Workspace) -> None:
    with workspace.create(RUNS, "one") as (_, folder):
        write_manifest(folder, RUNS, manifest_of(RUNS))
        assert not (workspace.home / "runs" / "one").exists()
        assert workspace.all(RUNS) == []
    assert [a.name for a in workspace.all(RUNS)] == ["one"]


def test_a_block_without_a_manifest_makes_nothing(workspace: Workspace) -> None:
    with pytest.raises(RuntimeError, match=r"run\.json"), workspace.create(RUNS, "one") as (_, folder):
        (folder / "file").write_text("whole")
    assert left_in(workspace) == []


def test_an_old_artifact_stays_where_its_replacement_fails(workspace: Workspace) -> None:
    make(workspace, "one", text="old")
    before = workspace.open(RUNS, "one")
    with pytest.raises(RuntimeError), workspace.create(RUNS, "one", replace=True) as (_, folder):  # noqa: PT012
        (folder / "file").write_text("new")
        raise RuntimeError
    assert workspace.open(RUNS, "one") == before
    require_intact(before)
    assert left_in(workspace) == ["runs/one/inner/file", "runs/one/run.json"]


def test_a_replacement_leaves_nothing_of_the_old(workspace: Workspace) -> None:
    make(workspace, "one", text="old")
    with workspace.create(RUNS, "one", replace=True) as (_, folder):
        (folder / "other").write_text("new")
        write_manifest(folder, RUNS, manifest_of(RUNS))
    assert left_in(workspace) == ["runs/one/other", "runs/one/run.json"]


def test_a_taken_name_is_refused_before_any_work(workspace: Workspace) -> None:
    make(workspace, "one")
    with pytest.raises(UserError, match="run 'one' exists already"), workspace.create(RUNS, "one"):
        pytest.fail("the block ran")
    require_intact(workspace.open(RUNS, "one"))


@pytest.mark.parametrize("name", ["", ".", "..", "../one", "a/b", "/etc", "a\\b", ".hidden", "a\0b", " ", "a ", " a"])
def test_a_name_cannot_leave_its_folder(workspace: Workspace, name: str) -> None:
    with pytest.raises(UserError, match="not a usable name"):
        workspace.path(RUNS, name)
    with pytest.raises(UserError), workspace.create(RUNS, name):
        pytest.fail("the block ran")
    with pytest.raises(UserError):
        workspace.open(RUNS, name)


def test_the_latest_is_opened_where_no_name_is_given(workspace: Workspace) -> None:
    for name, dataset in (("z", "a"), ("y", "b"), ("x", "a")):
        make(workspace, name, dataset=dataset)
    assert workspace.open(RUNS).name == "x"
    assert workspace.open(RUNS, dataset="b").name == "y"
    make(workspace, "z", dataset="b")
    assert workspace.open(RUNS).name == "z"


def test_what_is_not_there_is_named_with_the_nearest_and_the_remedy(workspace: Workspace) -> None:
    make(workspace, "taobao-lrea-1")
    with pytest.raises(UserError, match=r"no run 'taobao-lrae-1' .*mean 'taobao-lrea-1'") as caught:
        workspace.open(RUNS, "taobao-lrae-1")
    assert "lrea train" in caught.value.remedy
    with pytest.raises(UserError, match="no run of dataset 'kuai'"):
        workspace.open(RUNS, dataset="kuai")
    with pytest.raises(UserError, match="There is no dataset in") as caught:
        workspace.open(DATASETS)
    assert "lrea prepare" in caught.value.remedy


def test_folders_without_a_manifest_and_partial_ones_do_not_exist(workspace: Workspace) -> None:
    make(workspace, "one")
    (workspace.home / "runs" / "half").mkdir()
    partial = workspace.home / "runs" / f".partial-two-{os.getpid()}"
    partial.mkdir()
    write_manifest(partial, RUNS, manifest_of(RUNS))
    assert [a.name for a in workspace.all(RUNS)] == ["one"]
    with pytest.raises(UserError):
        workspace.open(RUNS, "half")


def test_a_numbered_name_is_the_first_that_is_neither_taken_nor_being_made(workspace: Workspace) -> None:
    make(workspace, "a-1")
    make(workspace, "a-4")
    with (
        pytest.raises(RuntimeError, match=r"has no run\.json"),
        workspace.create(RUNS, stem="a") as (second, _),
        workspace.create(RUNS, stem="a") as (third, _),
        workspace.create(RUNS, stem="a") as (fifth, _),
    ):
        assert (second, third, fifth) == ("a-2", "a-3", "a-5")
    with workspace.create(RUNS, stem="a") as (again, folder):
        assert again == "a-2"
        write_manifest(folder, RUNS, manifest_of(RUNS))


def test_a_child_of_another_version_is_refused(workspace: Workspace) -> None:
    make(workspace, "run", text="first")
    parent = workspace.open(RUNS, "run")
    make(workspace, "cache", CACHES, made_from=parent.identity)
    child = workspace.open(CACHES, "cache")
    require_made_from(child, parent)
    make(workspace, "run", text="second")
    with pytest.raises(UserError, match="'cache' was made from another version of the run 'run'") as caught:
        require_made_from(child, workspace.open(RUNS, "run"))
    assert "lrea compress" in caught.value.remedy


@pytest.mark.parametrize("damage", ["flip", "lose"])
def test_a_changed_or_lost_file_is_refused(workspace: Workspace, damage: str) -> None:
    make(workspace, "one")
    artifact = workspace.open(RUNS, "one")
    require_intact(artifact)
    require_intact(artifact, "inner/file")
    file = artifact.path / "inner" / "file"
    if damage == "lose":
        file.unlink()
    else:
        file.write_text("weighty")
    for names in ((), ("inner/file",)):
        with pytest.raises(UserError, match=r"inner/file (cannot be read|is damaged or was changed)") as caught:
            require_intact(artifact, *names)
        assert "lrea train" in caught.value.remedy


def test_a_manifest_that_is_not_json_is_named(workspace: Workspace) -> None:
    make(workspace, "one")
    (workspace.home / "runs" / "one" / "run.json").write_text("{")
    with pytest.raises(UserError, match=r"run\.json is not valid JSON"):
        workspace.open(RUNS, "one")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1, 2}, object()])
def test_json_is_written_whole_or_not_at_all(tmp_path: Path, bad: object) -> None:
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"a": [1, None, "é"]})
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["a", SEAL]
    assert read_json(path, "") == {"a": [1, None, "é"]}
    before = path.read_bytes()
    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"a": 2, "b": bad})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_home_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LREA_HOME", "/somewhere")
    assert Workspace.from_environment().home == Path("/somewhere")
    monkeypatch.setenv("LREA_HOME", "")
    assert Workspace.from_environment().home == Path("lrea_work")


def test_what_a_killed_process_left_is_removed_and_its_old_artifact_put_back(workspace: Workspace) -> None:
    make(workspace, "one")
    folder = workspace.home / "runs"
    (folder / f".partial-one-{'0' * 32}" / "scratch").mkdir(parents=True)
    (folder / f".partial-two-{'a' * 32}").mkdir()
    (folder / ".partial-of-an-older-version-4711").mkdir()
    (folder / "one").rename(folder / f".old-one-{'1' * 32}")  # killed between its two renames
    with workspace.create(RUNS, "being-made") as (_, partial):
        with pytest.raises(UserError, match="exists already"), workspace.create(RUNS, "one"):
            pass
        assert {p.name for p in folder.iterdir()} == {"one", partial.name}
        write_manifest(partial, RUNS, manifest_of(RUNS))
    assert (folder / "one" / "run.json").is_file()
