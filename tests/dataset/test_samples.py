"""Counts of a dataset's samples against loops over its samples, read in parts of any size."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lrea_cli.dataset import samples as samples_module
from lrea_cli.dataset.layout import SPLITS, DatasetInfo, Split
from lrea_cli.dataset.samples import by_value, read_samples, require_both_labels
from lrea_cli.errors import UserError
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.sources.table import Table
from lrea_cli.workspace.blocks import DatasetFiles
from lrea_cli.workspace.home import Workspace
from tests.fixtures.exposures_raw import write_exposures
from tests.fixtures.one_label import give_one_label

ZONE = 8


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    home = tmp_path_factory.mktemp("home")
    write_exposures(home / "exposures.tsv", users=30)
    text = (home / "exposures.tsv").read_text(encoding="utf-8")
    (home / "exposures.tsv").write_text(text.replace("\t900\t", "\t\t"), encoding="utf-8")  # nine o'clock is missing
    columns = {"user_column": "user_id", "item_column": "video_id", "time_column": "time_ms", "time_unit": "ms"}
    source = Table(**columns, label_column="is_click", context_field=["hourmin"], utc_offset=str(ZONE))
    manifest = prepare(source, [home / "exposures.tsv"], "e", Workspace(home), PrepareOptions(threads=1))
    return DatasetInfo(manifest, DatasetFiles(home / "data" / "e"))


@pytest.mark.parametrize("rows", [7, 1 << 18])
@pytest.mark.parametrize("name", ["item", "hourmin"])
def test_values_are_counted_as_by_a_loop(
    dataset: DatasetInfo, monkeypatch: pytest.MonkeyPatch, name: str, rows: int
) -> None:
    monkeypatch.setattr(samples_module, "ROWS_AT_ONCE", rows)
    field = next(f for f in dataset.manifest.fields if f.name == name)
    late = 0
    for split in SPLITS:
        shown, clicked = np.zeros(field.size + 1, int), np.zeros(field.size + 1, int)
        for row in pq.read_table(dataset.files.folder / f"{split}.parquet").to_pylist():
            place = min(row[name], field.size)
            shown[place] += 1
            clicked[place] += row["label"]
        found = by_value(dataset, split, field)
        np.testing.assert_array_equal(found.rows, shown)
        np.testing.assert_array_equal(found.clicked, clicked)
        late += int(found.rows[-1])
    assert (late > 0) == (name == "item")


@pytest.mark.parametrize(("split", "label"), [("train", 0), ("valid", 0), ("test", 1)])
def test_a_split_with_one_label_is_refused_and_named(
    dataset: DatasetInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: Split, label: int
) -> None:
    monkeypatch.setattr(samples_module, "ROWS_AT_ONCE", 7)
    require_both_labels(dataset)
    shutil.copytree(dataset.files.folder, tmp_path / "e")
    changed = give_one_label(replace(dataset, files=DatasetFiles(tmp_path / "e")), split, label)
    require_both_labels(changed, [other for other in SPLITS if other != split])
    with pytest.raises(
        UserError, match=rf"samples of the {split} split of 'e' have label {label}: its AUC is undefined"
    ):
        require_both_labels(changed)


def test_a_share_is_whole_users_whom_the_seed_draws_and_smaller_shares_lie_in_larger_ones(dataset: DatasetInfo) -> None:
    whole = read_samples(dataset, "train")
    samples = whole.of_requests(np.flatnonzero(whole.user % 3 > 0))  # ids are those of the log: some have no sample
    users = set(samples.user.tolist())
    number = np.random.default_rng([5, 0, 1]).random(1000)
    assert samples.of_share(1.0, 5) is samples
    before: set[int] = set()
    for share in (1e-9, 0.125, 0.25, 0.5, 0.999):
        part = samples.of_share(share, 5)
        count = max(1, round(share * len(users)))
        kept = set(sorted(users, key=lambda user: number[user])[:count])
        assert set(part.user.tolist()) == kept
        assert before <= kept
        before = kept
        of_request = [request for request in range(samples.requests) if samples.user[request] in kept]
        np.testing.assert_array_equal(part.time, samples.time[of_request])
        np.testing.assert_array_equal(part.history_length, samples.history_length[of_request])
        rows = np.concatenate([np.arange(*samples.offsets[r : r + 2]) for r in of_request])
        np.testing.assert_array_equal(part.label, samples.label[rows])
        np.testing.assert_array_equal(part.ids["item"], samples.ids["item"][rows])
    assert set(samples.of_share(0.5, 6).user.tolist()) != set(samples.of_share(0.5, 5).user.tolist())
