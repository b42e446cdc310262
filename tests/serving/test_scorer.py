"""The serving form of a request against `CTRModel.score`, the form that is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.kernels import gemm
from lrea_cli.records.maker import layout_of
from lrea_cli.records.past import Past, past_of
from lrea_cli.records.store import RecordStore, RecordWriter
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import CandidateIds
from lrea_cli.serving.scorer import CandidatePool, RequestScorer, Visitor

CPU = torch.device("cpu")


@pytest.fixture
def records(make_run, tmp_path: Path) -> Iterator[Callable[[Run], RecordStore]]:
    """A store of nobody's records, in a run's layout."""
    with ExitStack() as stack:

        def empty(run: Run) -> RecordStore:
            folder = Path(stack.enter_context(TemporaryDirectory(dir=tmp_path)))
            with RecordWriter(folder, layout_of(run.model, "float32")) as writer:
                pass
            return stack.enter_context(RecordStore(folder, writer.layout, run.model.long.summary_type))

        yield empty


def past(run: Run, histories: Histories, user: Visitor) -> Past:
    """What the user's record tells of the history, which lacks the newer behaviors."""
    known = np.array([user.key]), np.array([user.length - user.newer])
    return past_of(histories, *known, run.model.match_counters)


def trained_form(run: Run, histories: Histories, user: Visitor, ids: CandidateIds, long: torch.Tensor) -> torch.Tensor:
    arrays = np.array([user.key]), np.array([user.length])
    short = histories.newest(*arrays, 0, run.recipe.data.short)
    start = int(histories.offsets[user.key])
    matches = {}
    for name in run.model.match_counters:
        seen = histories.columns[name][start : start + user.length].tolist()
        matches[name] = torch.tensor([[seen.count(value) if value > 1 else 0 for value in ids.ids[name][0].tolist()]])
    candidates = run.model.candidates(replace(ids, matches=matches))
    with torch.inference_mode():
        inputs = run.model.mlp_inputs(candidates, long, short, torch.tensor([user.length]))
        return run.model.mlp(inputs.joined()[candidates.mask])


@pytest.mark.parametrize("counters", [(), ("category",), ("category", "item")], ids=str)
@pytest.mark.parametrize("count", [1, 9])
@pytest.mark.parametrize("newer", [0, 1, 5])
def test_logits_are_those_of_the_trained_form(
    make_run, records, histories: Histories, samples: Samples, counters: tuple[str, ...], count: int, newer: int
) -> None:
    run = make_run(match_counters=counters)
    scorer, pool = RequestScorer(run.model, records(run), gemm), CandidatePool(histories, samples, 3)
    assert run.model.features.profile_fields
    for key, length in ((0, 0), (1, 1), (2, 30)):
        user, shared = Visitor(key, length, min(newer, length)), pool.draw(count)
        own = {name: torch.arange(count)[None].int() % 3 + 1 for name in shared.profile}
        mixed = {**shared.profile, run.model.features.profile_fields[0].name: torch.arange(count)[None].int() % 3 + 1}
        for ids in (shared, replace(shared, profile=own), replace(shared, profile=mixed)):
            long = torch.randn(1, count, run.model.features.width, generator=torch.Generator().manual_seed(4))
            request = user.request(histories, run.recipe.data, ids)
            found = scorer.logits(request, scorer.candidates(request), past(run, histories, user), long)
            expected = trained_form(run, histories, user, ids, long)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_only_real_candidates_are_scored(make_run, records, histories: Histories, samples: Samples) -> None:
    run = make_run(match_counters=("category",))
    scorer, user = RequestScorer(run.model, records(run), gemm), Visitor(2, 30)
    request = user.request(histories, run.recipe.data, CandidatePool(histories, samples, 3).draw(6))
    candidates, known = scorer.candidates(request), past(run, histories, user)
    long = torch.randn(1, 6, run.model.features.width, generator=torch.Generator().manual_seed(4))
    whole = scorer.logits(request, candidates, known, long)
    mask = torch.tensor([[True, False, True, True, False, True]])
    some = scorer.logits(request, replace(candidates, mask=mask), known, long)
    torch.testing.assert_close(some, whole[mask[0]])


def test_no_caller_needs_to_turn_gradients_off(make_run, records, histories: Histories, samples: Samples) -> None:
    run = make_run()
    ids = CandidatePool(histories, samples, 3).draw(2)
    candidates = run.model.features.candidates(ids)
    assert candidates.vectors.requires_grad
    long = Visitor(2, 30).newest(histories, run.recipe.data.short, run.recipe.data.long)
    interest = RequestScorer(run.model, records(run), gemm).full_interest(long, candidates)
    assert not interest.requires_grad
