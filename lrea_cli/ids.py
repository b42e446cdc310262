"""What the ids of a field's values mean, and when two of them are the same value."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PADDING_ID = 0
UNKNOWN_ID = 1
"""Of a value that is missing."""
FIRST_ID = 2

Ids = TypeVar("Ids", "np.ndarray", "Tensor")


def same_value(ids: Ids, others: Ids) -> Ids:
    """Where two ids are the same value; padding and a missing value equal nothing, themselves included.

    A value first seen after training, which a model sees as unknown, still equals itself: its id is its own.

    Args:
        ids, others: whole numbers of shapes that broadcast.

    Returns:
        bool, of the broadcast shape.
    """
    return (ids == others) & (ids >= FIRST_ID)  # pyright: ignore[reportReturnType]
