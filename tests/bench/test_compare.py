"""Two serve-bench results side by side: like with like, and what is no result is refused."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from lrea_cli.bench.compare import compare_benches, read_bench
from lrea_cli.errors import UserError
from lrea_cli.stats.intervals import median, median_difference, median_interval
from lrea_cli.workspace.sealed import write_json


def latencies(scale: float, seed: int, count: int = 60) -> list[float]:
    random = Random(seed)
    return [round(scale * random.lognormvariate(0, 0.2), 3) for _ in range(count)]


def row(route: str, times: list[float], **changed: Any) -> dict[str, Any]:
    content = {"stage": "interest", "kernel": "gemm", "route": route, "length": "real", "candidates": 100}
    return {**content, "method": "lrea", "rank": 8, "dtype": "float32", "latencies_ms": times, **changed}


def test_rows_of_the_same_thing_are_compared() -> None:
    fast, slow, same = latencies(1, 1), latencies(2, 2), latencies(1, 3)
    first = {"rows": [row("cache", fast), row("full", fast), row("cache", slow, kernel="naive")]}
    second = {"rows": [row("full", same), row("cache", slow, method="din", rank=None, dtype="float16")]}
    cache, full = compare_benches(first, second)
    wanted = median_difference(fast, slow)
    assert wanted.ci is not None
    assert wanted.value is not None
    assert (cache.route, cache.method, cache.kernel) == ("cache", ("lrea", "din"), "gemm")
    assert cache.p50_ms == (median(fast), median(slow))
    assert cache.p50_ci_ms == (median_interval(fast), median_interval(slow))
    assert cache.ratio == pytest.approx(median(slow) / median(fast))
    assert cache.ci == (1 + wanted.ci[0], 1 + wanted.ci[1])
    assert cache.ci[0] > 1
    assert cache.resolved
    assert full.route == "full"
    assert full.ci is not None
    assert full.ci[0] < 1 < full.ci[1]
    assert not full.resolved


@pytest.mark.parametrize("name", ["stage", "kernel", "route", "length", "candidates"])
def test_unlike_rows_are_not_compared(name: str) -> None:
    times = latencies(1, 1)
    with pytest.raises(UserError, match="no row with the same") as error:
        compare_benches({"rows": [row("cache", times)]}, {"rows": [{**row("cache", times), name: "other"}]})
    assert "lrea serve-bench" in error.value.remedy


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "carries no hash of itself"),
        ('{"rows": []}', "carries no hash of itself"),
        ({"gate": 1}, "is no result"),
        ({"rows": 3}, "is no result"),
        ({"rows": []}, "no latencies"),
        ({"rows": [row("cache", [])]}, "no latencies"),
        ({"rows": [{**row("cache", [1.0]), "stage": 1}, {"stage": 1}]}, "no latencies"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, content: str | dict[str, Any], words: str) -> None:
    path = tmp_path / "x.json"
    if isinstance(content, str):
        path.write_text(content)
    else:
        write_json(path, content)
    with pytest.raises(UserError, match=words) as error:
        read_bench(path)
    assert str(path) in error.value.message
    assert "lrea serve-bench" in error.value.remedy


def test_a_result_is_read(tmp_path: Path) -> None:
    content = {"rows": [row("cache", latencies(1, 1))], "machine": {"cpu": "x"}}
    path = tmp_path / "x.json"
    write_json(path, content)
    assert read_bench(path) == content
