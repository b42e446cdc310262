"""Fields alone: the AUC of a value's mean label against rows spelled out, and the fields that know the label."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.dataset.fields import Field
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.dataset.samples import ByValue, read_samples
from lrea_cli.prepare.look.field_auc import auc_of_counts, auc_of_value, measure_fields, warnings_of
from lrea_cli.prepare.look.page import PAGE, look_into
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.sources.base import Source
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import Taobao
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.workspace.blocks import DatasetFiles
from lrea_cli.workspace.home import Workspace
from tests.fixtures.exposures_raw import write_exposures
from tests.fixtures.taobao_raw import write_taobao

REAL = Path(__file__).parents[3].parent / "shared" / "data" / "kuairand" / "kuairand_kcore15.tsv.gz"
COLUMNS: dict[str, Any] = {
    "user_column": "user_id",
    "item_column": "video_id",
    "time_column": "time_ms",
    "time_unit": "ms",
    "label_column": "is_click",
    "utc_offset": "8",
}


def prepared(home: Path, raw: Path, source: Source) -> tuple[Path, dict[str, Any]]:
    """The dataset's folder, and its manifest with what `lrea prepare` adds to it."""
    manifest = prepare(source, [raw], "d", Workspace(home), PrepareOptions(threads=1, min_history=3))
    folder = home / "data" / "d"
    return folder, look_into(folder, manifest)[1]


def exposures(home: Path, **fields: Any) -> tuple[Path, dict[str, Any]]:
    raw = home / "exposures.tsv"
    write_exposures(raw)
    return prepared(home, raw, Table(**COLUMNS, **fields))


def told_of(manifest: DatasetManifest) -> list[str]:
    """Names of the fields that are warned of."""
    return [warning.split("'")[1] for warning in manifest.warnings if " field '" in warning]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 4)), max_size=8))
def test_the_auc_of_counts_is_that_of_the_rows(values: list[tuple[int, int, int]]) -> None:
    scores, positives, negatives = np.array(values, np.int64).reshape(-1, 3).T
    rows = np.concatenate([np.repeat(scores, positives), np.repeat(scores, negatives)])
    labels = np.concatenate([np.ones(positives.sum()), np.zeros(negatives.sum())])
    found, expected = auc_of_counts(scores.astype(float), positives, negatives), auc(rows, labels)
    assert found == expected if expected is None else found == pytest.approx(expected, abs=1e-12)


def test_a_value_scores_by_its_smoothed_mean_and_an_unseen_one_by_the_overall_mean() -> None:
    """Values 2 (clicked 3 of 4), 3 (1 of 6) and missing (id 1, 0 of 2) in training: the overall mean is 4 of 12."""
    train = ByValue(np.array([0, 2, 4, 6, 0, 0]), np.array([0, 0, 3, 1, 0, 0]))
    valid = ByValue(np.array([0, 2, 3, 2, 1, 5]), np.array([0, 1, 2, 0, 1, 2]))  # 4 and the late ones: unseen
    score = {1: 40 / 12 / 12, 2: (3 + 40 / 12) / 14, 3: (1 + 40 / 12) / 16, 4: 1 / 3, 5: 1 / 3}
    rows = [(score[v], y) for v in score for y in [1] * valid.clicked[v] + [0] * (valid.rows[v] - valid.clicked[v])]
    scores, labels = np.array(rows).T
    assert auc_of_value(train, valid) == pytest.approx(auc(scores, labels), abs=1e-12)
    assert auc_of_value(train, ByValue(valid.rows, valid.rows)) is None


def test_a_field_alone_is_measured_as_by_loops_over_the_samples(tmp_path: Path) -> None:
    folder, manifest = exposures(tmp_path, context_field=["hourmin"], item_field=["duration=duration_ms"])
    dataset = DatasetInfo(manifest, DatasetFiles(folder))
    train, valid = (read_samples(dataset, split) for split in ("train", "valid"))
    assert list(manifest.field_auc) == ["item", "duration", "hourmin"]
    for field in manifest.fields:
        clicks: dict[int, list[float]] = {}
        for samples in (train,):
            column = {**samples.ids, **samples.profile}[field.name]
            for value, label in zip(column.tolist(), samples.label.tolist(), strict=True):
                clicks.setdefault(value, []).append(label)
        mean = float(train.label.mean())
        asked = {**valid.ids, **valid.profile}[field.name].tolist()
        scores = [(sum(clicks.get(v, [])) + 10 * mean) / (len(clicks.get(v, [])) + 10) for v in asked]
        expected = auc(np.array(scores).round(12), valid.label)
        assert manifest.field_auc[field.name] == pytest.approx(expected, abs=1e-9)


def test_a_copy_of_the_label_as_a_field_is_caught(tmp_path: Path) -> None:
    """The label's own column is refused as a field; under another name it is seen by what it knows."""
    write_exposures(raw := tmp_path / "exposures.tsv")
    header, *rows = raw.read_text(encoding="utf-8").splitlines()
    label = header.split("\t").index("is_click")
    copied = [f"{header}\tcopy", *(f"{row}\t{row.split(chr(9))[label]}" for row in rows)]
    raw.write_text("\n".join(copied) + "\n", encoding="utf-8")
    folder, manifest = prepared(tmp_path, raw, Table(**COLUMNS, context_field=["copy", "hourmin"]))
    assert manifest.field_auc["copy"] == 1.0
    assert told_of(manifest) == ["copy"]
    assert "Warning: The context field &#x27;copy&#x27; alone has AUC 1.000" in (folder / PAGE).read_text()


def test_fields_that_are_known_only_afterwards_are_caught_in_any_role(tmp_path: Path) -> None:
    """`long_view` is set for half of the clicks alone, the time played is longer after a click."""
    fields = {"context_field": ["long_view"], "user_field": ["play_time_ms"], "numeric": ["play_time_ms"]}
    _, manifest = exposures(tmp_path, **fields)
    assert 0.7 < manifest.field_auc["long_view"] < 0.8
    assert manifest.field_auc["play_time_ms"] > 0.9
    assert told_of(manifest) == ["play_time_ms", "long_view"]


def test_what_is_known_before_the_exposure_is_not_warned_of(tmp_path: Path) -> None:
    _, manifest = exposures(tmp_path, context_field=["hourmin"], user_field=["uid=user_id"])
    assert told_of(manifest) == []


def test_a_missing_value_tells_what_the_label_was_where_it_did_in_training(tmp_path: Path) -> None:
    """Like an order's number, which only a bought row has: every value is new, and missing means label 0."""
    rows = [
        f"u{n % 11},i{n % 7},{1_700_006_400 + 86_400 * (n // 60) + n},{n % 2},{f'order{n}' if n % 2 else ''}"
        for n in range(240)
    ]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["user,item,time,label,order", *rows]) + "\n", encoding="utf-8")
    _, manifest = prepared(tmp_path, path, Table(label_column="label", context_field=["order"]))
    assert manifest.field_auc["order"] == 1.0
    assert "order" in told_of(manifest)


def test_of_drawn_labels_only_item_fields_are_measured(tmp_path: Path) -> None:
    raw = write_taobao(tmp_path / "UserBehavior.csv")
    folder, manifest = prepared(tmp_path, raw.path, Taobao())
    assert all(0 < auc < 1 for auc in manifest.field_auc.values())
    dataset = DatasetInfo(manifest, DatasetFiles(folder))
    assert measure_fields(dataset) == manifest.field_auc
    category = replace(manifest.fields[1], role="context")
    by_role = replace(manifest, fields=(category,))
    assert measure_fields(replace(dataset, manifest=by_role)) == {"category": None}
    (auc,) = measure_fields(replace(dataset, manifest=replace(by_role, labels="real"))).values()
    assert auc is not None
    assert warnings_of([category], {"category": None}, 0.5) == []


@pytest.mark.parametrize(
    ("auc", "counter", "told"),
    [
        (0.91, 0.85, True),
        (0.9, 0.85, False),
        (0.09, 0.6, True),
        (0.1, 0.6, False),
        (0.76, 0.55, True),
        (0.74, 0.55, False),
        (0.76, 0.57, False),
        (None, 0.5, False),
    ],
)
def test_the_bounds_of_a_warning(auc: float | None, counter: float, told: bool) -> None:
    found = warnings_of([Field("f", "context")], {"f": auc}, counter)
    assert (len(found) == 1) == told


@pytest.mark.slow
def test_the_kuairand_excerpt_with_what_is_known_afterwards(tmp_path: Path) -> None:
    if not REAL.is_file():
        pytest.skip("the KuaiRand excerpt is not beside the checkout: put it at ../shared/data/kuairand/")
    fields = {"user_field": ["uid=user_id"], "context_field": ["long_view", "play_time_ms", "date"]}
    _, manifest = prepared(tmp_path, REAL, Table(**COLUMNS, **fields, numeric=["play_time_ms"]))
    assert told_of(manifest) == ["long_view", "play_time_ms"]
    assert manifest.field_auc["play_time_ms"] == pytest.approx(0.971, abs=0.001)
