"""All long-interest methods: one file each, named in `MethodName`; the file of `din-short` is `din_short.py`."""

from __future__ import annotations

from importlib import import_module

from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.recipe.settings import METHOD_NAMES


def _method(name: str) -> type[LongInterest]:
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    return next(m for m in vars(module).values() if isinstance(m, type) and getattr(m, "name", None) == name)


METHODS: dict[str, type[LongInterest]] = {name: _method(name) for name in METHOD_NAMES}

__all__ = ["METHODS", "HistoryShape", "LongInterest"]
