"""The long interest of each kind of summary as ONNX operators; a method that is not here cannot be exported."""

from __future__ import annotations

from collections.abc import Callable

from lrea_cli.methods import LongInterest
from lrea_cli.methods.category import Category
from lrea_cli.methods.din_short import DINShort
from lrea_cli.methods.linear import Linear
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.methods.sdim import SDIM
from lrea_cli.methods.searched import SearchedMethod
from lrea_cli.methods.sketch import Sketch
from lrea_cli.methods.twin import TWIN
from lrea_cli.methods.vq import VQ
from lrea_cli.serving.export.builder import Builder
from lrea_cli.serving.export.of_behaviors import coded, searched, twin
from lrea_cli.serving.export.of_sums import buckets, category, linear, pseudo_items, sketch
from lrea_cli.serving.export.pieces import Asked


def long_interest(b: Builder, method: LongInterest, asked: Asked) -> str:
    """(N, D) float32; any number of rows of a record, 0 included."""
    for kind, make in INTERESTS.items():
        if isinstance(method, kind):
            return make(b, method, asked)
    raise NotImplementedError(f"The method '{method.name}' has no ONNX form.")


def _nothing(b: Builder, method: DINShort, asked: Asked) -> str:
    return b.op("Mul", asked.e, b.const(0.0))


INTERESTS: dict[type[LongInterest], Callable[[Builder, object, Asked], str]] = {
    Sketch: sketch,
    PseudoItemMethod: pseudo_items,
    Linear: linear,
    DINShort: _nothing,
    SDIM: buckets,
    SearchedMethod: searched,
    TWIN: twin,
    Category: category,
    VQ: coded,
}  # type: ignore[assignment]
