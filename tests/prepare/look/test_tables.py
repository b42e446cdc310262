"""The last tables of `lrea prepare`: facts in the manifest, and nothing wider than a terminal of 80 columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lrea_cli.cli import main
from lrea_cli.dataset.layout import SPLITS, DatasetInfo
from lrea_cli.dataset.manifest import DATASETS, DatasetManifest
from lrea_cli.prepare.look.measure import look_at
from lrea_cli.prepare.look.page import explained, field_table, look_into
from lrea_cli.workspace.home import Artifact, Workspace
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


def prepare(home: Path, *more: str) -> Artifact[DatasetManifest]:
    with pytest.raises(SystemExit) as stop:
        main(["prepare", "table", "--raw", str(home / "exposures.tsv"), *OPTIONS, *more])
    assert not stop.value.code
    return Workspace(home / "home").open(DATASETS)


def test_prepare_ends_with_the_facts(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    manifest = prepare(home).manifest
    out = capsys.readouterr().out
    assert set(manifest.split_facts) == set(SPLITS)
    for split, facts in manifest.split_facts.items():
        assert facts["rows"] == manifest.samples[split]
        (line,) = [line.split() for line in out.splitlines() if line.split()[:1] == [split] and "20" in line.split()[1]]
        rate = f"{facts['click_rate']:.2%}"
        days = [facts["first_day"], facts["last_day"]]
        assert line == [split, *days, f"{facts['rows']:,}", f"{facts['users']:,}", rate]
    assert manifest.split_facts["test"]["first_day"] == "2022-04-13"  # the last of six local days
    for name, auc in manifest.field_auc.items():
        (line,) = [line.split() for line in out.splitlines() if line.split()[:1] == [name] and len(line.split()) == 5]
        assert line[2] == f"{auc:.4f}"
    resolved = manifest.look["resolution"]
    assert f"{resolved['alike']:.4f} where their AUCs correlate" in out
    wide = [line for line in out.splitlines() if len(line.rstrip()) > 80 and " " in line.strip()]
    assert wide == []


def test_what_a_source_says_more_is_shown(home: Path) -> None:
    artifact = prepare(home)
    look, plain = look_at(DatasetInfo.of(artifact)), artifact.manifest
    assert field_table(plain).columns == ("field", "role", "AUC alone", "missing", "unknown")
    assert [row[:2] for row in field_table(plain).rows] == [["item", "item"], ["uid", "user"], ["hourmin", "context"]]
    assert "columns" not in explained(replace(plain, unused_columns=()), look)[-1]
    lost = {**plain.field_facts, "hourmin": {"missing": 0.5, "lost": 0.25, "unknown": 0.0}}
    more = replace(plain, unused_columns=("date", "long_view"), field_facts=lost)
    assert field_table(more).columns == ("field", "role", "AUC alone", "missing", "lost", "unknown")
    assert field_table(more).rows[2][3:] == ["50.00%", "25.00%", "0.00%"]
    assert field_table(more).rows[0][4] == "0.00%"
    assert explained(more, look)[-1] == "columns that were not used: date, long_view"


def test_facts_that_the_manifest_has_are_not_made_again(home: Path) -> None:
    artifact = prepare(home)
    lost = {name: {**facts, "lost": 0.25} for name, facts in artifact.manifest.field_facts.items()}
    changed = replace(artifact.manifest, warnings=(), field_facts=lost, field_auc={})
    _, manifest = look_into(artifact.path, changed)
    assert manifest.field_facts == lost
    assert manifest.field_auc == artifact.manifest.field_auc
