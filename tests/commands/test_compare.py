"""`lrea compare` as a user types it: kept scores of runs and caches, serve-bench results, and each error path."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrea_cli.cli import main
from lrea_cli.records.manifest import CACHES
from lrea_cli.score.kept_scores import read_scores, write_evaluation
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.metrics import METRICS
from lrea_cli.workspace.home import Workspace, write_manifest
from lrea_cli.workspace.sealed import read_json, write_json
from tests.bench.test_compare import result
from tests.bench.test_compare import row as bench_row
from tests.changed import change_json
from tests.manifests import manifest_of


@dataclass(frozen=True)
class Done:
    """What a command line left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out.count("\n") == 1, self.err
        return json.loads(self.out)


Lrea = Callable[..., Done]


@pytest.fixture(scope="module")
def scored(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home where both runs have kept scores of test; nothing in it may be changed."""
    home = tmp_path_factory.mktemp("scored") / "home"
    shutil.copytree(tiny.home, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LREA_HOME", str(home))
        for run in ("tiny-lrea", "tiny-din"):
            with pytest.raises(SystemExit) as stop:
                main(["eval", "--run", run])
            assert not stop.value.code
    return home


@pytest.fixture
def home(scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `scored` to work on."""
    shutil.copytree(scored, tmp_path / "home")
    monkeypatch.setenv("LREA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def lrea(capsys: pytest.CaptureFixture[str]) -> Lrea:
    def run(*arguments: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in arguments])
        found = capsys.readouterr()
        return Done(int(stop.value.code or 0), found.out, found.err)

    return run


def test_runs_are_compared_with_the_first(home: Path, lrea: Lrea) -> None:
    found = lrea("compare", "tiny-lrea", "tiny-din", "tiny-lrea", "--json").json
    assert (found["split"], found["form"]) == ("test", "served")
    base, other, same = found["rows"]
    keys = {"run", "method", *(metric.name for metric in METRICS), "difference", "ci", "resolved", "resolvable"}
    assert all(set(row) == keys for row in found["rows"])
    evals = {run: json.loads((home / "runs" / run / "eval-test.json").read_text()) for run in ("tiny-lrea", "tiny-din")}
    assert (base["run"], base["method"], base["auc"]) == ("tiny-lrea", "lrea", evals["tiny-lrea"]["auc_cached"])
    assert (base["difference"], base["ci"], base["resolved"], base["resolvable"]) == (None, None, False, None)
    assert other["gauc"] == evals["tiny-din"]["gauc_cached"]
    assert other["difference"] == other["auc"] - base["auc"]
    one, two = (read_scores(home / "runs" / run, "test", "") for run in ("tiny-lrea", "tiny-din"))
    wanted = auc_difference(one.served, two.served, one.label, one.user)
    assert (tuple(other["ci"]), other["resolvable"]) == (wanted.ci, wanted.resolvable)
    assert (same["difference"], same["ci"], same["resolved"]) == (0, [0, 0], False)


def test_the_trained_form_is_the_training_forms_auc(home: Path, lrea: Lrea) -> None:
    found = lrea("compare", "tiny-lrea", "tiny-din", "--form", "trained", "--json").json["rows"]
    trained = json.loads((home / "runs" / "tiny-lrea" / "eval-test.json").read_text())["auc"]
    assert found[0]["auc"] == trained
    assert found[0]["auc"] != lrea("compare", "tiny-lrea", "tiny-din", "--json").json["rows"][0]["auc"]


def test_what_is_not_resolved_is_marked(home: Path, lrea: Lrea) -> None:
    shown = lrea("compare", "tiny-lrea", "tiny-lrea", "tiny-din").out
    lines = [line for line in shown.splitlines() if line.strip().startswith("tiny-")]
    found = lrea("compare", "tiny-lrea", "tiny-lrea", "tiny-din", "--json").json["rows"]
    assert [line.rstrip().endswith("~") for line in lines] == [False, True, not found[2]["resolved"]]
    assert f"+{0:.5f} to +{0:.5f}" in lines[1]
    assert "smallest difference that this test set can resolve" in shown
    assert f"{found[2]['resolvable']:.5f}" in shown
    assert all(len(line.rstrip()) <= 80 for line in lines)


def add_seed(home: Path, run: str, seed: int) -> str:
    """The same run as if it were of another seed: only its manifest and its scores are read."""
    name = f"{run}-{seed}"
    shutil.copytree(home / "runs" / run, home / "runs" / name)
    recipe = read_json(home / "runs" / run / "run.json", "")["recipe"]
    change_json(home / "runs" / name / "run.json", recipe={**recipe, "train": {**recipe["train"], "seed": seed}})
    kept = read_scores(home / "runs" / run, "test", "")
    noise = 0.1 * np.random.default_rng(seed).normal(size=len(kept.label))
    write_evaluation(home / "runs" / name, replace(kept, run=name, served=kept.served + noise), {})
    return name


def test_runs_of_several_seeds_are_compared_as_methods_too(home: Path, lrea: Lrea) -> None:
    names = [name for run in ("tiny-lrea", "tiny-din") for name in (run, add_seed(home, run, 7))]
    found = lrea("compare", *names, "--json").json
    assert found["interval"] == "given the trained models"
    assert [row["runs"] for row in found["methods"]] == [names[:2], names[2:]]
    first, other = found["methods"]
    assert other["interval"] == "over seeds and users"
    assert other["difference"] == pytest.approx(other["auc"] - first["auc"])
    assert other["ci"][0] < other["difference"] < other["ci"][1]
    shown = lrea("compare", *names).out
    assert "these intervals are over seeds and users" in shown
    assert "these intervals are given the trained models" in shown
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines() if line.strip().startswith("tiny-"))
    assert "given the trained models, as one side has one seed: tiny-din" in lrea("compare", *names[:3]).out
    assert lrea("compare", "tiny-lrea", "tiny-din", "--json").json["methods"] == []


def test_neither_model_nor_torch_is_needed(home: Path) -> None:
    shutil.rmtree(home / "runs" / "tiny-din" / "checkpoint")
    program = "import sys; sys.modules['torch'] = None; from lrea_cli.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-W", "error", "-c", program, "compare", "tiny-lrea", "tiny-din", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LREA_HOME": str(home)})
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["rows"]) == 2


def add_cache(home: Path, name: str) -> None:
    """A cache with kept scores: only its manifest and they are read."""
    folder = home / "caches" / name
    folder.mkdir(parents=True)
    write_manifest(folder, CACHES, manifest_of(CACHES, run="tiny-din", made_from="x"))
    write_evaluation(folder, read_scores(home / "runs" / "tiny-din", "test", ""), {})


def test_a_cache_is_compared_by_its_own_scores(home: Path, lrea: Lrea) -> None:
    add_cache(home, "half")
    found = lrea("compare", "tiny-din", "half", "--json").json["rows"]
    assert (found[1]["run"], found[1]["method"], found[1]["difference"]) == ("half", "din", 0)


def test_a_cache_without_scores_names_its_command(home: Path, lrea: Lrea) -> None:
    add_cache(home, "half")
    (home / "caches" / "half" / "scores-test.parquet").unlink()
    found = lrea("compare", "tiny-din", "half")
    assert found.code == 2
    assert "lrea eval --run tiny-din --cache half --split test" in found.err


def test_a_name_of_two_things_is_an_error(home: Path, lrea: Lrea) -> None:
    add_cache(home, "tiny-din")
    found = lrea("compare", "tiny-lrea", "tiny-din")
    assert found.code == 2
    assert "'tiny-din' is a run and a cache" in found.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tiny-lrea"], ["nothing to compare 'tiny-lrea' with"]),
        (["tiny-lrea", "tiny-dim"], ["no run or cache 'tiny-dim'", "did you mean 'tiny-din'?", "lrea train"]),
        (["tiny-lrea", "../x"], ["no run or cache '../x'"]),
        (["tiny-lrea", "tiny-din", "--split", "valid"], ["no kept scores of valid", "lrea eval --run tiny-lrea"]),
        (["tiny-lrea", "a.json"], ["mixed"]),
        (["a.json", "b.json", "c.json"], ["3 serve-bench results"]),
        (["a.json", "b.json"], ["no result 'a.json'", "lrea serve-bench"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_mistakes_end_with_2_and_a_remedy(home: Path, lrea: Lrea, arguments: list[str], words: list[str]) -> None:
    found = lrea("compare", *arguments)
    assert (found.code, found.out) == (2, "")
    assert "Traceback" not in found.err
    for word in words:
        assert word in found.err


def test_damaged_scores_name_the_command(home: Path, lrea: Lrea) -> None:
    path = home / "runs" / "tiny-din" / "scores-test.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    found = lrea("compare", "tiny-lrea", "tiny-din")
    assert found.code == 2
    assert "damaged" in found.err
    assert "lrea eval --run tiny-din --split test" in found.err


def test_scores_of_another_version_of_the_dataset_are_refused(home: Path, lrea: Lrea) -> None:
    change_json(home / "runs" / "tiny-din" / "run.json", made_from="another")
    found = lrea("compare", "tiny-lrea", "tiny-din")
    assert found.code == 2
    assert "another version of the dataset" in found.err
    assert "lrea eval --run tiny-din" in found.err


@pytest.mark.parametrize(
    ("changed", "words"), [({"made_from": "another"}, "different datasets"), ({"item": None}, "different rows")]
)
def test_scores_of_other_rows_are_refused(home: Path, lrea: Lrea, changed: dict[str, Any], words: str) -> None:
    from dataclasses import replace

    add_cache(home, "other")
    scores = read_scores(home / "caches" / "other", "test", "")
    other = replace(scores, **{k: v or scores.item + 1 for k, v in changed.items()})
    write_evaluation(home / "caches" / "other", other, {})
    found = lrea("compare", "tiny-lrea", "other")
    assert found.code == 2
    assert words in found.err
    assert "lrea eval --run tiny-din --cache other" in found.err


def test_two_benches_are_compared(home: Path, lrea: Lrea, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LREA_NATIVE", "0")
    options = ("--candidates", 5, "--seconds", 0.1, "--threads", 1)
    stdout = lrea("serve-bench", "--run", "tiny-lrea", *options, "--kernel", "gemm", "--json").json
    lrea("serve-bench", "--run", "tiny-din", *options)
    first, second = sorted(p.name for p in (home / "bench").iterdir())
    kept = read_json(home / "bench" / first, "")
    assert [len(row.pop("latencies_ms")) for row in kept["rows"]] == [row["requests"] for row in stdout["rows"]]
    assert kept == stdout
    assert all(row["p50_ci_ms"][0] <= row["p50_ms"] <= row["p50_ci_ms"][1] for row in stdout["rows"])
    found = lrea("compare", first, second, "--json").json
    assert (len(found["rows"]), found["unmatched_rows"]) == (6, 6)
    for row, timed in zip(found["rows"], stdout["rows"], strict=True):
        assert (row["stage"], row["route"], row["kernel"]) == (timed["stage"], timed["route"], "gemm")
        assert row["p50_ms"][0] == pytest.approx(timed["p50_ms"], abs=0.00051)
        assert row["ci"][0] <= row["ratio"] <= row["ci"][1]
    assert found["rows"][0]["method"] == ["lrea", "din"]
    shown = lrea("compare", f"home/bench/{first}", first)  # a path, and a name in bench/
    assert shown.out.count("~") == 6
    assert "1.000" in shown.out


def test_a_bench_without_latencies_is_refused(home: Path, lrea: Lrea) -> None:
    (home / "bench").mkdir()
    for name in ("a.json", "b.json"):
        write_json(home / "bench" / name, result())
    found = lrea("compare", "a.json", "b.json")
    assert found.code == 2
    assert "no latencies to compare" in found.err
    assert "lrea serve-bench" in found.err


def test_other_machines_are_pointed_out(home: Path, lrea: Lrea) -> None:
    (home / "bench").mkdir()
    for name in ("a", "b"):
        machine = {"cpu": name, "threads": 1, "device": "cpu"}
        content = {**result(bench_row("full", [1.0, 2.0, 3.0] * 5)), "machine": machine}
        write_json(home / "bench" / f"{name}.json", content)
    found = lrea("compare", "a.json", "b.json")
    assert found.code == 0
    assert "the machines differ" in found.err
    assert "the machines differ" not in lrea("compare", "a.json", "a.json").err


def test_eval_shows_tables_of_80_columns(home: Path, lrea: Lrea, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = lrea("eval", "--run", "tiny-lrea")
    assert shown.code == 0
    lines = [line.rstrip() for line in shown.out.splitlines()]
    assert all(len(line) <= 80 for line in lines if not line.startswith("next:"))
    for word in ("95% interval, paired", "candidate seen before", "normalized entropy", "predicted / observed clicks"):
        assert word in shown.out
