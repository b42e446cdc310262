"""Batches: every request once, in an order that seed and epoch decide, with nearly no padding."""

from itertools import chain

import numpy as np

from lrea_cli.runs.checkpoint import open_dataset
from lrea_cli.runs.loop import reader_of
from tests.conftest import TINY


def orders(tiny, *seeds):
    _, dataset = open_dataset(tiny, "synthetic")
    reader = reader_of(dataset, "train", TINY.data, 64)
    return reader, [[b.request.tolist() for b in reader.batches(seed)] for seed in seeds]


def test_the_seed_and_the_epoch_decide_the_order(tiny):
    _, (first, again, epoch, seed) = orders(tiny, [5, 1], [5, 1], [5, 2], [6, 1])
    assert first == again
    assert first != epoch
    assert first != seed
    assert epoch != seed


def test_every_request_comes_once_in_batches_of_about_the_size(tiny):
    reader, (batches,) = orders(tiny, [5, 1])
    assert sorted(chain.from_iterable(batches)) == list(range(reader.samples.requests))
    rows = [sum(np.diff(reader.samples.offsets)[b]) for b in batches]
    assert max(rows) <= 64 + 8
    assert min(rows) >= 64 - 16
    assert len(list(reader.batches())) == len(batches)


def test_training_shuffles_with_the_recipes_seed(tiny, monkeypatch, tmp_path):
    from dataclasses import replace

    import torch

    from lrea_cli.console.progress import Silent
    from lrea_cli.dataset.batches import BatchReader
    from lrea_cli.runs import loop

    seeds = []
    plain = BatchReader.batches
    monkeypatch.setattr(BatchReader, "batches", lambda self, seed=None: (seeds.append(seed), plain(self, seed))[1])
    recipe = TINY.with_flags({"train": {"seed": 77, "epochs": 2}, "model": {"method": "mean"}})
    recipe = replace(recipe, train=replace(recipe.train, patience=2))
    _, dataset = open_dataset(tiny, "synthetic")
    loop.train(recipe, dataset, tmp_path, torch.device("cpu"), Silent())
    assert [seed for seed in seeds if seed is not None] == [[77, 1], [77, 2]]


def test_a_batch_is_padded_to_its_longest_and_sorted_by_length(tiny):
    reader, (batches,) = orders(tiny, [5, 1])
    for requests in batches:
        batch = reader.batch(np.array(requests))
        lengths = batch.long.mask.sum(1)
        assert batch.long.mask.shape[1] == max(1, int(lengths.max()))
        read = reader.samples.history_length[requests].clip(max=TINY.data.short + TINY.data.long)
        assert (np.diff(read) >= 0).all()
