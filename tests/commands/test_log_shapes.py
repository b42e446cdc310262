"""Three shapes of real logs go through `lrea prepare table` by options alone, and through `--dry-run`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lrea_cli.cli import app

NOON = 1_700_006_400
DAY = 86_400
USERS, DAYS, A_DAY = 12, 4, 3
EVENTS = [
    (user, (7 * user + 3 * day + n) % 40, NOON + day * DAY + 60 * user + n)
    for user in range(USERS)
    for day in range(DAYS)
    for n in range(A_DAY)
]


def run(home: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    monkeypatch.setenv("LREA_HOME", str(home))
    options = ["--threads", "1", "--json", *([] if "--label-column" in arguments else ["--min-history", "2"])]
    result = CliRunner().invoke(app, ["prepare", "table", *arguments, *options])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def check(home: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    """Prepare, and see that the sample of `--dry-run`, which here is all of the file, gives the same account."""
    reckoned = run(home, monkeypatch, *arguments, "--dry-run")
    manifest = run(home, monkeypatch, *arguments)
    assert reckoned["sample_read"] == manifest["events_read"]
    assert reckoned["sample_rejected"] == manifest["rejected"]
    return manifest


@pytest.mark.slow
def test_ratings_without_a_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MovieLens 1M: user::item::rating::time; its other files are Latin-1, and so is one id here."""
    raw = tmp_path / "ratings.dat"
    rows = (f"{user}::{'É' if item == 7 else ''}{item}::{1 + item % 5}::{time}\n" for user, item, time in EVENTS)
    raw.write_text("".join(rows), encoding="latin-1")
    options = ["--raw", str(raw), "--columns", "user,item,rating,time", "--encoding", "latin-1"]
    manifest = check(tmp_path, monkeypatch, *options, "--context-field", "rating")
    assert (manifest["events_read"], manifest["events_kept"], manifest["users"]) == (len(EVENTS), len(EVENTS), USERS)
    assert manifest["items"] == len({item for _, item, _ in EVENTS})
    assert {f["name"]: f["size"] - 2 + f["late"] for f in manifest["fields"]}["rating"] == 5
    assert (manifest["source_options"]["columns"], manifest["options"]["encoding"]) == (options[3], "latin-1")


@pytest.mark.slow
def test_impressions_in_milliseconds_with_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `DataFrame.to_csv` writes: the first column has no name."""
    raw = tmp_path / "impressions.csv"
    rows = (f"{n},u{u},i{i},{t}123,{(u + n) % 2}\n" for n, (u, i, t) in enumerate(EVENTS))
    raw.write_text(",uid,iid,ts,clicked\n" + "".join(rows))
    columns = ["--user-column", "uid", "--item-column", "iid", "--time-column", "ts", "--label-column", "clicked"]
    manifest = check(tmp_path, monkeypatch, "--raw", str(raw), *columns, "--time-unit", "ms")
    assert (manifest["events_kept"], manifest["labels"]) == (len(EVENTS), "real")
    assert sum(manifest["samples"].values()) == len(EVENTS)


def test_semicolons_with_iso_dates_and_missing_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "export" / "Log.CSV"
    raw.parent.mkdir()
    rows = (f"{datetime.fromtimestamp(t, UTC).isoformat()};{u};{i}\n" for u, i, t in EVENTS)
    missing = [f"2023-11-15T12:00:0{n}+00:00;;5\n" for n in range(5)]
    raw.write_text("when;customer;product\n" + "".join([*rows, *missing]))
    columns = ["--user-column", "customer", "--item-column", "product", "--time-column", "when"]
    manifest = check(tmp_path, monkeypatch, "--raw", str(raw.parent), *columns)
    assert (manifest["events_kept"], manifest["rejected"]) == (len(EVENTS), {"missing_user": 5})
    assert [f["name"] for f in manifest["raw_files"]] == ["Log.CSV"]
