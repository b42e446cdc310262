"""Compressors turn the histories of a trained din run into few rows, without training; `CompressorName` lists them."""

from __future__ import annotations

from importlib import import_module

from lrea_cli.compressors.base import Compressor
from lrea_cli.compressors.clusters import Clusters
from lrea_cli.recipe.settings import COMPRESSOR_NAMES


def _compressor(name: str) -> type[Compressor]:
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    return next(c for c in vars(module).values() if isinstance(c, type) and getattr(c, "name", None) == name)


COMPRESSORS: dict[str, type[Compressor]] = {name: _compressor(name) for name in COMPRESSOR_NAMES}

__all__ = ["COMPRESSORS", "Clusters", "Compressor"]
