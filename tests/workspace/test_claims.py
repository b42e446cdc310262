"""One process makes an artifact of a name, all others see old or new, and the last finished is the latest."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.claims import FINISHED
from lrea_cli.workspace.home import Workspace, require_intact, write_manifest
from lrea_cli.workspace.kinds import LONGEST_NAME
from lrea_cli.workspace.places import FOLDER, OLD, Held, lock, lock_of
from lrea_cli.workspace.sealed import read_json, write_json
from tests.changed import change_json
from tests.faulty.calls import failing
from tests.manifests import manifest_of
from tests.workspace.test_home import left_in, make


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


@pytest.mark.parametrize("replace", [False, True])
def test_a_name_that_is_being_made_is_refused_at_once(workspace: Workspace, replace: bool) -> None:
    with workspace.create(RUNS, "one", replace=True) as (_, folder):
        with pytest.raises(UserError, match="Another process is making or removing the run 'one'") as caught:
            workspace.create(RUNS, "one", replace=replace).__enter__()
        assert "choose another name" in caught.value.remedy
        with workspace.create(RUNS, "two") as (_, other):
            write_manifest(other, RUNS, manifest_of(RUNS))
        with workspace.create(CACHES, "one") as (_, other):
            write_manifest(other, CACHES, manifest_of(CACHES))
        assert folder.is_dir()
        write_manifest(folder, RUNS, manifest_of(RUNS))
    assert [a.name for a in workspace.all(RUNS)] == ["one", "two"]


def test_the_system_lets_go_of_the_names_of_a_process_that_ends(workspace: Workspace) -> None:
    program = (
        "import os, sys; from pathlib import Path; from lrea_cli.workspace.home import Workspace\n"
        "from lrea_cli.runs.manifest import RUNS\n"
        "with Workspace(Path(sys.argv[1])).create(RUNS, 'one') as (_, folder):\n"
        "    (folder / 'big').write_text('half'); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(workspace.home)])
    assert done.returncode == 9
    assert [p.name[:13] for p in (workspace.home / "runs").iterdir()] == [".partial-one-"]
    make(workspace, "another")
    assert [p.name for p in (workspace.home / "runs").iterdir()] == ["another"]


def test_a_lock_is_one_file_for_all_and_is_never_deleted(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "name.lock"
    with lock(path):
        inode = path.stat().st_ino
        with pytest.raises(Held), lock(path):
            pass
        with pytest.raises(Held), lock(path, 0.05):
            pass
    with lock(path):
        assert path.stat().st_ino == inode


def test_a_patient_lock_waits(tmp_path: Path) -> None:
    path, holding, letting_go = tmp_path / "name.lock", threading.Event(), threading.Event()

    def hold() -> None:
        with lock(path):
            holding.set()
            letting_go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    holding.wait(10)
    threading.Timer(0.05, letting_go.set).start()
    with lock(path, 10):
        thread.join()


def test_the_latest_is_the_last_finished_whatever_the_clock_says(workspace: Workspace) -> None:
    for name in ("a", "b", "c"):
        make(workspace, name)
    for name, created in {"a": "2999-01-01", "c": "1980-01-01"}.items():
        change_json(workspace.home / "runs" / name / "run.json", created=created)
    assert workspace.open(RUNS).name == "c"
    make(workspace, "a")
    assert workspace.open(RUNS).name == "a"


def test_homes_without_numbers_go_by_the_time(workspace: Workspace) -> None:
    for name, created in {"a": "2020-01-02", "b": "2020-01-03", "c": "2020-01-01"}.items():
        make(workspace, name)
        change_json(workspace.home / "runs" / name / "run.json", created=created)
        (workspace.home / "runs" / name / FINISHED).unlink()
    assert workspace.open(RUNS).name == "b"
    make(workspace, "0-the-first-with-a-number")
    assert workspace.open(RUNS).name == "0-the-first-with-a-number"
    (workspace.home / "runs" / "c" / FINISHED).write_text("not a number")
    assert workspace.open(RUNS).name == "0-the-first-with-a-number"


@pytest.mark.parametrize("text", ["{}", "[]", "{", "null", '{"created": 1}', "[" * 100_000, "\udcff"])
def test_a_foreign_manifest_hurts_nobody(workspace: Workspace, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    make(workspace, "good")
    foreign = workspace.home / "runs" / "x\x1b[31m"
    foreign.mkdir()
    (foreign / "run.json").write_text(text, errors="surrogateescape")
    for _ in range(2):
        assert [a.name for a in workspace.all(RUNS)] == ["good"]
    assert workspace.open(RUNS).name == "good"
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("warning: ")
    assert r"runs/x\x1b[31m is passed over: " in said
    foreign.rename(foreign.with_name("x"))
    with pytest.raises(UserError, match=r"run\.json (is|carries)"):
        workspace.open(RUNS, "x")


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\u202eb", "a\rb", "a\udcffb", "x" * (LONGEST_NAME + 1)])
def test_names_that_steer_a_terminal_or_are_too_long_are_refused(workspace: Workspace, name: str) -> None:
    with pytest.raises(UserError, match="not a usable name"):
        workspace.path(RUNS, name)


def test_the_longest_name_can_be_made(workspace: Workspace) -> None:
    make(workspace, "x" * LONGEST_NAME)
    make(workspace, "x" * LONGEST_NAME)


def test_identity_is_of_the_content_alone() -> None:
    content = {"options": {"seed": 1}, "files": {"a.npy": "1", "metrics.jsonl": "2"}}
    told = {"created": "now", "seconds": 3.0, "threads": 2, "versions": {"torch": "2"}, "device": "cpu"}
    same = {**content, **told, "files": {"metrics.jsonl": "3", "a.npy": "1"}}
    assert RUNS.identity_of(same) == RUNS.identity_of(content)
    for other in ({"options": {"seed": 2}}, {"files": {"a.npy": "0", "metrics.jsonl": "2"}}, {"extra": 1}):
        assert RUNS.identity_of({**content, **other}) != RUNS.identity_of(content)


def test_a_linked_folder_is_replaced_where_it_lies(workspace: Workspace, tmp_path: Path) -> None:
    larger = tmp_path / "larger-disk" / "taobao-v1"
    make(workspace, "taobao", DATASETS, text="old")
    larger.parent.mkdir()
    link = workspace.home / "data" / "taobao"
    link.rename(larger)
    link.symlink_to(larger)
    with pytest.raises(UserError, match="exists already"), workspace.create(DATASETS, "taobao"):
        pass
    with workspace.create(DATASETS, "taobao", replace=True) as (_, folder):
        assert folder.parent == larger.parent
        with pytest.raises(UserError, match="Another process"):
            workspace.create(DATASETS, "taobao", replace=True).__enter__()
        (folder / "file").write_text("new")
        write_manifest(folder, DATASETS, manifest_of(DATASETS))
    assert link.readlink() == larger
    assert (larger / "file").read_text() == "new"
    assert sorted(p.name for p in larger.parent.iterdir()) == [FOLDER, "taobao-v1"]
    larger.rename(larger.parent / f"{OLD}taobao-v1-{'0' * 32}")  # killed between its two renames
    assert (workspace.open(DATASETS, "taobao").path / "file").read_text() == "new"
    larger.rename(larger.parent / f"{OLD}taobao-v1-{'0' * 32}")
    assert workspace.open(DATASETS).name == "taobao"


@pytest.mark.parametrize("by_name", [True, False])
def test_what_a_replacement_had_moved_aside_is_found_again(workspace: Workspace, by_name: bool) -> None:
    make(workspace, "one", text="old")
    folder = workspace.home / "runs"
    (folder / "one").rename(folder / f"{OLD}one-{'0' * 32}")
    assert workspace.open(RUNS, "one" if by_name else None).name == "one"
    assert [p.name for p in folder.iterdir()] == ["one"]


def test_a_reader_waits_for_the_second_rename(workspace: Workspace) -> None:
    make(workspace, "one", text="old")
    folder = workspace.home / "runs"
    aside = folder / f"{OLD}one-{'0' * 32}"
    with lock(lock_of(folder / "one")):
        (folder / "one").rename(aside)
        threading.Timer(0.1, lambda: aside.rename(folder / "one")).start()
        readers: list[str] = []
        reader = threading.Thread(target=lambda: readers.append(workspace.open(RUNS, "one").name))
        reader.start()
        reader.join(0.15)
    reader.join(10)
    assert readers == ["one"]


def replacement(workspace: Workspace, text: str) -> None:
    with workspace.create(RUNS, "one", replace=True) as (_, folder):
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text(text)
        write_manifest(folder, RUNS, manifest_of(RUNS))


def calls_of_a_replacement(tmp_path: Path) -> int:
    workspace = Workspace(tmp_path / "count")
    make(workspace, "one", text="old")
    with failing(None) as count:
        replacement(workspace, "new")
    return count.calls


@pytest.mark.parametrize("onward", [False, True], ids=["once", "onward"])
def test_every_step_of_a_replacement_may_fail(tmp_path: Path, onward: bool) -> None:
    """Old or new, whole, and nothing beside it; if all that follows fails as well, the next command clears up."""
    total = calls_of_a_replacement(tmp_path)
    assert total > 15
    for at in range(1, total + 1):
        workspace = Workspace(tmp_path / f"{at}")
        make(workspace, "one", text="old")
        error = None
        with failing(at, onward=onward):
            try:
                replacement(workspace, "new")
            except OSError as caught:
                error = caught
        artifact = workspace.open(RUNS, "one")
        require_intact(artifact)
        text = (artifact.path / "inner" / "file").read_text()
        assert text == ("old" if error else "new") or onward, at  # new and an error: no way back, either
        if not onward:
            assert [p.name for p in artifact.path.parent.iterdir()] == ["one"], at
        make(workspace, "two")
        assert left_in(workspace) == [f"runs/{n}/{f}" for n in ("one", "two") for f in ("inner/file", "run.json")], at


@pytest.mark.parametrize("onward", [False, True], ids=["once", "onward"])
def test_every_step_of_writing_a_file_may_fail(tmp_path: Path, onward: bool) -> None:
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"is": "old"})
    with failing(None) as count:
        write_json(path, {"is": "old"})
    for at in range(1, count.calls + 1):
        error = None
        with failing(at, onward=onward):
            try:
                write_json(path, {"is": "new"})
            except OSError as caught:
                error = caught
        assert read_json(path, "")["is"] in (["old", "new"] if error else ["new"])
        assert list(path.parent.iterdir()) == [path]
        write_json(path, {"is": "old"})


def test_a_file_that_a_killed_process_left_half_written_is_deleted_and_one_being_written_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    (tmp_path / f".partial-file.json-{'0' * 32}").write_text("half")
    (tmp_path / f".partial-other.json-{'0' * 32}").write_text("half")
    partial = tmp_path / f".partial-file.json-{'1' * 32}"
    with lock(partial):
        write_json(path, {"number": 1})
        assert partial.exists()
    write_json(path, {"number": 2})
    assert sorted(p.name for p in tmp_path.iterdir()) == [f".partial-other.json-{'0' * 32}", "file.json"]


def test_a_command_that_works_alone(workspace: Workspace) -> None:
    with workspace.alone("demo"):
        with pytest.raises(UserError, match="Another lrea demo works in"), workspace.alone("demo"):
            pass
        with workspace.alone("sweep"):
            pass
    with workspace.alone("demo"):
        pass


def test_home_may_be_a_users_folder_and_hold_signs_of_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LREA_HOME", "~/a?b*[c]")
    workspace = Workspace.from_environment()
    assert workspace.home == tmp_path / "a?b*[c]"
    make(workspace, "one")
    (workspace.home / "runs" / f".partial-two-{'0' * 32}").mkdir()
    make(workspace, "one")
    assert os.listdir(workspace.home / "runs") == ["one"]
    monkeypatch.setenv("LREA_HOME", "~nobody-of-this-name/x")
    with pytest.raises(UserError, match="no such user"):
        Workspace.from_environment()
    (tmp_path / "file").touch()
    monkeypatch.setenv("LREA_HOME", "~/file")
    with pytest.raises(UserError, match="is no folder"):
        Workspace.from_environment()
