"""What the long interests of several methods are made of, as ONNX operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lrea_cli.ids import FIRST_ID
from lrea_cli.methods.category import LEAST
from lrea_cli.serving.export.builder import Builder

INT32, INT64, DOUBLE, FLOAT, BOOL = 6, 7, 11, 1, 9
"""ONNX numbers of types, for Cast."""


@dataclass(frozen=True)
class Asked:
    """The values that a long interest reads.

    Args:
        e: (N, D). category: (N,) int32, or None. time: (1,) int64 epoch seconds of the request.
        record: the fields of the user's record, by name.
    """

    e: str
    category: str | None
    time: str
    record: Mapping[str, str]


def same_category(b: Builder, asked: Asked, category: str) -> str:
    """(N, L) float32: 1 where behavior and candidate have the same category, and one at all."""
    assert asked.category is not None
    own = b.op("Unsqueeze", asked.category, b.whole(1))
    known = b.op("GreaterOrEqual", own, b.const(FIRST_ID, np.int32))
    return b.op("Cast", b.op("And", b.op("Equal", own, b.op("Unsqueeze", category, b.whole(0))), known), to=FLOAT)


def real_rows(b: Builder, rows: str) -> str:
    """(1, L + 1) float32: 1 for each of L behaviors, 0 for the row behind them."""
    count = b.op("Shape", rows, start=0, end=1)
    ones = b.op("Expand", b.const(1.0), count)
    return b.op("Unsqueeze", b.op("Pad", ones, b.whole(0, 1), b.const(0.0)), b.whole(0))


def best_of(b: Builder, scores: str, allowed: str, k: int) -> tuple[str, str]:
    """Index and mask (.., K) of the k highest scores that are allowed; ONNX takes the lower index of equal ones."""
    low = b.const(float(np.finfo(np.float32).min))
    masked = b.op("Where", b.op("Cast", allowed, to=BOOL), scores, low)
    count = b.op("Min", b.op("Shape", masked, start=-1), b.whole(k))
    values, index = b.ops("TopK", [masked, count], 2, axis=-1)
    return index, b.op("Cast", b.op("Greater", values, low), to=FLOAT)


def sign_bits(b: Builder, vectors: str, planes: np.ndarray) -> str:
    """(N, m) float32 of 0 and 1; the projection is in float64, as `hashing.sign_bits` has it."""
    projected = b.op("MatMul", b.op("Cast", vectors, to=DOUBLE), b.const(planes, np.float64))
    return b.op("Cast", b.op("Greater", projected, b.const(0.0, np.float64)), to=FLOAT)


def mean_of(b: Builder, sums: str, weight: str) -> str:
    """Sums (X, D) over weights (X,); zero where both are."""
    return b.op("Div", sums, b.op("Unsqueeze", b.op("Max", weight, b.const(LEAST)), b.whole(1)))
