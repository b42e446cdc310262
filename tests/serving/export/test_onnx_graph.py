"""The ONNX graph of a request gives the logits of the request in torch, at every N, R and S."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from lrea_cli.dataset.histories import Histories
from lrea_cli.errors import UserError
from lrea_cli.ids import UNKNOWN_ID
from lrea_cli.kernels import naive
from lrea_cli.methods import METHODS
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import CandidateIds, HistoryIds, RecordField, Summary
from lrea_cli.serving.export import builder, onnx_graph
from lrea_cli.serving.export.onnx_graph import request_feed, request_graph
from tests.conftest import MakeRun
from tests.selection import one_by_default

pytest.importorskip("onnx", reason="pip install onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnxruntime")

FORMS: list[tuple[str, dict[str, object]]] = [
    ("lrea", {"rank": 6}),
    ("lrea", {"rank": 16}),
    ("din", {}),
    ("mean", {}),
    ("din-short", {}),
    ("sdim", {}),
    ("sim", {"search": "hard", "k": 3}),
    ("sim", {"search": "soft", "k": 3}),
    ("sim", {"search": "soft", "k": 64, "target_attention": "din"}),
    ("sim", {"search": "hard", "k": 3, "target_attention": "din"}),
    ("eta", {"k": 4}),
    ("eta", {"k": 4, "m": 12, "target_attention": "din"}),
    ("twin", {"k": 5}),
    ("twin-v2", {"k": 3, "most_members": 4}),
    ("twin-v2", {"k": 64, "most_members": 1}),
    ("category", {}),
    ("category", {"shared_rows": 0}),
    ("category", {"shared_rows": 5, "half_life": 3}),
    ("sketch", {"rank": 6}),
    ("sketch", {"rank": 6, "layers": 2}),
    ("sketch", {"rank": 6, "normalize": "tokens"}),
    ("sketch", {"rank": 6, "reader": "softmax", "heads": 2}),
    ("sketch", {"rank": 6, "layers": 2, "reader": "softmax"}),
    ("sketch", {"rank": 6, "normalize": "tokens", "reader": "softmax", "heads": 1}),
    ("linear", {}),
    ("vq", {"codes": 6}),
    ("vq", {"codes": 40, "heads": 2}),
    ("lrea", {"reader": "softmax", "heads": 2}),
    ("lrea", {"reader": "softmax", "decomp_columns": "free", "short_histories": "exact"}),
    ("din", {"reader": "softmax", "heads": 1}),
    ("mean", {"reader": "softmax"}),
    ("din", {"scorer_hidden": 5}),
    ("lrea", {"scorer_hidden": 8}),
]
LONG = (0, 1, 7, 8, 9, 40)
SHORT = (0, 1, 8)
CANDIDATES = (1, 5, 33)


def request(
    run: Run, histories: Histories, shape: tuple[int, int, int], seed: int
) -> tuple[Summary, HistoryIds, CandidateIds]:
    """A record of `long` behaviors, `short` newest ones and N candidates, all from random behaviors of the log.

    Some ids are missing, and some are ones that the model has never seen, as a dataset that grew has them.
    """
    long, short, count = shape
    rng, model = np.random.default_rng(seed), run.model
    sizes = model.features.sizes

    def ids(rows: int) -> dict[str, torch.Tensor]:
        index = rng.integers(len(histories.time), size=max(1, rows))
        drawn = {name: np.array(column[index]) for name, column in histories.columns.items()}
        for name, values in drawn.items():
            values[rng.random(len(values)) < 0.1] = sizes[name] + 3
            values[rng.random(len(values)) < 0.2] = UNKNOWN_ID
        return {name: torch.from_numpy(values)[None] for name, values in drawn.items()}

    def history(rows: int) -> HistoryIds:
        mask = (torch.arange(max(1, rows)) < rows)[None]
        time = torch.from_numpy(np.sort(rng.integers(1, 10**6, max(1, rows)))[::-1].copy())[None]
        kept = {name: torch.where(mask, values, 0) for name, values in ids(rows).items()}
        return HistoryIds(kept, mask, torch.where(mask, time, 0))

    with torch.inference_mode():
        behaviors = model.features.behaviors(history(long))
        packed = as_read(model.long.seal(model.long.summarize(behaviors.double()), "float32"), model.long.record)
    profile = {f.name: torch.full((1, count), int(rng.integers(f.size + 2))) for f in model.features.profile_fields}
    matches = {name: torch.from_numpy(rng.integers(0, 9, (1, count))) for name in model.match_counters}
    mask = torch.ones(1, count, dtype=torch.bool)
    return packed, history(short), CandidateIds(ids(count), profile, mask, torch.tensor([1_100_000]), matches)


def as_read(summary: Summary, record: tuple[RecordField, ...]) -> Summary:
    """A summary of one history without the rows that are not in use, but one, as the store gives it back."""
    rows = max(1, int(summary.rows[0]))
    names = [field.name for field in record if field.rows == "rows"]
    return replace(summary, **{name: getattr(summary, name)[:, :rows] for name in names})
    return replace(summary, **{f.name: getattr(summary, f.name)[:, :rows] for f in record if f.rows == "rows"})


@torch.inference_mode()
def by_torch(run: Run, asked: tuple[Summary, HistoryIds, CandidateIds], length: int) -> np.ndarray:
    summary, short, ids = asked
    model = run.model
    candidates = model.candidates(ids)
    interest = model.long.attend(summary, candidates, naive)
    inputs = model.mlp_inputs(candidates, interest, short, torch.tensor([length]), naive)
    return model.mlp(inputs.joined()[0]).numpy()


@pytest.mark.parametrize("step", one_by_default(5, 1), ids=["some shapes", "all shapes"])
@pytest.mark.parametrize(("method", "settings"), FORMS, ids=lambda value: str(value).replace("'", ""))
def test_the_graph_equals_the_request_in_torch(
    make_run: MakeRun, histories: Histories, method: str, settings: dict[str, object], step: int
) -> None:
    """Every fifth shape has every size of each axis."""
    counters = ("item", "category") if method in ("lrea", "sim") else ()
    run = make_run(match_counters=counters, method=method, **settings)
    session = onnxruntime.InferenceSession(
        request_graph(run.model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for number, shape in list(enumerate(itertools.product(LONG, SHORT, CANDIDATES)))[::step]:
        asked, length = request(run, histories, shape, number), 3 * number
        (found,) = session.run(["logits"], request_feed(run.model, *asked, length))
        expected = by_torch(run, asked, length)
        assert found.shape == (shape[2],)
        scale = max(1.0, np.abs(expected).max())
        assert np.abs(found - expected).max() <= 1e-6 * scale, (shape, found, expected)


def test_every_method_has_a_graph() -> None:
    assert {method for method, _ in FORMS} == set(METHODS)


def test_padding_of_the_short_sequence_counts_for_nothing(make_run: MakeRun, histories: Histories) -> None:
    run = make_run(method="lrea")
    session = onnxruntime.InferenceSession(
        request_graph(run.model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = request_feed(run.model, *request(run, histories, (20, 5, 9), 1), 25)
    (expected,) = session.run(None, feed)
    padded = {k: np.pad(v, (0, 3)) if k.startswith("short_") else v for k, v in feed.items()}
    (found,) = session.run(None, padded)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    feed["short_item"] = np.flip(feed["short_item"]).copy()
    assert not np.allclose(session.run(None, feed)[0], expected, rtol=1e-6, atol=1e-7)


def test_half_precision_records_are_read_as_float32(make_run: MakeRun, histories: Histories) -> None:
    run = make_run(method="din")
    summary, short, ids = request(run, histories, (9, 2, 3), 1)
    assert all(
        array.dtype == (np.int32 if name.split("_")[0] in ("short", "candidate", "profile") else array.dtype)
        for name, array in request_feed(run.model, summary, short, ids, 3).items()
    )
    half = torch.float16
    small = type(summary)(summary.keys.to(half), summary.values.to(half), summary.linear, rows=summary.rows)  # type: ignore[attr-defined, call-arg]
    feed = request_feed(run.model, small, short, ids, 11)
    assert feed["record_keys"].dtype == np.float32
    np.testing.assert_array_equal(feed["record_keys"], small.keys[0, :9].float().numpy())  # type: ignore[attr-defined]


def test_a_model_in_training_mode_is_refused(make_run: MakeRun) -> None:
    run = make_run(method="mean")
    with pytest.raises(ValueError, match="training mode"):
        onnx_graph.request_graph(run.model.train())


def test_weights_that_no_onnx_file_holds_are_refused(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match="one file of ONNX holds 2 GB"):
        request_graph(make_run(method="mean").model)


def test_without_the_package_the_command_that_installs_it_is_named(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError) as error:
        request_graph(make_run(method="mean").model)
    assert "pip install 'lrea[export]'" in error.value.remedy
