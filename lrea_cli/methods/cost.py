"""What a method costs, counted and not timed: offline, per request, per new behavior (beside the paper's Table 1).

A multiply-add is 2 FLOPs. Products start from what they are added to (offsets, biases, the linear half), so that
addition is not counted again. Left out: what depends on the weights alone and is made once for all users (W1 w_o,
g w_o, the softmax of W_decomp), conversions between dtypes, embedding lookups, and the padding of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from math import prod

import numpy as np

from lrea_cli.sequence import RecordField

ENVELOPE_BYTES, ALIGNMENT = 16 + 8, 8
"""Header and checksum of a record, and what its fields are padded to, as the store writes it; a test holds
`record_bytes` to the store."""


@dataclass(frozen=True)
class Work:
    """One piece of work for one user, or the mean over users.

    Args:
        rows: of the record that are written, read or changed.
        products: FLOPs of matrix products. elementwise: FLOPs of all else: sums, scales, absolute values.
        bytes: of the record that are written, read or changed.
    """

    rows: float = 0
    products: float = 0
    elementwise: float = 0
    bytes: float = 0

    @property
    def flops(self) -> float:
        """All of them."""
        return self.products + self.elementwise

    def __add__(self, other: Work) -> Work:
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Cost:
    """The three bills of a method.

    Args:
        offline: `summarize` and `seal` of one record, and its size, header and checksum included.
        request: `attend` for the candidates of one request with the `gemm` kernel, and the record's bytes, read once.
            An empty history costs nothing: a server knows n and need not read.
        behavior: one more behavior enters the long part; at n = L the oldest one leaves it. A row is changed when no
            row of the record before equals it up to one factor common to all values. So neither a move to another
            row (attention sums over rows: their order is free) nor a new c(n) changes a row. A new c(n) is one
            multiplication for each value and each entry of `linear`, and their bytes are rewritten, since the record
            holds the products. Bytes are those of what is new wherever it lies, header and checksum included.
    """

    offline: Work
    request: Work
    behavior: Work


def require_length(n: int, long: int) -> None:
    """Refuse what is no number of long behaviors.

    Raises:
        ValueError: n is not in 0 .. L.
    """
    if not 0 <= n <= long:
        raise ValueError(f"{n} long behaviors: expected 0 to {long}.")


def mean_cost(lengths: np.ndarray, cost_of: Callable[[int], Cost]) -> Cost:
    """The mean of `cost_of(n)` over users, each length computed once.

    Args:
        lengths: (users,) integers.
        cost_of: of one user with n long behaviors.

    Raises:
        ValueError: there is no user.
    """
    if not len(lengths):
        raise ValueError("There is no user to take the mean over.")
    values, counts = np.unique(lengths, return_counts=True)
    costs = [cost_of(int(n)) for n in values]

    def mean(works: list[Work]) -> Work:
        table = np.array([astuple(w) for w in works], dtype=np.float64)
        return Work(*(counts @ table / len(lengths)).tolist())

    return Cost(mean([c.offline for c in costs]), mean([c.request for c in costs]), mean([c.behavior for c in costs]))


def pseudo_item_fields(width: int) -> tuple[RecordField, ...]:
    """What a record of pseudo items holds: keys and values (rows, D), `linear` (D + 1, D)."""
    return (
        RecordField("keys", (width,), "rows"),
        RecordField("values", (width,), "rows"),
        RecordField("linear", (width,), width + 1, "float32"),
    )


def record_bytes(fields: tuple[RecordField, ...], rows: int, dtype_bytes: int = 4) -> int:
    """Size of a record with this many rows in use.

    Args:
        dtype_bytes: of a number in the fields that follow the cache's dtype.
    """

    def size(field: RecordField) -> int:
        count = rows if field.rows == "rows" else field.rows
        return count * prod(field.shape) * field.itemsize(dtype_bytes)

    return ENVELOPE_BYTES + sum(-(-size(f) // ALIGNMENT) * ALIGNMENT for f in fields)


def pseudo_item_request(rows: int, width: int, hidden: int, candidates: int, dtype_bytes: int = 4) -> Work:
    """One request against R pseudo items: the `gemm` kernel with a sealed `linear`.

        interest_n = e_n A + a0 + sum_j g |e_n U_j + c_j| w_o v_j,   U_j = W1 + diag(k_j) W3,   c_j = k_j W2 + b

        products     2 N D^2  +  2 R D H  +  2 N R D H  +  2 N R H  +  2 N R D
                     e A         k W2        e U           |.| w_o     scores V
        elementwise  2 R D H  +  R H  +  N R H
                     U           + b     |.|

    The paper's Table 1: O(B R d) for LREA, O(B L d) for DIN, with B the candidates N; the scorer's H, a constant
    there, is the larger factor here.

    Args:
        rows: R in use. width: D. hidden: H. candidates: N.
        dtype_bytes: of keys and values in the record.
    """
    R, D, H, N = rows, width, hidden, candidates
    if not R:
        return Work()
    products = 2 * N * D * D + 2 * R * D * H + 2 * N * R * D * H + 2 * N * R * H + 2 * N * R * D
    elementwise = 2 * R * D * H + R * H + N * R * H
    return Work(R, products, elementwise, record_bytes(pseudo_item_fields(D), R, dtype_bytes))


def linear_half_work(rows: int, width: int) -> Work:
    """[A; a0] of R rows, see `kernels.linear_half`.

    products     2 R D^2  +  2 D^2
                 K^T V       (W2 w_o)^T K^T V
    elementwise  R D    +  3 D^2 + 2 D  +  (D + 1) D
                 sum v     A and a0        the factor a
    """
    R, D = rows, width
    if not R:
        return Work()
    return Work(0, 2 * R * D * D + 2 * D * D, R * D + 3 * D * D + 2 * D + (D + 1) * D)


def sealed_work(rows: int, width: int, dtype_bytes: int) -> Work:
    """`seal` of R pseudo items: their linear half, and the whole record is written."""
    return linear_half_work(rows, width) + Work(rows, 0, 0, record_bytes(pseudo_item_fields(width), rows, dtype_bytes))


def kept_rows_offline(n: int, width: int, dtype_bytes: int) -> Work:
    """A record that keeps n behaviors as they are: n D for values = c(n) E, and `seal`."""
    return Work(elementwise=n * width) + sealed_work(n, width, dtype_bytes)


def kept_rows_behavior(n: int, long: int, width: int, dtype_bytes: int) -> Work:
    """One more behavior for a record that keeps behaviors as they are.

        n < L:  V' = (c(n + 1) / c(n)) V and one row more,  linear' = (c(n + 1) / c(n)) linear + linear_half(new row)
        n = L:  the new row takes the oldest one's place,   linear' = linear + linear_half(new) - linear_half(oldest)

    linear_half of one row is a term of rank one. 1 row at any n; O(n d) where c(n) changes, O(d^2) at n = L.

    Args:
        n: behaviors before. long: L.
    """
    D = width
    linear = (D + 1) * D
    term = linear_half_work(1, D)
    new = Work(1, 0, D, ENVELOPE_BYTES + 2 * D * dtype_bytes + 4 * linear) + term
    if n == 0:
        return new
    added = Work(elementwise=linear)
    if n == long:
        return new + added + term + added
    return new + added + Work(elementwise=n * D + linear, bytes=n * D * dtype_bytes)
