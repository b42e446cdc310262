"""training.h for ctypes: the structures, the numbers, and the loaded library."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_void_p
from functools import cache
from pathlib import Path

from lrea_cli.native.library import Loaded, open_library, turned_off

ABI = 1
LIBRARY = "liblrea_training.so"
"""Beside this file, where setup.py puts it on every system."""

MODES = {"auto": 0, "baseline": 1, "avx2": 2, "avx512": 3}
OK, NO_MEMORY, UNSUPPORTED = range(3)


class CAttention(Structure):
    """lrea_attention."""

    _fields_ = (
        *((size, c_int64) for size in ("B", "N", "R", "D", "H")),
        *((operand, c_void_p) for operand in ("e", "k", "W1", "W2", "W3", "b", "w")),
    )


class CGradient(Structure):
    """lrea_attention_gradient."""

    _fields_ = tuple((operand, c_void_p) for operand in ("e", "k", "W1", "W2", "W3", "b", "w"))


FUNCTIONS = {
    "lrea_training_path": (c_char_p, c_int32),
    "lrea_attention_scores": (c_int, POINTER(CAttention), c_int32, c_int32, c_void_p),
    "lrea_attention_backward": (c_int, POINTER(CAttention), c_void_p, c_int32, c_int32, POINTER(CGradient)),
}


def load() -> Loaded:
    """The library beside this file; it is loaded once."""
    return turned_off() or _load(Path(__file__).with_name(LIBRARY))


@cache
def _load(path: Path) -> Loaded:
    return open_library(path, ("lrea_training_abi", ABI), FUNCTIONS)


def path_of(mode: str) -> str | None:
    """The instruction set that a mode takes on this machine; None without the library or without the mode."""
    library = load().library
    name = library.lrea_training_path(MODES[mode]) if library else None
    return name.decode() if name else None
