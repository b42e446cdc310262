"""Two serve-bench results side by side: medians of the rows that measured the same thing, and their ratio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrea_cli.errors import UserError
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.intervals import median, median_difference, median_interval
from lrea_cli.workspace.sealed import read_json

SAME = ("stage", "kernel", "route", "length", "candidates")
"""What two rows must have in common; method, rank and dtype are what is compared."""
NEEDED = (*SAME, "method", "latencies_ms")


@dataclass(frozen=True)
class ComparedLatency:
    """A row of both results.

    Args:
        method, p50_ms, p50_ci_ms: of the first and of the second.
        ratio: second median / first. ci: its 95% interval. resolved: 1 lies outside. resolvable: the smallest true
            |ratio - 1| found with 80% power.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return asdict(self)


def read_bench(path: Path) -> dict[str, Any]:
    """A result that serve-bench has written.

    Raises:
        UserError: it is no such file, one that compares methods, or one without latencies.
    """
    remedy = "Measure anew with: lrea serve-bench"
    content = read_json(path, remedy)
    try:
        rows = content["rows"]
        whole = rows and all(key in row for row in rows for key in NEEDED) and all(row["latencies_ms"] for row in rows)
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is no result of serve-bench: {error!r}.", remedy) from error
    if "without_run" in content:
        raise UserError(
            f"{path} compares methods within itself (--methods); two results are compared row by row.",
            "Measure one run twice: lrea serve-bench --run NAME. AUCs are compared with: lrea compare RUN RUN",
        )
    if not whole:
        raise UserError(f"{path} has no latencies to compare: it was not written by this version.", remedy)
    return content


def compare_benches(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[ComparedLatency]:
    """Every row that both have, in the first one's order.

    Raises:
        UserError: they have none in common.
    """
    others = {_key(row): row for row in second["rows"]}
    rows = [_compared(row, others[_key(row)]) for row in first["rows"] if _key(row) in others]
    if not rows:
        raise UserError(
            f"The two results have no row with the same {', '.join(SAME)}.",
            "Measure both with the same options of: lrea serve-bench --candidates N --kernel NAME",
        )
    return rows


def _key(row: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(row[name] for name in SAME)


def _compared(a: Mapping[str, Any], b: Mapping[str, Any]) -> ComparedLatency:
    pair = a["latencies_ms"], b["latencies_ms"]
    change = median_difference(*pair)
    return ComparedLatency(
        **{name: a[name] for name in SAME},
        method=(a["method"], b["method"]),
        p50_ms=(median(pair[0]), median(pair[1])),
        p50_ci_ms=(median_interval(pair[0]), median_interval(pair[1])),
        ratio=None if change.value is None else 1 + change.value,
        ci=None if change.ci is None else (1 + change.ci[0], 1 + change.ci[1]),
        resolved=change.resolved,
        resolvable=change.resolvable,
    )
