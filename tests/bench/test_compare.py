"""Two serve-bench results side by side: like with like, and what is no result is refused."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from lrea_cli.bench.bench import compare_rows, read_bench
from lrea_cli.bench.machine import Machine
from lrea_cli.bench.routes import Row
from lrea_cli.errors import UserError
from lrea_cli.stats.latencies import median, median_difference, median_interval
from lrea_cli.workspace.sealed import write_json


def latencies(scale: float, seed: int, count: int = 60) -> list[float]:
    random = Random(seed)
    return [round(scale * random.lognormvariate(0, 0.2), 3) for _ in range(count)]


def row(route: str, times: list[float], **changed: Any) -> dict[str, Any]:
    content = {"stage": "interest", "kernel": "gemm", "route": route, "length": "real", "candidates": 100}
    shown = {"p50_ms": 1.0, "p95_ms": None, "p99_ms": None, "p50_ci_ms": [0.9, 1.1], "requests": len(times)}
    return {**content, **shown, "method": "lrea", "rank": 8, "dtype": "float32", "latencies_ms": times, **changed}


def result(*rows: dict[str, Any]) -> dict[str, Any]:
    """As serve-bench writes it."""
    gate = {"passed": True, "max_relative_error": 1e-7, "users": 1, "where": "x", "candidates": 8, "skipped": 0}
    ratios = dict.fromkeys(("value", "ci", "of_medians", "of_medians_ci"))
    bench = {"run": "r", "cache": "c", "compressor": None, "machine": {"cpu": "x", "threads": 1, "device": "cpu"}}
    bench |= {"gate": {**gate, "made": 0}, "lengths": {"p50": 1}, "rows": list(rows)}
    bench |= {"load": {"share": 1.0, "share_worst": 1.0, "others": None, "cpus": 1, "threads": 1}}
    bench |= {"speedup_vs_full": {"request": {"real": ratios}}, "speedup_kernel": "gemm", "withheld": None}
    bench |= {"bytes_per_user": 1.5, "compress_ms_per_user": 2, "saved_ms_per_request": None}
    return {**bench, "pays_after_requests": None}


def rows_of(tmp_path: Path, *rows: dict[str, Any]) -> list[Row]:
    """As they are read back."""
    write_json(tmp_path / "x.json", result(*rows))
    return read_bench(tmp_path / "x.json").rows


def test_rows_of_the_same_thing_are_compared(tmp_path: Path) -> None:
    fast, slow, same = latencies(1, 1), latencies(2, 2), latencies(1, 3)
    first = rows_of(tmp_path, row("cache", fast), row("full", fast), row("cache", slow, kernel="naive"))
    second = rows_of(tmp_path, row("full", same), row("cache", slow, method="din", rank=None, dtype="float16"))
    cache, full = compare_rows(first, second)
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


@pytest.mark.parametrize(
    "other", [{"stage": "request"}, {"kernel": "naive"}, {"route": "full"}, {"length": 40}, {"candidates": 7}]
)
def test_unlike_rows_are_not_compared(tmp_path: Path, other: dict[str, Any]) -> None:
    times = latencies(1, 1)
    first, second = rows_of(tmp_path, row("cache", times)), rows_of(tmp_path, {**row("cache", times), **other})
    with pytest.raises(UserError, match="no row with the same") as error:
        compare_rows(first, second)
    assert "lrea serve-bench" in error.value.remedy


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("[]", "carries no hash of itself"),
        ('{"rows": []}', "carries no hash of itself"),
        ({"gate": 1}, "another version of lrea wrote it"),
        ({**result(), "rows": 3}, "'rows' is 3: another version"),
        (result(), "no latencies"),
        (result(row("cache", [])), "no latencies"),
        (result(row("cache", [1.0], stage=1)), "another version of lrea wrote it"),
        (result({"stage": "request"}), "has no 'rows.0.route'"),
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


def test_a_result_is_read_as_it_was_measured(tmp_path: Path) -> None:
    times = latencies(1, 1)
    (read,) = rows_of(tmp_path, row("cache", times))
    assert read.latencies_ms == tuple(times)
    assert (read.p50_ci_ms, read.length) == ((0.9, 1.1), "real")
    bench = read_bench(tmp_path / "x.json")
    assert bench.machine == Machine("x", 1, "cpu")
    # a result from before there were peers, a native request and a limit of the gate is read, too
    before = {"native": "", "native_speedup": None, "peer_gates": {}, "peer_time": {}}
    was = result(row("cache", times))
    assert bench.to_dict(latencies=True) == {**was, **before, "gate": {**was["gate"], "limit": 1e-5}}
    (peer,) = rows_of(tmp_path, {**row("cache", times), "kernel": "onnxruntime"})
    assert peer.kernel == "onnxruntime"
