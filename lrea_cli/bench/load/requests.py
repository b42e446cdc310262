"""Requests under load: whose each is, what it asks, and the servers that answer it from a record or without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from lrea_cli.bench.load.loops import Server
from lrea_cli.bench.load.traffic import CYCLE, Traffic
from lrea_cli.bench.routes import CANDIDATE_SETS
from lrea_cli.records.store import RecordStore
from lrea_cli.sequence import CandidateIds, Summary
from lrea_cli.serving.scorer import CandidatePool, RequestScorer, Served, Visitor

OnMissing = Literal["empty", "summarize"]
ON_MISSING: tuple[OnMissing, ...] = get_args(OnMissing)
"""What a request does for a user without a record: takes an empty long history, or summarizes the history itself."""
Score = Callable[[Visitor, CandidateIds], Tensor]
"""(user, candidates) -> logits (N,), from any thread."""


class Request(NamedTuple):
    """One request; `missing`: its user has no record."""

    user: Visitor
    ids: CandidateIds
    missing: bool


@dataclass(frozen=True)
class Requests:
    """Requests 0, 1, 2, .. as the traffic draws them.

    Args:
        visitors: the users of the cache.
        sets: candidates of one request each.
        position: (CYCLE,) the user of each request. missing: (CYCLE,) bool.
    """

    visitors: Sequence[Visitor]
    sets: Sequence[CandidateIds]
    position: np.ndarray
    missing: np.ndarray

    @classmethod
    def draw(cls, visitors: Sequence[Visitor], pool: CandidatePool, candidates: int, traffic: Traffic) -> Requests:
        sets = [pool.draw(candidates) for _ in range(CANDIDATE_SETS)]
        return cls(visitors, sets, traffic.positions(len(visitors)), traffic.without_record())

    def __getitem__(self, number: int) -> Request:
        place = number % CYCLE
        user = self.visitors[self.position[place]]
        return Request(user, self.sets[number % len(self.sets)], bool(self.missing[place]))


def scoring(scorer: RequestScorer) -> Score:
    """The whole request of a scorer, from candidate ids to logits."""

    def score(user: Visitor, ids: CandidateIds) -> Tensor:
        candidates = scorer.candidates(user, ids)
        return scorer.logits(user, candidates, scorer.cached_interest(user, candidates))

    return score


def server(
    name: str, requests: Requests, score: Score, fallback: Score, prepare: Callable[[int], None] | None
) -> Server:
    """A server of these requests; `fallback` scores those whose user has no record."""

    def serve(number: int) -> Tensor:
        user, ids, missing = requests[number]
        return (fallback if missing else score)(user, ids)

    return Server(name, serve, prepare)


class Fallback:
    """Stands in for the records of users that have none; `fetch` as `RecordStore` has it.

    Args:
        served: what the users are served from.
        how: `empty`: the record of an empty long history, made once; `summarize`: that of the user's own history, made
            in each request.
        visitors: the users, with the behaviors known of each.
    """

    def __init__(self, served: Served, how: OnMissing, visitors: Sequence[Visitor]) -> None:
        self._served, self._maker = served, served.maker
        self._lengths = {user.key: user.length for user in visitors}
        self._empty = self._summarized(0, 0) if how == "empty" else None

    def fetch(self, keys: Sequence[int] | np.ndarray) -> Summary:
        """The summary of one user."""
        (key,) = keys
        return self._summarized(int(key), self._lengths[int(key)]) if self._empty is None else self._empty

    @torch.inference_mode()
    def _summarized(self, key: int, length: int) -> Summary:
        settings, model = self._served.run.recipe.data, self._served.run.model
        long = Visitor(key, length).newest(self._served.histories, settings.short, settings.long)
        summary = self._maker.summarize(model.features.behaviors(long), np.array([key]))
        return model.long.seal(summary, self._maker.layout.torch_dtype)


def shards_of(store: RecordStore) -> list[Path]:
    """The files that hold the records."""
    return sorted(store.folder.glob("records-*.bin"))


def read_all(requests: Requests, store: RecordStore) -> None:
    """Read the record of every user whom the traffic draws, so that none is cold."""
    drawn = np.unique(requests.position[~requests.missing])
    for position in drawn.tolist():
        store.read(requests.visitors[position].key)


def record_sizes(requests: Requests, store: RecordStore) -> np.ndarray:
    """(CYCLE,) bytes that each request reads of the store: the record's, or none."""
    keys = np.array([user.key for user in requests.visitors])[requests.position]
    return np.where(requests.missing, 0, store.index["size"][np.searchsorted(store.keys, keys)])
