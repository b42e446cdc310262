"""Intervals of a sweep cover its seeds, and are those of the statistics on the kept scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrea_cli.console.progress import Silent
from lrea_cli.reporting.results import page
from lrea_cli.stats.methods import method_auc, method_difference
from lrea_cli.stats.ranks import UserClusters
from lrea_cli.sweep.gather import gather
from tests.reporting.test_results import RESULTS
from tests.sweep.conftest import ABOUT, InlineSweep, make_sweep


def test_intervals_are_over_seeds_and_users(swept: Path, inline_sweep: InlineSweep) -> None:
    finished = inline_sweep(make_sweep(), swept)
    mean, lrea = gather(make_sweep(), finished, ABOUT, Silent()).scored
    kept = {cell.recipe: [job.scores() for job in cell.evaluated()] for cell in finished.cells}
    label, user = kept["mean"][0].label, kept["mean"][0].user
    clusters = UserClusters(label, user)
    for form, auc, difference in (
        ("trained", lrea.auc, lrea.difference),
        ("served", lrea.auc_served, lrea.difference_served),
    ):
        base, own = ([clusters.place(scores.form(form)) for scores in kept[name]] for name in ("mean", "lrea-4"))
        wanted = method_difference(base, own, clusters)
        assert difference is not None
        assert difference.values == pytest.approx([b.auc - a.auc for a, b in zip(base, own, strict=True)], abs=1e-12)
        assert difference.ci_over_seeds == pytest.approx(wanted.ci, abs=1e-12)
        assert auc.ci_over_seeds == pytest.approx(method_auc(own, clusters).ci, abs=1e-12)
        alone = [method_difference([a], [b], clusters).ci for a, b in zip(base, own, strict=True)]
        assert difference.ci == pytest.approx(np.mean(alone, 0), abs=1e-12)  # pyright: ignore
        assert difference.interval == difference.ci_over_seeds != difference.ci
    assert mean.gap.ci_over_seeds is not None
    assert "over seeds and users" in page(replace(RESULTS, scored=(lrea,)), "x.json")
