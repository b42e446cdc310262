"""The last tables of `lrea prepare`: facts in the manifest, and nothing wider than a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from lrea_cli.cli import main
from lrea_cli.data.layout import SPLITS
from lrea_cli.reporting.facts import explained, facts_of, field_rows, split_rows
from lrea_cli.reporting.look import look_at
from lrea_cli.workspace import Artifact, Workspace
from tests.fixtures.exposures_raw import write_exposures

OPTIONS = ["--user-column", "user_id", "--item-column", "video_id", "--time-column", "time_ms", "--time-unit", "ms"]
OPTIONS += [
    "--label-column",
    "is_click",
    "--utc-offset",
    "8",
    "--context-field",
    "hourmin",
    "--user-field",
    "uid=user_id",
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LREA_HOME", str(tmp_path / "home"))
    write_exposures(tmp_path / "exposures.tsv", users=60)
    return tmp_path


def prepare(home: Path, *more: str) -> Artifact:
    with pytest.raises(SystemExit) as stop:
        main(["prepare", "table", "--raw", str(home / "exposures.tsv"), *OPTIONS, *more])
    assert not stop.value.code
    return Workspace(home / "home").open("data")


def test_prepare_ends_with_the_facts(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lrea_cli.console.PLAIN_WIDTH", 80)
    manifest = prepare(home).manifest
    out = capsys.readouterr().out
    assert set(manifest["split_facts"]) == set(SPLITS)
    for split, facts in manifest["split_facts"].items():
        assert facts["rows"] == manifest["samples"][split]
        (line,) = [line.split() for line in out.splitlines() if line.split()[:1] == [split] and "20" in line.split()[1]]
        rate = f"{facts['click_rate']:.2%}"
        days = [facts["first_day"], facts["last_day"]]
        assert line == [split, *days, f"{facts['rows']:,}", f"{facts['users']:,}", rate]
    assert manifest["split_facts"]["test"]["first_day"] == "2022-04-13"  # the last of six local days
    for name, auc in manifest["field_auc"].items():
        (line,) = [line.split() for line in out.splitlines() if line.split()[:1] == [name] and len(line.split()) == 5]
        assert line[2] == f"{auc:.4f}"
    resolved = manifest["look"]["resolution"]
    assert f"{resolved['alike']:.4f} where their AUCs correlate" in out
    wide = [line for line in out.splitlines() if len(line.rstrip()) > 80 and not line.startswith("plots:")]
    assert wide == []


def test_columns_that_were_not_used_are_named(home: Path) -> None:
    artifact = prepare(home)
    look, facts = look_at(artifact.path, artifact.manifest), facts_of(artifact.path, artifact.manifest)
    lines = explained(facts, look, {**artifact.manifest, "unused_columns": ["date", "long_view"]})
    assert lines[-1] == "columns that were not used: date, long_view"
    assert "columns" not in explained(facts, look, {**artifact.manifest, "unused_columns": []})[-1]
    assert [row[0] for row in split_rows(facts)] == list(SPLITS)
    assert [row[:2] for row in field_rows(facts)] == [["item", "item"], ["uid", "user"], ["hourmin", "context"]]


def test_what_a_source_has_said_of_a_field_stays(home: Path) -> None:
    artifact = prepare(home)
    manifest = {**artifact.manifest, "warnings": [], "field_facts": {"hourmin": {"lost": 0.25}}}
    facts = facts_of(artifact.path, manifest)
    facts.add_to(manifest, look_at(artifact.path, manifest))
    assert manifest["field_facts"]["hourmin"] == {"lost": 0.25, "missing": 0.0, "unknown": 0.0}
