"""A request: candidates, a user's record (or full attention, the thing to beat), the short sequence, the MLP."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.kernels import Kernel
from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import Compression, DataSettings
from lrea_cli.records.cache import Cache
from lrea_cli.records.maker import RecordMaker
from lrea_cli.records.past import Past, UserRecords
from lrea_cli.records.store import Records, records_on
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import CandidateIds, Candidates, HistoryIds, Ids


@dataclass(frozen=True)
class Visitor:
    """One user at one moment.

    Args:
        key: of the record and of the history. length: behaviors of the history that are known by now.
        newer: the newest of these, which the record does not know.
    """

    key: int
    length: int
    newer: int = 0

    def newest(self, histories: Histories, skip: int, count: int) -> HistoryIds:
        """Ids (1, n) of the newest behaviors but `skip`, at most `count`."""
        return histories.newest(np.array([self.key]), np.array([self.length]), skip, count)

    def request(self, histories: Histories, settings: DataSettings, ids: CandidateIds) -> Request:
        """The user's request, with the newest S behaviors as a live store would give them."""
        return Request(self.key, ids, self.newest(histories, 0, settings.short), self.newer)


@dataclass(frozen=True)
class Request:
    """All that a server is told; the rest it reads from the user's record.

    Args:
        key: of the record. candidates: (1, N), their match counters not known.
        short: (1, S) the newest behaviors.
        newer: how many of these the record does not know.
    """

    key: int
    candidates: CandidateIds
    short: HistoryIds
    newer: int = 0

    def to(self, device: torch.device) -> Request:
        """The same on a device."""
        return replace(self, candidates=self.candidates.to(device), short=self.short.to(device))


class RequestScorer:
    """Scores N candidates for one user, from the request and the user's record alone.

    Args:
        model: in eval mode, on the device, its weights as they stay.
        kernel: of every attention.
    """

    def __init__(self, model: CTRModel, records: Records, kernel: Kernel) -> None:
        self.model, self.records, self.kernel, self.device = model, records, kernel, model.device
        layout = records.layout
        self._unknown = layout.users(layout.stacked([layout.empty()]), model.long.summary_type).to(self.device)
        self._mlp = model.folded_mlp()

    def __call__(self, request: Request) -> Tensor:
        """Logits (N,)."""
        records, candidates = self.fetch(request), self.candidates(request)
        return self.logits(request, candidates, records.past, self.cached_interest(records, candidates))

    def fetch(self, request: Request) -> UserRecords:
        """The user's record; an empty one where there is none."""
        return self.records.fetch([request.key]) if request.key in self.records else self._unknown

    @torch.inference_mode()
    def candidates(self, request: Request) -> Candidates:
        """The candidates (1, N) with all but their match counters."""
        ids = request.candidates
        return self.model.candidates(replace(ids, profile=shared(ids.profile)))

    @torch.inference_mode()
    def cached_interest(self, records: UserRecords, candidates: Candidates) -> Tensor:
        """(1, N, D) from the user's record."""
        return self.model.long.attend(records.summary, candidates, self.kernel)

    @torch.inference_mode()
    def full_interest(self, long: HistoryIds, candidates: Candidates) -> Tensor:
        """(1, N, D) of DIN over the long sequence (1, L), with the run's own embeddings and scorer."""
        behaviors = self.model.features.behaviors(long)
        return self.model.full_attention.over(candidates.vectors, behaviors, self.kernel)

    @torch.inference_mode()
    def logits(self, request: Request, candidates: Candidates, past: Past, long_interest: Tensor) -> Tensor:
        """(N,) of the whole model, given the candidates, the record's past and the long interest."""
        newer = torch.tensor([request.newer], device=self.device)
        matches = past.matches(request.candidates.ids, request.short, newer)
        candidates = self.model.counted(candidates, matches)
        inputs = self.model.mlp_inputs(candidates, long_interest, request.short, past.length + newer, self.kernel)
        return self._mlp(inputs)[candidates.mask[0]]


class CandidatePool:
    """Draws a request's candidates: items as often as they were clicked, with the profile of a real request."""

    def __init__(self, histories: Histories, samples: Samples, seed: int) -> None:
        self._histories, self._samples = histories, samples
        self._rng = np.random.default_rng(seed)

    def draw(self, count: int) -> CandidateIds:
        """(1, count) candidates that share one profile."""
        behaviors = self._rng.integers(len(self._histories.time), size=count)
        row = int(self._rng.integers(self._samples.rows))
        profile = self._samples.profile.items()
        return CandidateIds(
            ids={name: torch.from_numpy(c[behaviors][None]) for name, c in self._histories.columns.items()},
            profile={name: torch.from_numpy(np.full((1, count), column[row])) for name, column in profile},
            mask=torch.ones(1, count, dtype=torch.bool),
            time=torch.from_numpy(self._samples.time[self._samples.row_request[row]][None]),
        )


@dataclass(frozen=True)
class Served:
    """A run, on the device that serves, with the records and histories of its users.

    Args:
        compression: how the records were made from a din run; None where the run's method makes them.
    """

    run: Run
    records: Records
    compression: Compression | None
    histories: Histories

    @classmethod
    def of(cls, run: Run, cache: Cache, histories: Histories) -> Served:
        """A run and a cache of it."""
        return cls(run, records_on(cache.store, run.device), cache.manifest.compression, histories)

    @property
    def device(self) -> torch.device:
        return self.run.device

    @property
    def maker(self) -> RecordMaker:
        """What makes such records of other histories."""
        return RecordMaker.of(self.run, self.compression, self.records.layout.dtype)

    def scorer(self, kernel: Kernel) -> RequestScorer:
        """What scores the candidates of a request, with one kernel."""
        return RequestScorer(self.run.model, self.records, kernel)


def shared(profile: Ids) -> Ids:
    """(1, 1) of each field where all candidates have the same values, as those of one moment do; else as they are."""
    same = all(bool((ids == ids[:, :1]).all()) for ids in profile.values())
    return {name: ids[:, :1] for name, ids in profile.items()} if same else profile


def padded(ids: HistoryIds, length: int) -> HistoryIds:
    """Padded to a length, as a system with fixed shapes has it; what is computed from them is the same."""
    missing = (0, length - ids.mask.shape[1])
    return HistoryIds({k: pad(v, missing) for k, v in ids.ids.items()}, pad(ids.mask, missing), pad(ids.time, missing))
