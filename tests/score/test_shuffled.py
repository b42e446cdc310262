"""No method finds anything in labels that were shuffled: what evaluates cannot see them."""

import numpy as np
import pytest

from lrea_cli.console.progress import ignore
from lrea_cli.methods import METHODS
from lrea_cli.runs.loop import reader_of, score_split
from tests.score.test_cached import served_logits
from tests.stats.simulated import auc_estimate


@pytest.mark.parametrize("method", METHODS)
def test_shuffled_labels_are_worth_one_half_for_every_method(make_run, method) -> None:
    run = make_run(method=method)
    split = reader_of(run.dataset, "test", run.recipe.data, 256)
    samples = split.samples
    users = samples.user[samples.row_request]
    labels = np.random.default_rng(0).permutation(samples.label)
    for logits in (score_split(run.model, split, ignore), served_logits(run, split)):
        found = auc_estimate(logits, labels, users, draws=300)
        assert found.standard_error > 0
        assert abs(found.value - 0.5) < 3 * found.standard_error
