"""DIN attention and multi-head attention as ONNX operators, float32, for the candidates of one request.

Values are named as tensors are elsewhere: e (N, D) candidates, keys and values (R, D).
"""

from __future__ import annotations

import numpy as np

from lrea_cli.attention import Attention, MultiHeadAttention
from lrea_cli.kernels.weights import SLOPE
from lrea_cli.serving.export.builder import Builder

KEYS_AT_ONCE = 8
"""Keys of one product: hidden values (N, 8 H) fit the cache of a core."""


def array(tensor: object) -> np.ndarray:
    """A weight as numpy has it."""
    return tensor.detach().cpu().numpy()  # type: ignore[attr-defined]


def din_attention(b: Builder, attention: Attention, e: str, keys: str, values: str, linear: str | None) -> str:
    """interest (N, D) = sum_j s(e, k_j) v_j; with `linear` (D + 1, D), e A + a0 + sum_j g |x_j| w_o v_j.

    Args:
        keys, values: (R, D) with any R, 0 included.
        linear: the linear half of a record; None = computed with the rest, as phi is LeakyReLU.
    """
    W1, W2, W3, bias, w_o = (array(w) for w in vars(attention.weights).values())
    D, H = W1.shape
    C = KEYS_AT_ONCE
    if linear is None:
        state = b.op("Mul", e, b.const(0.0))
    else:
        A = b.op("Slice", linear, b.whole(0), b.whole(D), b.whole(0))
        a0 = b.op("Slice", linear, b.whole(D), b.whole(D + 1), b.whole(0))
        state = b.op("Add", b.op("MatMul", e, A), a0)
    missing, trips = _chunks(b, keys)
    keys3, values3 = (b.op("Reshape", _filled(b, x, missing), b.whole(-1, C, D)) for x in (keys, values))
    mixed = w_o if linear is None else (1 - SLOPE) / 2 * w_o.astype(np.float64)

    def body(trip: str, interest: str) -> str:
        k, v = (b.op("Gather", x, trip, axis=0) for x in (keys3, values3))
        maps = b.op("Add", b.const(W1.T[None]), b.op("Mul", b.op("Unsqueeze", k, b.whole(1)), b.const(W3.T[None])))
        offsets = b.op("Reshape", b.op("Add", b.op("MatMul", k, b.const(W2)), b.const(bias)), b.whole(1, C * H))
        x = b.op("Gemm", e, b.op("Reshape", maps, b.whole(C * H, D)), offsets, transB=1)
        phi = b.op("LeakyRelu", x, alpha=SLOPE if linear is None else -1.0)  # |x|: runtimes fuse it with the product
        scores = b.op("MatMul", b.op("Reshape", phi, b.whole(-1, H)), b.const(mixed[:, None]))
        return b.op("Add", interest, b.op("MatMul", b.op("Reshape", scores, b.whole(-1, C)), v))

    return b.loop(trips, state, D, body)


def selected_din(b: Builder, attention: Attention, e: str, vectors: str, chosen: tuple[str, str]) -> str:
    """c(k') sum_l s(e, e_l) e_l over the behaviors that each candidate selected.

    Args:
        vectors: (L, D).
        chosen: index (N, K) int64, mask (N, K) float32.
    """
    W1, W2, W3, bias, w_o = (array(w) for w in vars(attention.weights).values())
    D, H = W1.shape
    index, mask = chosen
    keys = b.op("Gather", vectors, index, axis=0)
    by_key = b.op("Gather", b.op("Add", b.op("MatMul", vectors, b.const(W2)), b.const(bias)), index, axis=0)
    by_candidate = b.op("Unsqueeze", b.op("MatMul", e, b.const(W1)), b.whole(1))
    products = b.op("Mul", b.op("Unsqueeze", e, b.whole(1)), keys)
    by_product = b.op("MatMul", b.op("Reshape", products, b.whole(-1, D)), b.const(W3))
    shape = b.op("Shape", by_key)
    x = b.op("Add", b.op("Add", b.op("Reshape", by_product, shape), by_key), by_candidate)
    phi = b.op("Reshape", b.op("LeakyRelu", x, alpha=SLOPE), b.whole(-1, H))
    scores = b.op("Reshape", b.op("MatMul", phi, b.const(w_o[:, None])), b.op("Shape", mask))
    weights = b.op("Mul", b.op("Mul", scores, mask), scale_of(b, b.op("ReduceSum", mask, b.whole(1))))
    mixed = b.op("MatMul", b.op("Unsqueeze", weights, b.whole(1)), keys)
    return b.op("Squeeze", mixed, b.whole(1))


def paired_din(b: Builder, attention: Attention, e: str, keys: str, values: str) -> str:
    """s(e_n, k_n) v_n: one key of its own for each candidate; keys and values (N, D)."""
    W1, W2, W3, bias, w_o = (array(w) for w in vars(attention.weights).values())
    inputs = b.op("Concat", e, keys, b.op("Mul", e, keys), axis=1)
    x = b.op("Gemm", inputs, b.const(np.concatenate([W1, W2, W3])), b.const(bias))
    return b.op("Mul", b.op("MatMul", b.op("LeakyRelu", x, alpha=SLOPE), b.const(w_o[:, None])), values)


def selected_multi_head(
    b: Builder, attention: MultiHeadAttention, e: str, vectors: str, chosen: tuple[str, str]
) -> str:
    """Softmax attention of each head over the behaviors that each candidate selected; arguments: `selected_din`."""
    index, mask = chosen
    heads, D = attention.heads, attention.W_Q.shape[0]
    q = b.op("MatMul", e, b.const(attention.scale * array(attention.W_Q).astype(np.float64)))
    keys, values = (b.op("MatMul", vectors, b.const(array(w))) for w in (attention.W_K, attention.W_V))

    def by_head(rows: str, index: str) -> str:
        gathered = b.op("Gather", rows, index, axis=0)
        shape = b.op("Concat", b.op("Shape", index), b.whole(heads, D // heads), axis=0)
        return b.op("Transpose", b.op("Reshape", gathered, shape), perm=[0, 2, 1, 3])

    keys_NhKd, values_NhKd = by_head(keys, index), by_head(values, index)
    q_Nhd1 = b.op("Reshape", q, b.whole(-1, heads, D // heads, 1))
    scores = b.op("Squeeze", b.op("MatMul", keys_NhKd, q_Nhd1), b.whole(3))
    weights = masked_softmax(b, scores, b.op("Unsqueeze", mask, b.whole(1)))
    mixed = b.op("MatMul", b.op("Unsqueeze", weights, b.whole(2)), values_NhKd)
    return b.op("MatMul", b.op("Reshape", mixed, b.whole(-1, D)), b.const(array(attention.W_O)))


def masked_softmax(b: Builder, scores: str, mask: str) -> str:
    """Softmax over the last axis where the mask is 1; 0 elsewhere."""
    low = b.const(float(np.finfo(np.float32).min))
    kept = b.op("Where", b.op("Cast", mask, to=9), scores, low)
    return b.op("Mul", b.op("Softmax", kept, axis=-1), mask)


def scale_of(b: Builder, count: str) -> str:
    """c(n) = 1 / sqrt(max(n, 1)) of a float32 count."""
    return b.op("Reciprocal", b.op("Sqrt", b.op("Max", count, b.const(1.0))))


def _chunks(b: Builder, keys: str) -> tuple[str, str]:
    """How many rows the last chunk lacks, (1,) int64, and the number of chunks, a scalar."""
    rows = b.op("Shape", keys, start=0, end=1)
    trips = b.op("Div", b.op("Add", rows, b.whole(KEYS_AT_ONCE - 1)), b.whole(KEYS_AT_ONCE))
    missing = b.op("Sub", b.op("Mul", trips, b.whole(KEYS_AT_ONCE)), rows)
    return missing, b.op("Squeeze", trips, b.whole(0))


def _filled(b: Builder, rows: str, missing: str) -> str:
    """The rows and so many of zeros."""
    return b.op("Pad", rows, b.op("Concat", b.whole(0, 0), missing, b.whole(0), axis=0), b.const(0.0))
