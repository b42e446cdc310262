"""lrea.h for ctypes: the structures, the numbers, and the loaded library."""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, Structure, c_char_p, c_float, c_int, c_int32, c_int64, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import NamedTuple

ABI = 1
LIBRARY = "liblrea.so"
"""Beside this file, where setup.py puts it on every system."""
NO_LIBRARY = "LREA_NATIVE"
"""The environment variable that keeps the library from being loaded, when it is `0`."""

MODES = {"auto": 0, "fp32": 1, "x6": 2, "x3": 3, "baseline": 4, "avx2": 5, "avx512": 6}
UNSUPPORTED = 4
DTYPES = {"float32": 0, "float16": 1, "int8": 2}
NONE, ROWS, BUCKETS, BEHAVIORS, INTEREST = range(5)


class CMatrix(Structure):
    """lrea_matrix."""

    _fields_ = (("data", c_void_p), ("scales", c_void_p), ("dtype", c_int32))


class CLong(Structure):
    """lrea_long."""

    _fields_ = (
        ("kind", c_int32),
        ("rows", c_int64),
        ("keys", CMatrix),
        ("values", CMatrix),
        ("linear", CMatrix),
        ("sums", c_void_p),
        ("ids", c_void_p),
        ("interest", c_void_p),
    )


class CRequest(Structure):
    """lrea_request."""

    _fields_ = (
        ("mode", c_int32),
        ("candidates", c_int64),
        ("candidate_ids", c_void_p),
        ("short_behaviors", c_int64),
        ("short_ids", c_void_p),
        ("profile_ids", c_void_p),
        ("profile_by_candidate", c_int32),
        ("counts", c_void_p),
        ("history_length", c_int64),
        ("history", CLong),
    )


class CRecordRequest(Structure):
    """lrea_record_request."""

    _fields_ = (
        ("mode", c_int32),
        ("record", c_void_p),
        ("record_size", c_uint64),
        ("record_dtype", c_int32),
        ("candidates", c_int64),
        ("candidate_ids", c_void_p),
        ("short_behaviors", c_int64),
        ("short_ids", c_void_p),
        ("newer", c_int64),
        ("profile_ids", c_void_p),
        ("profile_by_candidate", c_int32),
    )


class CSizes(Structure):
    """lrea_sizes."""

    _fields_ = tuple(
        (name, c_int64) for name in ("item_fields", "profile_fields", "width", "hidden", "counters", "planes", "tau")
    )


class Loaded(NamedTuple):
    """The library, or None and why there is none."""

    library: ctypes.CDLL | None
    reason: str


def load() -> Loaded:
    """The library beside this file; it is loaded once."""
    if os.environ.get(NO_LIBRARY) == "0":
        return Loaded(None, f"{NO_LIBRARY}=0 turns it off.")
    return _load(Path(__file__).with_name(LIBRARY))


@cache
def _load(path: Path) -> Loaded:
    if not path.exists():
        return Loaded(None, "It was not built: there was no C++ compiler (GCC or Clang) when lrea was installed.")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return Loaded(None, f"It cannot be loaded: {error}")
    if library.lrea_abi() != ABI:
        return Loaded(None, "It was built from another version of lrea; install lrea again.")
    for name, result, *arguments in (
        ("lrea_open", c_void_p, c_void_p, c_uint64, c_char_p, c_uint64),
        ("lrea_close", None, c_void_p),
        ("lrea_sizes_of", None, c_void_p, POINTER(CSizes)),
        ("lrea_score", c_int, c_void_p, POINTER(CRequest), POINTER(c_float)),
        ("lrea_score_record", c_int, c_void_p, POINTER(CRecordRequest), POINTER(c_float)),
        ("lrea_interest", c_int, c_void_p, POINTER(CRequest), POINTER(c_float)),
        ("lrea_path", c_char_p, c_int32),
        ("lrea_why", c_char_p),
        ("lrea_status_text", c_char_p, c_int32),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return Loaded(library, library.lrea_why().decode())


def path_of(mode: str) -> str | None:
    """The path that a mode takes on this machine, such as `amx x6`; None without the library or without the mode."""
    library = load().library
    name = library.lrea_path(MODES[mode]) if library else None
    return name.decode() if name else None
