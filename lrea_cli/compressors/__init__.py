"""Compressors: a trained din run to pseudo items without training; a new one is one file and one entry here."""

from __future__ import annotations

from lrea_cli.compressors.base import Compressor
from lrea_cli.compressors.clusters import VARIANTS, Clusters
from lrea_cli.compressors.mean import Mean
from lrea_cli.compressors.random import Random
from lrea_cli.compressors.recent import Recent

COMPRESSORS: dict[str, type[Compressor]] = {c.name: c for c in (Recent, Mean, Random, Clusters)}

__all__ = ["COMPRESSORS", "VARIANTS", "Clusters", "Compressor"]
