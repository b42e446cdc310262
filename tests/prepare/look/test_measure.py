"""A look at the data: every number against plain loops, a leak by construction is warned of, a page of one file."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.dates import num2date
from matplotlib.figure import Figure

from lrea_cli.dataset import counters as counters_module
from lrea_cli.dataset import histories as histories_module
from lrea_cli.dataset.counters import trivial_aucs
from lrea_cli.dataset.histories import Histories, open_histories
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.dataset.manifest import DatasetManifest
from lrea_cli.dataset.samples import read_samples
from lrea_cli.prepare.look import measure as look_module
from lrea_cli.prepare.look.measure import look_at
from lrea_cli.prepare.look.page import PAGE, _volume, look_into
from lrea_cli.prepare.options import PrepareOptions
from lrea_cli.prepare.prepare import prepare
from lrea_cli.prepare.sources.table import Table
from lrea_cli.prepare.sources.taobao import Taobao
from lrea_cli.workspace.blocks import DatasetFiles
from lrea_cli.workspace.home import Workspace
from tests.fixtures.taobao_raw import write_taobao

DAY = 86_400


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    home = tmp_path_factory.mktemp("home")
    raw = write_taobao(home / "UserBehavior.csv")
    manifest = prepare(Taobao(), [raw.path], "t", Workspace(home), PrepareOptions(threads=1, min_history=3))
    return DatasetInfo(manifest, DatasetFiles(home / "data" / "t"))


def users_of(dataset: DatasetInfo) -> list[list[tuple[int, int]]]:
    """(time, item) of each user's behaviors."""
    h = open_histories(dataset)
    pairs = list(zip(h.time[:].tolist(), h.columns["item"][:].tolist(), strict=True))
    return [pairs[a:b] for a, b in zip(h.offsets[:-1], h.offsets[1:], strict=True)]


def test_numbers_agree_with_loops(dataset: DatasetInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories_module, "PART", 7)  # ties at the ends of parts
    monkeypatch.setattr(look_module, "PARTS", 3)  # of several users each
    monkeypatch.setattr(counters_module, "PARTS", 3)
    found, users = look_at(dataset), users_of(dataset)
    lengths = sorted(len(user) for user in users)
    total = sum(lengths)
    assert (found.users, found.behaviors) == (len(users), total)
    assert found.lengths.max == lengths[-1]
    assert found.lengths.p50 == lengths[-(-len(lengths) // 2) - 1]
    ties = sum(a[0] == b[0] for user in users for a, b in itertools.pairwise(user))
    assert found.ties == ties / total > 0
    assert found.repeats == pytest.approx(1 - sum(len({i for _, i in user}) for user in users) / total)
    days = Counter((time + 8 * 3600) // DAY for user in users for time, _ in user)
    assert dict(found.days) == days
    assert sum(found.length_histogram.counts) == len(users)
    test = read_samples(dataset, "test")
    size = next(f.size for f in dataset.manifest.fields if f.name == "item")
    assert found.unknown_items == np.mean(test.ids["item"] >= size) > 0
    assert found.long_empty == np.mean([test.history_length[r] <= 64 for r in test.row_request])
    assert 0 < found.long_empty < 1
    firsts: dict[int, int] = {}
    for time, item in sorted(pair for user in users for pair in user):
        firsts.setdefault(item, time)
    ages = [max(0, test.time[r] - firsts[i]) / DAY for r, i in zip(test.row_request, test.ids["item"], strict=True)]
    assert sum(found.novelty.positives) == (test.label == 1).sum()
    assert found.novelty.negatives[0] == sum(a < 1 for a, y in zip(ages, test.label, strict=True) if not y)
    baselines = trivial_aucs(test, open_histories(dataset), dataset.manifest.splits.valid_from)
    assert {k: found.baselines[k] for k in baselines} == baselines


def test_few_users_are_read_where_there_are_many(dataset: DatasetInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = look_at(dataset)
    monkeypatch.setattr(look_module, "BEHAVIORS_READ", whole.behaviors // 2)
    monkeypatch.setattr(look_module, "REQUESTS_READ", 10)
    some = look_at(dataset)
    assert abs(some.repeats - whole.repeats) < 0.1
    assert sum(some.popularity.positives) == 10


def leaking(tmp_path: Path) -> DatasetManifest:
    """Clicked items are those of which everybody clicked before; the others are never clicked."""
    rows = [
        f"u{user},{'hot' if n % 2 else f'cold{user}-{day}-{n}'},{17_500 * DAY + day * DAY + n},{n % 2}"
        for user in range(20)
        for day in range(4)
        for n in range(6)
    ]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["user,item,time,y", *rows]) + "\n")
    source = Table(label_column="y")
    return prepare(source, [path], "leak", Workspace(tmp_path), PrepareOptions(threads=1))


def test_a_leak_is_warned_of_and_the_page_is_one_file(tmp_path: Path) -> None:
    manifest = leaking(tmp_path)
    folder = tmp_path / "data" / "leak"
    found, manifest = look_into(folder, manifest)
    assert found.baselines["popularity"] == 1.0
    assert [w.split(" alone")[0] for w in manifest.warnings if " alone has" in w] == [
        "The counter of behaviors on the candidate",
        "The counter of behaviors of all users on the candidate",
        "The counter of days since the candidate's first behavior",
        "The item field 'item'",
    ]
    page = (folder / PAGE).read_text()
    assert "Warning: The counter of behaviors of all users on the candidate alone has AUC 1.000" in page
    assert page.count("<img") == 1
    assert 'src="data:image/png;base64,iVBOR' in page
    assert "http" not in page  # it needs no other file
    plain = replace(manifest, warnings=())
    assert look_into(folder, plain) == (found, manifest)
    assert (folder / PAGE).read_text() == page


def test_lines_stand_where_the_bars_of_valid_and_test_begin(dataset: DatasetInfo) -> None:
    axes = Figure().subplots()
    manifest, found = dataset.manifest, look_at(dataset)
    _volume(axes, found, manifest)
    first_of = [(time + 8 * 3600) // DAY for time in (manifest.splits.valid_from, manifest.splits.test_from)]
    assert [line.get_xdata()[0] for line in axes.lines] == [day - 0.5 for day in first_of]
    assert [bar.get_center()[0] for bar in axes.patches] == pytest.approx([day for day, _ in found.days])
    assert [num2date(day).date().isoformat() for day in first_of] == ["2017-12-02", "2017-12-03"]


def test_no_warning_without_a_leak(dataset: DatasetInfo) -> None:
    assert look_at(dataset).warnings() == []


def test_short_histories_are_warned_of(dataset: DatasetInfo) -> None:
    found = replace(look_at(dataset), long_empty=0.9)
    assert found.warnings() == []
    (warning,) = replace(found, long_empty=0.95).warnings()
    assert warning.startswith("95% of the test samples have no more than 64 behaviors before them")
    assert "--short" in warning


def test_behaviors_without_an_item_are_of_no_item_and_repeat_none() -> None:
    item = np.array([1, 1, 2, 1, 2, 3], np.int32)
    histories = Histories(np.array([0, 4, 6]), np.array([5, 6, 7, 8, 9, 50]), {"item": item})
    first = look_module._first_times(histories, 4)
    assert first[2:].tolist() == [7, 50]
    assert first[1] > 1 << 60
    assert look_module._repeats(histories) == 0


def test_the_best_counter_is_the_one_farthest_from_a_half(dataset: DatasetInfo) -> None:
    found = replace(look_at(dataset), baselines={"category_count": None, "item_count": 0.6, "novelty": 0.25})
    assert found.best_counter == 0.75
    assert replace(found, baselines={"category_count": None}).best_counter == 0.5
