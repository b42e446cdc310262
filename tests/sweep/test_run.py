"""A sweep does what is missing and nothing else, whatever stopped it before, and with any number of workers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lrea_cli.console.progress import Silent
from lrea_cli.dataset.layout import DatasetInfo, Split
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import LreaError, UserError
from lrea_cli.score.kept_scores import check_evaluation
from lrea_cli.sweep import run
from lrea_cli.sweep.gather import gather
from lrea_cli.sweep.results import LeftOut, Results
from lrea_cli.workspace.home import Artifact, Workspace, sha256_of
from tests.changed import change_json
from tests.fixtures.one_label import give_one_label
from tests.sweep.conftest import ABOUT, RECIPES, Inline, InlineSweep, make_dataset, make_sweep, run_of

Again = Callable[..., list[str]]


def runs(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "runs").iterdir())


def chosen(home: Path) -> dict[str, float]:
    """lr of each recipe, from the runs of the second seed."""
    found = {}
    for recipe in RECIPES:
        (path,) = (home / "runs").glob(f"tiny-{recipe}-*-seed2")
        found[recipe] = json.loads((path / "run.json").read_text())["recipe"]["train"]["lr"]
    return found


def test_each_point_on_the_first_seed_and_the_chosen_one_on_the_others(swept: Path) -> None:
    assert len(runs(swept)) == 2 * 2 + 2
    assert all(run_of(name, 1, lr=lr) in runs(swept) for name in RECIPES for lr in (0.05, 0.1))
    for name, lr in chosen(swept).items():
        valid = {
            point: json.loads((swept / "runs" / run_of(name, 1, lr=point) / "run.json").read_text())
            for point in (0.05, 0.1)
        }
        assert valid[lr]["best_valid_auc"] == max(found["best_valid_auc"] for found in valid.values())


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_split_with_one_label_ends_a_sweep_before_any_training(
    tmp_path: Path, dataset: Artifact, inline_sweep: InlineSweep, split: Split
) -> None:
    shutil.copytree(dataset.path, tmp_path / "main" / "data" / "tiny")
    artifact = Workspace(tmp_path / "main").open(DATASETS, "tiny")
    give_one_label(DatasetInfo.of(artifact), split, 1)
    artifact = Workspace(tmp_path / "main").open(DATASETS, "tiny")
    pool = Inline()
    with pytest.raises(UserError, match=f"All samples of the {split} split of 'tiny' have label 1"):
        replace(inline_sweep, dataset=artifact)(make_sweep(), tmp_path / "home", pool)
    assert pool.names == []


@pytest.mark.slow
def test_a_recipe_that_is_trained_once_is_compared_on_that_seed(
    tmp_path: Path, dataset: Artifact, inline_sweep: InlineSweep
) -> None:
    sweep = make_sweep(once=["lrea-4"])
    finished = inline_sweep(sweep, tmp_path / "home")
    assert len(runs(tmp_path / "home")) == 2 * 2 + 1
    scored = {one.recipe: one for one in gather(sweep, finished, ABOUT, Silent()).scored}
    assert {name: one.seeds for name, one in scored.items()} == {"mean": (1, 2), "lrea-4": (1,)}
    difference = scored["lrea-4"].difference
    assert difference is not None
    (lrea,), (mean, _) = scored["lrea-4"].auc.values, scored["mean"].auc.values
    assert lrea is not None
    assert mean is not None
    assert difference.mean == pytest.approx(lrea - mean)


def test_the_second_call_does_nothing(again: Again) -> None:
    assert again() == []


def test_a_removed_run_is_trained_and_evaluated_again_and_no_other(home: Path, again: Again) -> None:
    name = run_of("mean", 2, lr=chosen(home)["mean"])
    before = sha256_of(home / "runs" / name / "checkpoint" / "model.safetensors")
    shutil.rmtree(home / "runs" / name)
    assert again() == [name, name]
    assert sha256_of(home / "runs" / name / "checkpoint" / "model.safetensors") == before


@pytest.mark.parametrize(
    ("file", "jobs"),
    [
        pytest.param("run.json", 2, marks=pytest.mark.slow),
        ("eval-test.json", 1),
        pytest.param("scores-test.parquet", 1, marks=pytest.mark.slow),
        ("sweep-test.json", 1),
    ],
)
def test_a_damaged_result_is_made_anew(home: Path, again: Again, file: str, jobs: int) -> None:
    name = run_of("mean", 2, lr=chosen(home)["mean"])
    path = home / "runs" / name / file
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    assert again() == [name] * jobs
    check_evaluation(path.parent, "test", "")
    assert again() == []


@pytest.mark.slow
def test_a_changed_recipe_trains_its_own_runs_and_no_other(again: Again) -> None:
    changed = {**RECIPES, "lrea-4": {"model": {"method": "lrea", "rank": 5}}}
    names = again(make_sweep(changed))
    assert all(name.startswith("tiny-lrea-4-") for name in names)
    assert len(set(names)) == 3


@pytest.mark.slow
def test_another_dataset_of_the_same_name_trains_all(home: Path, again: Again, tmp_path: Path) -> None:
    names = again(make_sweep(seeds=(1,)), make_dataset(tmp_path / "other", 81))
    assert len(set(names)) == 4
    assert json.loads((home / "data" / "tiny" / "data.json").read_text())["users"] == 81


def test_a_seed_more_trains_that_seed(home: Path, again: Again) -> None:
    expected = {run_of(name, 3, lr=lr) for name, lr in chosen(home).items()}
    assert set(again(make_sweep(seeds=(1, 2, 3)))) == expected


def test_the_search_chooses_by_validation_and_not_by_test(home: Path, again: Again) -> None:
    lr = chosen(home)["mean"]
    other = {0.05: 0.1, 0.1: 0.05}[lr]
    evaluation = home / "runs" / run_of("mean", 1, lr=lr) / "sweep-test.json"
    found = json.loads(evaluation.read_text())
    change_json(evaluation, evaluation={**found["evaluation"], "auc": 0.0})
    assert again() == []
    change_json(home / "runs" / run_of("mean", 1, lr=other) / "run.json", best_valid_auc=0.999)
    assert set(again()) == {run_of("mean", 1, lr=other), run_of("mean", 2, lr=other)}


@pytest.mark.slow
def test_a_job_that_fails_leaves_the_others_and_is_tried_again(tmp_path: Path, inline_sweep: InlineSweep) -> None:
    def fail(name: str) -> None:
        if name == run_of("mean", 1, lr=0.1):
            raise LreaError("The loss became nan.")

    finished = inline_sweep(make_sweep(), tmp_path / "home", Inline(fail))
    assert {f.job: f.message for f in finished.failures} == {run_of("mean", 1, lr=0.1): "The loss became nan."}
    assert chosen(tmp_path / "home")["mean"] == 0.05
    found = gather(make_sweep(), finished, ABOUT, Silent())
    assert [t.run for t in found.tried if t.valid_auc is None] == [run_of("mean", 1, lr=0.1)]
    assert len(found.scored) == 2
    again = Inline()
    assert not inline_sweep(make_sweep(), tmp_path / "home", again).failures
    assert again.names[0] == run_of("mean", 1, lr=0.1)
    assert all(name.startswith("tiny-mean") for name in again.names)


NO_SUCH_FIELD = {"data": {"short": 8, "long": 40, "match_counters": ["brand"]}, "model": {"method": "mean"}}
REASON = "match_counters: the dataset has no item field 'brand'."


class Lines(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def test_a_recipe_that_cannot_run_on_a_dataset_is_said_once_and_the_others_run(
    home: Path, inline_sweep: InlineSweep
) -> None:
    sweep, pool, lines = make_sweep({**RECIPES, "brand": NO_SUCH_FIELD}), Inline(), Lines()
    finished = inline_sweep(sweep, home, pool, lines)
    assert (pool.names, finished.failures) == ([], ())
    assert [line for line in lines.said if "brand" in line] == [f"brand is left out on tiny: {REASON}"]
    found = gather(sweep, finished, ABOUT, Silent())
    assert found.left_out == (LeftOut("tiny", "brand", REASON),)
    assert {s.recipe for s in found.scored} == {t.recipe for t in found.tried} == set(RECIPES)


def test_a_sweep_of_which_no_recipe_can_run_is_refused(home: Path, again: Again) -> None:
    with pytest.raises(UserError, match=re.escape(f"No recipe can run: brand on tiny: {REASON}")):
        again(make_sweep({"brand": NO_SUCH_FIELD}, base="brand"))


def test_two_sweeps_at_a_time_in_one_workspace_are_refused(home: Path, again: Again) -> None:
    with Workspace(home).alone("sweep"), pytest.raises(UserError, match="Another lrea sweep works in"):
        again()


def test_what_a_killed_sweep_left_is_cleared(home: Path, again: Again) -> None:
    left = home / "runs" / ".partial-tiny-mean-7"
    left.mkdir()
    (left / "metrics.jsonl").write_text("half")
    assert again() == []
    assert not left.exists()


def numbers(found: Results) -> dict[str, Any]:
    """Without what a clock says."""
    content = found.to_dict()
    for row in [*content["scored"], *content["tried"]]:
        del row["seconds"]
    return content


@pytest.mark.slow
def test_no_number_depends_on_the_number_of_workers(
    tmp_path: Path, swept: Path, dataset: Artifact, inline_sweep: InlineSweep
) -> None:
    finished = run.run_sweep(make_sweep(), dataset, Workspace(tmp_path / "home"), 2, Silent())
    assert not finished.failures
    alone = inline_sweep(make_sweep(), swept)
    found, expected = (numbers(gather(make_sweep(), f, ABOUT, Silent())) for f in (finished, alone))
    assert found == expected


def test_results_hold_means_paired_differences_and_every_training(swept: Path, inline_sweep: InlineSweep) -> None:
    found = gather(make_sweep(), inline_sweep(make_sweep(), swept), ABOUT, Silent())
    mean, lrea = found.scored
    assert (mean.recipe, lrea.recipe) == ("mean", "lrea-4")
    assert mean.difference is None
    assert lrea.difference is not None
    assert lrea.difference.mean is not None
    assert lrea.auc.mean is not None
    assert mean.auc.mean is not None
    assert lrea.difference.mean == pytest.approx(lrea.auc.mean - mean.auc.mean, abs=1e-12)
    assert lrea.seeds == (1, 2)
    assert lrea.column_entropy.mean is not None
    assert mean.column_entropy.mean is None
    assert lrea.bytes_per_record.mean > mean.bytes_per_record.mean > 0  # type: ignore[operator]
    assert len(found.tried) == 6
    assert sum(t.chosen for t in found.tried) == 4
    assert found.datasets[0].users == 80
    assert 0.5 < found.datasets[0].best["bayes_auc"] <= 1


FOLDER = """
[data]
short = 8
long = 40
[model]
method = "{method}"
hidden = [8]
embedding_dim = 4
[train]
epochs = 2
batch_size = 64
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_is_stopped_goes_on(tmp_path: Path, dataset: Artifact, how: signal.Signals) -> None:
    folder, home = tmp_path / "cut", tmp_path / "home"
    folder.mkdir()
    for method in ("mean", "din-short", "lrea"):
        text = FOLDER.format(method=method)
        of_method = "rank = 4\nembedding_dim" if method == "lrea" else "embedding_dim"
        (folder / f"{method}.toml").write_text(text.replace("embedding_dim", of_method))
    shutil.copytree(dataset.path, home / "data" / "tiny")
    command = [sys.executable, "-m", "lrea_cli", "sweep", str(folder), "--seeds", "2", "--jobs", "2"]
    first = subprocess.Popen(
        command, env={**os.environ, "LREA_HOME": str(home)}, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    made = home / "sweeps" / "cut-tiny" / "runs"
    while not list(made.glob("tiny-*/run.json")) and first.poll() is None:
        time.sleep(0.02)
    os.kill(first.pid, how)
    _, errors = first.communicate(timeout=60)
    assert first.returncode == (130 if how is signal.SIGINT else -9)
    assert "Traceback" not in errors
    if how is signal.SIGINT:
        assert f"go on with: lrea sweep {folder}" in errors
    while _alive(first.pid):
        time.sleep(0.02)
    kept = {path: sha256_of(path) for path in made.glob("tiny-*/run.json")}
    assert 0 < len(kept) < 6
    done = subprocess.run(command, env={**os.environ, "LREA_HOME": str(home)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(made.glob("tiny-*/run.json"))) == 6
    assert {path: sha256_of(path) for path in kept} == kept


def _alive(session: int) -> bool:
    """A process of the session of the stopped sweep is still there."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True
