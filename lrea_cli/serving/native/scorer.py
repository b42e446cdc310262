"""Scores requests natively: the counterpart of `RequestScorer`, which is its slow twin."""

from __future__ import annotations

import numpy as np
import torch

from lrea_cli.attention import Attention
from lrea_cli.kernels import gemm
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.model import CTRModel
from lrea_cli.records.past import Past, UserRecords
from lrea_cli.records.store import RecordStore
from lrea_cli.sequence import HistoryIds, PseudoItems
from lrea_cli.serving.native.abi import path_of
from lrea_cli.serving.native.model import (
    Behaviors,
    GivenInterest,
    LongPart,
    Matrix,
    NativeModel,
    NativeRequest,
    RecordRequest,
    Rows,
)
from lrea_cli.serving.native.model_file import reads_records, write_model
from lrea_cli.serving.scorer import Request, RequestScorer, shared


class NativeScorer:
    """Scores N candidates for one user, on the thread that calls.

    Args:
        model: in eval mode, on the CPU. mode: a key of `abi.MODES`.

    Raises:
        UnsupportedError: there is no library, or it cannot score this model.
    """

    def __init__(self, model: CTRModel, records: RecordStore, mode: str = "auto") -> None:
        self.model, self.records, self.mode = model, records, mode
        self.native = NativeModel(write_model(model))
        self._whole = reads_records(model)  # else torch computes the interest
        self._torch = RequestScorer(model, records, gemm)

    @property
    def path(self) -> str:
        """Such as `amx x6`."""
        return path_of(self.mode) or "none"

    def __call__(self, request: Request) -> np.ndarray:
        """Logits (N,) float32; they equal those of `RequestScorer` but for rounding."""
        if self._whole:
            blob = self.records.verified(request.key)[0] if request.key in self.records else None
            dtype, profile = self.records.layout.dtype, self._profile(request)
            asked = RecordRequest(blob, dtype, *self._ids(request), request.newer, profile, self.mode)
            return self.native.record_logits(asked)
        records = self._torch.fetch(request)
        return self._with(request, self._long(request, records), records.past)

    def full(self, request: Request, long: HistoryIds, past: Past) -> np.ndarray:
        """Logits (N,) by full attention over the long sequence (1, L), with the match counters of the history."""
        if isinstance(self.model.full_attention, Attention):
            return self._with(request, Behaviors(self._real(long)), past)
        interest = self._torch.full_interest(long, self._torch.candidates(request))[0].numpy()
        return self._with(request, GivenInterest(interest), past)

    def _long(self, request: Request, records: UserRecords) -> LongPart:
        """Pseudo items that DIN's scorer reads, or the interest that torch computes."""
        method = self.model.long
        if isinstance(method, PseudoItemMethod) and not method.softmax:
            with torch.inference_mode():
                return _rows(method.pseudo_items(records.summary, torch.float32))
        interest = self._torch.cached_interest(records, self._torch.candidates(request))
        return GivenInterest(interest[0].numpy())

    def _with(self, request: Request, long: LongPart, past: Past) -> np.ndarray:
        """Logits (N,) with a long part and the match counters that are known of the past."""
        length, counts = int(past.length[0]) + request.newer, self._counts(request, past)
        asked = NativeRequest(*self._ids(request), length, long, self._profile(request), counts, self.mode)
        return self.native.logits(asked)

    def _ids(self, request: Request) -> tuple[np.ndarray, np.ndarray]:
        """Candidates (item fields, N), and the newest behaviors (item fields, S)."""
        return _stacked([request.candidates.ids[name][0] for name in self._items]), self._real(request.short)

    def _real(self, history: HistoryIds) -> np.ndarray:
        """(item fields, n) ids of the real behaviors of one user."""
        behaviors = int(history.mask[0].sum())
        return _stacked([history.ids[name][0, :behaviors] for name in self._items])

    def _counts(self, request: Request, past: Past) -> np.ndarray:
        """(counters, N)."""
        matches = past.matches(request.candidates.ids, request.short, torch.tensor([request.newer]))
        counts = [matches[name][0].numpy() for name in self.model.match_counters]
        return np.array(counts, np.int32).reshape(len(counts), request.candidates.mask.shape[1])

    @property
    def _items(self) -> list[str]:
        return [field.name for field in self.model.features.item_fields]

    def _profile(self, request: Request) -> np.ndarray | None:
        """(fields,) where all candidates share each value, else (fields, N); None without such fields."""
        profile = shared(request.candidates.profile)
        fields = [profile[f.name][0] for f in self.model.features.profile_fields]
        if not fields:
            return None
        ids = _stacked(fields)
        return ids[:, 0] if ids.shape[1] == 1 else ids


def _stacked(columns: list[torch.Tensor]) -> np.ndarray:
    return np.stack([column.numpy() for column in columns]).astype(np.int32, copy=False)


def _rows(items: PseudoItems) -> Rows:
    """Of one user."""
    assert items.linear is not None
    return Rows(*(Matrix(tensor[0].numpy()) for tensor in (items.keys, items.values, items.linear)))
