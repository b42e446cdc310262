"""What must be served to one user, by the slow float64 twins from raw history and checkpoint: one side of the gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from safetensors.numpy import load_file
from torch import Tensor

from lrea_cli.compressors import COMPRESSORS
from lrea_cli.dataset.histories import Histories
from lrea_cli.methods import METHODS
from lrea_cli.oracle import attention as reference
from lrea_cli.oracle import compressors as reference_compressors
from lrea_cli.oracle.compressors import Inputs, Rows
from lrea_cli.oracle.model import Long, Record, ReferenceModel, SlowTwin, Target, as_float16, as_int8
from lrea_cli.oracle.softmax import Softmax
from lrea_cli.recipe.settings import CacheDtype, Compression
from lrea_cli.records.items import clicked_ids
from lrea_cli.records.maker import SHARED_PROBES, probe_ids
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import CandidateIds, Ids, RecordField
from lrea_cli.serving.scorer import Served, Visitor

ROUNDING = 2.0**-24
"""Largest relative error of a number that is rounded to float32."""


@dataclass(frozen=True)
class Expected:
    """What the loops give for one user and N candidates.

    Args:
        record: its fields, as they are stored, but for the linear half, which the interest is made of.
        length: behaviors that the record knows. counters: of each counted field its values with their counts.
        full: (N, D), full attention.
        half: the largest number of its linear half, if DIN's scorer reads: an interest is formed as a difference of two
            such halves.
        compared: (N,) bool: the M candidates whose search is not too close to call; interest (M, D) and logit (M,) are
            of those.
    """

    record: Record
    length: int
    counters: Mapping[str, list[tuple[int, int]]]
    full: np.ndarray
    half: float
    compared: np.ndarray
    interest: np.ndarray
    logit: np.ndarray


class Loops:
    """Makes a user's record, rounds it as the store does, and scores candidates through it.

    Of `served` it reads the run, the records' layout and the compression; the histories are told with each request.

    Args:
        shaken: every number of the model is off by 2^-24 of itself, up or down: what that changes, no float32 can know.
    """

    def __init__(self, served: Served, shaken: bool = False) -> None:
        self.run, layout = served.run, served.records.layout
        self.dtype: CacheDtype = layout.dtype
        self.fields = [f for f in layout.fields if f.name != "linear"]
        self.linear = next((f for f in layout.fields if f.name == "linear"), None)
        self.reference = _shaken(reference_model(self.run)) if shaken else reference_model(self.run)
        self.twin = twin_of(self.run, self.reference, served.compression)

    def __call__(self, histories: Histories, user: Visitor, ids: CandidateIds, stored: Record) -> Expected:
        """Score the candidates of one request.

        Args:
            stored: the user's record; it says how ties were rounded, see `as_int8` and `as_float16`.
        """
        ref, recorded = self.reference, Visitor(user.key, user.length - user.newer)
        short, asked = self._sequences(histories, user)
        long = self._sequences(histories, recorded)[1]
        exact = self.twin.record(long, user.key)
        record = {f.name: self._rounded(f, exact[f.name], stored) for f in self.fields}
        loss_of_linear = self._loss_of_linear(long, {**exact, **record}, stored)
        full, halves, interests, logits = [], [0.0], [], []
        for position in range(ids.mask.shape[1]):
            row = _row(ids.ids, position)
            target = Target(ref.vector(row, ref.item_fields), int(ids.time), row.get("category"))
            full.append(self.twin.full(target.vector, asked.vectors))
            halves.append(self._half(target.vector, asked.vectors))
            interest = self.twin.interest(target, long, {**exact, **record})
            if interest is not None:
                interest = interest + np.append(target.vector, 1.0) @ loss_of_linear
                profile = ref.vector(_row(ids.profile, position), ref.profile_fields)
                matches = [_matches(histories, user, name, row[name]) for name in self.run.model.match_counters]
                logits.append(ref.logit(target.vector, short, interest, profile, matches, user.length))
            interests.append(interest)
        compared = np.array([interest is not None for interest in interests])
        kept = np.array([interest for interest in interests if interest is not None])
        counters = {name: _counter(histories, recorded, name) for name in self.run.model.match_counters}
        known = record, recorded.length, counters
        return Expected(
            *known, np.array(full), max(halves), compared, kept.reshape(-1, short.shape[1]), np.array(logits)
        )

    def _half(self, e_t: np.ndarray, E: np.ndarray) -> float:
        if self.run.recipe.model.reader == "softmax":
            return 0.0
        half = reference.din_linear_half(e_t, E, self.reference.scorer("long"))
        return float(np.abs(half).max(initial=0.0))

    def _sequences(self, histories: Histories, user: Visitor) -> tuple[np.ndarray, Long]:
        """Vectors of the short sequence (n, D), and the long one; newest first."""
        ref, settings = self.reference, self.run.recipe.data
        positions = _known(histories, user)[: settings.short + settings.long]
        ids = [{name: int(column[p]) for name, column in histories.columns.items()} for p in positions]
        vectors = np.array([ref.vector(row, ref.item_fields) for row in ids])
        vectors = vectors.reshape(len(ids), self.run.model.features.width)
        time = np.array([int(histories.time[p]) for p in positions], np.int64)
        category = None
        if "category" in histories.columns:
            category = np.array([row["category"] for row in ids], np.int64)[settings.short :]
        return vectors[: settings.short], Long(vectors[settings.short :], time[settings.short :], category)

    def _rounded(self, field: RecordField, rows: np.ndarray, stored: Record) -> np.ndarray:
        """To the cache's dtype, as a record is sealed; ties as they are stored."""
        dtype = field.stored(self.dtype)
        if (rounded := {"int8": as_int8, "float16": as_float16}.get(dtype)) is not None:
            return rounded(rows, stored[field.name]) if rows.shape == stored[field.name].shape else rows
        return rows.astype(np.float32).astype(float) if field.dtype == "cache" else rows

    def _loss_of_linear(self, long: Long, record: Record, stored: Record) -> np.ndarray:
        """(D + 1, D): what rounding to int8 adds to the linear half of the attention, if the record has one."""
        D = self.run.model.features.width
        if self.linear is None or self.linear.stored(self.dtype) != "int8":
            return np.zeros((D + 1, D))
        exact = reference.affine_map(lambda e: self.twin.linear(e, long, record), D)
        return self._rounded(self.linear, exact, stored) - exact


def _known(histories: Histories, user: Visitor) -> range:
    """Where the known behaviors of a user stand in the log; newest first."""
    start = int(histories.offsets[user.key])
    return range(start + user.length - 1, start - 1, -1)


def _matches(histories: Histories, user: Visitor, field: str, value: int) -> int:
    """Known behaviors of the user with the value; none where it is missing (id 1)."""
    known = _known(histories, user) if value > 1 else ()
    return sum(int(histories.columns[field][position]) == value for position in known)


def _counter(histories: Histories, user: Visitor, field: str) -> list[tuple[int, int]]:
    """Each value of the known behaviors and how many have it, by value; a missing one (id 1) is left out."""
    counted: dict[int, int] = {}
    for position in _known(histories, user):
        value = int(histories.columns[field][position])
        counted[value] = counted.get(value, 0) + 1
    return sorted(pair for pair in counted.items() if pair[0] > 1)


def _row(ids: Mapping[str, Tensor], position: int) -> dict[str, int]:
    return {name: int(tensor[0, position]) for name, tensor in ids.items()}


@dataclass(frozen=True)
class SlowCompressor(SlowTwin):
    """Of a compressor, with the probes (T, D) as the reference embeds them."""

    compression: Compression
    probes: np.ndarray
    codebook: np.ndarray | None = None

    def record(self, long: Long, user: int) -> Record:
        compression, E = self.compression, long.vectors
        drawn = compression.rank, compression.seed, user
        by = Inputs(*drawn, self.probes, self.model.scorer("long"), self._softmax, self.codebook)
        return vars(COMPRESSORS[compression.compressor].slow_twin(E, by) if len(E) else Rows(E, E, mass=np.zeros(0)))

    def linear(self, e_t: np.ndarray, long: Long, record: Record) -> np.ndarray:
        E = long.vectors
        half = reference.din_linear_half(e_t, E, self.model.scorer("long"))
        correction = record["correction"]
        return half if correction is None else half + e_t @ correction[:-1] + correction[-1]

    def interest(self, target: Target, long: Long, record: Record) -> np.ndarray:
        reader = self._softmax or self.model.scorer("long")
        return reference_compressors.interest(target.vector, long.vectors, Rows(**record), reader)

    def full(self, e_t: np.ndarray, E: np.ndarray) -> np.ndarray:
        return self._softmax.read(e_t, E, E, np.ones(len(E))) if self._softmax else super().full(e_t, E)

    @property
    def _softmax(self) -> Softmax | None:
        return softmax_of(self.model)


def softmax_of(model: ReferenceModel) -> Softmax | None:
    """The reader of a run that reads with softmax, else None."""
    return model.softmax() if model.settings.reader == "softmax" else None


def twin_of(run: Run, model: ReferenceModel, compression: Compression | None) -> SlowTwin:
    """The twin of what makes a cache's records; `compression` is None where the method does."""
    if compression is None:
        return METHODS[model.settings.method].slow_twin(model)
    probes, codebook = _vectors(model, probe_ids(run.dataset, compression.seed), SHARED_PROBES), None
    if COMPRESSORS[compression.compressor].reads_items:
        clicked = clicked_ids(run.dataset)
        drawn = compression.rank, compression.seed, 0
        by = Inputs(*drawn, probes, model.scorer("long"), softmax_of(model))
        items = _vectors(model, clicked.ids, len(clicked.clicks))
        codebook = reference_compressors.codebook(items, clicked.clicks, by)
    return SlowCompressor(model, compression, probes, codebook)


def _vectors(model: ReferenceModel, columns: Ids, rows: int) -> np.ndarray:
    """(rows, D) of ids (rows,) in each item field."""
    ids = [{name: int(column[row]) for name, column in columns.items()} for row in range(rows)]
    return np.array([model.vector(row, model.item_fields) for row in ids])


def _shaken(model: ReferenceModel) -> ReferenceModel:
    draws = np.random.default_rng(0)
    signs = {name: draws.choice([-1.0, 1.0], weights.shape) for name, weights in model.weights.items()}
    return replace(model, weights={name: (1 + ROUNDING * signs[name]) * w for name, w in model.weights.items()})


def reference_model(run: Run) -> ReferenceModel:
    """The float64 twin of a run, read from its checkpoint."""
    features = run.model.features
    return ReferenceModel(
        weights={name: array.astype(np.float64) for name, array in load_file(run.checkpoint).items()},
        item_fields=tuple(f.name for f in features.item_fields),
        profile_fields=tuple(f.name for f in features.profile_fields),
        settings=run.recipe.model,
    )
