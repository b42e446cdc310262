"""Bootstrap of 5,000 users with 24 rows each, 1,000 draws, gated by counted pairs; the limit is 3 s for one AUC.

Beside it, two methods of three seeds each over seeds and users: 30,000 users with 8 rows each.
"""

import json
import time
from collections.abc import Callable

import numpy as np

from lrea_cli.bench.machine import cpu_name
from lrea_cli.stats.bootstrap import DRAWS, auc_difference, estimate_of, user_counts
from lrea_cli.stats.estimates import Estimate
from lrea_cli.stats.methods import MethodEstimate, method_difference
from lrea_cli.stats.metrics import AUC, GAUC, Rows
from lrea_cli.stats.ranks import UserClusters, delong

USERS, ROWS, RUNS, LIMIT_SECONDS = 5_000, 24, 3, 3.0
METHOD_USERS, METHOD_ROWS, SEEDS = 30_000, 8, 3
Scores = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def scores(users: int, rows: int) -> Scores:
    """Two scores, labels and users; labels depend on the user, scores are rounded so that some are equal."""
    rng = np.random.default_rng(0)
    owner = rng.permutation(np.repeat(np.arange(users), rows))
    labels = (rng.random(len(owner)) < rng.uniform(0, 0.4, users)[owner]).astype(np.float32)
    a = np.round(rng.normal(size=len(owner)) + labels, 2)
    return a, a + 0.5 * rng.normal(size=len(owner)), labels, owner


def gate() -> float:
    """Largest distance of the interval's ends from those of counted pairs over the same draws."""
    a, _, labels, owner = scores(30, 8)
    clicked = labels > 0.5
    worth = np.sign(a[clicked][:, None] - a[~clicked]) / 2 + 0.5
    drawn = []
    for counts in np.concatenate(list(user_counts(30, len(a), 0, 200))):
        weight = counts[owner[clicked]][:, None] * counts[owner[~clicked]]
        drawn.append((weight * worth).sum() / weight.sum())
    interval, expected = (
        estimate_of(AUC, Rows(a, labels, owner), 0, 200).ci,
        np.quantile(drawn, [0.025, 0.975], method="weibull"),
    )
    assert interval is not None
    return float(np.abs(np.array(interval) - expected).max())


def seconds(call: Callable[[], object]) -> float:
    """The fastest of a few runs: others work on this machine."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def compare_methods(a: np.ndarray, b: np.ndarray, labels: np.ndarray, owner: np.ndarray) -> MethodEstimate:
    """All that a difference of two methods of `SEEDS` seeds pays; each further method pays half of it."""
    clusters = UserClusters(labels, owner)
    sides = [[clusters.place(scores + seed) for seed in range(SEEDS)] for scores in (a, b)]
    return method_difference(sides[0], sides[1], clusters)


def main() -> None:
    distance = gate()
    assert distance < 1e-12, distance
    a, b, labels, owner = scores(USERS, ROWS)
    many = scores(METHOD_USERS, METHOD_ROWS)
    took = {
        "auc": seconds(lambda: estimate_of(AUC, Rows(a, labels, owner))),
        "auc_difference": seconds(lambda: auc_difference(a, b, labels, owner)),
        "gauc": seconds(lambda: estimate_of(GAUC, Rows(a, labels, owner))),
        "delong": seconds(lambda: delong([a, b], labels, owner)),
        "two_methods": seconds(lambda: compare_methods(*many)),
    }
    boot: Estimate = estimate_of(AUC, Rows(a, labels, owner))
    ratio = (boot.standard_error or 0.0) / float(delong([a], labels, owner)[1][0, 0]) ** 0.5
    print(f"{cpu_name()}; {USERS:,} users x {ROWS} rows, {DRAWS:,} draws")
    for name, value in took.items():
        print(f"{name}: {1000 * value:.0f} ms (fastest of {RUNS})")
    print(f"standard error of the bootstrap over DeLong's: {ratio:.3f}; gate {distance:.1e}")
    settings = {"cpu": cpu_name(), "users": USERS, "rows_a_user": ROWS, "draws": DRAWS, "runs": RUNS}
    result = {"seconds": took, "limit_seconds": LIMIT_SECONDS, "gate_distance": distance, "error_ratio": ratio}
    print(json.dumps({**settings, **result, "ok": took["auc"] < LIMIT_SECONDS}))


if __name__ == "__main__":
    main()
