"""Triton programs of `kernels/fused.py`: the absolute half of DIN's attention, many users in one launch.

A program owns one user and BM candidates and walks over the user's rows. For row j the scorer is U_j = W1 +
diag(k_j) W3 and c_j = k_j W2 + b, and x = e U_j + c_j is a matrix product that starts from c_j. H is cut into tiles of
T columns: s += |x_tile| w_tile adds the tiles element by element, and the sum over the T columns is a second product,
s times v_j repeated T times. Every SEGMENT rows are summed apart and these sums added in order, so the bits are those
of any cut of the rows into programs.

Triton reads the annotations of a program, so they are not imported from __future__ here.
"""
# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportAssignmentType=false

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))
"""Whether TRITON_INTERPRET=1 was set at import: numpy then stands for the card, and has no assembler."""


@triton.jit(do_not_specialize=["N", "R"])
def attend(
    candidates, keys, values, linear, offsets, position, rows, W1, W3, w_o, out, N, R, D, H, G,
    candidate_request, candidate_row, key_user, key_row, value_user, value_row, linear_user, linear_row, w1_row, w3_row,
    DP: tl.constexpr, HP: tl.constexpr, T: tl.constexpr, BM: tl.constexpr, SEGMENT: tl.constexpr, SPLIT: tl.constexpr,
    KEPT: tl.constexpr, DTYPE: tl.constexpr, SCORE: tl.constexpr, TOTAL: tl.constexpr
):  # fmt: skip
    """The interest of BM candidates of one request; with SPLIT, the sums of one segment of rows: out (S, B, N, DP).

    The linear half is of the first segment. KEPT: the weights stay in registers.
    """
    request, n = request_and_block(N, BM)
    user, used = user_of(request, position, rows, R)
    d, t = tl.arange(0, DP), tl.arange(0, T)
    asked = candidates + request * candidate_request
    at = n[:, None].to(tl.int64) * candidate_row + d[None]
    e = tl.load(asked + at, mask=(n[:, None] < N) & (d[None] < D), other=0).to(DTYPE)
    W1s = ()
    W3s = ()
    ws = ()
    for tile in tl.static_range(HP // T):
        h = tile * T + t
        if KEPT:
            W1s = W1s + (tile_of(W1, w1_row, h, D, H, DP).to(DTYPE),)  # noqa: RUF005
            W3s = W3s + (tile_of(W3, w3_row, h, D, H, DP).to(DTYPE),)  # noqa: RUF005
        ws = ws + ((tl.load(w_o + h, mask=h < H, other=0).to(TOTAL) * G).to(SCORE),)  # noqa: RUF005
    keys += user * key_user
    values += user * value_user
    offsets += request * R * HP
    first = 0
    last = used
    if SPLIT:
        first = tl.program_id(1) * SEGMENT
        last = tl.minimum(first + SEGMENT, used)
    total = tl.zeros((BM, DP), TOTAL)
    if first == 0:
        total = affine(asked, n, N, candidate_row, linear + user * linear_user, linear_row, D, BM, DP, TOTAL)
    for start in range(first, last, SEGMENT):
        segment = tl.zeros((BM, DP), TOTAL)
        for j in range(start, tl.minimum(start + SEGMENT, last)):
            k = tl.load(keys + j * key_row + d, mask=d < D, other=0).to(DTYPE)
            v = tl.load(values + j * value_row + d, mask=d < D, other=0).to(DTYPE)
            s = tl.zeros((BM, T), SCORE)
            for tile in tl.static_range(HP // T):
                if KEPT:
                    W1_tile, W3_tile = W1s[tile], W3s[tile]
                else:
                    W1_tile = tile_of(W1, w1_row, tile * T + t, D, H, DP).to(DTYPE)
                    W3_tile = tile_of(W3, w3_row, tile * T + t, D, H, DP).to(DTYPE)
                U = tl.fma(tl.broadcast_to(k[:, None], (DP, T)), W3_tile, W1_tile)
                c = tl.load(offsets + j * HP + tile * T + t).to(SCORE)
                x = product(e, U, tl.broadcast_to(c[None], (BM, T)))
                s = add_absolute(s, x, tl.broadcast_to(ws[tile][None], (BM, T)))
            segment = product(s.to(DTYPE), tl.broadcast_to(v[None], (T, DP)), segment)
        total += segment
    if SPLIT:
        requests = tl.num_programs(0) // tl.cdiv(N, BM)
        to = (tl.program_id(1).to(tl.int64) * requests + request) * N + n[:, None]
        tl.store(out + to * DP + d[None], total, mask=n[:, None] < N)
    else:
        to = out + (request * N + n[:, None]) * D + d[None]
        tl.store(to, total.to(out.dtype.element_ty), mask=(n[:, None] < N) & (d[None] < D))


@triton.jit(do_not_specialize=["R"])
def row_offsets(
    keys, position, rows, W2, b, offsets, R, D, H, key_user, key_row, w2_row,
    DP: tl.constexpr, HP: tl.constexpr, BR: tl.constexpr, DTYPE: tl.constexpr, TOTAL: tl.constexpr
):  # fmt: skip
    """c_j = k_j W2 + b of BR rows of one user: offsets (B, R, HP), zero past H."""
    request, j = request_and_block(R, BR)
    user, used = user_of(request, position, rows, R)
    d, h = tl.arange(0, DP), tl.arange(0, HP)
    at = user * key_user + j[:, None].to(tl.int64) * key_row + d[None]
    k = tl.load(keys + at, mask=(j[:, None] < used) & (d[None] < D), other=0)
    w = tl.load(W2 + d[:, None] * w2_row + h[None], mask=(d[:, None] < D) & (h[None] < H), other=0)
    start = tl.load(b + h, mask=h < H, other=0).to(TOTAL)
    c = product(k.to(DTYPE), w.to(DTYPE), tl.broadcast_to(start[None], (BR, HP)))
    to = offsets + (request * R + j[:, None]) * HP + h[None]
    tl.store(to, c.to(offsets.dtype.element_ty), mask=j[:, None] < used)


@triton.jit(do_not_specialize=["N", "R"])
def add_segments(
    parts, position, rows, out, N, R, D, DP: tl.constexpr, BM: tl.constexpr, SEGMENT: tl.constexpr, TOTAL: tl.constexpr
):  # fmt: skip
    """The sums of the segments that `attend` left in parts (S, B, N, DP), added in order."""
    request, n = request_and_block(N, BM)
    _, used = user_of(request, position, rows, R)
    requests = tl.num_programs(0) // tl.cdiv(N, BM)
    d = tl.arange(0, DP)
    source = parts + (request * N + n[:, None]) * DP + d[None]
    total = tl.load(source, mask=n[:, None] < N, other=0)
    for _segment in range(1, tl.cdiv(used, SEGMENT)):
        source += requests.to(tl.int64) * N * DP
        total += tl.load(source, mask=n[:, None] < N, other=0)
    to = out + (request * N + n[:, None]) * D + d[None]
    tl.store(to, total.to(out.dtype.element_ty), mask=(n[:, None] < N) & (d[None] < D))


@triton.jit
def request_and_block(count, SIZE: tl.constexpr):
    """Which request a program is of, and its SIZE numbers below `count`: candidates or rows."""
    blocks = tl.cdiv(count, SIZE)
    program = tl.program_id(0)
    return (program // blocks).to(tl.int64), (program % blocks) * SIZE + tl.arange(0, SIZE)


@triton.jit
def user_of(request, position, rows, R):
    """Where the user of a request lies in the records, and how many of the R rows it uses."""
    user = request
    if position is not None:
        user = tl.load(position + request).to(tl.int64)
    used = R
    if rows is not None:
        used = tl.minimum(tl.load(rows + user), R).to(tl.int32)
    return user, used


@triton.jit
def affine(
    candidates, n, N, candidate_row, linear, linear_row, D, BM: tl.constexpr, DP: tl.constexpr, TOTAL: tl.constexpr
):  # fmt: skip
    """e A + a0 for [A; a0] (D + 1, D) of one user, some of the D summands at a time."""
    d = tl.arange(0, DP)
    PART: tl.constexpr = DP if DP < 32 else 32
    a0 = tl.load(linear + D * linear_row + d, mask=d < D, other=0).to(TOTAL)
    total = tl.broadcast_to(a0[None], (BM, DP))
    for first in tl.range(0, DP, PART, num_stages=1):
        p = first + tl.arange(0, PART)
        at = n[:, None].to(tl.int64) * candidate_row + p[None]
        e = tl.load(candidates + at, mask=(n[:, None] < N) & (p[None] < D), other=0).to(TOTAL)
        A = tl.load(linear + p[:, None] * linear_row + d[None], mask=(p[:, None] < D) & (d[None] < D), other=0)
        total = product(e, A.to(TOTAL), total)
    return total


@triton.jit
def tile_of(W, row, h, D, H, DP: tl.constexpr):
    """Some columns h of a weight (D, H), zero past D and H."""
    d = tl.arange(0, DP)
    return tl.load(W + d[:, None] * row + h[None], mask=(d[:, None] < D) & (h[None] < H), other=0)


@triton.jit
def product(a, b, start):
    """start + a b; of float32 by three products of tf32 numbers, so with about float32's error."""
    if a.dtype == tl.float32:
        a_upper, b_upper = upper(a), upper(b)
        result = tl.dot(a - a_upper, b_upper, acc=start, input_precision="tf32")
        result = tl.dot(a_upper, b - b_upper, acc=result, input_precision="tf32")
        result = tl.dot(a_upper, b_upper, acc=result, input_precision="tf32")
    else:
        result = tl.dot(a, b, acc=start, out_dtype=start.dtype)
    return result


@triton.jit
def upper(x):
    """The leading 11 bits of float32 numbers: what tf32 holds of them."""
    return (x.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)


@triton.jit
def add_absolute(total, x, w):
    """total + |x| w: one instruction for one number (float32) or two (float16), as |.| is a flag of an operand."""
    if INTERPRETED or total.dtype == tl.float64:
        result = total + tl.abs(x) * w
    elif total.dtype == tl.float16:
        result = tl.inline_asm_elementwise(
            "{ .reg .b32 a; abs.f16x2 a, $1; fma.rn.f16x2 $0, a, $2, $3; }",
            "=r,r,r,r",
            [x, w, total],
            dtype=tl.float16,
            is_pure=True,
            pack=2,
        )
    else:
        result = tl.inline_asm_elementwise(
            "{ .reg .f32 a; abs.f32 a, $1; fma.rn.f32 $0, a, $2, $3; }",
            "=f,f,f,f",
            [x, w, total],
            dtype=tl.float32,
            is_pure=True,
            pack=1,
        )
    return result
