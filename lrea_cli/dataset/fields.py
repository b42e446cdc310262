"""Fields: the features of a dataset, as its manifest declares them, and the files that it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from lrea_cli.ids import FIRST_ID

SECONDS_PER_DAY = 86_400
YEAR_1900, YEAR_2200 = -2_208_988_800, 7_258_118_400
"""Epoch seconds: a time before or after them was meant in another unit."""

Role = Literal["item", "user", "context"]


@dataclass(frozen=True)
class Field:
    """One feature.

    `item` fields stand on behaviors and candidates alike and share one embedding table;
    `user` and `context` fields go straight to the MLP (paper, 2.1).

    Args:
        numeric: its values are numbers (DOUBLE in `raw_events`), cut into quantiles of the days before the valid split.
    """

    name: str
    role: Role
    numeric: bool = False


@dataclass(frozen=True)
class EncodedField(Field):
    """A field whose values have dense ids: 0 padding, 1 unknown, then sorted raw values (or quantiles in their order).

    Values first seen before the valid split have ids 2 .. size - 1; later ones follow from `size`
    on, so they stay apart on disk and in counters, while the model sees all of them as unknown.
    """

    __pydantic_config__: ClassVar = {"strict": True, "extra": "forbid"}  # as a manifest has it

    size: int = FIRST_ID
    late: int = 0


@dataclass(frozen=True)
class SourceFile:
    """A raw file that a dataset was made from."""

    name: str
    bytes: int
    sha256: str
