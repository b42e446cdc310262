"""Counts the FLOPs of code, to compare them with what `cost_of` says."""

from __future__ import annotations

import os
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from lrea_cli.kernels.affine import ONEDNN
from lrea_cli.methods import METHODS, HistoryShape, LongInterest
from lrea_cli.methods.cost import Work
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.native.library import NO_LIBRARY
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors
from tests.methods.test_contract import RANK

PSEUDO = [
    *(ModelSettings(method=name, rank=RANK) for name in ("din-short", "mean", "din")),
    *(
        ModelSettings(method="lrea", rank=RANK, decomp_columns=columns, short_histories=short)
        for columns in ("unit", "free")
        for short in ("mix", "exact")
    ),
    *(
        ModelSettings(method="sketch", rank=RANK, layers=layers, normalize=over, temperature=1.0)
        for layers, over in ((2, "prototypes"), (1, "tokens"), (2, "tokens"))
    ),
    *(
        ModelSettings(
            method="sketch", rank=RANK, layers=layers, normalize=over, temperature=1.0, heads=1, reader="softmax"
        )
        for layers, over in ((2, "prototypes"), (1, "tokens"), (2, "tokens"))
    ),
    *(ModelSettings(method=name, rank=RANK, heads=1, reader="softmax") for name in ("mean", "din")),
    *(
        ModelSettings(
            method="lrea", rank=RANK, heads=1, reader="softmax", decomp_columns=columns, short_histories=short
        )
        for columns in ("unit", "free")
        for short in ("mix", "exact")
    ),
]
"""Methods that keep pseudo items, or nothing."""

SEARCHED = [
    *(
        ModelSettings(method="sim", k=3, heads=2, search=search, target_attention=attention)
        for search in ("hard", "soft")
        for attention in ("multi-head", "din")
    ),
    *(ModelSettings(method="eta", k=3, heads=2, m=11, target_attention=a) for a in ("multi-head", "din")),
    ModelSettings(method="sdim", m=12, tau=3),
    ModelSettings(method="twin", k=3, heads=2),
    ModelSettings(method="vq", codes=5, heads=2),
]
"""Methods that search behaviors or keep sums of behaviors with the same hash or code."""

SUMS = [
    ModelSettings(method="sketch", rank=RANK),
    ModelSettings(method="sketch", rank=RANK, heads=1, reader="softmax"),
    ModelSettings(method="linear"),
]
"""Methods that keep sums over all behaviors, to which a click adds."""

_LISTED = {settings.method for settings in PSEUDO + SEARCHED}
PSEUDO += [
    ModelSettings(method=name, rank=RANK)
    for name, method in METHODS.items()
    if name not in _LISTED and issubclass(method, PseudoItemMethod)
]


class ElementwiseFlops(TorchDispatchMode):
    """Counts FLOPs of sums, products, quotients and absolute values; an offset that a product starts from is free.

    oneDNN's product makes its absolute values itself.
    A softmax is a difference, a sum and a quotient for each of its numbers, a norm a product and a sum.
    SiLU is a sum and a quotient; a LayerNorm is seven: sums of mean and variance, difference, square, quotient, weight
    and bias.
    """

    RESULTS = ("aten.add", "aten.sub", "aten.mul", "aten.div", "aten.abs")

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = str(func).rpartition(".")[0].rstrip("_")
        given = args[0] if args else None
        if isinstance(given, Tensor) and given.is_floating_point():
            if name in self.RESULTS or func is ONEDNN:
                self.total += result.numel()
            elif name == "aten.addcmul":
                self.total += 2 * result.numel()
            elif name == "aten.scatter_add":
                self.total += args[3].numel()
            else:
                self.total += {
                    "aten.sum": given.numel(),
                    "aten.mean": given.numel() + result.numel() if isinstance(result, Tensor) else 0,
                    "aten.linalg_vector_norm": 2 * given.numel(),
                    "aten._softmax": 3 * given.numel(),
                    "aten.native_layer_norm": 7 * given.numel(),
                    "aten.silu": 2 * given.numel(),
                }.get(name, 0)
        return result


def matrix_by_vector(matrix, vector, *args, out_shape=None, **kwargs):
    return 2 * matrix[0] * matrix[1]


def affine_map(rows, maps, *args, out_shape=None, **kwargs):
    return 2 * rows[0] * rows[1] * maps[0]


def sum_of_products(total, rows, maps, *args, out_shape=None, **kwargs):
    return 2 * rows[0] * rows[1] * rows[2] * maps[2]


PRODUCTS = {
    torch.ops.aten.mv: matrix_by_vector,
    torch.ops.aten.baddbmm_: sum_of_products,
    torch.ops.mkldnn._linear_pointwise: affine_map,
}


def counted(work: Callable[..., object], *arguments: Tensor) -> np.ndarray:
    """(products, element-wise) FLOPs of one more user; what depends on the weights alone cancels out."""
    totals = []
    for users in (2, 1):
        products = FlopCounterMode(display=False, custom_mapping=PRODUCTS)
        elementwise = ElementwiseFlops()
        in_torch = patch.dict(os.environ, {NO_LIBRARY: "0"})  # the counters do not see what C++ computes
        with torch.no_grad(), in_torch, products, elementwise:
            work(*(one.repeat(users, *[1] * (one.dim() - 1)) for one in arguments))
        totals.append(np.array([products.get_total_flops(), elementwise.total]))
    return totals[0] - totals[1]


def counts_of(work: Work) -> tuple[float, float]:
    """(products, element-wise), to compare with `counted`."""
    return work.products, work.elementwise


def make(settings: ModelSettings, width: int, long: int, categories: bool = True) -> LongInterest:
    """A new method, seed 0."""
    torch.manual_seed(0)
    return METHODS[settings.method](settings, HistoryShape(width, long, categories))


def full(vectors: Tensor) -> Behaviors:
    """Behaviors (B, L, D) without padding: categories alternate, each is an hour older than the one before."""
    mask = torch.ones(vectors.shape[:2], dtype=torch.bool)
    place = torch.arange(vectors.shape[1]).expand(mask.shape)
    return Behaviors(vectors, mask, mask.long(), (2 + place % 2).int(), 10**6 - 3600 * place)
