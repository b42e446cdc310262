"""The contract of every source: its dataset is what docs/data.md promises of its raw rows, counted anew in loops."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lrea_cli.dataset.layout import SPLITS
from lrea_cli.prepare.sources import SOURCES
from lrea_cli.prepare.sources.table import Table
from tests.prepare.contract.cases import CASES, DAY, Case, Kept, Raw, lines_of
from tests.prepare.contract.checks import CHECKS
from tests.prepare.contract.prepared import Prepared, prepared


def test_every_source_has_a_case() -> None:
    assert {case.source.name for case in CASES} == {source.name for source in SOURCES}
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.fixture(scope="session")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Prepared]:
    """Each case, prepared once; for reading only."""
    made: dict[str, Prepared] = {}

    def get(case: Case) -> Prepared:
        if case.name not in made:
            home = tmp_path_factory.mktemp(case.name)
            made[case.name] = prepared(case, case.write(home), home)
        return made[case.name]

    return get


def first_of_a_source(cases: list[Case]) -> list[Any]:
    """All cases; those after the first of a source are slow."""
    known = [case.source.name for case in cases]
    return [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.source.name in known[:place] else [])
        for place, case in enumerate(cases)
    ]


every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@every_case
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_contract(datasets: Callable[[Case], Prepared], case: Case, check: Callable[[Prepared], None]) -> None:
    check(datasets(case))


@every_case
def test_cases_try_what_they_are_for(datasets: Callable[[Case], Prepared], case: Case) -> None:
    """Rejected rows, several samples a split, ties in one second, items that come late."""
    data = datasets(case)
    assert min(data.manifest.samples.values()) >= 2
    assert len({(e.user, e.time) for e in data.events}) < len(data.events)
    if case.source.file_names:
        assert data.manifest.rejected
    if (data.manifest.sampling or {}).get("targets") != "user":  # of Amazon's 150 books each comes early
        assert data.manifest.fields[0].late


@pytest.mark.slow
@every_case
def test_threads_and_memory_change_no_byte(datasets: Callable[[Case], Prepared], case: Case, tmp_path: Path) -> None:
    data = datasets(case)
    for name, options in (("a", {"threads": 3}), ("b", {"memory": "500MB"}), ("c", {"threads": 3, "memory": "500MB"})):
        assert prepared(case, data.raw, tmp_path / name, **options).files == data.files


OTHERWISE = {
    "seed": 3,
    "min_history": 2,
    "negatives_per_positive": 2,
    "train_days": 2,
    "test_days": 2,
    "max_rejected": "90%",
    "encoding": "latin-1",
}


@pytest.mark.parametrize("case", first_of_a_source([case for case in CASES if case.source.unused_options]))
def test_options_that_are_not_offered_change_nothing(
    datasets: Callable[[Case], Prepared], case: Case, tmp_path: Path
) -> None:
    options = {name: OTHERWISE[name] for name in case.source.unused_options}
    assert prepared(case, case.write(tmp_path), tmp_path / "home", **options).files == datasets(case).files


@pytest.mark.parametrize("case", first_of_a_source([case for case in CASES if case.source.file_names]))
def test_order_of_lines_changes_no_sample(datasets: Callable[[Case], Prepared], case: Case, tmp_path: Path) -> None:
    """Inside one second the history's order is that of the lines; nothing else is."""
    data, raw = datasets(case), case.write(tmp_path)
    rng = random.Random(5)
    for path in raw.logs:
        lines = lines_of(path)
        header, rows = lines[: raw.header], lines[raw.header :]
        rng.shuffle(rows)
        content = ("\n".join([*header, *rows]) + "\n").encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    other = prepared(case, raw, tmp_path / "home", threads=3, memory="500MB")
    assert other.manifest.rejected == data.manifest.rejected
    same = [*(f"{split}.parquet" for split in SPLITS), "histories/offsets.npy", "histories/time.npy"]
    same += [name for name in data.files if name.startswith("vocab/")]
    assert {name: other.files[name] for name in same} == {name: data.files[name] for name in same}
    assert rows_of_events(other.folder) == rows_of_events(data.folder)


def rows_of_events(folder: Path) -> Counter[tuple[Any, ...]]:
    table = pq.read_table(folder / "events").drop_columns(["source_row"])
    return Counter(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.mark.parametrize(
    ("negatives", "expected"), [("uniform", 1 / 20), ("popularity", 15 / 16), ("same-day", 15 / 16)]
)
def test_a_hit_is_drawn_as_often_as_it_stands_in_the_pool(tmp_path: Path, negatives: Any, expected: float) -> None:
    """One of 21 items has 300 of a day's 320 behaviors, all of one user's; the others ask for negatives."""
    rows = [("fan", "hit", 17_500 * DAY + day * DAY + n) for day in range(4) for n in range(300)]
    rows += [(f"u{n}", f"i{n}", 17_500 * DAY + day * DAY + n) for day in range(4) for n in range(20)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["user,item,time", *(",".join(map(str, row)) for row in rows)]) + "\n")
    raw = Raw(path, [Kept(user, time, (item,)) for user, item, time in rows], (path,), header=1)
    options = {"min_history": 1, "negatives_per_positive": 5}
    data = prepared(Case("hit", Table(negatives=negatives), lambda _: raw, options), raw, tmp_path)
    asked = [s.event for s in data.samples if s.event.label == 0 and s.event.user != data.user_ids["fan"]]
    hits = sum(e.ids[0] == data.codes[0]["hit"] for e in asked)
    assert len(asked) == 3 * 20 * 5
    assert abs(hits / len(asked) - expected) < 0.06
