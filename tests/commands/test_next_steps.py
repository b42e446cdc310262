"""What `next:` proposes is typed in as it stands, and works; a cache opens the run that it is of."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from lrea_cli.cli import COMMANDS, main
from lrea_cli.commands.next_steps import after_decide, after_evaluate, after_serve_bench, after_train
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.decide.results import Command
from lrea_cli.decide.verdict.answer import Decision
from lrea_cli.runs.manifest import RUNS
from lrea_cli.score.kept_scores import scores_path
from lrea_cli.workspace.home import Workspace
from tests.decide.made_up import made_up_ship
from tests.fixtures.exposures_raw import write_exposures

Call = Callable[..., str]


@pytest.fixture
def lrea(workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in a copy of `tiny`; its standard output, or with `code` its standard error."""
    monkeypatch.setenv("LREA_HOME", str(workspace_copy.home))

    def run(*arguments: object, code: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([*map(str, arguments)])
        found = capsys.readouterr()
        assert (stop.value.code or 0) == code, found.err
        return found.err if code else found.out

    return run


def commands_of(out: str) -> list[list[str]]:
    """The commands that are proposed, as a shell reads them."""
    (line,) = [line for line in out.splitlines() if line.startswith("next: ")]
    commands = [shlex.split(command) for command in line.removeprefix("next: ").split(", then ")]
    assert all(command[0] == "lrea" for command in commands)
    return [command[1:] for command in commands]


def test_a_dry_run_proposes_the_command_with_all_its_options(lrea: Call, workspace_copy: Workspace) -> None:
    folder = workspace_copy.home / "my logs; it's raw"
    folder.mkdir()
    write_exposures(folder / "exposures.tsv", users=30)
    typed = [
        "prepare",
        "table",
        "--raw",
        str(folder / "*.tsv"),
        "--user-column",
        "user_id",
        "--item-column",
        "video_id",
    ]
    typed += ["--time-column", "time_ms", "--time-unit", "ms", "--label-column", "is_click", "--utc-offset", "-5"]
    typed += ["--context-field", "hourmin", "--context-field", "day=date", "--no-quotes", "--dataset", "mine"]
    (proposed,) = commands_of(lrea(*typed, "--dry-run"))
    assert sorted(proposed) == sorted(typed)
    (train,) = commands_of(lrea(*proposed))
    manifest = workspace_copy.open(DATASETS, "mine").manifest
    assert [f.name for f in manifest.fields] == ["item", "hourmin", "day"]
    assert (manifest.source_options["no_quotes"], manifest.utc_offset_minutes) == (True, -300)
    assert train == ["train", "--dataset", "mine"]


def test_the_only_dataset_need_not_be_named(lrea: Call, workspace_copy: Workspace) -> None:
    for name in ("data", "runs"):
        shutil.rmtree(workspace_copy.home / name)
    assert commands_of(lrea("prepare", "synthetic", "--users", 40)) == [["train"]]


def test_what_follows_training_names_the_run_where_there_are_others(workspace_copy: Workspace) -> None:
    assert after_train(workspace_copy, "tiny-lrea", "lrea") == "lrea compress --run tiny-lrea"
    assert after_train(workspace_copy, "tiny-lrea", "din-short") == "lrea eval --run tiny-lrea"
    shutil.rmtree(workspace_copy.home / "runs" / "tiny-din")
    assert after_train(workspace_copy, "tiny-lrea", "lrea") == "lrea compress"


def test_an_evaluation_proposes_what_is_missing_for_a_comparison(lrea: Call) -> None:
    other, comparison = commands_of(lrea("eval", "--run", "tiny-din", "--split", "valid"))
    assert other == ["eval", "--run", "tiny-lrea", "--split", "valid"]
    assert comparison == ["compare", "tiny-lrea", "tiny-din", "--split", "valid"]
    (back,) = commands_of(lrea(*other))
    assert back == ["compare", "tiny-din", "tiny-lrea", "--split", "valid"]
    assert "tiny-din" in lrea(*comparison)
    assert "tiny-din" in lrea(*back)


@pytest.mark.parametrize(("method", "proposed"), [("lrea", "din"), ("din", "lrea")])
def test_of_a_single_run_another_method_is_proposed(workspace_copy: Workspace, method: str, proposed: str) -> None:
    run = workspace_copy.open(RUNS, f"tiny-{method}")
    shutil.rmtree(workspace_copy.home / "runs" / f"tiny-{proposed}")
    found = after_evaluate(workspace_copy, run, None, "test")
    assert found.startswith(f"lrea train --method {proposed} --dataset synthetic, then lrea eval")


def test_a_cache_opens_its_own_run_and_not_the_newest(lrea: Call, workspace_copy: Workspace) -> None:
    oldest, newest = sorted(workspace_copy.all(RUNS), key=lambda a: a.inventory.created)
    out = lrea("compress", "--run", oldest.name, "--cache", "the-old-one")
    evaluation, bench = commands_of(out)
    assert evaluation == ["eval", "--cache", "the-old-one"]
    assert bench == ["serve-bench", "--cache", "the-old-one"]
    short = ("--candidates", 5, "--seconds", 0.1)
    assert commands_of(lrea(*bench, *short)) == [["eval", "--run", oldest.name]]
    assert f"{oldest.name} (" in lrea(*evaluation)
    assert commands_of(lrea(*bench, *short))[-1][:1] == ["compare"]
    refused = lrea("eval", "--run", newest.name, "--cache", "the-old-one", code=2)
    assert f"The cache 'the-old-one' is of the run '{oldest.name}', not of '{newest.name}'" in refused.replace(
        "\n", " "
    )


@pytest.mark.slow
def test_a_compressed_cache_is_evaluated_and_compared_with_its_run(lrea: Call) -> None:
    lrea("eval", "--run", "tiny-din")
    out = lrea("compress", "--run", "tiny-din", "--compressor", "recent", "--rank", 2, "--cache", "small")
    evaluation, bench = commands_of(out)
    assert evaluation == ["eval", "--cache", "small"]
    bench += ["--candidates", "5", "--seconds", "0.1"]
    assert commands_of(lrea(*bench)) == [evaluation]
    (comparison,) = commands_of(lrea(*evaluation))
    assert comparison == ["compare", "tiny-din", "small"]
    assert commands_of(lrea(*bench)) == [comparison]
    assert "small" in lrea(*comparison)


def test_a_run_that_was_timed_is_scored_and_then_compared(workspace_copy: Workspace) -> None:
    bench: Any = SimpleNamespace(run="tiny-lrea", cache="tiny-lrea-1", compressor=None)
    assert after_serve_bench(workspace_copy, bench) == "lrea eval --run tiny-lrea"
    for name in ("tiny-lrea", "tiny-din"):
        scores_path(workspace_copy.path(RUNS, name), "test").touch()
    assert after_serve_bench(workspace_copy, bench) == "lrea compare tiny-din tiny-lrea"


def test_help_lists_the_commands_in_the_order_of_work(lrea: Call) -> None:
    known = [name for group in COMMANDS.values() for name in group]
    assert known[:5] == ["prepare", "train", "compress", "eval", "serve-bench"]
    lines = lrea("--help").splitlines()
    shown = [line.split()[1] for line in lines if line[:1] == "│" and line.split()[1] in known]
    assert shown == known


@pytest.mark.parametrize(
    ("choice", "guess", "makes"),
    [
        ("lrea", None, "a run of lrea"),
        (None, "lrea", "a run of lrea"),
        ("din, clusters 16", "lrea", "a run of din"),
        ("behaviors on the candidate", None, None),
        (None, None, None),
    ],
)
def test_after_a_decision_comes_the_training_of_what_it_names(
    choice: str | None, guess: str | None, makes: str | None
) -> None:
    decision = made_up_ship()
    commands = tuple(Command(f"a run of {name}", f"lrea train --recipe {name}") for name in ("din", "lrea"))
    measured = replace(decision.measured, commands=commands)
    found = after_decide(Decision(measured, replace(decision.verdict, choice=choice, guess=guess)))
    assert found == (makes and f"lrea train --recipe {makes.removeprefix('a run of ')}")
