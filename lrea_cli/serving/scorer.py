"""A request: candidates, a user's record (or full attention, the thing to beat), the short sequence, the MLP."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from lrea_cli.dataset.counters import count_matches
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.kernels import Kernel
from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import Compression, DataSettings
from lrea_cli.records.cache import Cache
from lrea_cli.records.maker import RecordMaker
from lrea_cli.records.store import Records, ResidentRecords, records_on
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import CandidateIds, Candidates, HistoryIds, Ids
from lrea_cli.serving.many import interest_of_users


@dataclass(frozen=True)
class Visitor:
    """One user at one moment: `key` of the record and of the history, `length` behaviors that are known."""

    key: int
    length: int

    def newest(self, histories: Histories, skip: int, count: int) -> HistoryIds:
        """Ids (1, n) of the newest behaviors but `skip`, at most `count`."""
        return histories.newest(np.array([self.key]), np.array([self.length]), skip, count)


class RequestScorer:
    """Scores N candidates for one user; `*_interest` is the part that methods differ in.

    Args:
        model: in eval mode, on the device, its weights as they stay.
        settings: S and L.
        kernel: of every attention.
    """

    def __init__(
        self, model: CTRModel, histories: Histories, settings: DataSettings, records: Records, kernel: Kernel
    ) -> None:
        self.model, self.histories, self.settings = model, histories, settings
        self.records, self.kernel, self.device = records, kernel, model.device
        self._mlp = model.folded_mlp()

    @torch.inference_mode()
    def candidates(self, user: Visitor, ids: CandidateIds) -> Candidates:
        """The candidates (1, N) of a request, with the live match counters of its user in place of those of `ids`."""
        return self.model.candidates(replace(ids, matches=self._matches(user, ids), profile=_shared(ids.profile)))

    @torch.inference_mode()
    def cached_interest(self, user: Visitor, candidates: Candidates) -> Tensor:
        """(1, N, D) from the user's record."""
        if isinstance(self.records, ResidentRecords):
            return interest_of_users(self.model.long, self.records, [user.key], candidates, self.kernel)
        return self.model.long.attend(self.records.fetch([user.key]), candidates, self.kernel)

    @torch.inference_mode()
    def full_interest(self, user: Visitor, candidates: Candidates, padded: bool = False) -> Tensor:
        """(1, N, D) of DIN over the long sequence, with the run's own embeddings and scorer.

        Args:
            padded: to L, as a system with fixed shapes pays; the result is the same.
        """
        long = user.newest(self.histories, self.settings.short, self.settings.long)
        if padded:
            long = _padded(long, self.settings.long)
        behaviors = self.model.features.behaviors(long.to(self.device))
        return self.model.full_attention.over(candidates.vectors, behaviors, self.kernel)

    @torch.inference_mode()
    def logits(self, user: Visitor, candidates: Candidates, long_interest: Tensor) -> Tensor:
        """(N,) of the whole model, given the candidates and their long interest."""
        short = user.newest(self.histories, 0, self.settings.short).to(self.device)
        length = torch.tensor([user.length], device=self.device)
        inputs = self.model.mlp_inputs(candidates, long_interest, short, length, self.kernel)
        return self._mlp(inputs)[candidates.mask[0]]

    def _matches(self, user: Visitor, ids: CandidateIds) -> dict[str, Tensor]:
        matches = {}
        for name in self.model.match_counters:
            values = ids.ids[name][0].cpu().numpy()
            counts = count_matches(self.histories, user.key, user.length, name, values)
            matches[name] = torch.from_numpy(counts)[None].to(self.device)
        return matches


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
        return RequestScorer(self.run.model, self.histories, self.run.recipe.data, self.records, kernel)


def _shared(profile: Ids) -> Ids:
    """(1, 1) of each field where all candidates have the same values, as those of one moment do; else as they are."""
    same = all(bool((ids == ids[:, :1]).all()) for ids in profile.values())
    return {name: ids[:, :1] for name, ids in profile.items()} if same else profile


def _padded(ids: HistoryIds, length: int) -> HistoryIds:
    missing = (0, length - ids.mask.shape[1])
    return HistoryIds({k: pad(v, missing) for k, v in ids.ids.items()}, pad(ids.mask, missing), pad(ids.time, missing))
