"""What the Triton kernel reached, beside its goals on an H100: ratios are of times in one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from on_gpu.rows import Row

RANK, WIDTH, MANY = 128, 16, 512
GOALS: dict[str, tuple[str, float]] = {
    "fused_us_a_user": ("at most", 0.8),
    "fused_times_naive_float32": ("at least", 80),
    "fused_times_best_torch": ("at least", 10),
    "fused_matmul_share_D16": ("at least", 0.40),
    "fused_matmul_share_D32": ("at least", 0.50),
    "fused_matmul_share_D64": ("at least", 0.55),
    "fused_L500_over_R128": ("at least", 0.9 * 500 / RANK),
    "fused_L2000_over_R128": ("at least", 0.9 * 2_000 / RANK),
    "fused_L10000_over_R128": ("at least", 0.9 * 10_000 / RANK),
    "fused_R128_over_R16": ("at least", 5),
    "fused_one_user_graph_us": ("at most", 15),
    "fused_random_over_hot": ("at most", 1.15),
}
"""Name -> how it is compared with what."""


def fused_headline(rows: Sequence[Row]) -> dict[str, float | None]:
    """What the goals ask for, and the same of 8 users; None where a cell is missing."""

    def us(**wanted: str | int) -> float | None:
        return least(rows, "us_a_user", what="fused", dtype="float16", **wanted)

    best = us(D=WIDTH, R=RANK, users=MANY)
    torch_forms = {"what": "interest", "D": WIDTH, "R": RANK, "users": MANY}
    naive = least(rows, "us_a_user", **torch_forms, kernel="naive", dtype="float32")
    found = {
        "fused_us_a_user": best,
        "fused_users_per_s": ratio(1e6, best),
        "fused_times_naive_float32": ratio(naive, best),
        "fused_times_best_torch": ratio(least(rows, "us_a_user", **torch_forms), best),
    }
    for width in (16, 32, 64):
        cell = {"what": "fused", "dtype": "float16", "D": width, "R": RANK, "users": MANY}
        found[f"fused_matmul_share_D{width}"] = max(values(rows, "matmul_share", cell), default=None)
    at_64 = us(D=WIDTH, R=RANK, users=64)
    for length in (500, 2_000, 10_000):
        found[f"fused_L{length}_over_R128"] = ratio(us(D=WIDTH, L=length, users=64), at_64)
    found["fused_R128_over_R16"] = ratio(best, us(D=WIDTH, R=16, users=MANY))
    found["fused_one_user_graph_us"] = us(D=WIDTH, R=RANK, users=1, launch="graph")
    found["fused_8_users_graph_us_a_user"] = us(D=WIDTH, R=RANK, users=8, launch="graph")
    random, hot = (least(rows, "us_a_user", what="store", case=f"{case} users") for case in ("random", "hot"))
    found["fused_random_over_hot"] = ratio(random, hot)
    return found


def with_goal(name: str, value: float | None) -> str:
    """A number of the headline, its goal, and whether it is reached."""
    text = f"{name} {'-' if value is None else format(value, '.4g')}"
    if name not in GOALS:
        return text
    kind, goal = GOALS[name]
    if value is None:
        return f"{text} ({kind} {goal:.3g})"
    reached = value <= goal if kind == "at most" else value >= goal
    return f"{text} ({'reached' if reached else 'missed'}: {kind} {goal:.3g})"


def fused_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Microseconds a user in float16 for each D and length, a column for each number of users; fewer by a graph."""
    columns = [(512, "eager"), (64, "eager"), (8, "eager"), (8, "graph"), (1, "eager"), (1, "graph")]
    cells: dict[str, dict[tuple[int, str], float]] = {}
    for row in rows:
        s, us = row.settings, row.values.get("us_a_user")
        if s.get("what") == "fused" and s.get("dtype") == "float16" and us is not None:
            length = f"L {s['L']}" if "L" in s else f"R {s['R']}"
            cells.setdefault(f"fused D {s['D']} {length}", {})[int(s["users"]), str(s["launch"])] = us
    if cells:
        yield f"{'us a user, float16':<24}" + "".join(f"{f'{users} {launch}':>11}" for users, launch in columns)
    for name, found in list(cells.items())[:12]:
        yield f"{name:<24}" + "".join(f"{format(found[c], '.3g') if c in found else '-':>11}" for c in columns)


def least(rows: Sequence[Row], name: str, **wanted: str | int) -> float | None:
    """The least of a value in the rows with such settings."""
    return min(values(rows, name, wanted), default=None)


def values(rows: Sequence[Row], name: str, wanted: dict[str, str | int]) -> list[float]:
    """A value of each row with such settings."""
    found = [r.values.get(name) for r in rows if all(r.settings.get(k) == v for k, v in wanted.items())]
    return [value for value in found if value is not None]


def ratio(over: float | None, under: float | None) -> float | None:
    """A quotient, if both numbers are there."""
    return None if over is None or not under else over / under
