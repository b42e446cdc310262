"""`lrea compress` with a compressor, and what follows it: the gate, the numbers of what would be shipped, comparing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrea_cli.bench import gate as gate_module
from lrea_cli.cli import main
from lrea_cli.commands.compress import LATEST_DAYS, _read_users, parse_time
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.manifest import RUNS
from lrea_cli.score import target_rank as target_module
from lrea_cli.workspace.home import Workspace
from tests.changed import change_json

Call = Callable[..., Any]


@pytest.fixture
def lrea(workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in a copy of `tiny`; its JSON, or with `code` its standard error."""
    monkeypatch.setenv("LREA_HOME", str(workspace_copy.home))

    def run(*arguments: object, code: int = 0) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([*map(str, arguments), "--json"])
        found = capsys.readouterr()
        assert (stop.value.code or 0) == code, found.err
        return found.err if code else json.loads(found.out)

    return run


def test_a_compressed_cache_is_gated_timed_evaluated_and_compared(lrea: Call, workspace_copy: Workspace) -> None:
    made = lrea("compress", "--run", "tiny-din", "--compressor", "clusters", "--rank", 4, "--cache", "small")
    assert (made["compressor"], made["rank"], made["curve"]) == ("clusters", 4, [])
    full = lrea("compress", "--run", "tiny-din", "--cache", "whole")
    assert full["compressor"] is None
    assert made["bytes_per_user"] < full["bytes_per_user"] / 2
    bench = lrea("serve-bench", "--run", "tiny-din", "--cache", "small", "--candidates", 5, "--seconds", 0.1)
    assert bench["gate"]["passed"]
    assert {row["method"] for row in bench["rows"]} == {"clusters", "full"}
    plain = lrea("eval", "--run", "tiny-din")
    small = lrea("eval", "--run", "tiny-din", "--cache", "small", "--cache-age", "0,30d")
    assert (plain["cache"], small["cache"]) == (None, "small")
    assert (small["compressor"], small["dtype"]) == ("clusters", "float32")
    assert small["auc"] == plain["auc"]
    assert small["absorption_gap"]["rms_over_sd"] > 10 * plain["absorption_gap"]["rms_over_sd"]
    assert [age["age"] for age in small["cache_age"]] == ["0", "30d"]
    assert set(small["cache_age"][0]) == {"age", "auc", "difference", "ci", "missing", "requests_missing"}
    assert (workspace_copy.home / "caches" / "small" / "eval-test.json").is_file()
    rows = lrea("compare", "tiny-din", "small")["rows"]
    assert rows[1]["run"] == "small"
    assert rows[1]["difference"] == pytest.approx(small["auc_cached"] - plain["auc_cached"])


def test_a_target_chooses_the_rank_and_shows_its_curve(lrea: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "MOST_REQUESTS", 40)
    made = lrea("compress", "--run", "tiny-din", "--compressor", "clusters", "--target", 0.001)
    ranks = {point["rank"]: point["deviation"] for point in made["curve"]}
    assert len(ranks) > 2
    assert min(rank for rank, deviation in ranks.items() if deviation <= 0.001) == max(1, made["rank"])


def test_mean_needs_no_rank(lrea: Call) -> None:
    assert lrea("compress", "--run", "tiny-din", "--compressor", "mean")["rank"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compress", "--run", "tiny-din", "--rank", "4"], ["are for a compressor", "--compressor"]),
        (["compress", "--run", "tiny-din", "--compressor", "clusters"], ["neither is given", "--target 0.03"]),
        (
            ["compress", "--run", "tiny-din", "--compressor", "random", "--rank", "4", "--target", "0.1"],
            ["both are given", "--target 0.03"],
        ),
        (
            ["compress", "--run", "tiny-lrea", "--compressor", "clusters", "--rank", "4"],
            ["'tiny-lrea' is a 'lrea'", "lrea train --method din"],
        ),
        (["eval", "--run", "tiny-lrea", "--cache", "none"], ["no cache 'none'", "lrea compress"]),
        (["eval", "--run", "tiny-lrea", "--cache-age", "1"], ["'1' is no age", "0,90m,1d"]),
    ],
    ids=lambda value: " ".join(value[3:]) if isinstance(value, list) else None,
)
def test_mistakes_end_with_2_and_a_remedy(lrea: Call, arguments: list[str], words: list[str]) -> None:
    shown = lrea(*arguments, code=2)
    for word in words:
        assert word in shown.replace("\n", " ")


def test_a_time_far_after_the_data_is_refused_and_leaves_no_cache(lrea: Call, workspace_copy: Workspace) -> None:
    assert "the data end at" in lrea("compress", "--run", "tiny-din", "--as-of", "2199-01-01", code=2)
    assert workspace_copy.all(CACHES) == []
    end = lrea("compress", "--run", "tiny-din")["as_of"]
    last = end + LATEST_DAYS * 86_400
    assert lrea("compress", "--run", "tiny-din", "--as-of", last)["as_of"] == last
    assert "the data end at" in lrea("compress", "--run", "tiny-din", "--as-of", last + 1, code=2)


@pytest.mark.parametrize(
    ("text", "offset", "seconds"),
    [
        ("2024-01-05", 0, 1_704_412_800),
        ("2024-01-05", 480, 1_704_412_800 - 8 * 3600),
        ("2024-01-05T00:00:00+00:00", 480, 1_704_412_800),
        ("1704412800", 480, 1_704_412_800),
    ],
)
def test_a_time_without_a_zone_is_the_datasets_local_time(text: str, offset: int, seconds: int) -> None:
    assert parse_time(text, offset) == seconds


def test_the_offset_is_the_datasets(lrea: Call, workspace_copy: Workspace) -> None:
    before = lrea("compress", "--run", "tiny-din", "--as-of", "2025-12-01")["as_of"]
    assert before == 1_764_547_200
    artifact = workspace_copy.open(DATASETS, "synthetic")
    change_json(artifact.path / "data.json", utc_offset_minutes=480)
    run = workspace_copy.open(RUNS, "tiny-din")
    change_json(run.path / "run.json", made_from=workspace_copy.open(DATASETS, "synthetic").identity)
    assert lrea("compress", "--run", "tiny-din", "--as-of", "2025-12-01")["as_of"] == before - 8 * 3600


def test_users_are_one_a_line_blanks_in_them_kept(tmp_path: Path) -> None:
    path = tmp_path / "users.txt"
    path.write_bytes("\ufeffann bob\r\n\r\n zoë\u2028x\n7".encode())
    assert _read_users(path) == ["ann bob", " zoë\u2028x", "7"]
    for blob, words in ((b"a\nb\xff\n", "line 2, is not UTF-8"), (b"\n \n", "is empty")):
        path.write_bytes(blob)
        with pytest.raises(UserError, match=words) as caught:
            _read_users(path)
        assert caught.value.remedy
    with pytest.raises(UserError, match="cannot be read"):
        _read_users(tmp_path)


def test_a_cache_of_another_run_is_refused(lrea: Call) -> None:
    lrea("compress", "--run", "tiny-din", "--cache", "of-din")
    assert "is of the run 'tiny-din', not of 'tiny-lrea'" in lrea(
        "eval", "--run", "tiny-lrea", "--cache", "of-din", code=2
    )


def test_serve_bench_of_a_cache_opens_the_run_of_the_cache(lrea: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """tiny-din is the later run; the cache is of the one before it."""
    monkeypatch.setattr(gate_module, "GATE_USERS", 2)
    lrea("compress", "--run", "tiny-lrea", "--cache", "of-lrea")
    found = lrea("serve-bench", "--cache", "of-lrea", "--kernel", "gemm", "--candidates", 5, "--seconds", 0.1)
    assert (found["run"], found["cache"]) == ("tiny-lrea", "of-lrea")
    refused = lrea("serve-bench", "--cache", "of-lrea", "--run", "tiny-din", code=2)
    assert "is of the run" in refused or "was made from another version of the run" in refused
    assert "no cache 'of-lera'" in lrea("serve-bench", "--cache", "of-lera", code=2)
