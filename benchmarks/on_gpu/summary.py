"""From rows to what a reader sees: the goals as numbers, a table of at most 80 lines, a last line of at most 4 KB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from on_gpu.goals import fused_headline, fused_lines, with_goal
from on_gpu.rows import Content, Row, line_of

MOST_LINES, MOST_BYTES, MOST_WIDTH = 80, 4_096, 140
OF_A_LINE = ("us_a_user", "users_per_s", "samples_per_s", "peak_mb")
LAUNCHES = (
    "naive float32 eager",
    "naive float16 eager",
    "gemm float32 eager",
    "gemm bfloat16 eager",
    "gemm float16 eager",
    "gemm float32 graph",
    "gemm float16 graph",
    "gemm float16 compiled",
)
RANK, WIDTH = 128, 16


def headline(all_rows: Sequence[Row]) -> dict[str, float | None]:
    """What the goals are about; None where a cell is missing. Ratios are of times in one run."""
    rows = [row for row in all_rows if row.status == "ok"]
    best = _us(rows, what="interest", D=WIDTH, R=RANK)
    naive = _us(rows, what="interest", D=WIDTH, R=RANK, kernel="naive", dtype="float32")
    found: dict[str, float | None] = {
        "us_a_user": best,
        "users_per_s": None if best is None else 1e6 / best,
        "times_naive_float32": _ratio(naive, best),
    }
    for width in (16, 32, 64):
        found[f"matmul_share_float16_D{width}"] = _most(rows, "matmul_share", D=width, R=RANK, dtype="float16")
    at_64 = _us(rows, what="interest", D=WIDTH, R=RANK, users=64)
    for length in (500, 2_000, 10_000):
        full = _us(rows, what="interest", D=WIDTH, L=length, users=64)
        found[f"full_L{length}_over_R128"] = _ratio(full, at_64)
    found["R128_over_R16"] = _ratio(
        _us(rows, what="interest", D=WIDTH, R=RANK, users=512), _us(rows, what="interest", D=WIDTH, R=16, users=512)
    )
    for launch in ("eager", "graph"):
        found[f"one_user_{launch}_us"] = _us(rows, what="interest", D=WIDTH, R=RANK, users=1, launch=launch)
    cached, full = (_median(rows, what="request", case=f"request, {case}") for case in ("lrea cached", "din full"))
    found |= {"request_us": cached, "request_full_over_cached": _ratio(full, cached)}
    random, hot = (_median(rows, what="gather", case=f"{case} users, interest") for case in ("random", "hot"))
    found["random_users_over_hot"] = _ratio(random, hot)
    found["compress_users_per_s"] = _most(rows, "users_per_s", by="lrea")
    found |= _training(rows)
    found |= fused_headline(rows)
    return found


def _training(rows: Sequence[Row]) -> dict[str, float | None]:
    naive, din, dense = (
        _most(rows, "samples_per_s", what="training", method="din", dtype="float32", kernel=kernel, embeddings=tables)
        for kernel, tables in (("naive", "sparse"), ("folded", "sparse"), ("folded", "dense"))
    )
    lrea = {
        form: _most(rows, "samples_per_s", what="training", method="lrea", dtype="float32", form=form)
        for form in ("decomposed", "absorbed")
    }
    return {
        "din_samples_per_s": din,
        "din_over_naive": _ratio(din, naive),
        "din_sparse_over_dense": _ratio(din, dense),
        "lrea_over_din": _ratio(lrea["decomposed"], din),
        "lrea_absorbed_over_din": _ratio(lrea["absorbed"], din),
        "din_peak_mb": _most(rows, "peak_mb", method="din", dtype="float32", kernel="folded", embeddings="sparse"),
    }


def table(content: Content) -> list[str]:
    """At most `MOST_LINES` lines."""
    machine = content.machine
    lines = [
        f"{machine.get('name')}, torch {machine.get('torch')}, CUDA {machine.get('cuda')}, driver"
        f" {machine.get('driver_version')}, SM clock {machine.get('clocks.sm after card')} of"
        f" {machine.get('clocks.max.sm')} MHz",
        f"{content.seconds:.0f} s of {content.settings['budget']} s; sections: {', '.join(content.sections)}",
        *_ceilings(content.rows),
        *_gate(content.rows),
        *fused_lines(content.rows),
        *_interests(content.rows),
        *_others(content.rows),
        *_goals(content.headline),
    ]
    if len(lines) <= MOST_LINES:
        return lines
    return [*lines[: MOST_LINES - 1], f"and {len(lines) - MOST_LINES + 1} lines more: see the file"]


def last_line(content: Content, out: Path) -> dict[str, object]:
    """One JSON object of at most 4 KB; the file has the rest."""
    states = [row.status for row in content.rows]
    failed = [line_of(row)[:120] for row in content.rows if row.status == "gate"]
    return {
        "format": content.format,
        "machine": {
            k: v for k, v in content.machine.items() if k in ("name", "torch", "cuda", "driver_version", "sms")
        },
        "settings": content.settings,
        "seconds": content.seconds,
        "exit_code": content.exit_code,
        "rows": {status: states.count(status) for status in ("ok", "gate", "skipped", "error")},
        "failed_gates": failed[:8],
        "headline": {k: None if v is None else float(f"{v:.4g}") for k, v in content.headline.items()},
        "file": str(out)[-200:],
    }


def _goals(values: dict[str, float | None]) -> Iterator[str]:
    """Two a line."""
    words = [with_goal(name, value) for name, value in values.items()]
    for start in range(0, len(words), 2):
        yield "  " + "".join(f"{word:<66}" for word in words[start : start + 2]).rstrip()


def _ceilings(rows: Sequence[Row]) -> Iterator[str]:
    found = [line_of(row) for row in rows if row.section == "card"]
    yield from (f"  {line[: MOST_WIDTH - 2]}" for line in found)


def _gate(rows: Sequence[Row]) -> Iterator[str]:
    gates = [row for row in rows if row.section == "gate"]
    passed = sum(row.status == "ok" for row in gates)
    yield f"gate: {passed} of {len(gates)} paths equal float64 within their tolerance"
    yield from [f"  {line_of(row)[: MOST_WIDTH - 2]}" for row in gates if row.status != "ok"][:5]


def _interests(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each cell of `attend`: microseconds a user of each kernel, dtype and way to launch."""
    cells: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        s = row.settings
        if s.get("what") == "interest" and row.section == "serving" and "kernel" in s:
            length = f"L {s['L']}" if "L" in s else f"R {s['R']}"
            cells.setdefault((f"D {s['D']}", length, f"users {s['users']}"), {})[
                f"{s['kernel']} {s['dtype']} {s['launch']}"
            ] = row
    if not cells:
        return
    yield "us a user" + " " * 15 + "".join(f"{_short(name):>11}" for name in LAUNCHES)
    for cell, named in list(cells.items())[:16]:
        yield f"{' '.join(cell):<24}" + "".join(f"{_entry(named.get(name)):>11}" for name in LAUNCHES)


def _short(name: str) -> str:
    kernel, dtype, launch = name.split()
    bits = {"float32": "32", "float16": "16", "bfloat16": "b16"}[dtype]
    return f"{kernel}{bits}" + {"eager": "", "graph": " gr", "compiled": " co"}[launch]


def _entry(row: Row | None) -> str:
    if row is None:
        return "-"
    value = row.values.get("us_a_user")
    if value is None:
        return "memory" if "OutOfMemory" in row.note else row.status
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _others(rows: Sequence[Row]) -> Iterator[str]:
    """Requests, gathered records, compress and training, one line each."""
    for row in rows:
        in_table = row.section in ("compress", "training") or row.settings.get("what") in ("request", "gather")
        if not in_table or row.section == "gate":
            continue
        if row.timed is None:
            yield line_of(row)[:MOST_WIDTH]
            continue
        shown = {k: v for k, v in row.settings.items() if k not in ("records", "D", "samples")}
        name = " ".join(f"{k} {v}" if isinstance(v, int) else v for k, v in shown.items())
        values = [f"{row.timed.median_us:,.0f} us ({row.timed.p10_us:,.0f} to {row.timed.p90_us:,.0f})"]
        values += [f"{v:,.4g} {k}" for k, v in row.values.items() if v is not None and k in OF_A_LINE]
        yield f"{name:<58} {', '.join(values)}"[:MOST_WIDTH]


def _matching(rows: Sequence[Row], wanted: dict[str, str | int]) -> list[Row]:
    return [r for r in rows if all(r.settings.get(k) == v for k, v in wanted.items()) and r.section != "gate"]


def _us(rows: Sequence[Row], **wanted: str | int) -> float | None:
    """The least microseconds a user."""
    found = [r.values["us_a_user"] for r in _matching(rows, wanted) if r.values.get("us_a_user") is not None]
    return min((v for v in found if v is not None), default=None)


def _most(rows: Sequence[Row], name: str, **wanted: str | int) -> float | None:
    found = [r.values.get(name) for r in _matching(rows, wanted)]
    return max((v for v in found if v is not None), default=None)


def _median(rows: Sequence[Row], **wanted: str | int) -> float | None:
    found = [r.timed.median_us for r in _matching(rows, wanted) if r.timed is not None]
    return min(found, default=None)


def _ratio(over: float | None, under: float | None) -> float | None:
    return None if over is None or not under else over / under
