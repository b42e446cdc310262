"""Two serve-bench results side by side: medians of the rows that measured the same thing, and their ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lrea_cli.bench.bench import Bench
from lrea_cli.bench.routes import Row
from lrea_cli.errors import UserError
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.latencies import median, median_difference, median_interval
from lrea_cli.workspace.manifests import parse
from lrea_cli.workspace.sealed import read_json

SAME = ("stage", "kernel", "route", "length", "candidates")
"""What two rows must have in common; method, rank and dtype are what is compared."""


@dataclass(frozen=True)
class ComparedLatency:
    """A row of both results.

    Args:
        method, p50_ms, p50_ci_ms: of the first and of the second.
        ratio: second median / first.
        ci: its 95% interval.
        resolved: 1 lies outside.
        resolvable: the smallest true |ratio - 1| found with 80% power.
    """

    stage: str
    kernel: str
    route: str
    length: int | str
    candidates: int
    method: tuple[str, str]
    p50_ms: tuple[float, float]
    p50_ci_ms: tuple[Interval | None, Interval | None]
    ratio: float | None
    ci: Interval | None
    resolved: bool
    resolvable: float | None


def read_bench(path: Path) -> Bench:
    """A result that serve-bench has written.

    Raises:
        UserError: it is no such file, one that compares methods, or one without latencies.
    """
    remedy = "Measure anew with: lrea serve-bench"
    if "without_run" in read_json(path, remedy):
        raise UserError(
            f"{path} compares methods within itself (--methods); two results are compared row by row.",
            "Measure one run twice: lrea serve-bench --run NAME. AUCs are compared with: lrea compare RUN RUN",
        )
    bench = parse(Bench, path.read_bytes(), path, remedy)
    if not bench.rows or not all(row.latencies_ms for row in bench.rows):
        raise UserError(f"{path} has no latencies to compare.", remedy)
    return bench


def compare_rows(first: Sequence[Row], second: Sequence[Row]) -> list[ComparedLatency]:
    """Every row that both have, in the first one's order.

    Raises:
        UserError: they have none in common.
    """
    others = {_key(row): row for row in second}
    rows = [_compared(row, others[_key(row)]) for row in first if _key(row) in others]
    if not rows:
        raise UserError(
            f"The two results have no row with the same {', '.join(SAME)}.",
            "Measure both with the same options of: lrea serve-bench --candidates N --kernel NAME",
        )
    return rows


def _key(row: Row) -> tuple[object, ...]:
    return tuple(getattr(row, name) for name in SAME)


def _compared(a: Row, b: Row) -> ComparedLatency:
    change = median_difference(a.latencies_ms, b.latencies_ms)
    return ComparedLatency(
        **{name: getattr(a, name) for name in SAME},
        method=(a.method, b.method),
        p50_ms=(median(a.latencies_ms), median(b.latencies_ms)),
        p50_ci_ms=(median_interval(a.latencies_ms), median_interval(b.latencies_ms)),
        ratio=None if change.value is None else 1 + change.value,
        ci=None if change.ci is None else (1 + change.ci[0], 1 + change.ci[1]),
        resolved=change.resolved,
        resolvable=change.resolvable,
    )
