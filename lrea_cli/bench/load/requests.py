"""Requests under load: whose each is, what it asks, and the servers that answer it from a record or without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lrea_cli.bench.gate import Score
from lrea_cli.bench.load.choices import OnMissing
from lrea_cli.bench.load.loops import Server
from lrea_cli.bench.load.traffic import CYCLE, Traffic
from lrea_cli.bench.routes import CANDIDATE_SETS
from lrea_cli.kernels import Kernel
from lrea_cli.records.format import Record
from lrea_cli.records.maker import Known
from lrea_cli.records.past import UserRecords
from lrea_cli.records.store import RecordStore
from lrea_cli.sequence import CandidateIds, HistoryIds
from lrea_cli.serving.scorer import CandidatePool, Request, RequestScorer, Served, Visitor

NO_KEY = -1
"""No user has this key."""
Scoring = Callable[[RequestScorer], Score]
"""A scorer -> what scores with the records that it reads: itself, or another runtime."""


@dataclass(frozen=True)
class Requests:
    """Requests 0, 1, 2, .., put together before a measurement as a server is told them.

    Args:
        visitors: the users of the cache.
        position: (CYCLE,) the user of each request. missing: (CYCLE,) bool: the user has no record.
        short: the newest behaviors of each user that is drawn, by position.
        sets: candidates of one request each; request n has the n-th, again from the first.
    """

    visitors: Sequence[Visitor]
    position: np.ndarray
    missing: np.ndarray
    short: dict[int, HistoryIds]
    sets: Sequence[CandidateIds]

    @classmethod
    def draw(
        cls, served: Served, visitors: Sequence[Visitor], pool: CandidatePool, candidates: int, traffic: Traffic
    ) -> Requests:
        """The requests of a traffic, each with so many candidates."""
        position = traffic.positions(len(visitors))
        sets = [pool.draw(candidates) for _ in range(CANDIDATE_SETS)]
        short = _newest(served, visitors, np.unique(position))
        return cls(visitors, position, traffic.without_record(), short, sets)

    def __getitem__(self, number: int) -> Request:
        place = int(self.position[number % CYCLE])
        return Request(self.visitors[place].key, self.sets[number % len(self.sets)], self.short[place])

    def is_missing(self, number: int) -> bool:
        """Whether the user of request n has no record."""
        return bool(self.missing[number % CYCLE])


def _newest(served: Served, visitors: Sequence[Visitor], positions: np.ndarray) -> dict[int, HistoryIds]:
    """The newest S behaviors of each of these users, (1, S); read in one call, since there may be many."""
    users = np.array([visitors[n].key for n in positions], np.int64)
    lengths = np.array([visitors[n].length for n in positions], np.int64)
    S = served.run.recipe.data.short
    together = served.histories.newest(users, lengths, 0, S)
    kept = np.clip(lengths, 1, S)
    return {
        int(position): HistoryIds(
            {name: ids[row : row + 1, :width] for name, ids in together.ids.items()},
            together.mask[row : row + 1, :width],
            together.time[row : row + 1, :width],
        )
        for row, (position, width) in enumerate(zip(positions, kept, strict=True))
    }


def server_of(
    name: str, requests: Requests, scores: tuple[Score, Score], prepare: Callable[[int], None] | None = None
) -> Server:
    """A server of these requests; `scores`: of users with a record, and of those without."""
    own, fallback = scores

    def serve(number: int) -> Tensor:
        return (fallback if requests.is_missing(number) else own)(requests[number])

    return Server(name, serve, prepare)


class MadeRecords:
    """Stands in for the store of users that have no record: makes a user's record from the history, as it is stored.

    Args:
        served: what the users are served from.
        visitors: the users, with the behaviors known of each.
    """

    def __init__(self, served: Served, visitors: Sequence[Visitor]) -> None:
        self._histories, self._maker, self.layout = served.histories, served.maker, served.records.layout
        self._summary_type = served.run.model.long.summary_type
        self._lengths = {user.key: user.length for user in visitors}

    def __contains__(self, key: int) -> bool:
        return key in self._lengths

    @torch.inference_mode()
    def verified(self, key: int) -> tuple[bytes, Record]:
        """The bytes of one record, and what they say."""
        known = Known(self._histories, np.array([key]), np.array([self._lengths[key]]))
        blob = self.layout.pack(key, next(self.layout.records_of(self._maker.make(known))))
        return blob, self.layout.unpack(blob, key, "the record made in the request")

    def fetch(self, keys: Sequence[int] | np.ndarray) -> UserRecords:
        """The records of users."""
        records = [self.verified(int(key))[1] for key in keys]
        return self.layout.users(self.layout.stacked(records), self._summary_type)


def itself(scorer: RequestScorer) -> Score:
    """The scorer."""
    return scorer


def without_record(
    served: Served, kernel: Kernel, how: OnMissing, visitors: Sequence[Visitor], scoring: Scoring = itself
) -> Score:
    """Scores requests of users that have no record.

    `empty`: the request is sent under a key that the store has not; the empty record that the scorer then takes knows
    no behavior, so all newest ones of the request are newer.
    """
    if how == "summarize":
        return scoring(RequestScorer(served.run.model, MadeRecords(served, visitors), kernel))  # type: ignore[arg-type]
    score = scoring(served.scorer(kernel))
    assert NO_KEY not in served.records
    return lambda request: score(replace(request, key=NO_KEY, newer=int(request.short.mask.sum())))


def shards_of(store: RecordStore) -> list[Path]:
    """The files that hold the records."""
    return sorted(store.folder.glob("records-*.bin"))


def read_all(requests: Requests, store: RecordStore) -> None:
    """Read the record of every user that is drawn, so that none is cold."""
    for position in np.unique(requests.position[~requests.missing]).tolist():
        store.read(requests.visitors[position].key)


def record_sizes(requests: Requests, store: RecordStore) -> np.ndarray:
    """(CYCLE,) bytes that each request reads from the store: those of the record, 0 where there is none."""
    keys = np.array([user.key for user in requests.visitors])[requests.position]
    return np.where(requests.missing, 0, store.index["size"][np.searchsorted(store.keys, keys)])
