"""What errors of damage propose is typed as it stands, and makes an artifact of the same content."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from lrea_cli.artifacts import KINDS
from lrea_cli.cli import app, main
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import CHANGE_NO_ROW, prepare_arguments
from lrea_cli.prepare.sources import SOURCES
from lrea_cli.prepare.sources.synthetic import Synthetic
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import Taobao
from lrea_cli.records.manifest import ASKED_USERS, CACHES
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.kinds import Kind
from lrea_cli.workspace.sealed import read_json, write_json
from tests.changed import change_json
from tests.fixtures.exposures_raw import write_exposures

Call = Callable[..., str]
COLUMNS = ["--user-column", "user_id", "--item-column", "video_id", "--time-column", "time_ms", "--time-unit", "ms"]
LABEL = ["--label-column", "is_click", "--utc-offset", "-5", "--context-field", "hourmin", "--context-field", "d=date"]
SHARED = ["--test-days", "2", "--max-rejected", "50%", "--encoding", "latin-1", "--threads", "1"]
NO_FLAG = """
[data]
short = 5
long = 20
[model]
method = "sdim"
hidden = [16, 8]
m = 12
tau = 2
embedding_dim = 4
[train]
epochs = 1
batch_size = 256
weight_decay = 0.01
"""


@pytest.fixture
def lrea(
    workspace_copy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Run a command line in a copy of `tiny`, as a shell reads it or in parts; what it printed."""
    monkeypatch.setenv("LREA_HOME", str(workspace_copy.home))
    monkeypatch.chdir(tmp_path)

    def run(*given: object, code: int = 0) -> str:
        arguments = shlex.split(str(given[0]))[1:] if len(given) == 1 else [*map(str, given)]
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        found = capsys.readouterr()
        assert (stop.value.code or 0) == code, found.err
        return found.out + found.err

    return run


def proposed(said: str) -> str:
    """The command of the only line that proposes one."""
    (line,) = [line for line in said.splitlines() if "Make it anew with: " in line]
    return line.partition("Make it anew with: ")[2]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def check_remade(lrea: Call, workspace: Workspace, kind: Kind[Any], name: str, damaged: str) -> str:
    """Damage a file, and type what `lrea verify` proposes; returns it."""
    before = workspace.open(kind, name)
    flip(before.path / damaged)
    command = proposed(lrea("verify", before.path, code=1))
    lrea(command)
    after = workspace.open(kind, name)
    assert after.identity == before.identity
    assert after.manifest.arguments == before.manifest.arguments
    assert after.order > before.order
    lrea("verify", after.path)
    return command


def test_a_dataset_of_unusual_options(
    lrea: Call, workspace_copy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my logs; it's raw"
    folder.mkdir()
    write_exposures(folder / "exposures.tsv", users=30)
    with (folder / "exposures.tsv").open("a", encoding="utf-8") as file:
        file.write("of a wrong form\n" * 101)
    name = "mine (2 days)"
    given = [*COLUMNS, *LABEL, *SHARED, "--no-quotes", "--keep-repeats", "--dataset", name]
    lrea("prepare", "table", "--raw", f"{folder.name}/*.tsv", *given)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    command = check_remade(lrea, workspace_copy, DATASETS, name, "train.parquet")
    typed = ["lrea", "prepare", "table", "--raw", str(folder / "*.tsv"), *given, "--replace"]
    assert sorted(shlex.split(command)) == sorted(part for part in typed if part not in ("--threads", "1"))


def test_a_run_whose_recipe_has_what_no_flag_has(lrea: Call, workspace_copy: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(NO_FLAG)
    lrea("train", "--recipe", "mine.toml", "--seed", 7, "--lr", 0.1, "--threads", 1, "--run", "it's mine")
    (tmp_path / "mine.toml").unlink()
    check_remade(lrea, workspace_copy, RUNS, "it's mine", "checkpoint/model.safetensors")


def test_caches_of_unusual_options(lrea: Call, workspace_copy: Workspace, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("3\n1\n20\n")
    given = ["--dtype", "float16", "--as-of", "2025-12-01", "--users", "some.txt", "--cache", "some of them"]
    lrea("compress", "--run", "tiny-lrea", *given)
    (tmp_path / "some.txt").unlink()
    check_remade(lrea, workspace_copy, CACHES, "some of them", "records-00000.bin")
    lrea("compress", "--run", "tiny-din", "--compressor", "random", "--rank", 3, "--seed", 5, "--cache", "small")
    check_remade(lrea, workspace_copy, CACHES, "small", "index.npy")
    lrea("compress", "--run", "tiny-din", "--compressor", "clusters", "--target", 0.3, "--cache", "aimed")
    check_remade(lrea, workspace_copy, CACHES, "aimed", "index.npy")


def test_a_damaged_list_of_users_is_not_proposed(lrea: Call, workspace_copy: Workspace, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("3\n1\n20\n")
    lrea("compress", "--run", "tiny-lrea", "--users", "some.txt", "--cache", "some")
    before = workspace_copy.open(CACHES, "some")
    assert (before.path / ASKED_USERS).read_text() == "1\n3\n20\n"
    flip(before.path / ASKED_USERS)
    said = lrea("verify", "some", code=1)
    command = said.partition("Write its users into FILE, one raw id a line, then: ")[2].splitlines()[0]
    lrea(command.replace("FILE", "some.txt"))
    assert workspace_copy.open(CACHES, "some").identity == before.identity


@pytest.mark.slow
def test_a_command_that_meets_damage_proposes_the_same(lrea: Call, workspace_copy: Workspace) -> None:
    lrea("compress", "--run", "tiny-lrea", "--as-of", "2025-12-01", "--cache", "early")
    for kind, name, file, command in (
        ("caches", "early", "records-00000.bin", ("serve-bench", "--cache", "early", "--candidates", 5)),
        ("caches", "early", "index.npy", ("serve-bench", "--cache", "early", "--candidates", 5)),
        ("runs", "tiny-lrea", "checkpoint/model.safetensors", ("eval", "--run", "tiny-lrea")),
        ("data", "synthetic", "test.parquet", ("eval", "--run", "tiny-lrea")),
        ("data", "synthetic", "blocks.xxh3", ("eval", "--run", "tiny-lrea")),
    ):
        path = workspace_copy.home / kind / name / file
        whole = path.read_bytes()
        flip(path)
        of_verify = proposed(lrea("verify", path.parents[file.count("/")], code=1))
        assert proposed(lrea(*command, code=2)) == of_verify
        path.write_bytes(whole)


@pytest.mark.slow
def test_a_run_of_another_version_of_its_dataset_is_trained_again_on_the_new_one(
    lrea: Call, workspace_copy: Workspace
) -> None:
    lrea("prepare", "synthetic", "--users", 60, "--replace")
    lrea(proposed(lrea("eval", "--run", "tiny-din", code=2)))
    lrea("eval", "--run", "tiny-din")
    assert workspace_copy.open(RUNS, "tiny-din").manifest.recipe["model"]["hidden"] == [16, 8]


@pytest.mark.slow
def test_an_artifact_of_another_home_is_made_anew_there(
    lrea: Call, workspace_copy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder whose name has to be quoted."""
    other = Workspace(workspace_copy.home / "sweeps" / "my sweep")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("LREA_HOME", str(other.home))
        lrea("prepare", "synthetic", "--users", 60, "--dataset", "tiny")
    before = other.open(DATASETS, "tiny")
    flip(before.path / "train.parquet")
    setting, command = proposed(lrea("verify", before.path, code=1)).split(" lrea ", 1)
    (home,) = shlex.split(setting.removeprefix("LREA_HOME="))
    monkeypatch.setenv("LREA_HOME", home)
    lrea(f"lrea {command}")
    assert other.open(DATASETS, "tiny").identity == before.identity
    lrea("verify", before.path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_manifest_without_arguments_still_opens(lrea: Call, workspace_copy: Workspace, kind: Kind[Any]) -> None:
    lrea("compress", "--run", "tiny-lrea", "--cache", "few")
    name = {"data": "synthetic", "runs": "tiny-lrea", "caches": "few"}[kind.folder]
    identity = workspace_copy.open(kind, name).identity
    path = workspace_copy.path(kind, name) / kind.file
    content = read_json(path, "")
    del content["arguments"]
    write_json(path, content)
    old = workspace_copy.open(kind, name)
    assert old.identity == identity
    if kind is RUNS:
        assert old.remedy == f"Make it anew with: lrea train --recipe {path} --run tiny-lrea --replace"
    else:
        known = {"data": "lrea prepare synthetic", "caches": "lrea compress --run tiny-lrea --cache few"}[kind.folder]
        assert old.remedy == f"Add its options, which {path} names: {known} --replace"
    change_json(path, arguments="none")
    with pytest.raises(Exception, match="'arguments' is 'none'"):
        workspace_copy.open(kind, name)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_option_that_may_change_a_row_is_kept_as_it_is_typed(source: Any, tmp_path: Path) -> None:
    """Each with another value than its default, one at a time."""
    parser = get_command(app).commands["prepare"].commands[source.name]  # type: ignore[attr-defined]
    known = {name: option for option in parser.params for name in (*option.opts, *option.secondary_opts)}
    others = {"raw", "dataset", "replace", "dry_run", "json", *CHANGE_NO_ROW}
    wanted = {option.name for option in known.values()} - others
    kept = set()
    for name in wanted:
        for made, options in changed(source, name):
            arguments = prepare_arguments(made, [], None, options, tmp_path)
            assert arguments[0] == source.name
            for typed in [part for part in arguments[1:] if part.startswith("--")]:
                assert known[typed].name == name, arguments
                kept.add(name)
    assert kept == wanted


def changed(source: Any, name: str) -> Iterator[tuple[Any, PrepareOptions]]:
    """The source and the shared options, this one of them another than the default; both values of a flag."""
    made, options = source(), PrepareOptions()
    of_source = name in getattr(source, "__dataclass_fields__", {})
    target = made if of_source else options
    value = getattr(target, name)
    other = (
        not value
        if isinstance(value, bool)
        else value + 1
        if isinstance(value, (int, float))
        else [*value, "x"]
        if isinstance(value, list)
        else f"{value}x"
    )
    object.__setattr__(target, name, other)
    yield made, options


def test_where_files_are_is_kept_unless_they_are_looked_for_there(tmp_path: Path) -> None:
    home, here = tmp_path / "home", tmp_path / "here"

    def kept(source: object, files: list[Path], raw: Path | None) -> list[str]:
        return prepare_arguments(source, files, raw, PrepareOptions(), home)[1:]  # type: ignore[arg-type]

    log = "UserBehavior.csv"
    assert kept(Synthetic(), [], None) == []
    assert kept(Taobao(), [home / "raw" / "taobao" / log], None) == []
    assert kept(Taobao(), [here / log], None) == ["--raw", str(here)]
    assert kept(Table(), [here / "a.csv", here / "b.csv"], here / "*.csv") == ["--raw", str(here / "*.csv")]
    assert kept(Taobao(), [Path(log)], None) == ["--raw", str(Path().absolute())]


def test_no_path_breaks_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LREA_HOME", str(tmp_path / "a home"))
    said = RUNS.remedy(tmp_path / "a home" / "runs" / "it's", {"arguments": ["--threads", "1"]})
    command = re.sub("^Make it anew with: ", "", said)
    recipe = str(tmp_path / "a home" / "runs" / "it's" / "run.json")
    assert shlex.split(command) == [
        *("lrea", "train", "--recipe", recipe, "--threads", "1", "--run", "it's", "--replace")
    ]


@pytest.mark.parametrize("arguments", [("train", "--replace"), ("compress", "--replace")], ids=" ".join)
def test_replacing_needs_a_name(lrea: Call, arguments: tuple[str, ...]) -> None:
    assert "--replace needs --" in lrea(*arguments, code=2)
