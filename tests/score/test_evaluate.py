"""All numbers of `lrea eval`, from one run to plain values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.console.progress import Silent, ignore
from lrea_cli.dataset.counters import trivial_aucs
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.layout import Split
from lrea_cli.dataset.samples import read_samples
from lrea_cli.records.maker import RecordMaker
from lrea_cli.runs.checkpoint import Run
from lrea_cli.runs.loop import reader_of, score_split
from lrea_cli.score.cached import score_split_cached
from lrea_cli.score.evaluate import Evaluation, Group, ServedFrom, measure, nested, score
from lrea_cli.score.measured import Measured, absorption_gap, measure_rows
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.metrics import METRICS, Rows
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.metrics.gauc import gauc
from lrea_cli.stats.metrics.log_loss import log_loss
from lrea_cli.workspace.kinds import parse
from tests.stats.simulated import auc_estimate, gauc_estimate, simulate

CPU = torch.device("cpu")


def evaluate(run: Run, split: Split, group: Group, way: ServedFrom) -> Evaluation:
    """Score and measure."""
    return measure(run, score(run, split, way, Silent()), group)


@pytest.fixture(scope="module")
def found(lrea_run: Run) -> Evaluation:
    return evaluate(lrea_run, "test", "user", ServedFrom())


def test_the_keys_are_those_that_json_promises(found: Evaluation) -> None:
    content = found.to_dict()
    assert set(content) == {
        *("run", "method", "split", "rows", "requests", "group", "groups", "single_class_groups", "dtype"),
        *("auc", "gauc", "log_loss", "auc_cached", "absorption_gap", "baselines", "auc_ci", "gauc_ci", "gauc_cached"),
        *("normalized_entropy", "calibration_ratio", "ece", "calibration_cached", "slices"),
        *("cache", "compressor", "cache_age", "new_behavior"),
        *(f"{metric.name}_cached" for metric in METRICS),
    }
    assert set(content["absorption_gap"]) == {"auc", "ci", "rms_logit", "rms_over_sd"}
    assert set(content["calibration_cached"]) == {"normalized_entropy", "calibration_ratio", "ece"}
    assert set(content["slices"]["long 0"]) == {
        *("rows", "auc_ci", "gauc_ci", *(metric.name + form for metric in METRICS for form in ("", "_cached"))),
    }
    assert set(content["baselines"]) == {"category_count", "item_count", "popularity"}
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert (found.run, found.method, found.split, found.dtype) == ("tiny-lrea", "lrea", "test", "float32")


def test_numbers_are_those_of_the_logits(found: Evaluation, lrea_run: Run) -> None:
    samples = read_samples(lrea_run.dataset, "test")
    reader = reader_of(lrea_run.dataset, "test", lrea_run.recipe.data, 64)
    logits = score_split(lrea_run.model, reader, ignore)
    by_user = gauc(logits, samples.label, samples.user[samples.row_request])
    assert (found.rows, found.requests) == (samples.rows, samples.requests)
    assert found.metrics["auc"].trained == pytest.approx(auc(logits, samples.label), abs=1e-5)
    assert found.metrics["gauc"].trained == pytest.approx(by_user.value, abs=1e-4)
    assert found.metrics["log_loss"].trained == pytest.approx(log_loss(logits, samples.label), abs=1e-6)
    assert (found.groups, found.single_class_groups) == (by_user.groups, by_user.single_class_groups)
    assert found.groups + found.single_class_groups == len(np.unique(samples.user))


def test_the_gap_is_served_minus_trained(found: Evaluation) -> None:
    auc = found.metrics["auc"]
    assert auc.trained is not None
    assert auc.served is not None
    assert found.absorption_gap.auc == auc.served - auc.trained
    assert found.absorption_gap.ci is not None
    assert found.absorption_gap.ci[0] <= found.absorption_gap.auc <= found.absorption_gap.ci[1]


def test_slices_are_rows_of_the_whole(found: Evaluation, din_run: Run) -> None:
    for family in (("long 0", "long 1-64", "long 65-128", "long 129+"), ("item known", "item unknown")):
        assert sum(found.slices[name].rows for name in family) == found.rows
    seen = [found.slices[name] for name in ("candidate seen before", "candidate not seen")]
    assert sum(part.rows for part in seen) == found.rows
    losses = [part.rows * (part.metrics["log_loss"].trained or 0) for part in seen]
    assert sum(losses) / found.rows == pytest.approx(found.metrics["log_loss"].trained)
    assert 0 < found.slices["long above rank"].rows < found.rows
    without = measure(din_run, score(din_run, "valid", ServedFrom(), Silent()), "user").slices
    assert set(found.slices) - set(without) == {"long above rank"}


def test_scores_are_those_that_were_measured(found: Evaluation, lrea_run: Run) -> None:
    scored = score(lrea_run, "test", ServedFrom(), Silent())
    scores, samples = scored.scores, scored.samples
    assert scores.facts == {
        "made_from": lrea_run.artifact.manifest.made_from,
        "run": "tiny-lrea",
        "method": "lrea",
        "split": "test",
        "served_from": "float32 records",
    }
    assert auc(scores.trained, scores.label) == found.metrics["auc"].trained
    assert auc(scores.served, scores.label) == found.metrics["auc"].served
    assert scored.bytes_per_record > 0
    np.testing.assert_array_equal(scores.user, samples.user[scores.request])
    np.testing.assert_array_equal(scores.item, samples.ids["item"])


def test_numbers_need_scores_alone() -> None:
    a, b, labels, users = simulate((1,))
    requests, users = users, users // 2
    trained, served = (Rows(logits, labels, users, requests) for logits in (a, b))
    measured, gap = measure_rows(trained, served), absorption_gap(trained, served)
    assert measured["auc"].ci == auc_estimate(a, labels, users).ci
    assert measured["gauc"].ci == gauc_estimate(a, labels, requests, users).ci
    for metric in METRICS:
        assert (measured[metric.name].trained, measured[metric.name].served) == (
            metric.value(trained),
            metric.value(served),
        )
    assert gap.ci == auc_difference(a, b, labels, users).ci
    assert gap.rms_over_sd == pytest.approx(gap.rms_logit / np.std(a))
    flat = [Rows(logits, np.ones(len(a)), users) for logits in (np.zeros(len(a)), b)]
    gap = absorption_gap(*flat)
    assert measure_rows(*flat)["auc"] == Measured(None, None, None)
    assert (gap.auc, gap.ci, gap.rms_over_sd) == (None, None, None)


def test_an_evaluation_is_read_back_from_json(found: Evaluation) -> None:
    content = json.loads(json.dumps(found.to_dict()))
    assert parse(Evaluation, json.dumps(nested(content)).encode(), Path("x"), "") == found


def test_the_change_of_the_logit_is_its_root_mean_square(found: Evaluation, lrea_run: Run) -> None:
    reader = reader_of(lrea_run.dataset, "test", lrea_run.recipe.data, lrea_run.recipe.train.batch_size)
    plain = score_split(lrea_run.model, reader, ignore)
    served = score_split_cached(RecordMaker.of(lrea_run), reader, ignore).logits
    mean_square = sum(float(s - p) ** 2 for s, p in zip(served, plain, strict=True)) / len(plain)
    assert found.absorption_gap.rms_logit == pytest.approx(mean_square**0.5, rel=1e-6)
    assert found.absorption_gap.rms_logit > 1e-6


def test_baselines_count_popularity_before_the_valid_split(found: Evaluation, lrea_run: Run) -> None:
    dataset = lrea_run.dataset
    samples, histories = read_samples(dataset, "test"), open_histories(dataset)
    assert found.baselines == trivial_aucs(samples, histories, dataset.manifest.splits.valid_from)
    assert found.baselines != trivial_aucs(samples, histories, dataset.manifest.splits.end)


def test_din_has_no_gap(din_run: Run) -> None:
    gap = evaluate(din_run, "valid", "user", ServedFrom()).absorption_gap
    assert gap.auc == pytest.approx(0, abs=1e-4)
    half = evaluate(din_run, "valid", "user", ServedFrom("float16")).absorption_gap
    assert 5 * gap.rms_logit < half.rms_logit < 1e-2
    assert gap.rms_logit < 1e-5


def test_groups_may_be_requests(found: Evaluation, lrea_run: Run) -> None:
    by_request = evaluate(lrea_run, "test", "request", ServedFrom("float16"))
    assert by_request.groups + by_request.single_class_groups == by_request.requests
    assert by_request.requests > found.groups + found.single_class_groups
    assert (by_request.group, by_request.dtype) == ("request", "float16")
    assert by_request.metrics["auc"].trained == found.metrics["auc"].trained
    assert by_request.metrics["gauc"] != found.metrics["gauc"]


def test_each_split_has_its_own_numbers(found: Evaluation, lrea_run: Run) -> None:
    valid = evaluate(lrea_run, "valid", "user", ServedFrom())
    assert (valid.split, valid.rows) == ("valid", read_samples(lrea_run.dataset, "valid").rows)
    assert valid.metrics["auc"] != found.metrics["auc"]
