"""What LREA computes in training alone, as loops that follow the paper's equations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrea_cli.oracle.attention import Array, Scorer, attention, history_scale
from lrea_cli.oracle.pseudo_items import mixed
from lrea_cli.oracle.softmax import Softmax


def decomposed(e_t: Array, E: Array, W_comp: Array, W_decomp: Array, scorer: Scorer | Softmax) -> Array:
    """Eq. 4 and 5: c(n) sum_l s(e_t, (W_decomp^T K)_l) e_l; the scores of rebuilt rows, the values of real ones.

    With softmax: the weighted mean of the real behaviors by the scores of the rebuilt ones.
    """
    n = len(E)
    rebuilt = mixed(W_decomp[:, :n].T, mixed(W_comp[:n].T, E))
    if isinstance(scorer, Softmax):
        return scorer.read(e_t, rebuilt, E, np.ones(n))
    return history_scale(n) * attention(e_t, rebuilt, E, scorer)


def non_negativity(E_list: Sequence[Array], W_comp: Array, W_decomp: Array) -> tuple[float, float]:
    """Eq. 10: the squared Frobenius norms of negative parts; the second as the mean over histories."""
    first = sum(min(0.0, w) ** 2 for w in W_decomp.flatten())
    second = [sum(min(0.0, k) ** 2 for k in mixed(W_comp[: len(E)].T, E).flatten()) for E in E_list]
    return first, sum(second) / len(second)
