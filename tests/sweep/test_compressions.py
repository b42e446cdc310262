"""Compressions of a finished din run: against its own kept scores, once for each version of the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lrea_cli.console.progress import Silent
from lrea_cli.recipe.settings import COMPRESSOR_NAMES
from lrea_cli.reporting.results import page
from lrea_cli.stats.estimates import deviation
from lrea_cli.stats.methods import paired_difference
from lrea_cli.stats.ranks import UserClusters
from lrea_cli.sweep.gather import gather
from lrea_cli.sweep.jobs import CompressJob, EvaluateJob
from lrea_cli.workspace.home import Workspace
from tests.changed import change_json
from tests.sweep.conftest import ABOUT, Inline, InlineSweep, make_sweep


@pytest.fixture
def evaluated(workspace_copy: Workspace) -> Path:
    """Home with the evaluated run `tiny-din`."""
    job = EvaluateJob(workspace_copy.home, "tiny-din")
    assert not job.done()
    job()
    assert job.done()
    return workspace_copy.home


def test_all_rows_are_full_attention_and_fewer_deviate_and_weigh_less(evaluated: Path) -> None:
    found = {}
    for rank in (40, 2):
        job = CompressJob(evaluated, "tiny-din", "recent", rank, 1)
        assert not job.done()
        job()
        assert job.done()
        found[rank] = json.loads((evaluated / "runs" / "tiny-din" / job.file).read_text())
    assert found[40]["deviation"] < 1e-5
    assert abs(found[40]["difference"]["value"]) < 1e-4
    assert found[2]["deviation"] > 10 * found[40]["deviation"]
    assert found[2]["bytes_per_record"] < found[40]["bytes_per_record"]
    assert found[2]["deviation_long"] is None  # no long sequence of this run has 64 behaviors


def test_another_version_of_the_run_is_compressed_anew(evaluated: Path) -> None:
    job = CompressJob(evaluated, "tiny-din", "mean", 2, 1)
    job()
    change_json(evaluated / "runs" / "tiny-din" / "run.json", note="trained anew")
    assert not job.done()


def test_a_sweep_compresses_what_it_trained(inline_sweep: InlineSweep, tmp_path: Path) -> None:
    compress = {"compressors": list(COMPRESSOR_NAMES), "ranks": [2]}
    sweep = make_sweep({"din": {"model": {"method": "din"}}}, (3,), base="din", search={}, compress=compress)
    pool = Inline()
    finished = inline_sweep(sweep, tmp_path / "home", pool)
    assert not finished.failures
    assert pool.names == ["tiny-din-seed3"] * 2 + [f"tiny-din-seed3 by {name} to 2" for name in COMPRESSOR_NAMES]
    results = gather(sweep, finished, ABOUT, Silent())
    assert all(c.difference.ci and c.difference.ci_over_seeds is None for c in results.compressed)  # of one seed
    assert {c.compressor for c in results.compressed} == set(COMPRESSOR_NAMES)
    assert all(c.deviation.mean is not None and c.seeds == (3,) for c in results.compressed)
    assert all(f"| din | {name} | 2 |" in page(results, "x.json") for name in COMPRESSOR_NAMES)


def test_logits_that_were_changed_are_made_anew(evaluated: Path) -> None:
    job = CompressJob(evaluated, "tiny-din", "mean", 2, 1)
    job()
    kept = EvaluateJob(evaluated, "tiny-din")
    assert kept.done()
    np.save(job.logits_path, job.logits() + 1)
    assert not job.done()
    job.logits_path.unlink()
    assert not job.done()


@pytest.mark.slow
def test_a_compression_of_several_seeds_has_the_interval_of_the_same_runs(
    inline_sweep: InlineSweep, tmp_path: Path
) -> None:
    compress = {"compressors": ["mean"], "ranks": [1]}
    sweep = make_sweep({"din": {"model": {"method": "din"}}}, (1, 2), base="din", search={}, compress=compress)
    finished = inline_sweep(sweep, tmp_path / "home", Inline())
    (found,) = gather(sweep, finished, ABOUT, Silent()).compressed
    kept = [job.scores() for job in finished.cells[0].trained]
    clusters = UserClusters(kept[0].label, kept[0].user)
    logits = {job.run: job.logits() for job in finished.compressed}
    full, smaller = [clusters.place(k.trained) for k in kept], [clusters.place(logits[k.run]) for k in kept]
    wanted = paired_difference(full, smaller, clusters)
    assert found.difference.mean == pytest.approx(wanted.value, abs=1e-12)
    assert wanted.ci is not None
    assert found.difference.ci_over_seeds == pytest.approx(wanted.ci, abs=1e-12)


def test_deviation_is_over_the_spread_of_full_attention() -> None:
    full = np.array([0.0, 2.0, 4.0])
    assert deviation(full, full + 1) == pytest.approx(1 / np.std(full))
    assert deviation(full, full) == 0.0
    assert deviation(np.ones(3), np.zeros(3)) is None
    assert deviation(np.zeros(0), np.zeros(0)) is None
