"""The served form of a split: the trained form's logits where the method promises it, no damage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.data.batches import BatchReader
from lrea_cli.evaluation import cached as cached_module
from lrea_cli.evaluation.cached import score_split_cached
from lrea_cli.evaluation.scores import score_split
from lrea_cli.progress import Silent, ignore
from lrea_cli.serving.cache import compress, open_cache
from lrea_cli.serving.records import CacheDtype, DamagedRecord
from lrea_cli.serving.store import RecordStore
from lrea_cli.training.checkpoint import Run
from lrea_cli.training.loop import reader_of
from lrea_cli.workspace import Workspace

CPU = torch.device("cpu")
LIMIT = 1e-5
"""Of a logit's change in float32; the long interest moves these logits by .07 to .6."""


def reader(run: Run, requests: int | None = None) -> BatchReader:
    """The test split, or its first requests."""
    found = reader_of(run.dataset, "test", run.recipe.data, 256)
    if requests is None:
        return found
    s, rows = found.samples, int(found.samples.offsets[requests])
    few = replace(
        s,
        offsets=s.offsets[: requests + 1],
        user=s.user[:requests],
        time=s.time[:requests],
        history_length=s.history_length[:requests],
        label=s.label[:rows],
        ids={k: v[:rows] for k, v in s.ids.items()},
        profile={k: v[:rows] for k, v in s.profile.items()},
    )
    return replace(found, samples=few)


def difference(run: Run, dtype: CacheDtype = "float32", requests: int | None = None) -> np.ndarray:
    """(rows,) served minus trained logits."""
    plain = score_split(run.model, reader(run, requests), CPU, ignore)
    served = score_split_cached(run.model, reader(run, requests), dtype, CPU, ignore)
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

    monkeypatch.setattr(cached_module, "RecordStore", Spy)
    split = reader(lrea_run)
    done: list[int] = []
    score_split_cached(lrea_run.model, split, "float32", CPU, done.append)
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

    monkeypatch.setattr(cached_module, "RecordStore", Flipped)
    with pytest.raises(DamagedRecord):
        score_split_cached(lrea_run.model, reader(lrea_run, 40), "float32", CPU, ignore)
    assert lrea_run.model.short.kernel == "folded"


def test_what_is_served_comes_from_the_record_alone(din_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records exchanged between requests change the logits of both."""

    class Exchanged(RecordStore):
        def fetch(self, keys):
            return super().fetch(np.roll(keys, 1))

    plain = score_split_cached(din_run.model, reader(din_run, 40), "float32", CPU, ignore)
    monkeypatch.setattr(cached_module, "RecordStore", Exchanged)
    other = score_split_cached(din_run.model, reader(din_run, 40), "float32", CPU, ignore)
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
    expected = score_split(din_run.model, whole, CPU, ignore)[kept]
    ragged = replace(whole, samples=few)
    np.testing.assert_allclose(score_split(din_run.model, ragged, CPU, ignore), expected, atol=LIMIT)
    served = score_split_cached(din_run.model, ragged, "float32", CPU, ignore)
    np.testing.assert_allclose(served, expected, atol=LIMIT)


def test_a_request_is_scored_from_the_record_that_compress_would_have_made_then(din_run: Run, tmp_path: Path) -> None:
    split = reader(din_run)
    samples, workspace = split.samples, Workspace(tmp_path)
    order = np.argsort(samples.history_length)
    for request in (order[len(order) // 2], order[-1]):
        user, time = samples.user[request], int(samples.time[request])
        name = f"cache-{request}"
        compress(workspace, din_run, name, "float32", time, np.array([user]), CPU, Silent())
        keys = open_cache(workspace, din_run, name).store.read(int(user)).arrays[0]
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
