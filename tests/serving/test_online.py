"""Scorer: raw ids in, the logits of `eval` out."""

from __future__ import annotations

import csv
import doctest
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lrea_cli.console.progress import Silent, ignore
from lrea_cli.dataset.layout import SPLITS, DatasetInfo
from lrea_cli.dataset.samples import Samples
from lrea_cli.dataset.vocabulary import Vocabulary
from lrea_cli.errors import UserError
from lrea_cli.native.library import NO_LIBRARY
from lrea_cli.prepare.prepare import PrepareOptions, prepare
from lrea_cli.prepare.sources.table import Table
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.cache import CacheSettings, compress
from lrea_cli.records.maker import RecordMaker
from lrea_cli.runs.checkpoint import Run, open_dataset
from lrea_cli.score.cached import score_split_cached
from lrea_cli.score.evaluate import reader_of
from lrea_cli.serving.native import abi
from lrea_cli.serving.online import Scorer
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.parquet import read_parquet
from tests.conftest import untrained_run
from tests.serving.export.bundles import DATASET as SHOP
from tests.serving.export.bundles import prepared_shop

NOW = 2_000_000_000


def scorer_of(workspace: Workspace, run: Run, as_of: int | None = None, users: np.ndarray | None = None) -> Scorer:
    name = f"online-{len(list((workspace.home / 'caches').glob('*')))}"
    compress(workspace, run, CacheSettings("float32", as_of, users), Silent(), name)
    return Scorer.open(cache=name, workspace=workspace)


@pytest.fixture
def scorer(workspace_copy: Workspace, lrea_run: Run) -> Scorer:
    return scorer_of(workspace_copy, lrea_run, lrea_run.dataset.manifest.splits.test_from)


def raw_of(dataset: DatasetInfo, name: str) -> dict[int, str]:
    """Id -> raw value of a field, read from the file."""
    table = read_parquet(dataset.files.blocks(f"vocab/{name}.parquet"))
    return dict(zip(table["user" if name == "user" else "id"].to_pylist(), table["value"].to_pylist(), strict=True))


def check_online_equals_offline(
    scorer: Scorer, samples: Samples, maker: RecordMaker, whole_items: bool, every: int = 3
) -> None:
    """The test split through raw ids has the logits of `eval` from records of the cache's instant."""
    run, as_of = scorer.run, scorer.cache.manifest.as_of
    reader = reader_of(run.dataset, "test", run.recipe.data, 256)
    built = np.full(samples.requests, as_of)
    expected = score_split_cached(maker, reader, ignore, built).logits
    newer = samples.history_length - reader.histories.known_at(samples.user, built)
    assert (newer > 0).any()
    raw = {name: raw_of(run.dataset, name) for name in ("user", *samples.ids, *samples.profile)}
    for request in range(0, samples.requests, every):
        rows = np.arange(samples.offsets[request], samples.offsets[request + 1])
        items = {n: [raw[n].get(i) for i in column[rows].tolist()] for n, column in samples.ids.items()}
        profile = {n: [raw[n].get(i) for i in column[rows].tolist()] for n, column in samples.profile.items()}
        found = scorer.score(
            raw["user"][int(samples.user[request])],
            items if whole_items else items["item"],
            profile,
            time=int(samples.time[request]),
        )
        np.testing.assert_allclose(found, expected[rows], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("whole_items", [True, False])
def test_the_test_split_through_the_scorer_has_the_logits_of_eval(
    scorer: Scorer, lrea_run: Run, samples: Samples, whole_items: bool
) -> None:
    check_online_equals_offline(scorer, samples, RecordMaker.of(lrea_run), whole_items)


@pytest.mark.each_once
@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("settings", "compression"),
    [({"method": "sim", "k": 4}, None), ({"method": "din"}, Compression("clusters", 4))],
    ids=["sim", "clusters"],
)
def test_so_has_a_searched_run_and_a_compressed_one_in_int8(
    workspace_copy: Workspace,
    samples: Samples,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, object],
    compression: Compression | None,
    native: bool,
) -> None:
    if not native:
        monkeypatch.setenv(NO_LIBRARY, "0")
    run = untrained_run(workspace_copy, workspace_copy, ("item", "category"), {"embedding_dim": 4, **settings})
    asked = CacheSettings("int8", run.dataset.manifest.splits.test_from, compression=compression)
    compress(workspace_copy, run, asked, Silent(), "small")
    scorer = Scorer.open(cache="small", workspace=workspace_copy)
    check_online_equals_offline(scorer, samples, RecordMaker.of(run, compression, "int8"), True, 9)


def test_the_path_says_what_computes_and_why(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library, or torch and why; both give the same logits."""
    assert scorer.path == (abi.path_of("auto") or f"torch: There is no native request: {abi.load().reason}")
    monkeypatch.setenv(NO_LIBRARY, "0")
    by_torch = Scorer(scorer.run, scorer.cache)
    assert by_torch.path == "torch: There is no native request: LREA_NATIVE=0 turns it off."
    items = list(scorer._vocabulary.fields["item"].ids)[:9]
    for user in [None, *list(scorer._vocabulary._users)[:5]]:
        found, expected = (s.score(user, items, time=NOW) for s in (scorer, by_torch))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


def test_a_model_that_the_library_refuses_is_scored_by_torch(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is larger than the library allows."""
    monkeypatch.setattr("lrea_cli.serving.native.scorer.write_model", lambda model: bytes(100))
    if abi.load().library:
        assert Scorer(scorer.run, scorer.cache).path.startswith("torch: This is no whole model.bin.")


def test_the_example_of_the_scorer_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a home with a run `lrea-1`, a user u7 and a city Oslo."""
    shop = prepared_shop(tmp_path)
    run = untrained_run(shop, shop, ("category",), {"method": "lrea"}, SHOP)
    assert run.name == "lrea-1"
    compress(shop, run, CacheSettings(), Silent(), "cache")
    monkeypatch.setenv("LREA_HOME", str(shop.home))
    names: dict[str, Any] = {"Scorer": Scorer, "np": np}
    (example,) = doctest.DocTestFinder(recurse=False).find(Scorer, "Scorer", globs=names)
    assert len(example.examples) == 3
    result = doctest.DocTestRunner().run(example, clear_globs=False)
    assert result.failed == 0
    chances = example.globs["click_probability"]
    assert chances.shape == (2,)
    assert ((chances > 0) & (chances < 1)).all()
    other = example.globs["scorer"].score("u7", ["i12", "i40"], {"city": "Rome"})
    assert (other != example.globs["logits"]).all()


def test_a_given_short_sequence_is_that_of_the_dataset(scorer: Scorer, lrea_run: Run, samples: Samples) -> None:
    """Newest first, with times; what lies at the cache's instant or after it is newer than the record."""
    raw = {name: raw_of(lrea_run.dataset, name) for name in ("user", *samples.ids)}
    histories = scorer._served.histories
    for request in (0, samples.requests // 2, samples.requests - 1):
        user, moment = int(samples.user[request]), int(samples.time[request])
        start, length = int(histories.offsets[user]), int(samples.history_length[request])
        places = list(range(start + length - 1, start - 1, -1))[:30]
        short = {n: [raw[n].get(int(c[p])) for p in places] for n, c in histories.columns.items()}
        items = [raw["item"][i] for i in sorted(raw["item"])[2:9]]
        known = scorer.score(raw["user"][user], items, time=moment)
        given = scorer.score(
            raw["user"][user], items, short={**short, "time": [int(histories.time[p]) for p in places]}, time=moment
        )
        assert known.tobytes() == given.tobytes()


def test_without_times_the_short_sequence_is_known_to_the_record(scorer: Scorer) -> None:
    user = next(iter(scorer._vocabulary._users))
    item = [next(iter(scorer._vocabulary.fields["item"].ids))]
    as_of = scorer.cache.manifest.as_of
    without = scorer.score(user, item, short={"item": item})
    assert (without == scorer.score(user, item, short={"item": item, "time": [as_of - 1]})).all()
    assert (without != scorer.score(user, item, short={"item": item, "time": [as_of]})).all()


def test_an_unknown_user_has_an_empty_record_and_the_live_sequence(scorer: Scorer) -> None:
    items = list(scorer._vocabulary.fields["item"].ids)[:5]
    nobody = scorer.score("nobody", items)
    assert np.isfinite(nobody).all()
    assert (scorer.score("no one", items, short={"item": []}) == nobody).all()
    assert (scorer.score(None, items, short={"item": items[:2], "time": [NOW, NOW]}) != nobody).any()


def test_a_user_without_a_record_is_served_as_unknown(workspace_copy: Workspace, lrea_run: Run) -> None:
    scorer = scorer_of(workspace_copy, lrea_run, users=np.array([0, 1, 2]))
    names = raw_of(lrea_run.dataset, "user")
    items, nothing = list(scorer._vocabulary.fields["item"].ids)[:5], {"item": []}
    unknown = scorer.score("nobody", items, short=nothing)
    assert (scorer.score(names[5], items, short=nothing) == unknown).all()
    assert (scorer.score(names[1], items, short=nothing) != unknown).any()


def test_unknown_items_and_values_are_the_value_unknown(scorer: Scorer, lrea_run: Run) -> None:
    user = raw_of(lrea_run.dataset, "user")[3]
    assert (scorer.score(user, ["no such item"], time=NOW) == scorer.score(user, [None], time=NOW)).all()
    for name in scorer._profile:
        missing = scorer.score(user, ["no such item"], {name: None}, time=NOW)
        assert (scorer.score(user, ["no such item"], {name: "no such value"}, time=NOW) == missing).all()
    assert scorer.score(user, [], time=NOW).shape == (0,)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda s: s.score("u", ["a"], {"colour": 1}), "no field 'colour'"),
        (lambda s: s.score("u", {"item": ["a"], "shop": ["b"]}), "no field 'shop'"),
        (lambda s: s.score("u", {"item": ["a"], "category": ["b", "c"]}), "lengths"),
        (lambda s: s.score("u", {"category": ["b"]}), "lengths"),
        (lambda s: s.score("u", ["a"], short={"item": ["a", "b"], "time": [1]}), "1 times for 2 behaviors"),
    ],
)
def test_what_does_not_fit_is_refused(scorer: Scorer, ask: Callable[[Scorer], object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        ask(scorer)


def test_a_profile_has_one_value_or_one_for_each_candidate(scorer: Scorer, lrea_run: Run) -> None:
    name = scorer._profile[0]
    value = next(iter(scorer._vocabulary.fields[name].ids))
    items = list(scorer._vocabulary.fields["item"].ids)[:4]
    expected = scorer.score("u", items, {name: value})
    assert (expected != scorer.score("u", items)).any()
    for values in ([value] * 4, (value,), np.array([value] * 4)):
        assert (scorer.score("u", items, {name: values}) == expected).all()
    with pytest.raises(UserError, match="3 values for 4 candidates"):
        scorer.score("u", items, {name: [value] * 3})


def test_threads_share_a_scorer(scorer: Scorer, lrea_run: Run) -> None:
    names, items = raw_of(lrea_run.dataset, "user"), list(scorer._vocabulary.fields["item"].ids)[:20]
    expected = [scorer.score(names[n], items, time=NOW).tobytes() for n in range(20)]
    found: dict[tuple[int, int], bytes] = {}

    def ask(thread: int) -> None:
        torch.set_num_threads(1)
        for n in range(20):
            found[thread, n] = scorer.score(names[n], items, time=NOW).tobytes()

    threads = [threading.Thread(target=ask, args=(t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[thread, n] == expected[n] for thread in range(4) for n in range(20))


def test_a_run_without_a_cache_says_how_to_make_one(workspace_copy: Workspace) -> None:
    with pytest.raises(UserError, match="has no cache") as error:
        Scorer.open("tiny-din", workspace=workspace_copy)
    assert "lrea compress --run tiny-din" in error.value.remedy


def test_raw_values_have_the_ids_of_prepare(tmp_path: Path) -> None:
    """Numeric and text fields of a log: each row of the samples is met again through its raw values."""
    rng, rows = np.random.default_rng(0), []
    for n in range(3000):
        price = "" if n % 17 == 0 else f"{rng.integers(-40, 40) / 4}"
        rows.append([f"{n % 40}.0", f" i{rng.integers(60)}", price, 1_600_000_000 + n * 600, int(rng.random() < 0.5)])
    with (tmp_path / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["user", "item", "price", "time", "label"], *rows])
    workspace = Workspace(tmp_path / "home")
    source = Table(label_column="label", context_field=["price"], numeric=["price"])
    prepare(source, [tmp_path / "log.csv"], "log", workspace, PrepareOptions(threads=1))
    _, info = open_dataset(workspace, "log")
    vocabulary = Vocabulary(info, info.manifest.fields)
    samples = [row for split in SPLITS for row in read_parquet(info.files.blocks(f"{split}.parquet")).to_pylist()]
    by_row = {(r[0].removesuffix(".0"), r[3]): r for r in rows}
    users = raw_of(info, "user")
    assert len(samples) > 300
    for row in samples:
        raw = by_row[users[row["user"]], row["time"]]
        assert vocabulary.user(raw[0]) == row["user"]
        assert vocabulary.ids("item", [raw[1]]).tolist() == [row["item"]]
        assert vocabulary.ids("price", [raw[2]]).tolist() == [row["price"]]
    assert vocabulary.ids("price", [-1e9, 1e9, None, "nan"]).tolist()[2:] == [1, 1]
    with pytest.raises(UserError, match="'price' is a numeric field, and 'cheap' is no number"):
        vocabulary.ids("price", ["cheap"])


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda s: s.score("u", "i1"), "'i1' is one text"),
        (lambda s: s.score("u", ["a"], short={"item": ["a"], "time": ["yesterday"]}), "`time` of the newest behaviors"),
        (lambda s: s.score("u", ["a"], short={"item": ["a"], "time": [NOW * 1000]}), "seconds since 1970"),
        (lambda s: s.score("u", ["a"], short={"item": ["a", "b"], "time": [NOW, NOW + 1]}), "not newest first"),
    ],
)
def test_what_is_meant_otherwise_is_refused(scorer: Scorer, ask: Callable[[Scorer], object], words: str) -> None:
    with pytest.raises(UserError) as error:
        ask(scorer)
    assert words in f"{error.value} {error.value.remedy}"
