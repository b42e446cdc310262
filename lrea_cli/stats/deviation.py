"""How far logits move when a model is served in another form."""

from __future__ import annotations

import numpy as np


def deviation(full: np.ndarray, other: np.ndarray) -> float | None:
    """Root mean square of the change of the logit over the standard deviation of the full one.

    Args:
        full, other: (rows,) logits.

    Returns:
        None where there is no row, or the full logits are constant.
    """
    spread = float(np.std(full)) if len(full) else 0.0
    return float(np.sqrt(np.mean((other - full) ** 2))) / spread if spread else None
