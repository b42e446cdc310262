"""The served form of a split: the trained form's logits where the method promises it, no damage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.console.progress import Progress, Silent, ignore
from lrea_cli.dataset.batches import BatchReader
from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import CACHE_DTYPES, CacheDtype, Compression
from lrea_cli.records import maker as maker_module
from lrea_cli.records.cache import CacheSettings, compress, open_cache
from lrea_cli.records.format import DamagedRecord
from lrea_cli.records.maker import RecordMaker
from lrea_cli.records.store import RecordStore
from lrea_cli.runs.checkpoint import Run
from lrea_cli.runs.loop import reader_of, score_split
from lrea_cli.score.cached import missing_behaviors, score_split_cached
from lrea_cli.workspace.home import Workspace

CPU = torch.device("cpu")
LIMIT = 1e-5
"""Of a logit's change in float32; the long interest moves these logits by .07 to .6."""


def reader(run: Run, requests: int | None = None) -> BatchReader:
    """The test split, or its first requests."""
    found = reader_of(run.dataset, "test", run.recipe.data, 256)
    if requests is None:
        return found
    return replace(found, samples=found.samples.of_requests(np.arange(requests)))


def served_logits(
    run: Run,
    split: BatchReader,
    dtype: CacheDtype = "float32",
    progress: Progress = ignore,
    built: np.ndarray | None = None,
    compression: Compression | None = None,
) -> np.ndarray:
    return score_split_cached(RecordMaker.of(run, compression, dtype), split, progress, built).logits


def difference(run: Run, dtype: CacheDtype = "float32", requests: int | None = None) -> np.ndarray:
    """(rows,) served minus trained logits."""
    plain = score_split(run.model, reader(run, requests), ignore)
    served = served_logits(run, reader(run, requests), dtype)
    assert np.isfinite(served).all()
    assert plain.std() > 1e-3
    return served - plain


def test_din_is_served_as_it_was_trained(din_run: Run) -> None:
    assert np.abs(difference(din_run)).max() < LIMIT


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "lrea", "form": "absorbed"},
        {"method": "lrea", "form": "absorbed", "decomp_columns": "free"},
        {"method": "lrea", "form": "absorbed", "short_histories": "exact"},
        {"method": "mean"},
        {"method": "din-short"},
    ],
    ids=lambda s: "-".join(s.values()),
)
def test_methods_whose_trained_form_is_the_served_one(make_run, settings: dict[str, str]) -> None:
    assert np.abs(difference(make_run(**settings), requests=80)).max() < LIMIT


def test_decomposed_lrea_is_served_in_another_form_than_it_was_trained(make_run) -> None:
    assert np.abs(difference(make_run(method="lrea"), requests=80)).max() > 1e-3


def test_int8_differs_by_more_than_float16_and_not_by_much(din_run: Run, make_run) -> None:
    for run in (din_run, make_run(method="lrea", form="absorbed")):
        change = np.abs(difference(run, "int8", requests=80)).max()
        assert np.abs(difference(run, "float16", requests=80)).max() < change < 5e-2


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_bytes_per_record_are_those_on_disk(lrea_run: Run, tmp_path: Path, dtype: CacheDtype) -> None:
    split, workspace = reader(lrea_run, 5), Workspace(tmp_path)
    found = score_split_cached(RecordMaker.of(lrea_run, None, dtype), split, ignore).bytes_per_record
    sizes = []
    for request in range(5):
        asked = CacheSettings(dtype, int(split.samples.time[request]), split.samples.user[[request]])
        sizes.append(compress(workspace, lrea_run, asked, Silent(), f"cache-{request}").bytes_per_user)
    assert found == np.mean(sizes)


def test_float16_differs_but_little(din_run: Run, make_run) -> None:
    for run in (din_run, make_run(method="lrea", form="absorbed")):
        change = np.abs(difference(run, "float16", requests=80)).max()
        assert 2e-6 < change < 5e-3


def test_every_request_has_a_record_of_its_own(lrea_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Spy(RecordStore):
        def fetch(self, keys):
            assert self.keys.tolist() == sorted(int(k) for k in keys)
            seen.extend(int(k) for k in keys)
            return super().fetch(keys)

    monkeypatch.setattr(maker_module, "RecordStore", Spy)
    split = reader(lrea_run)
    done: list[int] = []
    served_logits(lrea_run, split, progress=done.append)
    assert sorted(seen) == list(range(split.samples.requests))
    assert sum(done) == split.samples.rows


def test_a_flipped_bit_between_writing_and_reading_is_refused(lrea_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Flipped(RecordStore):
        def __init__(self, folder: Path, *others) -> None:
            shard = folder / "records-00000.bin"
            blob = bytearray(shard.read_bytes())
            blob[len(blob) // 2] ^= 1
            shard.write_bytes(blob)
            super().__init__(folder, *others)

    monkeypatch.setattr(maker_module, "RecordStore", Flipped)
    with pytest.raises(DamagedRecord):
        served_logits(lrea_run, reader(lrea_run, 40))


def test_what_is_served_comes_from_the_record_alone(din_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records exchanged between requests change the logits of both."""

    class Exchanged(RecordStore):
        def fetch(self, keys):
            return super().fetch(np.roll(keys, 1))

    plain = served_logits(din_run, reader(din_run, 40))
    monkeypatch.setattr(maker_module, "RecordStore", Exchanged)
    other = served_logits(din_run, reader(din_run, 40))
    assert (plain != other).mean() > 0.5
    assert np.abs(plain - other).max() > 1e-2


def test_requests_with_unlike_numbers_of_candidates_keep_their_logits(din_run: Run) -> None:
    whole = reader(din_run, 40)
    samples, request = whole.samples, whole.samples.row_request
    within = np.arange(samples.rows) - samples.offsets[request]
    kept = within <= request % 8
    few = replace(
        samples,
        offsets=np.concatenate([[0], np.cumsum(np.bincount(request[kept]))]),
        label=samples.label[kept],
        ids={name: column[kept] for name, column in samples.ids.items()},
        profile={name: column[kept] for name, column in samples.profile.items()},
    )
    expected = score_split(din_run.model, whole, ignore)[kept]
    ragged = replace(whole, samples=few)
    np.testing.assert_allclose(score_split(din_run.model, ragged, ignore), expected, atol=LIMIT)
    served = served_logits(din_run, ragged)
    np.testing.assert_allclose(served, expected, atol=LIMIT)


def test_a_request_is_scored_from_the_record_that_compress_would_have_made_then(din_run: Run, tmp_path: Path) -> None:
    split = reader(din_run)
    samples, workspace = split.samples, Workspace(tmp_path)
    order = np.argsort(samples.history_length)
    for request in (order[len(order) // 2], order[-1]):
        user, time = samples.user[request], int(samples.time[request])
        name = f"cache-{request}"
        compress(workspace, din_run, CacheSettings(as_of=time, users=np.array([user])), Silent(), name)
        keys = open_cache(workspace, din_run, name).store.read(int(user)).arrays["keys"]
        batch = split.batch(np.array([request]))
        with torch.inference_mode():
            behaviors = din_run.model.features.behaviors(batch.long)
        assert keys.tobytes() == behaviors.vectors[0].numpy().tobytes()
        assert len(keys) > 10


def test_the_short_part_of_a_request_is_the_newest_known_behaviors(din_run: Run) -> None:
    split = reader(din_run, 40)
    samples, log = split.samples, split.histories
    batch = split.batch(np.arange(40))
    for position in range(40):
        start, end = log.offsets[samples.user[position]], log.offsets[samples.user[position] + 1]
        known = [p for p in range(start, end) if log.time[p] < samples.time[position]]
        expected = [int(log.columns["item"][p]) for p in known[::-1][:8]]
        mask = batch.short.mask[position]
        assert batch.short.ids["item"][position][mask].tolist() == expected
        assert batch.history_length[position] == len(known)
        assert mask[: len(expected)].all()


# records that were built before the request

DAY = 86_400


def test_a_record_built_at_the_request_is_no_older_record(lrea_run: Run) -> None:
    split = reader(lrea_run, 60)
    fresh = served_logits(lrea_run, split)
    np.testing.assert_array_equal(served_logits(lrea_run, split, built=split.samples.time), fresh)
    assert not missing_behaviors(split, split.samples.time).any()


def test_an_old_record_is_the_one_that_compress_would_have_made_then(din_run: Run) -> None:
    """By a loop over the log: long part, counters and length before the age; the short part before the request.

    Behaviors since then are counted as far as the short part shows them; some requests lose counts to this.
    """
    split = reader(din_run, 60)
    samples, log, model = split.samples, split.histories, din_run.model
    found = served_logits(din_run, split, built=samples.time - 20 * DAY)
    moved = lost = 0
    for request in range(60):
        user, time = samples.user[request], samples.time[request]
        times = log.time[log.offsets[user] : log.offsets[user + 1]]
        then, now = int((times < time - 20 * DAY).sum()), int((times < time).sum())
        batch = split.batch(np.array([request]))
        shown = min(now - then, 8)
        matches = {name: torch.zeros_like(ids) for name, ids in batch.candidates.matches.items()}
        first = int(log.offsets[user])
        for name, counts in matches.items():
            for column, value in enumerate(batch.candidates.ids[name][0].tolist()):
                seen = log.columns[name][first : first + then].tolist()
                seen += log.columns[name][first + now - shown : first + now].tolist()
                counts[0, column] = seen.count(value) if value > 1 else 0
        lost += any(bool((batch.candidates.matches[name] > counts).any()) for name, counts in matches.items())
        batch = replace(batch, candidates=replace(batch.candidates, matches=matches))
        long = log.newest(np.array([user]), np.array([then]), 8, 40)
        with torch.inference_mode():
            candidates = model.candidates(batch.candidates)
            interest = model.long.attention.over(candidates.vectors, model.features.behaviors(long))
            inputs = model.mlp_inputs(candidates, interest, batch.short, torch.tensor([then + shown]))
            expected = model.mlp(inputs.joined()[candidates.mask])
        rows = slice(samples.offsets[request], samples.offsets[request + 1])
        np.testing.assert_allclose(found[rows], expected.numpy(), atol=LIMIT)
        moved += then < now and now > 8
        missing = missing_behaviors(split, samples.time - 20 * DAY)[request]
        assert missing == min(max(now - 8, 0) - max(then - 8, 0), 40)
    assert moved > 20
    assert lost > 5


def test_a_record_that_knows_later_events_is_refused(lrea_run: Run) -> None:
    split = reader(lrea_run, 20)
    late = split.samples.time.copy()
    late[7] += 1
    with pytest.raises(UserError, match="1 request would be scored from records that know later events"):
        served_logits(lrea_run, split, built=late)


def test_known_at_counts_strictly_earlier_behaviors_of_each_user(lrea_run: Run) -> None:
    log = reader(lrea_run).histories
    users = np.repeat(np.arange(log.users), 3)
    rng = np.random.default_rng(0)
    times = rng.integers(int(log.time[:].min()) - 5, int(log.time[:].max()) + 5, len(users))
    filled = np.flatnonzero(np.diff(log.offsets)[users])
    times[filled[::2]] = log.time[log.offsets[users[filled[::2]]]]  # at a behavior's own second it is not known yet
    expected = [
        int((log.time[log.offsets[u] : log.offsets[u + 1]] < t).sum()) for u, t in zip(users, times, strict=True)
    ]
    assert log.known_at(users, times).tolist() == expected
    samples = reader(lrea_run).samples
    np.testing.assert_array_equal(log.known_at(samples.user, samples.time), samples.history_length)


# compressors


def test_compressed_records_come_closer_to_full_attention_with_the_rank(din_run: Run) -> None:
    split = reader(din_run, 80)
    full = score_split(din_run.model, split, ignore)
    changes = [
        np.abs(served_logits(din_run, split, compression=Compression("clusters", rank)) - full).mean()
        for rank in (1, 4, 16, 40)
    ]
    assert changes == sorted(changes, reverse=True)
    assert changes[-1] < LIMIT < changes[0]


def test_only_a_din_run_is_compressed(lrea_run: Run) -> None:
    with pytest.raises(UserError, match="'tiny-lrea' is a 'lrea'; compressors work on full attention"):
        RecordMaker.of(lrea_run, Compression("clusters", 4))
