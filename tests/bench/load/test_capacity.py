"""The search for a capacity finds a known one to its precision, and says so where there is none."""

from __future__ import annotations

import pytest

from lrea_cli.bench.load.capacity import MOST_STEPS, PRECISION, find_capacity
from lrea_cli.bench.load.overload import Backlog
from lrea_cli.bench.load.results import Latencies, OpenLoop

FLAT, GROWING = Backlog(0.0, (-1.0, 1.0), 1.0, 2), Backlog(5.0, (4.0, 6.0), 50.0, 90)


def trial(rate: float, ms: float | None, backlog: Backlog = FLAT, percent: float = 99.0) -> OpenLoop:
    latency = Latencies(ms, ms, ms, (ms,))
    return OpenLoop("x", 2, rate, 1.0, 500, 0, rate, percent, ms, 0.1, 1.0, backlog, backlog.overloaded, latency)


@pytest.mark.parametrize("capacity", [3.0, 61.0, 100.0, 133.0, 790.0])
def test_a_known_capacity_is_found(capacity: float) -> None:
    found = find_capacity(lambda rate: trial(rate, 10.0 if rate <= capacity else 30.0), 100.0, 20.0)
    assert found.rate is not None
    assert found.failed is not None
    assert found.rate <= capacity < found.failed
    assert found.failed <= (1 + PRECISION) * found.rate
    assert found.trials[0].rate == pytest.approx(80)
    assert len(found.trials) < 16


def test_overload_fails_a_trial_whatever_its_latency() -> None:
    found = find_capacity(lambda rate: trial(rate, 1.0, GROWING if rate > 150 else FLAT), 100.0, 20.0)
    assert found.rate is not None
    assert found.failed is not None
    assert found.rate <= 150 < found.failed


def test_where_no_rate_keeps_the_limit() -> None:
    found = find_capacity(lambda rate: trial(rate, None), 100.0, 20.0)
    assert found.rate is None
    assert found.failed == min(t.rate for t in found.trials)
    assert len(found.trials) == MOST_STEPS + 1


def test_where_every_rate_keeps_the_limit() -> None:
    found = find_capacity(lambda rate: trial(rate, 1.0), 100.0, 20.0)
    assert found.failed is None
    assert found.rate == max(t.rate for t in found.trials)


def test_the_limit_is_kept_at_the_limit_and_the_percentile_of_the_best_trial_is_told() -> None:
    assert trial(1.0, 20.0).keeps(20.0)
    assert not trial(1.0, 20.001).keeps(20.0)
    found = find_capacity(lambda rate: trial(rate, rate, percent=95.0 if rate < 50 else 99.0), 100.0, 45.0)
    assert found.percent == 95.0
    found = find_capacity(lambda rate: trial(rate, rate, percent=95.0 if rate > 50 else 99.0), 100.0, 45.0)
    assert found.percent == 99.0
