"""The ids that every field reserves, and when two ids mean the same value."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PADDING_ID = 0
UNKNOWN_ID = 1
"""Id of a missing value."""
FIRST_ID = 2

Ids = TypeVar("Ids", "np.ndarray", "Tensor")


def same_value(ids: Ids, others: Ids) -> Ids:
    """Where two ids mean the same value, as bool of the broadcast shape; padding and missing values equal nothing.

    A value first seen after training has its own id, so it equals itself, although a model reads it as unknown.
    """
    return (ids == others) & (ids >= FIRST_ID)  # pyright: ignore[reportReturnType]
