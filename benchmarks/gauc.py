"""GAUC of 20,000 users with 10 rows each, gated by a loop over scikit-learn; the limit is 0.1 s."""

import json
import statistics
import time

import numpy as np
from sklearn.metrics import roc_auc_score

from lrea_cli.bench.machine import cpu_name
from lrea_cli.stats.metrics.gauc import gauc

USERS, ROWS, RUNS, GATED, LIMIT_SECONDS = 20_000, 10, 9, 500, 0.1


def main() -> None:
    rng = np.random.default_rng(0)
    users = rng.permutation(np.repeat(np.arange(USERS), ROWS))
    labels = rng.integers(0, 2, len(users)).astype(np.float32)
    scores = np.round(rng.normal(size=len(users)) + 0.3 * labels, 2)
    few = users < GATED
    each = [
        roc_auc_score(labels[users == u], scores[users == u]) for u in range(GATED) if 0 < labels[users == u].mean() < 1
    ]
    difference = abs(float(np.mean(each)) - (gauc(scores[few], labels[few], users[few]).value or 0.0))
    assert difference < 1e-12, difference
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        gauc(scores, labels, users)
        seconds.append(time.perf_counter() - started)
    median = statistics.median(seconds)
    print(f"{cpu_name()}, 1 thread; {RUNS} runs, gated on {GATED} users")
    print(f"GAUC of {USERS:,} users x {ROWS} rows: {1000 * median:.1f} ms (median of {RUNS}), gate {difference:.1e}")
    settings = {"cpu": cpu_name(), "users": USERS, "rows_a_user": ROWS, "runs": RUNS}
    result = {"gauc_seconds": median, "limit_seconds": LIMIT_SECONDS, "gate_difference": difference}
    print(json.dumps({**settings, **result, "ok": median < LIMIT_SECONDS}))


if __name__ == "__main__":
    main()
