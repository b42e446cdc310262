"""All numbers of `lrea eval`, from one run to plain values."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from lrea_cli.data.batches import read_samples
from lrea_cli.data.histories import open_histories
from lrea_cli.evaluation.baselines import trivial_baselines
from lrea_cli.evaluation.cached import score_split_cached
from lrea_cli.evaluation.evaluate import Evaluation, evaluate
from lrea_cli.evaluation.metrics import auc, gauc, log_loss
from lrea_cli.evaluation.scores import score_split
from lrea_cli.progress import Silent, ignore
from lrea_cli.training.checkpoint import Run
from lrea_cli.training.loop import reader_of

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def found(lrea_run: Run) -> Evaluation:
    return evaluate(lrea_run, "test", "user", "float32", CPU, Silent())


def test_the_keys_are_those_that_json_promises(found: Evaluation) -> None:
    content = found.to_dict()
    assert set(content) == {
        *("run", "method", "split", "rows", "requests", "group", "groups", "single_class_groups", "dtype"),
        *("auc", "gauc", "log_loss", "auc_cached", "absorption_gap", "baselines"),
    }
    assert set(content["absorption_gap"]) == {"auc", "rms_logit"}
    assert set(content["baselines"]) == {"category_count", "item_count", "popularity"}
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert (found.run, found.method, found.split, found.dtype) == ("tiny-lrea", "lrea", "test", "float32")


def test_numbers_are_those_of_the_logits(found: Evaluation, lrea_run: Run) -> None:
    samples = read_samples(lrea_run.dataset, "test")
    reader = reader_of(lrea_run.dataset, "test", lrea_run.recipe.data, 64)
    logits = score_split(lrea_run.model, reader, CPU, ignore)
    by_user = gauc(logits, samples.label, samples.user[samples.row_request])
    assert (found.rows, found.requests) == (samples.rows, samples.requests)
    assert found.auc == pytest.approx(auc(logits, samples.label), abs=1e-5)
    assert found.gauc == pytest.approx(by_user.value, abs=1e-4)
    assert found.log_loss == pytest.approx(log_loss(logits, samples.label), abs=1e-6)
    assert (found.groups, found.single_class_groups) == (by_user.groups, by_user.single_class_groups)
    assert found.groups + found.single_class_groups == len(np.unique(samples.user))


def test_the_gap_is_served_minus_trained(found: Evaluation) -> None:
    assert found.auc is not None
    assert found.auc_cached is not None
    assert found.absorption_gap.auc == found.auc_cached - found.auc


def test_the_change_of_the_logit_is_its_root_mean_square(found: Evaluation, lrea_run: Run) -> None:
    reader = reader_of(lrea_run.dataset, "test", lrea_run.recipe.data, lrea_run.recipe.train.batch_size)
    plain = score_split(lrea_run.model, reader, CPU, ignore)
    served = score_split_cached(lrea_run.model, reader, "float32", CPU, ignore)
    mean_square = sum(float(s - p) ** 2 for s, p in zip(served, plain, strict=True)) / len(plain)
    assert found.absorption_gap.rms_logit == pytest.approx(mean_square**0.5, rel=1e-6)
    assert found.absorption_gap.rms_logit > 1e-6


def test_baselines_count_popularity_before_the_valid_split(found: Evaluation, lrea_run: Run) -> None:
    dataset = lrea_run.dataset
    samples, histories = read_samples(dataset, "test"), open_histories(dataset)
    assert found.baselines == trivial_baselines(samples, histories, dataset.valid_from)
    assert found.baselines != trivial_baselines(samples, histories, dataset.end)


def test_din_has_no_gap(din_run: Run) -> None:
    gap = evaluate(din_run, "valid", "user", "float32", CPU, Silent()).absorption_gap
    assert gap.auc == pytest.approx(0, abs=1e-4)
    half = evaluate(din_run, "valid", "user", "float16", CPU, Silent()).absorption_gap
    assert gap.rms_logit < 1e-5 < half.rms_logit < 1e-2


def test_groups_may_be_requests(found: Evaluation, lrea_run: Run) -> None:
    by_request = evaluate(lrea_run, "test", "request", "float16", CPU, Silent())
    assert by_request.groups + by_request.single_class_groups == by_request.requests
    assert by_request.requests > found.groups + found.single_class_groups
    assert (by_request.group, by_request.dtype) == ("request", "float16")
    assert by_request.auc == found.auc
    assert by_request.gauc != found.gauc


def test_each_split_has_its_own_numbers(found: Evaluation, lrea_run: Run) -> None:
    valid = evaluate(lrea_run, "valid", "user", "float32", CPU, Silent())
    assert (valid.split, valid.rows) == ("valid", read_samples(lrea_run.dataset, "valid").rows)
    assert valid.auc != found.auc
