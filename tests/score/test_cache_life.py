"""Old caches: what they cost is measured on the same requests, and what they miss is counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lrea_cli.console.progress import Silent, ignore
from lrea_cli.errors import UserError
from lrea_cli.records.maker import RecordMaker
from lrea_cli.runs.checkpoint import Run
from lrea_cli.runs.loop import reader_of
from lrea_cli.score.cached import Age, cache_life, parse_ages, score_split_cached
from lrea_cli.score.evaluate import ServedFrom, measure, score
from lrea_cli.stats.metrics.auc import auc

CPU = torch.device("cpu")


def test_ages_are_read_in_their_units() -> None:
    expected = [("0", 0), ("30s", 30), ("90m", 5400), ("2h", 7200), ("3d", 259_200)]
    assert parse_ages("0, 30s,90m,2h,3d") == tuple(Age(*pair) for pair in expected)


@pytest.mark.parametrize("text", ["", "1", "-1d", "1.5d", "d", "0,,1d", "1w"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no age"):
        parse_ages(text)


def test_each_age_is_set_against_fresh_records(lrea_run: Run) -> None:
    scored = score(lrea_run, "test", ServedFrom(), Silent(), parse_ages("0,1h,60d,10000d"))
    fresh, hour, months, never = measure(lrea_run, scored, "user").cache_age
    assert fresh.auc == auc(scored.scores.served, scored.scores.label)
    assert (fresh.difference, fresh.ci, fresh.missing, fresh.requests_missing) == (0, (0, 0), 0, 0)
    assert 0 <= hour.missing < months.missing < never.missing
    assert 0 < months.requests_missing <= never.requests_missing < 1
    for row in (hour, months, never):
        assert row.difference == pytest.approx(row.auc - fresh.auc, abs=1e-12)
        assert row.ci[0] <= row.difference <= row.ci[1]
    assert months.difference != 0


def test_a_record_older_than_the_history_misses_all_of_the_long_part(lrea_run: Run) -> None:
    reader = reader_of(lrea_run.dataset, "test", lrea_run.recipe.data, 256)
    rows = np.zeros(reader.samples.rows)
    (found,) = cache_life(RecordMaker.of(lrea_run), reader, rows, parse_ages("10000d"), Silent())
    long = np.clip(reader.samples.history_length - lrea_run.recipe.data.short, 0, lrea_run.recipe.data.long)
    assert found.missing == pytest.approx(long.mean())
    assert found.requests_missing == pytest.approx((long > 0).mean())


def test_a_method_that_keeps_nothing_ages_only_where_its_counters_do(make_run) -> None:
    """As long as the short sequence shows all that is newer, counters and length are those of a fresh record."""
    run = make_run(method="din-short")
    reader = reader_of(run.dataset, "test", run.recipe.data, 256)
    samples, built = reader.samples, reader.samples.time - 5 * 86_400
    fresh = score_split_cached(RecordMaker.of(run), reader, ignore).logits
    old = score_split_cached(RecordMaker.of(run), reader, ignore, built).logits
    newer = samples.history_length - reader.histories.known_at(samples.user, built)
    shown = (newer <= run.recipe.data.short)[samples.row_request]
    assert (newer > 0).any()
    assert not shown.all()
    np.testing.assert_array_equal(old[shown], fresh[shown])
    assert (old[~shown] != fresh[~shown]).any()


def test_one_new_behavior_changes_every_row_of_lrea(lrea_run: Run, din_run: Run) -> None:
    scored = [(run, score(run, "valid", ServedFrom(), Silent())) for run in (lrea_run, din_run)]
    every, one = (measure(*pair, "user").new_behavior for pair in scored)
    assert every is not None
    assert one is not None
    assert every.rows == lrea_run.recipe.model.rank
    assert one.rows == 1
