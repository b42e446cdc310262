"""Any small log keeps the contract: few users, items and seconds, so that nearly everything ties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrea_cli.errors import UserError
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import WINDOW_LAST, Taobao
from tests.prepare.contract.cases import DAY, Case, Kept, Raw, of_clicks, with_repeats
from tests.prepare.contract.checks import CHECKS
from tests.prepare.contract.prepared import prepared
from tests.prepare.loops.prepare import read_taobao
from tests.selection import examples

LAST_DAY = (WINDOW_LAST + 8 * 3600) // DAY
small_logs = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 4), st.integers(0, 2), st.integers(0, 1)),
    min_size=12,
    max_size=60,
).map(
    lambda rows: [*rows, *((0, n, day, 1, 1) for day in range(5) for n in (0, 1)), *((1, 9, d, 1, 0) for d in range(5))]
)
drawn = st.sampled_from(["same-day", "same-day-category", "uniform", "popularity"])
which = st.sampled_from(["all", "first-time"])
quick = settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(small_logs, drawn, which, st.integers(1, 3))
def test_any_taobao_log_keeps_the_contract(
    tmp_path_factory: Any, log: list[tuple[int, ...]], negatives: Any, positives: Any, per_positive: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    start = (LAST_DAY - 4) * DAY - 8 * 3600
    lines = [f"{user},{item},{item % 2},pv,{start + day * DAY + second}" for user, item, day, second, _ in log]
    path = folder / "UserBehavior.csv"
    path.write_text("\n".join(lines) + "\n")
    raw = Raw(path, of_clicks(read_taobao(lines)[0]), (path,))
    options = {"min_history": 1, "negatives_per_positive": per_positive}
    source = Taobao(negatives=negatives, positives=positives)
    check_all(Case("any", source, lambda _: raw, options), raw, folder, may_be_empty(negatives, positives))


@quick
@given(small_logs, drawn, which, st.booleans(), st.integers(-2, 2))
def test_any_table_keeps_the_contract(
    tmp_path_factory: Any, log: list[tuple[int, ...]], negatives: Any, positives: Any, labels: bool, offset: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    start = 17_500 * DAY - offset * 3600
    rows = [
        (f"u{user}", f"i{item}", "xy "[item % 3].strip(), start + day * DAY + second, label)
        for user, item, day, second, label in log
    ]
    path = folder / "log.csv"
    path.write_text("\n".join(["user,item,kind,time,label", *(",".join(map(str, row)) for row in rows)]) + "\n")
    kept = [
        Kept(user, time, (item, kind or None), label if labels else None, not labels or label == 1)
        for user, item, kind, time, label in rows
    ]
    source = Table(
        category_column="kind",
        label_column="label" if labels else None,
        negatives=negatives,
        positives=positives,
        utc_offset=str(offset),
    )
    raw = with_repeats(path, kept)
    empty = not labels and may_be_empty(negatives, positives)
    check_all(Case("any", source, lambda _: raw, {"min_history": 1}), raw, folder, empty)


def may_be_empty(negatives: str, positives: str) -> bool:
    """Users 0 and 1 have the same items every day: no first ones, and of one category each other's may be none."""
    return positives == "first-time" or negatives == "same-day-category"


def check_all(case: Case, raw: Raw, home: Path, may_be_empty: bool) -> None:
    """Some logs leave a split without samples, which is said."""
    try:
        data = prepared(case, raw, home)
    except UserError as error:
        if may_be_empty and "has no sample" in error.message:
            return
        if raw.kept[0].label is not None and "have label" in error.message:
            return
        raise
    for check in CHECKS:
        check(data)
