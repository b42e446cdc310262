"""The native request: one user's candidates in one call, on the thread that calls.

It computes what `CTRModel` does in eval mode. A call lets go of the interpreter's lock, so threads score side by side.

Example:
    model = NativeModel(write_model(trained))
    logits = model.logits(NativeRequest(candidate_ids, short_ids, history_length, Rows(keys, values, linear)))
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from ctypes import POINTER, byref, c_float
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrea_cli.errors import LreaError
from lrea_cli.serving.native import abi


class NativeError(LreaError):
    """The native request cannot be computed; torch can."""


class UnsupportedError(NativeError):
    """There is no library, the machine lacks the mode, or the model lacks what the long part needs."""


@dataclass(frozen=True)
class Matrix:
    """Rows of float32, float16, or int8 with a float32 scale for each row.

    Args:
        data: (rows, columns).
        scales: (rows,), of int8 alone.
    """

    data: np.ndarray
    scales: np.ndarray | None = None


@dataclass(frozen=True)
class Rows:
    """Pseudo items: keys and values (R, D), and their linear half (D + 1, D), which is computed if it is None."""

    keys: Matrix
    values: Matrix
    linear: Matrix | None = None


@dataclass(frozen=True)
class Buckets:
    """SDIM's sums (G 2^tau, D) float32; no rows for an empty history."""

    sums: np.ndarray


@dataclass(frozen=True)
class Behaviors:
    """Ids (item fields, L) int32 of the long behaviors, for full attention."""

    ids: np.ndarray


@dataclass(frozen=True)
class GivenInterest:
    """The long interest (N, D) float32 itself, which torch has computed: of a searched method, or read with softmax."""

    vectors: np.ndarray


LongPart = Rows | Buckets | Behaviors | GivenInterest | None
"""None: there is no long part, and the long interest is zero."""


@dataclass(frozen=True)
class NativeRequest:
    """One user, one moment, N candidates.

    Args:
        candidate_ids: (item fields, N) int32.
        short_ids: (item fields, S) int32, the newest behaviors.
        history_length: behaviors before the request.
        long: what the request knows of the behaviors before those.
        profile_ids: (profile fields,) int32 of all candidates, or (profile fields, N).
        counts: (counters, N) int32, behaviors before the request with the candidate's value.
        mode: a key of `abi.MODES`.
    """

    candidate_ids: np.ndarray
    short_ids: np.ndarray
    history_length: int
    long: LongPart = None
    profile_ids: np.ndarray | None = None
    counts: np.ndarray | None = None
    mode: str = "auto"


@dataclass(frozen=True)
class RecordRequest:
    """A request that brings the bytes of the user's record.

    Args:
        record: the bytes, which the caller has verified; None = a user without one.
        dtype: of the cache.
        candidate_ids: (item fields, N) int32. short_ids: (item fields, S) int32, newest first.
        newer: so many of the newest behaviors the record does not know.
        profile_ids: (profile fields,) int32 of all candidates, or (profile fields, N).
        mode: a key of `abi.MODES`.
    """

    record: bytes | None
    dtype: str
    candidate_ids: np.ndarray
    short_ids: np.ndarray
    newer: int = 0
    profile_ids: np.ndarray | None = None
    mode: str = "auto"


class NativeModel:
    """An open model.bin; it may be used by many threads at once.

    Args:
        file: the bytes of a model.bin: `bytes`, an `mmap` or an array of uint8. They are read in place.

    Raises:
        UnsupportedError: there is no library.
        NativeError: the bytes are no whole model.bin.
    """

    def __init__(self, file: Any) -> None:
        library, reason = abi.load()
        if library is None:
            raise UnsupportedError(f"There is no native request: {reason}", "Requests are computed by torch.")
        self._library = library
        self._bytes = np.frombuffer(file, np.uint8)
        error = ctypes.create_string_buffer(256)
        self._model = library.lrea_open(self._bytes.ctypes.data, self._bytes.size, error, len(error))
        if not self._model:
            raise NativeError(f"This is no whole model.bin. {error.value.decode()}", "Write it again.")
        weakref.finalize(self, library.lrea_close, self._model)
        sizes = abi.CSizes()
        library.lrea_sizes_of(self._model, byref(sizes))
        self.item_fields, self.profile_fields = int(sizes.item_fields), int(sizes.profile_fields)
        self.width, self.counters = int(sizes.width), int(sizes.counters)
        self.bucket_rows = int(sizes.planes) // int(sizes.tau) << int(sizes.tau) if sizes.planes else 0

    def logits(self, request: NativeRequest) -> np.ndarray:
        """Logits (N,) float32.

        Raises:
            UnsupportedError: torch must compute this request.
            NativeError: an id or a count is negative.
            ValueError: an array has another shape or dtype than the model reads.
        """
        logits = np.empty(request.candidate_ids.shape[-1], np.float32)
        self._call(self._library.lrea_score, request, logits)
        return logits

    def record_logits(self, request: RecordRequest) -> np.ndarray:
        """Logits (N,) float32 through the bytes of a record; errors as of `logits`."""
        kept: list[np.ndarray] = []
        N, S = request.candidate_ids.shape[-1], request.short_ids.shape[-1]
        logits = np.empty(N, np.float32)
        profile, by_candidate = self._profile(request.profile_ids, N, kept)
        record = request.record
        asked = abi.CRecordRequest(
            mode=abi.MODES[request.mode],
            record=None if record is None else ctypes.cast(ctypes.c_char_p(record), ctypes.c_void_p),
            record_size=0 if record is None else len(record),
            record_dtype=abi.DTYPES[request.dtype],
            candidates=N,
            candidate_ids=_pointer("candidate_ids", request.candidate_ids, np.int32, (self.item_fields, N), kept),
            short_behaviors=S,
            short_ids=_pointer("short_ids", request.short_ids, np.int32, (self.item_fields, S), kept),
            newer=request.newer,
            profile_ids=profile,
            profile_by_candidate=by_candidate,
        )
        self._check(self._library.lrea_score_record(self._model, byref(asked), logits.ctypes.data_as(POINTER(c_float))))
        return logits

    def interest(self, request: NativeRequest, out: np.ndarray | None = None) -> np.ndarray:
        """The long interest (N, D) float32 alone; errors as of `logits`.

        Args:
            out: (N, D) float32 that the result is written to; new memory costs a page fault for every 4 kB.
        """
        shape = (request.candidate_ids.shape[-1], self.width)
        vectors = np.empty(shape, np.float32) if out is None else out
        if vectors.shape != shape or vectors.dtype != np.float32 or not vectors.flags.c_contiguous:
            raise ValueError(f"out is {vectors.dtype} {vectors.shape}; expected float32 {shape}, row after row.")
        self._call(self._library.lrea_interest, request, vectors)
        return vectors

    def _call(self, function: Callable[..., int], request: NativeRequest, out: np.ndarray) -> None:
        kept: list[np.ndarray] = []  # what the request points to, until the call is done
        asked = self._request(request, kept)
        self._check(function(self._model, byref(asked), out.ctypes.data_as(POINTER(c_float))))

    def _check(self, status: int) -> None:
        if status:
            text = self._library.lrea_status_text(status).decode()
            kind = UnsupportedError if status == abi.UNSUPPORTED else NativeError
            raise kind(f"The native request was refused. {text}", "")

    def _profile(self, ids: np.ndarray | None, N: int, kept: list[np.ndarray]) -> tuple[int | None, bool]:
        """The address of profile ids, and whether each candidate has its own."""
        if ids is None:
            if self.profile_fields:
                raise ValueError("The model has profile fields, but the request has no profile_ids.")
            return None, False
        by_candidate = ids.ndim == 2
        shape = (self.profile_fields, N) if by_candidate else (self.profile_fields,)
        return _pointer("profile_ids", ids, np.int32, shape, kept), by_candidate

    def _request(self, request: NativeRequest, kept: list[np.ndarray]) -> abi.CRequest:
        N, S = request.candidate_ids.shape[-1], request.short_ids.shape[-1]
        profile, by_candidate = self._profile(request.profile_ids, N, kept)
        counts = request.counts
        if counts is None:
            counts = np.empty((0, N), np.int32)
        return abi.CRequest(
            mode=abi.MODES[request.mode],
            candidates=N,
            candidate_ids=_pointer("candidate_ids", request.candidate_ids, np.int32, (self.item_fields, N), kept),
            short_behaviors=S,
            short_ids=_pointer("short_ids", request.short_ids, np.int32, (self.item_fields, S), kept),
            profile_ids=profile,
            profile_by_candidate=by_candidate,
            counts=_pointer("counts", counts, np.int32, (self.counters, N), kept),
            history_length=request.history_length,
            history=self._long(request.long, N, kept),
        )

    def _long(self, long: LongPart, N: int, kept: list[np.ndarray]) -> abi.CLong:
        D = self.width
        if isinstance(long, Rows):
            R = len(long.keys.data)
            linear = _matrix("linear", long.linear, (D + 1, D), kept) if long.linear else abi.CMatrix()
            keys, values = (_matrix(name, getattr(long, name), (R, D), kept) for name in ("keys", "values"))
            return abi.CLong(kind=abi.ROWS, rows=R, keys=keys, values=values, linear=linear)
        if isinstance(long, Buckets):
            R = len(long.sums)
            shape = (R if R == 0 else self.bucket_rows or R, D)  # without planes the library refuses
            return abi.CLong(kind=abi.BUCKETS, rows=R, sums=_pointer("sums", long.sums, np.float32, shape, kept))
        if isinstance(long, Behaviors):
            L = long.ids.shape[-1]
            ids = _pointer("ids", long.ids, np.int32, (self.item_fields, L), kept)
            return abi.CLong(kind=abi.BEHAVIORS, rows=L, ids=ids)
        if isinstance(long, GivenInterest):
            return abi.CLong(kind=abi.INTEREST, interest=_pointer("interest", long.vectors, np.float32, (N, D), kept))
        return abi.CLong(kind=abi.NONE)


def _pointer(name: str, array: np.ndarray, dtype: Any, shape: tuple[int, ...], kept: list[np.ndarray]) -> int:
    """The address of an array that lies row after row."""
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} {array.shape}; expected {np.dtype(dtype)} {shape}.")
    kept.append(np.ascontiguousarray(array))
    return kept[-1].ctypes.data


def _matrix(name: str, matrix: Matrix, shape: tuple[int, ...], kept: list[np.ndarray]) -> abi.CMatrix:
    dtype = str(matrix.data.dtype)
    if dtype not in abi.DTYPES or (matrix.scales is not None) != (dtype == "int8"):
        raise ValueError(f"{name} is {dtype}: expected float32 or float16, or int8 with scales.")
    scales = None
    if matrix.scales is not None:
        scales = _pointer(f"{name} scales", matrix.scales, np.float32, shape[:1], kept)
    data = _pointer(name, matrix.data, matrix.data.dtype, shape, kept)
    return abi.CMatrix(data=data, scales=scales, dtype=abi.DTYPES[dtype])
