"""`lrea serve-bench --methods` as a user types it: tables, JSON and picture, what is reused or missing, a failure."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from lrea_cli.bench import gate as gate_module
from lrea_cli.bench import routes as routes_module
from lrea_cli.bench import timing as timing_module
from lrea_cli.bench import trade_off as trade_off_module
from lrea_cli.bench.gate import GateResult
from lrea_cli.bench.machine import Load, Meter
from lrea_cli.bench.timing import Timings
from lrea_cli.cli import main
from lrea_cli.errors import GateFailed
from lrea_cli.recipe.settings import METHOD_NAMES
from lrea_cli.score import evaluate as served_module
from lrea_cli.score.kept_scores import read_scores
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import read_json
from tests.commands.test_compare import Done

NAMES = [
    "lrea",
    "din",
    "din, recent 16",
    "din, mean",
    "din, random 16",
    "din, codes 16",
    "din, clusters 16",
    "full attention",
]
OPTIONS = ("--candidates", "5", "--seconds", "0.1", "--threads", "1")
FREE = Load(0.99, 0.98, 0.02, 2, 1)
KEYS = {
    *("name", "method", "run", "cache", "compressor", "rank", "auc", "auc_ci", "p50_ms", "p50_ci_ms", "p99_ms"),
    *("interest_p50_ms", "interest_p50_ci_ms", "interest_p99_ms", "bytes_per_user", "compress_ms_per_user"),
    *("rows_changed", "flops_changed", "gate", "speedup_vs_full", "auc_by_seed", "auc_interval", "recipe"),
}


def lrea(home: Path, *arguments: str, busy: bool = False) -> Done:
    """Run a command line.

    Args:
        busy: leave the machine as a test has patched it; else it is free.
    """
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setenv("LREA_HOME", str(home))
        patch.setattr(gate_module, "GATE_USERS", 2)
        patch.setattr(timing_module, "LEAST_ROUNDS", 6)
        if not busy:
            patch.setattr(Meter, "read", lambda _: FREE)
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
    return Done(int(stop.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def first(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A home, and what the command left in it; nothing in it may be changed."""
    home = tmp_path_factory.mktemp("all") / "home"
    shutil.copytree(tiny.home, home)
    return home, lrea(home, "serve-bench", "--methods", "all", *OPTIONS, "--json")


@pytest.fixture
def home(first: tuple[Path, Done], tmp_path: Path) -> Path:
    """A copy of that home to work on."""
    shutil.copytree(first[0], tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Gates that pass everything but the caches named, and loops that take no time."""
    failing: list[str] = []

    def gate(served, *_: object) -> GateResult:
        if served.records.folder.name in failing:
            raise GateFailed("The gate failed: off by 2.", "Make it anew with: lrea compress")
        return GateResult(True, 1e-7, 70, "logit of user 0", 560, 9, 6)

    monkeypatch.setattr(trade_off_module, "run_gate", gate)
    monkeypatch.setattr(routes_module, "take_turns", lambda calls, *_: timings(len(calls)))
    return failing.append


def timings(calls: int, load: Load = FREE) -> Timings:
    """Call n takes n + 1 ms for its interest, and 10 ms for the rest of the request."""
    interest = np.repeat(1.0 + np.arange(calls)[:, None], 20, 1)
    nothing = np.zeros_like(interest)
    return Timings(np.stack([nothing, nothing, interest, 10 + interest], -1), load)


def caches(home: Path) -> set[str]:
    return {path.name for path in (home / "caches").iterdir()}


def written(home: Path, suffix: str) -> list[Path]:
    return sorted((home / "bench").glob(f"*{suffix}"))


def test_one_object_says_all(first: tuple[Path, Done]) -> None:
    home, done = first
    assert done.code == 0, done.err
    found = done.json
    keys = ("dataset", "machine", "candidates", "requests", "rows", "load", "withheld", "picture", "without_run")
    assert set(found) == set(keys)
    assert (found["dataset"], found["candidates"]) == ("synthetic", 5)
    assert set(found["machine"]) == {"cpu", "threads", "device"}
    assert [row["name"] for row in found["rows"]] == NAMES
    assert all(set(row) == KEYS for row in found["rows"])
    for row in found["rows"]:
        assert row["gate"]["passed"] is True
        assert row["auc_ci"][0] < row["auc"] < row["auc_ci"][1]
        assert 0 < row["interest_p50_ms"] <= row["p50_ci_ms"][1]
        assert (row["cache"] is None) == (row["method"] == "full")
        for ratio in row["speedup_vs_full"].values():
            assert 0 < ratio["ci"][0] <= ratio["value"] <= ratio["ci"][1]
    assert found["rows"][-1]["speedup_vs_full"]["request"]["ci"] == [1, 1]
    assert (found["withheld"], found["load"]["share"]) == (None, 0.99)
    assert read_json(written(home, ".json")[0], "") == found


def test_the_picture_lies_beside_the_numbers(first: tuple[Path, Done]) -> None:
    home, done = first
    (numbers,), (picture,) = written(home, ".json"), written(home, ".png")
    assert picture.stem == numbers.stem
    assert picture.stem.endswith("-synthetic")
    assert done.json["picture"] == picture.name
    content = picture.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert 20_000 < len(content) < 300_000


def test_methods_without_a_run_are_named_with_what_trains_them(first: tuple[Path, Done]) -> None:
    missing = [name for name in METHOD_NAMES if name not in ("lrea", "din")]
    command = "lrea train --method {} --dataset synthetic"
    assert first[1].json["without_run"] == [{"method": name, "command": command.format(name)} for name in missing]
    for name in missing:
        assert f"no run of {name} yet: {command.format(name)}" in first[1].err


def test_what_is_made_is_said_and_kept_as_the_commands_keep_it(first: tuple[Path, Done]) -> None:
    home, done = first
    assert caches(home) == {"tiny-lrea-1", *(f"tiny-din-{n}" for n in range(1, 7))}
    assert "run tiny-din has no whole cache by clusters yet: making one first" in done.err
    assert done.err.count("making one first") == len(caches(home))
    assert "bytes of a record" not in done.err  # a line a cache, not the table of `lrea compress`
    rows = {row["name"]: row for row in done.json["rows"]}
    for name in ("din, recent 16", "din, clusters 16"):
        manifest = json.loads((home / "caches" / rows[name]["cache"] / "cache.json").read_text())
        assert manifest["compression"] == {"compressor": name[5:-3], "rank": 16, "seed": 2025}
        assert read_scores(home / "caches" / rows[name]["cache"], "test", "").run == "tiny-din"
    compared = lrea(home, "compare", "tiny-lrea", "tiny-din", rows["din, clusters 16"]["cache"], "--json").json["rows"]
    assert [row["auc"] for row in compared] == [rows[n]["auc"] for n in ("lrea", "din", "din, clusters 16")]
    assert f"next: lrea compare tiny-lrea tiny-din {rows['din, recent 16']['cache']}" in " ".join(done.err.split())


def test_caches_and_scores_are_reused(
    home: Path, first: tuple[Path, Done], quick: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = caches(home)
    monkeypatch.setattr(served_module, "score", lambda *_: pytest.fail("the split was scored again"))
    again = lrea(home, "serve-bench", "--methods", "all", *OPTIONS, "--json")
    assert again.code == 0, again.err
    assert "making one first" not in again.err
    assert caches(home) == before
    kept = ("cache", "auc", "auc_ci", "bytes_per_user", "rows_changed", "flops_changed")
    assert [[row[k] for k in kept] for row in again.json["rows"]] == [
        [row[k] for k in kept] for row in first[1].json["rows"]
    ]


def test_named_methods_alone(home: Path, quick: Callable[[str], None]) -> None:
    found = lrea(home, "serve-bench", "--methods", "twin,lrea", "--dataset", "synthetic", *OPTIONS, "--json").json
    assert [row["name"] for row in found["rows"]] == ["lrea"]
    assert [missing["method"] for missing in found["without_run"]] == ["twin"]


def test_tables_of_80_columns(home: Path, quick: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = lrea(home, "serve-bench", "--methods", "all", *OPTIONS)
    assert shown.code == 0, shown.err
    lines = [line.rstrip() for line in shown.out.splitlines()]
    table = [line for line in lines if line.startswith(tuple(f" {name} " for name in ("method", *NAMES)))]
    assert len(table) == 2 * (1 + len(NAMES))
    assert [line for line in lines if len(line) > 80 and not line.strip().startswith(("/", "lrea "))] == []
    first, second = (line.split() for line in table if line.strip().startswith("din, clusters 16"))
    assert first[-4:] == ["17", "n/a", "1.06", "(1.06-1.06)"]
    assert second[3:5] == ["7", "n/a"]
    assert "p99 n/a: needs 459 requests, has 20" in shown.out
    assert "had one for 99% of the time" in shown.out
    assert "p95" not in shown.out
    assert "9 of 560 searches" in shown.out
    assert sum("made anew" in line for line in table) == 5


def test_a_failed_gate_ends_with_3_and_shows_no_time_of_that_method(home: Path, quick: Callable[[str], None]) -> None:
    quick("tiny-lrea-1")
    done = lrea(home, "serve-bench", "--methods", "all", *OPTIONS, "--json")
    assert done.code == 3
    assert "error: lrea: The gate failed: off by 2." in done.err
    assert "lrea compress" in done.err
    failed, din, *_ = done.json["rows"]
    remedy = "Make it anew with: lrea compress"
    assert failed["gate"] == {"passed": False, "failure": "The gate failed: off by 2.", "remedy": remedy}
    assert {failed[name] for name in ("p50_ms", "p99_ms", "interest_p50_ms", "p50_ci_ms")} == {None}
    assert (din["interest_p50_ms"], din["p50_ms"]) == (1, 11)
    first, second = (line for line in done.err.splitlines() if line.strip().startswith("lrea ") and "failed" in line)
    assert (first.count("failed"), second.count("failed")) == (3, 2)
    assert read_json(written(home, ".json")[-1], "") == done.json
    assert len(written(home, ".png")) == 2


def test_a_busy_machine_has_times_and_no_ratio(
    home: Path, quick: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = Load(0.6, 0.2, 0.9, 2, 2)
    monkeypatch.setattr(routes_module, "take_turns", lambda calls, *_: timings(len(calls), taken))
    done = lrea(home, "serve-bench", "--methods", "din", *OPTIONS, "--json", busy=True)
    assert done.code == 0
    assert "no ratio is given: 40% of the time the thread that serves had no CPU (limit 10%)" in done.err
    assert "Stop what else runs here" in done.err
    assert "40% of the time" in done.json["withheld"]
    for row in done.json["rows"]:
        assert row["p50_ms"] > 10
        assert {value for ratio in row["speedup_vs_full"].values() for value in ratio.values()} == {None}


@pytest.mark.slow
def test_runs_of_other_seeds_and_recipes_take_part(home: Path, quick: Callable[[str], None]) -> None:
    """Another seed of lrea, and another rank: the first changes its AUC, the second is a contender of its own."""
    small = ("--short", "8", "--long", "40", "--epochs", "1", "--batch-size", "256", "--threads", "1")
    before = json.loads((home / "runs" / "tiny-lrea" / "run.json").read_text())["recipe"]
    recipe = home / "tiny.toml"
    recipe.write_text("[model]\nhidden = [16, 8]\n")
    for name, more in (("rank-3", ("--rank", "3")), ("other-seed", ("--rank", "6", "--seed", "7"))):
        made = lrea(home, "train", "--recipe", str(recipe), "--run", name, *small, *more)
        assert made.code == 0, made.err
    after = json.loads((home / "runs" / "other-seed" / "run.json").read_text())["recipe"]
    assert {**after["train"], "seed": before["train"]["seed"]} == before["train"]
    done = lrea(home, "serve-bench", "--methods", "lrea", *OPTIONS, "--json")
    assert done.code == 0, done.err
    rank_3, rank_6 = done.json["rows"]
    assert (rank_3["name"], rank_6["name"]) == ("lrea (rank 3)", "lrea (rank 6)")
    assert (rank_3["run"], rank_6["run"]) == ("rank-3", "other-seed")
    kept = [read_scores(home / "runs" / run, "test", "") for run in ("other-seed", "tiny-lrea")]
    each = [auc(of.served, of.label) for of in kept]
    assert rank_6["auc_by_seed"] == each
    assert rank_6["auc"] == pytest.approx(sum(each) / 2)  # pyright: ignore
    assert rank_3["auc_by_seed"] == [rank_3["auc"]]
    assert "AUC: mean of the runs that differ only in their seed; its interval is over seeds and users" in done.err


def test_where_all_gates_fail_there_is_no_picture(home: Path, quick: Callable[[str], None]) -> None:
    quick("tiny-lrea-1")
    done = lrea(home, "serve-bench", "--methods", "lrea", *OPTIONS, "--json")
    assert done.code == 3
    assert done.json["picture"] is None
    assert len(written(home, ".png")) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["all", "--run", "tiny-din"], ["--methods chooses the runs, the caches", "--run"]),
        (["all", "--cache", "tiny-din-1"], ["--methods chooses the runs, the caches"]),
        (["all", "--kernel", "naive"], ["--methods chooses the runs, the caches"]),
        (["lrea,tvin"], ["--methods is 'tvin'", "did you mean 'twin'?", "din-short"]),
        (["sim,twin"], ["'synthetic' has no run of sim, twin", "lrea train --method twin --dataset synthetic"]),
        (["all", "--dataset", "other"], ["no dataset 'other'"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_mistakes_end_with_2_and_a_remedy(first: tuple[Path, Done], arguments: list[str], words: list[str]) -> None:
    found = lrea(first[0], "serve-bench", "--methods", *arguments)
    assert (found.code, found.out) == (2, "")
    for word in words:
        assert word in found.err


def test_compare_takes_no_such_result(first: tuple[Path, Done]) -> None:
    name = written(first[0], ".json")[0].name
    found = lrea(first[0], "compare", name, name)
    assert (found.code, found.out) == (2, "")
    assert "compares methods within itself" in found.err
    assert "lrea serve-bench --run NAME" in found.err


def test_the_dataset_is_that_of_the_latest_run(home: Path, quick: Callable[[str], None]) -> None:
    assert lrea(home, "prepare", "synthetic", "--users", "60", "--dataset", "later").code == 0
    done = lrea(home, "serve-bench", "--methods", "lrea", *OPTIONS, "--json")
    assert done.json["dataset"] == "synthetic"
    assert "dataset synthetic: all runs of these methods are of it" in done.err
    tiny_options = ("--short", "8", "--long", "40", "--rank", "6", "--epochs", "1", "--batch-size", "64")
    assert lrea(home, "train", "--dataset", "later", *tiny_options).code == 0
    both = lrea(home, "serve-bench", "--methods", "lrea,din", *OPTIONS, "--json")
    assert both.json["dataset"] == "later"
    assert "dataset later: 2 runs of these methods are of other datasets" in both.err
    assert [missing["method"] for missing in both.json["without_run"]] == ["din"]
    only = lrea(home, "serve-bench", "--methods", "din", *OPTIONS, "--json")
    assert only.json["dataset"] == "synthetic"
    named = lrea(home, "serve-bench", "--methods", "lrea", "--dataset", "synthetic", *OPTIONS, "--json")
    assert "dataset synthetic: 1 run of these methods is of other datasets" in named.err


def test_without_any_run_the_command_that_trains_one_is_proposed(workspace_copy: Workspace) -> None:
    shutil.rmtree(workspace_copy.home / "runs")
    done = lrea(workspace_copy.home, "serve-bench", "--methods", "din", *OPTIONS)
    assert done.code == 2
    assert "lrea train --method din --dataset synthetic" in done.err
