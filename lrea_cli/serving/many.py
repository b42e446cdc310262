"""Many users in one call: their long interests from records that are resident on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor

from lrea_cli.kernels import Kernel, in_place
from lrea_cli.methods.base import LongInterest
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.records.store import ResidentRecords
from lrea_cli.sequence import Candidates, PseudoItems


@torch.inference_mode()
def interest_of_users(
    method: LongInterest,
    records: ResidentRecords,
    users: Sequence[int] | np.ndarray,
    candidates: Candidates,
    kernel: Kernel,
) -> Tensor:
    """The long interest of each user's candidates.

    A kernel that reads records where they lie gets the places of the users; for any other kernel or method, and of int8
    records, those of the users are copied side by side first.

    Args:
        method: of the model, on the device.
        records: of all users.
        users: B keys of records.
        candidates: (B, N), in the order of the users. In float16 and bfloat16 the kernel `fused` computes in float16,
            in an eighth of the time.
        kernel: of the attention.

    Returns:
        (B, N, D) in the dtype of the candidates.

    Raises:
        UserError: a user has no record.
    """
    attend = in_place(kernel)
    if attend is None or not _lie_as_read(method) or records.layout.dtype == "int8":
        return method.attend(records.fetch(users).summary, candidates, kernel)
    everyone = records.everyone.summary
    assert isinstance(everyone, PseudoItems)
    assert everyone.linear is not None
    return attend(
        candidates.vectors,
        everyone.keys,
        everyone.values,
        method.scorer.weights,
        everyone.linear,
        rows=everyone.rows,
        position=records.positions(users),
    )


def _lie_as_read(method: LongInterest) -> TypeGuard[PseudoItemMethod]:
    """Whether records hold the pseudo items themselves, for DIN's scorer."""
    return isinstance(method, PseudoItemMethod) and method.summary_type is PseudoItems and not method.softmax
