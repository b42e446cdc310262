"""A quick check of a native path on this machine: a whole request against the trained module in float64."""

from __future__ import annotations

import numpy as np
import torch

from lrea_cli.dataset.fields import EncodedField
from lrea_cli.kernels import naive
from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import DataSettings, ModelSettings
from lrea_cli.sequence import CandidateIds, HistoryIds, PseudoItems
from lrea_cli.serving.native.model import Matrix, NativeModel, NativeRequest, Rows
from lrea_cli.serving.native.model_file import write_model

MOST_ERROR = 1e-5
"""The gate of serve-bench allows the same."""
N, R, S, SIZE = 70, 30, 9, 50


def error_of(mode: str) -> float:
    """The largest difference of a logit, relative to the largest logit or to 1.

    Args:
        mode: a key of `abi.MODES`.

    Raises:
        UnsupportedError: there is no library, or the machine lacks the mode.
        ArithmeticError: the error is more than `MOST_ERROR`, or no number.
    """
    generator = torch.Generator().manual_seed(0)
    settings = ModelSettings(method="din", hidden=(64, 32))
    model = CTRModel([EncodedField("item", "item", size=SIZE)], settings, DataSettings(match_counters=("item",))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    rows = 0.3 * torch.randn(2, R, model.features.width, generator=generator)
    candidates, short, counts = (torch.randint(SIZE + 5, (1, n), generator=generator) for n in (N, S, N))
    request = NativeRequest(
        candidate_ids=candidates.int().numpy(),
        short_ids=short.int().numpy(),
        history_length=S + R,
        long=Rows(Matrix(rows[0].numpy()), Matrix(rows[1].numpy())),
        counts=counts.int().numpy(),
        mode=mode,
    )
    logits = NativeModel(write_model(model)).logits(request)
    exact = _in_float64(model.double(), rows.double(), candidates, short, counts)
    error = float(np.abs(logits - exact).max() / max(1.0, np.abs(exact).max()))
    if not error <= MOST_ERROR:
        raise ArithmeticError(f"it is off by {error:.1e} from float64.")
    return error


def _in_float64(
    model: CTRModel, rows: torch.Tensor, candidates: torch.Tensor, short: torch.Tensor, counts: torch.Tensor
) -> np.ndarray:
    """(N,) by the trained module and the naive kernel."""
    everyone, all_short = (torch.ones_like(ids, dtype=torch.bool) for ids in (candidates, short))
    ids = CandidateIds({"item": candidates}, {}, everyone, torch.zeros(1), {"item": counts})
    history = HistoryIds({"item": short}, all_short, torch.zeros_like(short))
    with torch.inference_mode():
        chosen = model.candidates(ids)
        summary = PseudoItems(rows[:1], rows[1:], rows=torch.tensor([R]))
        long = model.long.attend(summary, chosen, naive)
        inputs = model.mlp_inputs(chosen, long, history, torch.tensor([S + R]), naive)
        return model.mlp(inputs.joined()[0]).numpy()
