"""Scores requests as a server gets them: raw ids in, logits out."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch

from lrea_cli.dataset.fields import YEAR_2200
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.vocabulary import Raw, Vocabulary
from lrea_cli.errors import UserError, nearest
from lrea_cli.kernels import gemm
from lrea_cli.records.cache import Cache, latest_cache, open_records, run_and_cache
from lrea_cli.runs.checkpoint import Run, open_run
from lrea_cli.sequence import CandidateIds, HistoryIds
from lrea_cli.serving.native.model import NativeError
from lrea_cli.serving.native.scorer import NativeScorer
from lrea_cli.serving.scorer import Request, RequestScorer, Served, Visitor
from lrea_cli.workspace.home import Workspace

Columns = Mapping[str, Sequence[Raw]]
"""Item field -> a raw value for each row."""


class Scorer:
    """Scores candidates for one user at a time through a cache's records; any number of threads may share one.

    Raw ids are spelled as in the log. An unknown user has an empty record; an unknown item, value or missing field is
    the value "unknown" that the model was trained with.

    `path` says what computes: `amx x6` and the like natively, or `torch` and why.

    Example:
        >>> scorer = Scorer.open("lrea-1")
        >>> logits = scorer.score("u7", ["i12", "i40"], {"city": "Oslo"})
        >>> click_probability = 1 / (1 + np.exp(-logits))
    """

    def __init__(self, run: Run, cache: Cache) -> None:
        served = Served.of(run, cache, open_histories(run.dataset))
        features = run.model.features
        self.run, self.cache = run, cache
        self._served = served
        self._requests, self.path = _scorer_of(run, cache)
        self._items = [f.name for f in features.item_fields]
        self._profile = [f.name for f in features.profile_fields]
        counted = [f for f in run.dataset.manifest.fields if f.name in run.model.match_counters]
        fields = {f.name: f for f in (*features.item_fields, *features.profile_fields, *counted)}
        self._vocabulary = Vocabulary(run.dataset, fields.values())

    @classmethod
    def open(cls, run: str | None = None, cache: str | None = None, workspace: Workspace | None = None) -> Self:
        """A run and a cache of it, from LREA_HOME.

        Args:
            run: None = that of the cache, else the latest. cache: None = the run's latest.
            workspace: None = that of LREA_HOME.

        Raises:
            UserError: there is no such run, or it has no cache.
        """
        workspace = workspace or Workspace.from_environment()
        name, artifact = run_and_cache(workspace, run, cache)
        opened = open_run(workspace, name, None, torch.device("cpu"))
        return cls(opened, open_records(opened, artifact or latest_cache(workspace, opened)))

    def score(
        self,
        user: Raw,
        items: Sequence[Raw] | Columns,
        profile: Mapping[str, Raw | Sequence[Raw]] | None = None,
        short: Columns | None = None,
        time: int | None = None,
    ) -> np.ndarray:
        """Logits (N,) float32 of the candidates.

        Args:
            items: N raw ids, whose other fields are looked up in the dataset; or a column for each item field.
            profile: user or context field -> one value for all candidates, or N.
            short: the newest behaviors, newest first: a column for each item field and `time` (epoch seconds); those
                from the cache's instant on are newer than the record. None = what the dataset knows.
            time: of the request, epoch seconds; None = now.

        Raises:
            UserError: a field that the model does not have, columns of different lengths, or times that are none.
            DamagedRecord: the user's record is not as it was written; it must not be scored.
        """
        moment = int(clock.time()) if time is None else time
        number = self._vocabulary.user(user)
        candidates = self._candidates(items, profile or {}, moment)
        behaviors, newer = self._known(number, moment) if short is None else self._given(short)
        key = -1 if number is None else number
        if not candidates.mask.numel():
            return np.zeros(0, np.float32)
        return np.asarray(self._requests(Request(key, candidates, behaviors, newer)))

    def _candidates(self, items: Sequence[Raw] | Columns, profile: Mapping, moment: int) -> CandidateIds:
        ids = self._item_ids(items)
        count = len(next(iter(ids.values())))
        self._require(profile, self._profile)
        own = {}
        for name in self._profile:
            value = profile.get(name)
            values = (
                value if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str | bytes) else [value]
            )
            if len(values) not in (1, count):
                raise UserError(
                    f"'{name}' has {len(values)} values for {count} candidates.", "Give one, or one for each."
                )
            own[name] = torch.from_numpy(np.resize(self._vocabulary.ids(name, values), count)[None])
        mask = torch.ones(1, count, dtype=torch.bool)
        return CandidateIds({n: torch.from_numpy(v[None]) for n, v in ids.items()}, own, mask, torch.tensor([moment]))

    def _item_ids(self, items: Sequence[Raw] | Columns) -> dict[str, np.ndarray]:
        """For each item field (N,)."""
        names = {*self._items, *self.run.model.match_counters}
        if isinstance(items, str | bytes):
            raise UserError(f"{items!r} is one text, and not a list of ids.", "Give a list of ids.")
        if not isinstance(items, Mapping):
            item = self._vocabulary.ids("item", items)
            return {"item": item, **{n: c for n, c in self._vocabulary.attributes(item).items() if n in names}}
        self._require(dict.fromkeys(items), [*names])
        lengths = {name: len(column) for name, column in items.items()}
        if "item" not in lengths or len(set(lengths.values())) > 1:
            raise UserError(
                f"The columns of items have these lengths: {lengths}.", "Give `item`, and all the same length."
            )
        count = lengths["item"]
        return {name: self._vocabulary.ids(name, items.get(name, [None] * count)) for name in names}

    def _known(self, number: int | None, moment: int) -> tuple[HistoryIds, int]:
        """The newest S behaviors that the dataset has before a moment; how many of these the record does not know."""
        histories, settings = self._served.histories, self.run.recipe.data
        if number is None:
            return self._given({"item": [], "time": []})
        user, short = np.array([number]), settings.short
        length, recorded = (
            int(histories.known_at(user, np.array([t]))[0]) for t in (moment, self.cache.manifest.as_of)
        )
        return Visitor(number, length).newest(histories, 0, short), min(max(0, length - recorded), short)

    def _given(self, short: Columns) -> tuple[HistoryIds, int]:
        """The behaviors of a request, S at most."""
        kept = {name: list(column)[: self.run.recipe.data.short] for name, column in short.items()}
        times = _seconds(kept.pop("time", []))
        ids = self._item_ids(kept)
        count = len(ids["item"])
        if len(times) not in (0, count):
            raise UserError(f"{len(times)} times for {count} behaviors.", "Give `time` for each, or for none.")
        width = (0, max(1, count) - count)  # no shape is ever empty
        newer = int((times >= self.cache.manifest.as_of).sum())
        columns = {name: torch.from_numpy(np.pad(column, width)[None]) for name, column in ids.items()}
        mask = torch.from_numpy(np.pad(np.ones(count, bool), width)[None])
        padded_times = np.pad(times if len(times) else np.zeros(count, np.int64), width)
        return HistoryIds(columns, mask, torch.from_numpy(padded_times[None])), newer

    def _require(self, given: Mapping, known: Sequence[str]) -> None:
        for name in given:
            if name not in known:
                has = ", ".join(known) or "none"
                raise UserError(f"The model has no field '{name}'{nearest(name, known)}.", f"It has here: {has}")


def _seconds(times: Sequence[Raw]) -> np.ndarray:
    """Epoch seconds of behaviors, newest first; a UserError for what is none."""
    try:
        seconds = np.array(times, np.int64)
    except (TypeError, ValueError) as error:
        raise UserError(f"`time` of the newest behaviors: {error}.", "Give whole epoch seconds.") from error
    if (seconds > YEAR_2200).any():
        raise UserError(
            f"`time` {seconds.max()} lies after the year 2200.", "Give seconds since 1970, not milliseconds."
        )
    if (np.diff(seconds) > 0).any():
        raise UserError("The newest behaviors are not newest first: their `time` grows.", "Turn their order round.")
    return seconds


def _scorer_of(run: Run, cache: Cache) -> tuple[NativeScorer | RequestScorer, str]:
    """What scores requests: natively where that is possible; and its path."""
    try:
        native = NativeScorer(run.model, cache.store)
        return native, native.path
    except NativeError as error:
        return RequestScorer(run.model, cache.store, gemm), f"torch: {error}"
