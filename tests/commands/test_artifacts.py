"""`lrea list`, `lrea show` and `lrea remove`: what is on disk, what came of what, and one less of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lrea_cli import artifacts as artifacts_module
from lrea_cli.artifacts import KINDS
from lrea_cli.cli import main
from lrea_cli.console.show import age
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.home import Workspace, write_manifest
from lrea_cli.workspace.kinds import Kind
from lrea_cli.workspace.places import lock, lock_of
from tests.changed import change_json
from tests.manifests import manifest_of


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@pytest.fixture
def lrea(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workspace: Workspace) -> Any:
    monkeypatch.setenv("LREA_HOME", str(workspace.home))
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
        return Done(int(stop.value.code or 0), *capsys.readouterr())

    return run


def make(workspace: Workspace, kind: Kind[Any], name: str, **values: Any) -> str:
    """An artifact with 1000 bytes beside its manifest; its identity."""
    with workspace.create(kind, name, replace=True) as (_, folder):
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_bytes(bytes(1000))
        write_manifest(folder, kind, manifest_of(kind, **values))
    return workspace.open(kind, name).identity


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """taobao <- deep <- deep-few; taobao <- full."""
    workspace = Workspace(tmp_path / "home")
    data = make(workspace, DATASETS, "taobao")
    recipe = {"model": {"method": "lrea", "rank": 16}}
    deep = make(workspace, RUNS, "deep", made_from=data, method="lrea", recipe=recipe)
    make(workspace, RUNS, "full", made_from=data)
    make(workspace, CACHES, "deep-few", made_from=deep, run="deep", compressor="clusters", rank=8)
    return workspace


def names(workspace: Workspace) -> list[str]:
    return sorted(f"{kind.folder}/{path.name}" for kind in KINDS for path in (workspace.home / kind.folder).iterdir())


ALL = ["caches/deep-few", "data/taobao", "runs/deep", "runs/full"]


def test_what_is_on_disk_is_listed_newest_last(workspace: Workspace, lrea: Any) -> None:
    for kind, name, created in (
        (DATASETS, "taobao", "2020-01-01T00:00:00+00:00"),
        (RUNS, "full", "2021-01-01T00:00:00+00:00"),
    ):
        change_json(workspace.home / kind.folder / name / kind.file, created=created)
    listed = lrea("list", "--json")
    assert listed.code == 0
    assert [(one["kind"], one["name"], one["made_from"], one["method"]) for one in listed.json["artifacts"]] == [
        ("dataset", "taobao", None, "taobao"),
        ("run", "full", "data/taobao", "din"),
        ("run", "deep", "data/taobao", "lrea 16"),
        ("cache", "deep-few", "runs/deep", "clusters 8"),
    ]
    first = listed.json["artifacts"][0]
    assert (first["made"], first["damaged"]) == ("2020-01-01T00:00:00+00:00", False)
    folder = workspace.home / "data" / "taobao"
    assert first["bytes"] == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shown = lrea("list").out
    assert max(map(len, shown.splitlines())) <= 80
    lines = [line.split() for line in shown.strip().splitlines()[-4:]]
    assert [line[:2] for line in lines] == [
        ["dataset", "taobao"],
        ["run", "full"],
        ["run", "deep"],
        ["cache", "deep-few"],
    ]
    assert lines[3][-3:] == ["deep", "clusters", "8"]


def test_a_parent_that_is_gone_or_has_changed_is_said(workspace: Workspace, lrea: Any) -> None:
    make(workspace, DATASETS, "taobao", items=7)
    (workspace.home / "runs" / "deep").rename(workspace.home / "elsewhere")
    shown = lrea("list").out
    assert "taobao (changed)" in shown
    assert "deep (gone)" in shown


@pytest.mark.parametrize("text", ["", "{}", '{"sha256": "0"}', "[" * 100_000, None])
def test_a_damaged_or_foreign_manifest_stops_nothing(workspace: Workspace, lrea: Any, text: str | None) -> None:
    path = workspace.home / "runs" / "full" / "run.json"
    path.unlink() if text is None else path.write_text(text)
    os.utime(path.parent, (100, 100))
    listed = lrea("list", "--json").json["artifacts"]
    assert len(listed) == 4
    (damaged,) = [one for one in listed if one["damaged"]]
    assert (damaged["name"], damaged["made_from"], damaged["method"]) == ("full", None, None)
    assert damaged["made"] == "1970-01-01T00:01:40+00:00"
    assert "DAMAGED" in lrea("list").out
    assert "Try: lrea verify runs/full" in lrea("show", "full").err
    assert lrea("show", "full").code in (1, 2)
    assert lrea("remove", "full").code == 0
    assert "runs/full" not in names(workspace)


def test_an_empty_home(tmp_path: Path, lrea: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LREA_HOME", str(tmp_path / "nowhere"))
    assert "with: lrea prepare synthetic" in lrea("list").out
    assert lrea("list", "--json").json["artifacts"] == []


def test_all_of_a_manifest_is_shown(workspace: Workspace, lrea: Any) -> None:
    change_json(
        workspace.home / "runs" / "deep" / "run.json", recipe={"model": {"rank": 16}, "data": {"fields": [1] * 99}}
    )
    shown = lrea("show", "runs/deep")
    assert shown.code == 0
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "recipe.model.rank" in shown.out
    assert "best_valid_auc" in shown.out
    assert "..." in shown.out
    assert "made from it: caches/deep-few" in shown.out
    content = lrea("show", "taobao", "--json").json
    assert content["dependents"] == ["caches/deep-few", "runs/deep", "runs/full"]
    assert content["manifest"]["splits"] == {"train_from": 0, "valid_from": 1, "test_from": 2, "end": 3}
    assert "made from it: nothing" in lrea("show", "deep-few").out


def test_what_was_made_from_it_holds_an_artifact(workspace: Workspace, lrea: Any) -> None:
    refused = lrea("remove", "taobao")
    assert refused.code == 2
    assert "caches/deep-few, runs/deep, runs/full" in refused.err
    assert "lrea remove data/taobao --dependents" in refused.err
    assert names(workspace) == ALL
    size = sum(path.stat().st_size for path in (workspace.home / "caches").rglob("*") if path.is_file())
    done = lrea("remove", "deep-few", "--json")
    assert done.json == {"removed": ["caches/deep-few"], "bytes": size}
    done = lrea("remove", "taobao", "--dependents")
    assert done.code == 0
    assert "removed runs/deep, runs/full, data/taobao: " in done.out
    assert "kB freed" in done.out
    assert names(workspace) == []


def test_what_was_made_from_another_version_holds_it_too(workspace: Workspace, lrea: Any) -> None:
    make(workspace, RUNS, "deep", method="lrea")
    assert "caches/deep-few" in lrea("remove", "deep").err
    assert names(workspace) == ALL


@pytest.mark.parametrize("held", [(CACHES, "deep-few"), (DATASETS, "taobao")])
def test_an_artifact_that_another_process_works_on_is_refused(workspace: Workspace, lrea: Any, held: Any) -> None:
    kind, name = held
    with lock(lock_of(workspace.home / kind.folder / name)):
        refused = lrea("remove", "taobao", "--dependents")
    assert refused.code == 2
    assert f"Another process is making or removing the {kind.noun} '{name}'" in refused.err
    assert names(workspace) == ALL


def test_names_that_are_not_there_or_not_clear(workspace: Workspace, lrea: Any) -> None:
    for command in ("show", "remove"):
        unknown = lrea(command, "taobaa")
        assert unknown.code == 2
        assert "did you mean 'taobao'?" in " ".join(unknown.err.split())
        assert "lrea list" in unknown.err
    make(workspace, CACHES, "deep", run="full")
    unclear = lrea("remove", "deep")
    assert unclear.code == 2
    assert "There is a run and a cache of the name 'deep'" in unclear.err
    assert "runs/deep or caches/deep" in unclear.err
    assert lrea("remove", "caches/deep").code == 0
    assert names(workspace) == ALL


def test_a_link_is_removed_and_what_it_leads_to_is_not(workspace: Workspace, lrea: Any, tmp_path: Path) -> None:
    larger = tmp_path / "larger" / "full"
    larger.parent.mkdir()
    (workspace.home / "runs" / "full").rename(larger)
    (workspace.home / "runs" / "full").symlink_to(larger)
    done = lrea("remove", "full")
    assert "removed runs/full: 0 B freed" in done.out
    assert "runs/full" not in names(workspace)
    assert (larger / "run.json").is_file()


def test_a_dataset_that_a_sweep_reads_is_refused(workspace: Workspace, lrea: Any) -> None:
    link = workspace.home / "sweeps" / "all" / "data" / "taobao"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../../data/taobao")
    refused = lrea("remove", "taobao", "--dependents")
    assert refused.code == 2
    assert "made from data/taobao" in refused.err
    assert names(workspace) == ALL


def test_a_kill_leaves_nothing_half_removed(workspace: Workspace, lrea: Any) -> None:
    """Killed after the renames: all are gone at once, and what is left of them is deleted by the next removal."""
    program = (
        "import os, sys\n"
        "from lrea_cli import artifacts\n"
        "from lrea_cli.cli import main\n"
        "artifacts.remove = lambda folder: os._exit(9)\n"
        "main(['remove', 'deep', '--dependents'])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 9
    assert [one["name"] for one in lrea("list", "--json").json["artifacts"]] == ["taobao", "full"]
    assert [name[:13] for name in os.listdir(workspace.home / "runs")].count(".partial-deep") == 1
    assert lrea("remove", "full").code == 0
    assert os.listdir(workspace.home / "runs") == []


def test_a_removal_that_fails_on_the_way_leaves_whole_artifacts(
    workspace: Workspace, lrea: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = artifacts_module.hide, list[Path]()

    def second_fails(path: Path) -> Path:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(5, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(artifacts_module, "hide", second_fails)
    assert lrea("remove", "taobao", "--dependents").code == 1
    assert [one["name"] for one in lrea("list", "--json").json["artifacts"]] == ["taobao", "deep", "full"]
    assert lrea("show", "deep").code == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86_400, "1 d"), (1e8, "1,157 d")],
)
def test_ages(seconds: float, said: str) -> None:
    assert age(seconds) == said
