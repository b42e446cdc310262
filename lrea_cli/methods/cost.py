"""Counts what a method costs (FLOPs, rows, bytes) offline, per request and per new behavior; nothing is timed.

A multiply-add is 2 FLOPs. A product that starts from an offset, a bias or the linear half adds it for free.
A softmax is a difference, a sum and a quotient for each score; SiLU a sum and a quotient, a LayerNorm seven for each
number. Not counted:

- what depends on the weights alone and is computed once for all users (W1 w_o, g w_o, the softmax of W_decomp),
- conversions between dtypes, embedding lookups, the padding of a batch,
- what is no arithmetic on floats: comparing, sorting, copying, bits; and exp, roots and the largest score of a softmax.

The products of an inner-product or Hamming search are counted, and so is a mask that multiplies weights.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from math import prod

import numpy as np

from lrea_cli.recipe.settings import CacheDtype
from lrea_cli.sequence import RecordField

ENVELOPE_BYTES, ALIGNMENT = 16 + 8, 8
"""Bytes of a record's header and checksum, and the multiple to which the store pads each field."""
SCALE_BYTES = 2
"""Of the scale of an int8 row."""


@dataclass(frozen=True)
class Work:
    """One piece of work for one user, or the mean over users.

    Args:
        rows: rows of the record that are written, read or changed.
        products: FLOPs of matrix products.
        elementwise: FLOPs of all else: sums, scales, absolute values.
        bytes: bytes of the record that are written or read.
    """

    rows: float = 0
    products: float = 0
    elementwise: float = 0
    bytes: float = 0

    @property
    def flops(self) -> float:
        """All FLOPs."""
        return self.products + self.elementwise

    def __add__(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Cost:
    """What a method costs at three times; bytes include the header and checksum of the record.

    A new behavior makes the server write the rows that it changes. A row counts as changed when no row of the old
    record equals it up to one factor common to all values. So a row that only moves is not changed (attention sums
    over rows in any order), and neither is one that only gets the new c(n). A new c(n) still multiplies every value
    and every entry of `linear`, and their bytes are written again.

    Args:
        offline: `summarize` and `seal` of one record, which is written.
        request: `attend` for the candidates of one request, with the `gemm` kernel; the record is read once. An empty
            history costs nothing: a server knows n and need not read.
        behavior: one more behavior enters the long history; at n = L the oldest one leaves it.
    """

    offline: Work
    request: Work
    behavior: Work


def record_bytes(fields: tuple[RecordField, ...], rows: int, dtype: CacheDtype = "float32") -> int:
    """Size of a record without its match counters, which are the same for every method.

    Args:
        rows: rows in use.
        dtype: of the cache.
    """

    def size(field: RecordField) -> int:
        count = rows if field.rows == "rows" else field.rows
        return sum(-(-count * size // ALIGNMENT) * ALIGNMENT for size in row_bytes(field, dtype))

    return ENVELOPE_BYTES + sum(map(size, fields))


def row_bytes(field: RecordField, dtype: CacheDtype) -> tuple[int, int]:
    """Bytes of a row's numbers in a cache of a dtype, and of its scale."""
    stored = np.dtype(field.stored(dtype))
    return prod(field.shape) * stored.itemsize, SCALE_BYTES if stored == np.int8 else 0


def as_ids(record: tuple[RecordField, ...], item_fields: int) -> tuple[RecordField, ...]:
    """The fields of the same record with the ids of each item field, category included, instead of vectors.

    A server would then look up embeddings, and compute what follows from them, in each request.
    """
    kept = tuple(f for f in record if f.dtype != "cache" and f.name != "category")
    return (RecordField("ids", (item_fields,), "rows", "int32"), *kept)


def pseudo_item_work(rows: int, width: int, hidden: int, candidates: int) -> Work:
    """FLOPs of one request against R sealed pseudo items, with the `gemm` kernel.

        interest_n = e_n A + a0 + sum_j g |e_n U_j + c_j| w_o v_j,   U_j = W1 + diag(k_j) W3,   c_j = k_j W2 + b

        products     2 N D^2  +  2 R D H  +  2 N R D H  +  2 N R H  +  2 N R D
                     e A         k W2        e U           |.| w_o     scores V
        elementwise  2 R D H  +  R H  +  N R H
                     U           + b     |.|

    The paper's Table 1 has O(B R d) for LREA and O(B L d) for DIN, where B are the candidates N. It takes the scorer's
    hidden width H as a constant; here H is the larger factor.
    """
    R, D, H, N = rows, width, hidden, candidates
    products = 2 * N * D * D + 2 * R * D * H + 2 * N * R * D * H + 2 * N * R * H + 2 * N * R * D
    return Work(0, products, 2 * R * D * H + R * H + N * R * H)


def linear_half_work(rows: int, width: int) -> Work:
    """FLOPs of [A; a0] for R rows, see `kernels.weights.linear_half`.

    products     2 R D^2  +  2 D^2
                 K^T V       (W2 w_o)^T K^T V
    elementwise  R D    +  3 D^2 + 2 D  +  (D + 1) D
                 sum v     A and a0        the factor a
    """
    R, D = rows, width
    if not R:
        return Work()
    return Work(0, 2 * R * D * D + 2 * D * D, R * D + 3 * D * D + 2 * D + (D + 1) * D)


def kept_rows_offline(n: int, width: int) -> Work:
    """FLOPs of `summarize` and `seal` where the record keeps n behaviors as they are: values = c(n) E, linear half."""
    return Work(elementwise=n * width) + linear_half_work(n, width)


def kept_rows_behavior(n: int, long: int, width: int, dtype: CacheDtype) -> Work:
    """What one more behavior costs where the record keeps behaviors as they are: one row, and O(n D) or O(D^2).

        n < L:  V' = (c(n + 1) / c(n)) V, and the new row;     linear' = (c(n + 1) / c(n)) linear + half(new row)
        n = L:  the new row is written over the oldest one;    linear' = linear + half(new row) - half(oldest row)

    half(row) is `linear_half` of one row, a term of rank one.

    Args:
        n: behaviors before the new one.
        long: L, the most behaviors that are kept.
    """
    D = width
    linear = (D + 1) * D
    term = linear_half_work(1, D)
    row, half = RecordField("", (D,), "rows"), RecordField("", (D,), "rows", "wide")
    written, rewritten = sum(row_bytes(row, dtype)), (D + 1) * sum(row_bytes(half, dtype))
    new = Work(1, 0, D, ENVELOPE_BYTES + 2 * written + rewritten) + term
    if n == 0:
        return new
    added = Work(elementwise=linear)
    if n == long:
        return new + added + term + added
    return new + added + Work(elementwise=n * D + linear, bytes=n * written)


def multi_head_work(n: int, kept: int, width: int, heads: int, candidates: int) -> Work:
    """FLOPs of `MultiHeadAttention` over the K behaviors that each candidate keeps of n; the request projects all n.

    products     4 n D^2     +  2 N D^2  +  2 N h K D  +  2 N h K D  +  2 N D^2
                 E W_K, W_V     e W_Q       scores        mix           W_O
    elementwise  N h D       +  3 N h K  +  N h K  +  2 N h D
                 queries, 1 / sqrt(d_h)  softmax, mask    heads of the mix
    """
    K, D, N, h = kept, width, candidates, heads
    return Work(0, 4 * n * D * D + 4 * N * D * D + 4 * N * h * K * D, 3 * N * h * D + 4 * N * h * K)


def din_work(kept: int, width: int, hidden: int, candidates: int) -> Work:
    """FLOPs of `Attention.selected` over the K behaviors that each candidate keeps, one candidate at a time.

    products     N (2 K D^2 + 2 D^2 + 2 D^2  +  2 D H  +  2 K (D + 1) H  +  2 K H  +  2 K D)
                    linear half      its map     e W1      keys M            |.| w_o   scores V
    elementwise  N (K D + 4 D^2 + 3 D  +  2 D H + H  +  K H  +  D)  +  N K D + N K
                    linear half           M             |.|     both halves   c(k')
    """
    K, D, H, N = kept, width, hidden, candidates
    half = linear_half_work(K, D)
    products = half.products + 2 * D * D + 2 * D * H + 2 * K * (D + 1) * H + 2 * K * H + 2 * K * D
    elementwise = half.elementwise + 2 * D * H + H + K * H + D + K * D + K
    return Work(0, N * products, N * elementwise)


def paired_work(width: int, hidden: int, candidates: int) -> Work:
    """FLOPs of `Attention.paired`: one key for each candidate.

    products     6 N D H    +  2 N H
                 e, k, e * k   w_o
    elementwise  N D        +  3 N H    +  N D
                 e * k         sums, b     s v
    """
    D, H, N = width, hidden, candidates
    return Work(0, 6 * N * D * H + 2 * N * H, 2 * N * D + 3 * N * H)
