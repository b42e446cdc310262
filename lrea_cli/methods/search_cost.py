"""What methods cost that search a record of one row a behavior, and attend to the K = min(k, n) that were kept.

Counted as in `cost`. Searching itself is not: comparing, sorting, copying, bits and whole numbers are no FLOPs. The
product of an inner-product or Hamming search is, and so is a mask that multiplies weights. A softmax is
a difference, a sum and a quotient for each score; exp, roots and the largest score are left out.
"""

from __future__ import annotations

from math import prod

from lrea_cli.methods.cost import ENVELOPE_BYTES, Cost, Work, linear_half_work, record_bytes, require_length
from lrea_cli.sequence import RecordField


def behaviors_cost(
    record: tuple[RecordField, ...], n: int, long: int, row: int, request: Work, dtype_bytes: int
) -> Cost:
    """A record of one row a behavior.

    A new behavior changes one row, at n = L the one of the oldest. The place in the history counts here, for ties and
    for TWIN's bias; as a move changes no row, a server keeps a ring, and with it the place of the newest.

    Args:
        n: long behaviors. long: L.
        row: FLOPs (products) that make one row of one behavior.
        request: the FLOPs of `attend`; the record is read whole, and once.

    Raises:
        ValueError: n is not a number of long behaviors.
    """
    require_length(n, long)
    size = record_bytes(record, n, dtype_bytes)
    new_row = sum(prod(field.shape) * field.itemsize(dtype_bytes) for field in record)
    return Cost(
        Work(n, n * row, 0, size),
        Work(n, bytes=size) + request if n else Work(),
        Work(1, row, 0, ENVELOPE_BYTES + new_row),
    )


def as_ids(record: tuple[RecordField, ...], item_fields: int) -> tuple[RecordField, ...]:
    """The same record with ids in place of vectors: each item field's, so that categories need no field of their own.

    A server then looks up embeddings, and makes what follows from them, for each request.
    """
    kept = tuple(f for f in record if f.dtype != "cache" and f.name != "category")
    return (RecordField("ids", (item_fields,), "rows", "int32"), *kept)


def multi_head_work(n: int, kept: int, width: int, heads: int, candidates: int) -> Work:
    """`MultiHeadAttention` over the K behaviors that each candidate kept, of n that are projected at the request.

        products     4 n D^2     +  2 N D^2  +  2 N h K D  +  2 N h K D  +  2 N D^2
                     E W_K, W_V     e W_Q       scores        mix           W_O
        elementwise  N h D       +  3 N h K  +  N h K  +  2 N h D
                     queries, 1 / sqrt(d_h)  softmax, mask    heads of the mix

    Args:
        n: behaviors. kept: K. width: D. heads: h. candidates: N.
    """
    K, D, N, h = kept, width, candidates, heads
    return Work(0, 4 * n * D * D + 4 * N * D * D + 4 * N * h * K * D, 3 * N * h * D + 4 * N * h * K)


def din_work(kept: int, width: int, hidden: int, candidates: int) -> Work:
    """`Attention.selected` over the K behaviors that each candidate kept: the `folded` kernel, one candidate a time.

        products     N (2 K D^2 + 2 D^2 + 2 D^2  +  2 D H  +  2 K (D + 1) H  +  2 K H  +  2 K D)
                        linear half      its map     e W1      keys M            |.| w_o   scores V
        elementwise  N (K D + 4 D^2 + 3 D  +  2 D H + H  +  K H  +  D)  +  N K D + N K
                        linear half           M             |.|     both halves   c(k')

    Args:
        kept: K. width: D. hidden: H. candidates: N.
    """
    K, D, H, N = kept, width, hidden, candidates
    half = linear_half_work(K, D)
    products = half.products + 2 * D * D + 2 * D * H + 2 * K * (D + 1) * H + 2 * K * H + 2 * K * D
    elementwise = half.elementwise + 2 * D * H + H + K * H + D + K * D + K
    return Work(0, N * products, N * elementwise)
