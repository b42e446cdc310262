"""Loads a native library with ctypes: each lies beside the module that calls it, where setup.py puts it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

NO_LIBRARY = "LREA_NATIVE"
"""The environment variable that keeps the libraries from being loaded, when it is `0`."""


class Loaded(NamedTuple):
    """The library, or None and why there is none."""

    library: ctypes.CDLL | None
    reason: str


def turned_off() -> Loaded | None:
    """What `load` returns where the user turned the libraries off; else None."""
    if os.environ.get(NO_LIBRARY) == "0":
        return Loaded(None, f"{NO_LIBRARY}=0 turns it off.")
    return None


def open_library(path: Path, version: tuple[str, int], functions: Mapping[str, tuple[Any, ...]]) -> Loaded:
    """The library of a file.

    Args:
        path: of the library.
        version: the function that tells the version of its interface, and the version that Python calls.
        functions: name -> the type of the result and those of the arguments, for ctypes.
    """
    if not path.exists():
        return Loaded(None, "It was not built: there was no C++ compiler (GCC or Clang) when lrea was installed.")
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return Loaded(None, f"It cannot be loaded: {error}")
    if getattr(library, version[0])() != version[1]:
        return Loaded(None, "It was built from another version of lrea; install lrea again.")
    for name, (result, *arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return Loaded(library, "")
