"""lrea.h for ctypes: the structures, the numbers, and the loaded library."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_char_p, c_float, c_int, c_int32, c_int64, c_uint64, c_void_p
from functools import cache
from pathlib import Path

from lrea_cli.native.library import Loaded, open_library, turned_off

ABI = 1
LIBRARY = "liblrea.so"
"""Beside this file, where setup.py puts it on every system."""

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


FUNCTIONS = {
    "lrea_open": (c_void_p, c_void_p, c_uint64, c_char_p, c_uint64),
    "lrea_close": (None, c_void_p),
    "lrea_sizes_of": (None, c_void_p, POINTER(CSizes)),
    "lrea_score": (c_int, c_void_p, POINTER(CRequest), POINTER(c_float)),
    "lrea_score_record": (c_int, c_void_p, POINTER(CRecordRequest), POINTER(c_float)),
    "lrea_interest": (c_int, c_void_p, POINTER(CRequest), POINTER(c_float)),
    "lrea_path": (c_char_p, c_int32),
    "lrea_why": (c_char_p,),
    "lrea_status_text": (c_char_p, c_int32),
}


def load() -> Loaded:
    """The library beside this file, and why it takes its path; it is loaded once."""
    return turned_off() or _load(Path(__file__).with_name(LIBRARY))


@cache
def _load(path: Path) -> Loaded:
    library, reason = open_library(path, ("lrea_abi", ABI), FUNCTIONS)
    return Loaded(library, library.lrea_why().decode() if library else reason)


def path_of(mode: str) -> str | None:
    """The path that a mode takes on this machine, such as `amx x6`; None without the library or without the mode."""
    library = load().library
    name = library.lrea_path(MODES[mode]) if library else None
    return name.decode() if name else None
