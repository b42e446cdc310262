"""Arrivals are Poisson, users are drawn by rank, and a seed draws the same requests."""

from __future__ import annotations

import numpy as np
import pytest

from lrea_cli.bench.load.choices import UserDraw
from lrea_cli.bench.load.traffic import CYCLE, Traffic, zipf_shares


def traffic(users: UserDraw = "zipf", missing: float = 0.25, seed: int = 3) -> Traffic:
    return Traffic(users, missing, seed)


def test_arrivals_are_a_poisson_process_of_the_rate() -> None:
    """Mean and deviation of exponential gaps are 1 / rate; counts in windows have a variance of their mean."""
    times = traffic().arrivals(200.0, 400.0)
    assert len(times) == pytest.approx(80_000, abs=4 * 80_000**0.5)
    assert ((times > 0) & (times < 400)).all()
    gaps = np.diff(times, prepend=0.0)
    assert (gaps >= 0).all()
    assert gaps.std() == pytest.approx(1 / 200, rel=0.02)
    assert np.quantile(gaps, 0.5) == pytest.approx(np.log(2) / 200, rel=0.02)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / 80_000**0.5
    counts = np.bincount(times.astype(int), minlength=400)
    assert counts.var() == pytest.approx(200, rel=0.25)


def test_a_rate_scales_the_same_gaps() -> None:
    slow, fast = (traffic().arrivals(rate, 50.0) for rate in (10.0, 40.0))
    np.testing.assert_allclose(fast[: len(slow)] * 4, slow)
    assert len(fast) > 3 * len(slow)


def test_arrivals_go_on_until_the_end() -> None:
    assert 99 < traffic().arrivals(5000.0, 100.0)[-1] < 100
    assert len(traffic().arrivals(0.001, 1.0)) <= 1


def test_zipf_draws_by_rank() -> None:
    shares = zipf_shares(1000)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] / shares[9] == pytest.approx(10)
    counts = np.bincount(traffic().positions(1000), minlength=1000)
    expected = CYCLE * shares
    by_rank = counts[np.argsort(counts)[::-1]]
    assert (np.abs(by_rank[:20] - expected[:20]) < 5 * np.sqrt(expected[:20])).all()
    assert counts[0] < by_rank[0]  # rank is not the position in the cache


def test_uniform_draws_all_users_alike() -> None:
    counts = np.bincount(traffic("uniform").positions(64), minlength=64)
    assert (np.abs(counts - CYCLE / 64) < 5 * (CYCLE / 64) ** 0.5).all()


@pytest.mark.parametrize("users", [1, 2])
def test_few_users_are_all_in_range(users: int) -> None:
    for kind in ("zipf", "uniform"):
        drawn = traffic(kind).positions(users)
        assert set(drawn.tolist()) == set(range(users))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_of_missing_records(share: float) -> None:
    found = traffic(missing=share).without_record()
    assert found.mean() == pytest.approx(share, abs=0.02)
    assert share not in (0.0, 1.0) or found.mean() == share


def test_a_seed_draws_the_same_and_another_one_does_not() -> None:
    def drawn(seed: int, missing: float = 0.25) -> tuple[np.ndarray, ...]:
        of = traffic(missing=missing, seed=seed)
        return of.positions(500), of.without_record(), of.arrivals(10, 20)

    for one, same, other in zip(drawn(3), drawn(3), drawn(4), strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, other)
    np.testing.assert_array_equal(drawn(3)[0], drawn(3, missing=0.9)[0])
    np.testing.assert_array_equal(drawn(3)[2], drawn(3, missing=0.9)[2])
