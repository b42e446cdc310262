"""How often intervals over seeds and users hold the truth: drawn test sets and trainings whose true AUC is known.

1,000 times, a test set of 300 users is drawn and two methods are trained with 3 or 5 seeds: real AUCs of simulated
scores. The truth is that of infinitely many users and seeds. Beside it, Satterthwaite's degrees of freedom, which are
Hillis's, and the same variances with normal numbers in place of AUCs, ten times as often.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from lrea_cli.bench.machine import cpu_name
from lrea_cli.stats import methods
from lrea_cli.stats.estimates import t_quantile
from lrea_cli.stats.methods import MethodEstimate, SeedVariance, method_auc, method_difference
from lrea_cli.stats.ranks import Placed, UserClusters

USERS, ROWS, DRAWS, RATE = 300, 3, 1000, (0.1, 0.9)
SHIFTS = (1.0, 1.2)
NOISE = 1.5
"""Variance of a score less its label's part: a user's effect and a row's, of which `INTERACTION` is the seed's own."""
INTERACTION = 0.2
BAND = (0.93, 0.97)


@dataclass(frozen=True)
class Case:
    """Seeds of each method, and the standard deviation over seeds of what a click adds to a score of each method."""

    seeds: int
    spread_a: float
    spread_b: float


CASES = tuple(
    Case(seeds, spread, share * spread)
    for seeds in (3, 5)
    for spread, share in ((0.0, 1.0), (0.05, 1.0), (0.1, 1.0), (0.1, 0.5), (0.2, 1.0), (0.4, 1.0), (0.4, 0.5))
)


@dataclass(frozen=True)
class Covered:
    """Shares of the intervals that hold the truth.

    Args:
        seed_to_user: variance of one seed over that of the drawn users, in the difference; the mean over the draws.
        difference, mean: of two methods, and the mean AUC of the first.
        hillis_difference, hillis_mean: with Satterthwaite's degrees of freedom.
        given_models: of the difference, by an interval for other users alone.
    """

    case: Case
    seed_to_user: float
    difference: float
    mean: float
    hillis_difference: float
    hillis_mean: float
    given_models: float

    @property
    def ok(self) -> bool:
        return all(BAND[0] <= share <= BAND[1] for share in (self.difference, self.mean))


class Drawn(NamedTuple):
    """Scores (rows,) of each seed of both methods, with labels and users."""

    a: list[np.ndarray]
    b: list[np.ndarray]
    labels: np.ndarray
    users: np.ndarray


def draw(case: Case, rng: np.random.Generator) -> Drawn:
    """A test set and trainings.

    score = (shift of the method + spread x its seed) x label + user's effect + row's; of each effect a part is common
    to both methods, a part the method's, and a part the seed's own.
    """
    users = np.repeat(np.arange(USERS), ROWS)
    labels = (rng.random(len(users)) < rng.choice(RATE, USERS)[users]).astype(np.float32)
    common = _effects(rng, users, NOISE * 0.5)
    sides = []
    for shift, spread in zip(SHIFTS, (case.spread_a, case.spread_b), strict=True):
        own = _effects(rng, users, NOISE * (0.5 - INTERACTION / 2))
        sides.append(
            [
                (shift + spread * rng.normal()) * labels + common + own + _effects(rng, users, NOISE * INTERACTION / 2)
                for _ in range(case.seeds)
            ]
        )
    return Drawn(sides[0], sides[1], labels, users)


def _effects(rng: np.random.Generator, users: np.ndarray, variance: float) -> np.ndarray:
    """Normal effects of this variance, half of it the user's and half the row's."""
    deviation = math.sqrt(variance / 2)
    return deviation * (rng.normal(size=USERS)[users] + rng.normal(size=len(users)))


def true_auc(shift: float, spread: float) -> float:
    """E Phi((shift + spread z) / sqrt(2 v)) = Phi(shift / sqrt(2 v + spread^2)), v = `NOISE`, z normal."""
    return NormalDist().cdf(shift / math.sqrt(2 * NOISE + spread**2))


def measure(case: Case, draws: int) -> Covered:
    """Coverage in one case."""
    rng = np.random.default_rng([case.seeds, round(1000 * case.spread_a), round(1000 * case.spread_b)])
    truth_a, truth_b = (true_auc(*pair) for pair in zip(SHIFTS, (case.spread_a, case.spread_b), strict=True))
    held, ratios = np.zeros(5), []
    for _ in range(draws):
        drawn = draw(case, rng)
        clusters = UserClusters(drawn.labels, drawn.users)
        a, b = ([clusters.place(scores) for scores in side] for side in (drawn.a, drawn.b))
        both, one = method_difference(a, b, clusters), method_auc(a, clusters)
        seeds = SeedVariance.of([a, b])
        of_users = (both.standard_error or 0.0) ** 2 - seeds.variance
        ratios.append((case.seeds * seeds.variance, of_users))
        truth = truth_b - truth_a
        held += (
            _holds(both, truth),
            _holds(one, truth_a),
            _holds(hillis(both, seeds), truth),
            _holds(hillis(one, SeedVariance.of([a])), truth_a),
            _holds(given_models(a, b, clusters), truth),
        )
    of_seeds, of_users = np.mean(ratios, 0)
    return Covered(case, float(of_seeds / of_users), *(held / draws).tolist())


def hillis(found: MethodEstimate, seeds: SeedVariance) -> MethodEstimate:
    """The same estimate with freedom = se^4 / (seeds.variance^2 / seeds.freedom)."""
    value, error = found.value or 0.0, found.standard_error or 0.0
    freedom = min(methods.MOST_FREEDOM, seeds.freedom * (error**2 / seeds.variance) ** 2)
    reach = t_quantile(freedom) * error
    return MethodEstimate(value, (value - reach, value + reach), error, freedom)


def given_models(a: list[Placed], b: list[Placed], clusters: UserClusters) -> MethodEstimate:
    """The interval of the first seeds alone, for other users."""
    return method_difference(a[:1], b[:1], clusters)


def _holds(found: MethodEstimate, truth: float) -> bool:
    return found.ci is not None and found.ci[0] <= truth <= found.ci[1]


def normal_coverage(seeds: int, a: float, b: float, draws: int) -> dict[str, float]:
    """The same formula on normal means: per-seed variances a and b, the users' is 1; of one method: b = 0 and one."""
    rng = np.random.default_rng([seeds, round(100 * a), round(100 * b)])
    held = np.zeros(2)
    nobody = np.zeros(1)
    for _ in range(draws):
        each = [v**0.5 * rng.normal(size=seeds) for v in (a, b) if v]
        signs = (1, -1)[: len(each)]
        error = sum(sign * values.mean() for sign, values in zip(signs, each, strict=True)) + rng.normal()
        part = SeedVariance.of([[Placed(float(v), nobody, nobody) for v in values] for values in each])
        total = part.variance + 1
        for place, freedom in enumerate((methods.degrees_of_freedom(part, total), _satterthwaite(part, total))):
            held[place] += abs(error) <= t_quantile(freedom) * total**0.5
    ours, plain = (held / draws).tolist()
    return {"seeds": seeds, "a": a, "b": b, "covered": ours, "hillis": plain}


def _satterthwaite(part: SeedVariance, total: float) -> float:
    return min(methods.MOST_FREEDOM, part.freedom * (total / part.variance) ** 2)


NORMAL = tuple((a, b) for a in (0.3, 1.0, 4.0, 16.0, 100.0) for b in (0.0, a / 4, a))


def lines(found: list[Covered]) -> Iterator[str]:
    yield "seeds  spread of a, b  seed/user  difference  mean AUC  (Hillis: difference  mean)  given the models"
    for one in found:
        case = one.case
        yield (
            f"{case.seeds:5d}  {case.spread_a:.2f}, {case.spread_b:.3f}    {one.seed_to_user:8.2f}  "
            f"{one.difference:10.1%}  {one.mean:8.1%}  {one.hillis_difference:20.1%}  {one.hillis_mean:5.1%}  "
            f"{one.given_models:16.1%}{'' if one.ok else '  outside'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS, help="of a test set and its trainings, in each case")
    asked = parser.parse_args()
    started = time.perf_counter()
    found = [measure(case, asked.draws) for case in CASES]
    normal = [normal_coverage(seeds, a, b, 10 * asked.draws) for seeds in (3, 5) for a, b in NORMAL]
    print(f"{cpu_name()}; {USERS} users x {ROWS} rows, {asked.draws:,} draws a case")
    print("\n".join(lines(found)))
    print("normal numbers in place of AUCs; the users' variance is 1, b = 0: of one method")
    for one in normal:
        print(f"{one['seeds']} seeds, {one['a']:g}, {one['b']:g}: {one['covered']:.1%} (Hillis {one['hillis']:.1%})")
    ok = all(one.ok for one in found) and all(BAND[0] <= one["covered"] <= BAND[1] for one in normal)
    content = {"cases": [asdict(one) for one in found], "normal": normal, "seconds": time.perf_counter() - started}
    print(
        json.dumps({"cpu": cpu_name(), "users": USERS, "rows_a_user": ROWS, "draws": asked.draws, **content, "ok": ok})
    )


if __name__ == "__main__":
    main()
