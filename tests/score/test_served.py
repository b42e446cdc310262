"""Scores as served: what `eval` kept is taken while it belongs to the run; new ones are kept in the same way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lrea_cli.cli import main
from lrea_cli.console.progress import Silent
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.checkpoint import Run, open_run
from lrea_cli.score import evaluate as served_module
from lrea_cli.score.evaluate import served_scores
from lrea_cli.score.kept_scores import KeptScores, read_scores, scores_path, write_evaluation
from lrea_cli.workspace.home import Workspace
from tests.selection import one_by_default

CPU = torch.device("cpu")


@pytest.fixture
def own_run(workspace_copy: Workspace) -> Run:
    """`tiny-lrea` in a workspace of its own."""
    return open_run(workspace_copy, "tiny-lrea", None, CPU)


def cache_of(run: Run, compression: Compression | None = None, name: str = "own") -> Cache:
    """Records of a run; scores need their kind alone, so those of the method are made once."""
    workspace = Workspace(run.artifact.path.parents[1])
    if name not in [artifact.name for artifact in workspace.all(CACHES)]:
        compress(workspace, run, CacheSettings(compression=compression), Silent(), name)
    return open_cache(workspace, run, name)


def scored(run: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[KeptScores, int]:
    """The scores, and how often the split was scored for them."""
    times, right = [], served_module.score
    monkeypatch.setattr(served_module, "score", lambda *a: (times.append(1), right(*a))[1])
    found = served_scores(run, cache_of(run), Silent())
    monkeypatch.setattr(served_module, "score", right)
    return found, len(times)


def same(a: KeptScores, b: KeptScores) -> bool:
    return a.facts == b.facts and all(np.array_equal(a.columns[name], b.columns[name]) for name in a.columns)


def test_new_scores_are_kept_as_eval_keeps_them(
    own_run: Run, workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, times = scored(own_run, monkeypatch)
    assert times == 1
    folder = own_run.artifact.path
    kept = read_scores(folder, "test", ""), json.loads((folder / "eval-test.json").read_text())
    assert same(kept[0], found)
    assert kept[1]["auc_cached"] is not None
    monkeypatch.setenv("LREA_HOME", str(workspace_copy.home))
    with pytest.raises(SystemExit) as stop:
        main(["eval", "--run", "tiny-lrea"])
    assert not stop.value.code
    assert same(read_scores(folder, "test", ""), kept[0])
    assert json.loads((folder / "eval-test.json").read_text()) == kept[1]
    again, times = scored(own_run, monkeypatch)
    assert times == 0
    assert same(again, found)


@pytest.mark.parametrize(
    "changed",
    one_by_default(
        {"served_from": "float16 records"}, {"made_from": "another dataset"}, {"run": "other"}, {"method": "din"}
    ),
    ids=lambda changed: next(iter(changed)),
)
def test_scores_of_something_else_are_not_taken(
    own_run: Run, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any]
) -> None:
    right, _ = scored(own_run, monkeypatch)
    write_evaluation(own_run.artifact.path, replace(right, **changed), {})
    found, times = scored(own_run, monkeypatch)
    assert times == 1
    assert same(found, right)
    assert same(read_scores(own_run.artifact.path, "test", ""), right)


def test_damaged_scores_are_made_anew(own_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    right, _ = scored(own_run, monkeypatch)
    path = scores_path(own_run.artifact.path, "test")
    path.write_bytes(path.read_bytes()[:-9])
    found, times = scored(own_run, monkeypatch)
    assert times == 1
    assert same(found, right)


def test_scores_through_a_compressors_records_lie_with_the_cache(workspace_copy: Workspace) -> None:
    run, few = open_run(workspace_copy, "tiny-din", None, CPU), Compression("recent", 2)
    opened = cache_of(run, few, "few")
    cache, found = opened.artifact, served_scores(run, opened, Silent())
    assert found.served_from == "float32 records of recent at rank 2"
    assert not np.allclose(found.served, found.trained)
    assert same(read_scores(cache.path, "test", ""), found)
    assert json.loads((cache.path / "eval-test.json").read_text())["cache"] == "few"
    assert not scores_path(run.artifact.path, "test").exists()
