"""Writes model.bin: a trained model as the native request reads it; lrea.h documents every byte.

Another reader finds all numbers by name: float32 matrices, row-major, little-endian, each at a multiple of 64 bytes.
"""

from __future__ import annotations

import copy
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from lrea_cli.attention import Attention
from lrea_cli.kernels.weights import SLOPE
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.methods.sdim import SDIM
from lrea_cli.mlp import FoldedMLP
from lrea_cli.model import CTRModel
from lrea_cli.sequence import Buckets, Empty, PseudoItems

MAGIC = b"LREAMODL"
FORMAT = 1
ALIGNMENT = 64
HEADER = struct.Struct("<8sIIQQ32x")
HASHED_BYTES = 24
"""Bytes of the header before the hash."""
ENTRY = struct.Struct("<64sII4QQQ8x")
RECORD_KINDS = {Empty: 0, PseudoItems: 1, Buckets: 2}
OTHER_RECORD = 3
DTYPES = {np.dtype("<f4"): 0, np.dtype("<i8"): 1}


def write_model(model: CTRModel) -> bytes:
    """model.bin of a model, with the present weights.

    BatchNorms are folded in float64; each number is then rounded to float32 once.

    Raises:
        ValueError: the model is in training mode.
    """
    return b"".join(chunks(sections(model)))


def save_model(model: CTRModel, file: BinaryIO) -> None:
    """Write model.bin without a second copy of the tables in memory; errors as of `write_model`."""
    file.writelines(chunks(sections(model)))


def sections(model: CTRModel) -> dict[str, np.ndarray]:
    """The named arrays of a model.bin, in their order.

    Raises:
        ValueError: the model is in training mode.
    """
    features, mlp = model.features, copy.deepcopy(model.mlp).double()
    layers = FoldedMLP(mlp, model.input_widths).layers()
    sdim = model.long if isinstance(model.long, SDIM) else None
    settings = [
        *(len(features.item_fields), len(features.profile_fields), features.width // len(features.item_fields)),
        *(features.width, len(model.short.b), len(model.match_counters), len(layers) - 1),
        *((sdim.planes.shape[1], sdim.tau) if sdim else (0, 0)),
    ]
    named = {"settings": np.array(settings, "<i8"), "slope": np.array([SLOPE], "<f4")}
    for role, fields in (("item", features.item_fields), ("profile", features.profile_fields)):
        for number, field in enumerate(fields):
            named[f"{role}.{number}"] = _floats(features.table(field.name))
    for name, attention in (("short", model.short), ("long", model.long_scorer)):
        named |= _scorer(name, attention)
    for number, (weight, bias) in enumerate(layers[:-1]):
        named |= {f"mlp.{number}.weight": _floats(weight), f"mlp.{number}.bias": _floats(bias)}
    (weight, bias) = layers[-1]
    named |= {"logit.weight": _floats(weight[0]), "logit.bias": _floats(bias)}
    if sdim:
        named["planes"] = _floats(sdim.planes)
    items = [field.name for field in features.item_fields]
    counted = [items.index(name) if name in items else -1 for name in model.match_counters]
    return named | {"record": np.array([_record_kind(model), *counted], "<i8")}


def reads_records(model: CTRModel) -> bool:
    """Whether the native request can read the model's records: not searched, not read with softmax, own counters."""
    items = {field.name for field in model.features.item_fields}
    return _record_kind(model) != OTHER_RECORD and set(model.match_counters) <= items


def _record_kind(model: CTRModel) -> int:
    if isinstance(model.long, PseudoItemMethod) and model.long.softmax:
        return OTHER_RECORD
    return RECORD_KINDS.get(model.long.summary_type, OTHER_RECORD)


def describe(model: CTRModel, short: int, long: int) -> dict[str, Any]:
    """What a caller must know besides model.bin, as JSON can hold it.

    Args:
        short: S, the most newest behaviors that a request sends.
        long: L, the most behaviors before those.
    """
    features = model.features

    def table(fields: Any) -> list[dict[str, Any]]:
        return [{"name": f.name, "role": f.role, "size": features.sizes[f.name]} for f in fields]

    return {
        "format": FORMAT,
        "method": model.long.name,
        "item_fields": table(features.item_fields),
        "profile_fields": table(features.profile_fields),
        "counters": list(model.match_counters),
        "width": features.width,
        "hidden": len(model.short.b),
        "short": short,
        "long": long,
        "record": [
            {"name": f.name, "shape": list(f.shape), "rows": f.rows, "dtype": f.dtype} for f in model.long.record
        ],
    }


def chunks(named: dict[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """The bytes of a file of named arrays, each float32 or int64, of one or two axes."""
    start = _aligned(HEADER.size + ENTRY.size * len(named))
    directory, offset = b"", start
    for name, array in named.items():
        shape = [*array.shape, *[0] * (4 - array.ndim)]
        directory += ENTRY.pack(name.encode(), DTYPES[array.dtype], array.ndim, *shape, offset, array.nbytes)
        offset += _aligned(array.nbytes)
    head = struct.pack("<8sIIQ", MAGIC, FORMAT, len(named), offset)
    yield HEADER.pack(MAGIC, FORMAT, len(named), offset, fnv1a(head + directory))
    yield directory
    yield bytes(start - HEADER.size - len(directory))
    for array in named.values():
        yield array.data.cast("B") if array.size else b""
        yield bytes(-array.nbytes % ALIGNMENT)


def fnv1a(data: bytes) -> int:
    """The 64-bit FNV-1a hash, which a reader in any language has in three lines."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def _scorer(name: str, attention: Attention) -> dict[str, np.ndarray]:
    weights = attention.weights
    return {f"{name}.{part}": _floats(getattr(weights, part)) for part in ("W1", "W2", "W3", "b", "w_o")}


def _floats(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().to("cpu", torch.float32).numpy(), "<f4")


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
