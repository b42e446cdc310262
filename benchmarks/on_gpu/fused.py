"""The Triton kernel: many users in one launch, read where their records lie; how it is cut, and at which speed.

Rows of a cell are drawn for more users than the L2 cache holds; each call takes other users and other candidates.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from lrea_cli.kernels import ScorerWeights, why_not
from lrea_cli.kernels.fused import Tiles, attend_at, interpreted, tiles_of
from on_gpu.cuts import error_elsewhere
from on_gpu.exact import TOLERANCE, error_of, twin_interest
from on_gpu.made import generator_of
from on_gpu.rows import Report, Row, Setting, Timed, cell
from on_gpu.sizes import Cell, Sizes
from on_gpu.timing import Call, Contender, NotTimed, captured, in_turns, release

HIDDEN = 64
TILES: dict[int, tuple[Tiles, ...]] = {
    16: (
        Tiles(128, 16, 1, False), Tiles(64, 16, 1, False), Tiles(32, 16, 1, False), Tiles(64, 16, 1, True),
        Tiles(128, 16, 2, False), Tiles(128, 32, 4, False), Tiles(256, 32, 4, False),
    ),
    32: (
        Tiles(128, 32, 4, False), Tiles(128, 32, 4, True), Tiles(64, 16, 1, False), Tiles(128, 32, 8, False),
        Tiles(256, 32, 8, False), Tiles(64, 32, 4, False),
    ),
    64: (
        Tiles(256, 64, 8, False), Tiles(128, 32, 8, False), Tiles(128, 32, 8, True), Tiles(128, 32, 4, False),
        Tiles(256, 32, 8, False), Tiles(64, 32, 4, False), Tiles(128, 64, 8, False),
    ),
}  # fmt: skip
"""Cuts that are tried, by D."""

CELL_SECONDS, TILES_SECONDS = 0.8, 0.25
MOST_BYTES = 3e9
"""Of the rows of one cell."""
CHECKED = 16
"""Candidates of one user that each cell compares with float64."""
GRAPHS = 8
COMPILERS = 8


@dataclass(frozen=True)
class Store:
    """Records of U users on the device, the scorer, and requests: some users and their candidates for each call."""

    keys: Tensor
    values: Tensor
    linear: Tensor
    rows: Tensor
    weights: ScorerWeights
    positions: tuple[Tensor, ...]
    candidates: tuple[Tensor, ...]

    def call(self, number: int, tiles: Tiles | None) -> Tensor:
        """The interest of one request's users."""
        position, candidates = (each[number % len(each)] for each in (self.positions, self.candidates))
        records = self.keys, self.values, self.weights, self.linear
        return attend_at(candidates, *records, rows=self.rows, position=position, tiles=tiles)

    def calls(self, tiles: Tiles | None) -> list[Call]:
        """One for each request."""
        return [partial(self.call, number, tiles) for number in range(max(len(self.positions), len(self.candidates)))]

    def error(self, tiles: Tiles | None, user: int = -1) -> float:
        """Of one user's last candidates in the last request, against float64."""
        last = max(len(self.positions), len(self.candidates)) - 1
        position = self.positions[last % len(self.positions)][user, None]
        found = self.call(last, tiles)[user, -CHECKED:][None]
        asked = self.candidates[last % len(self.candidates)][user, -CHECKED:][None]
        return error_of(found, twin_interest(asked, self.keys[position], self.values[position], self.weights))


def measure_fused(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Compile, choose the cut for each D, then the cells, and random users of a large store against a few hot ones."""
    reason = why_not("fused", device)
    if reason is not None and not interpreted():
        report.add(Row("fused", {"what": "fused"}, "skipped", reason))
        return
    if "interest fused float16" in report.failed or {"fused at", "fused users"} & report.failed:
        report.add(Row("fused", {"what": "fused"}, "skipped", "its gate failed"))
        return
    chosen: dict[int, Tiles] = {}
    with torch.inference_mode():
        for width in sizes.widths:
            with cell(report, "fused", {"what": "tiles", "D": width}):
                chosen[width] = _choose(report, sizes, width, device)
            release(device)
        for asked in sizes.batches_of_users:
            settings = settings_of_cell(asked)
            if report.seconds_left("fused") <= 0:
                report.add(Row("fused", settings, "skipped", "the budget's share of this section is used up"))
                continue
            for dtype in ("float16", *(("float32",) if asked.compiled or sizes.smoke else ())):
                with cell(report, "fused", {**settings, "dtype": dtype}):
                    tiles = chosen.get(asked.width) if dtype == "float16" else None
                    _cell(report, sizes, asked, dtype, tiles, device)
                release(device)
        with cell(report, "fused", {"what": "store"}):
            _random_users(report, sizes, device)
        release(device)


def settings_of_cell(asked: Cell) -> dict[str, Setting]:
    """For its rows."""
    length: dict[str, Setting] = {"L": asked.rows} if asked.full else {"R": asked.rows}
    return {"what": "fused", "D": asked.width, **length, "users": asked.users}


def store_of(
    asked: Cell, sizes: Sizes, dtype: torch.dtype, device: torch.device, most_users: int | None = None
) -> Store:
    """Draw the records; so many users, or as many as go beyond the L2 cache twice."""
    generator = generator_of(device, 31)
    D, R, B, N = asked.width, asked.rows, asked.users, sizes.candidates
    each = 2 * R * D * dtype.itemsize + 4 * D * (D + 1)
    beyond = 2 * sizes.l2_mb * 2**20 / each
    users = most_users or int(max(2 * B, min(beyond, MOST_BYTES / each)))

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device, generator=generator, dtype=dtype).mul_(0.3)

    weights = ScorerWeights(*(normal(*shape) for shape in (*((D, HIDDEN),) * 3, (HIDDEN,), (HIDDEN,))))
    keys = normal(users, R, D)
    values = keys * R**-0.5
    calls = max(2, min(64, users // B))
    order = torch.randperm(users, device=device, generator=generator)
    positions = tuple(order[i * B % users :][:B] for i in range(calls) if i * B % users + B <= users)
    asks = max(2, min(len(positions), int(2 * sizes.l2_mb * 2**20 / (2 * B * N * D * dtype.itemsize)) + 1))
    candidates = tuple(normal(B, N, D) for _ in range(asks))
    linear = _linear_of(keys, values, weights)
    return Store(keys, values, linear, torch.full((users,), R, device=device), weights, positions, candidates)


def _linear_of(keys: Tensor, values: Tensor, weights: ScorerWeights) -> Tensor:
    """In float32, some users at a time."""
    from lrea_cli.kernels.weights import linear_half

    exact = weights.to(torch.float32)
    size = max(1, (1 << 27) // keys[0].numel())
    parts = [
        linear_half(k.float(), v.float(), exact) for k, v in zip(keys.split(size), values.split(size), strict=True)
    ]
    return torch.cat(parts)


def named(tiles: Tiles) -> str:
    """A cut in one word."""
    return f"{tiles.candidates}x{tiles.hidden}w{tiles.warps}{'' if tiles.float32_scores else 'h'}"


def _choose(report: Report, sizes: Sizes, width: int, device: torch.device) -> Tiles:
    """The fastest cut at R = 128 and many users; a row for each."""
    asked = Cell(sizes.rank, 2 if sizes.smoke else sizes.gathered, width)
    store = store_of(asked, sizes, torch.float16, device)
    tried = TILES.get(width, (tiles_of(width, torch.float16),))
    errors = _errors(store, asked, sizes, tried, device)
    right = [t for t in tried if (e := errors[t]) == e and isinstance(e, float) and e <= TOLERANCE["float16"]]
    contenders = [Contender(named(t), store.calls(t)) for t in right]
    found = _timed(contenders, sizes, len(contenders) * TILES_SECONDS, device)
    best, least = tiles_of(width, torch.float16), float("inf")
    for tiles in tried:
        settings: dict[str, Setting] = {
            "what": "tiles", "D": width, "R": sizes.rank, "users": asked.users, "tiles": named(tiles)
        }  # fmt: skip
        timed, error = found.get(named(tiles)), errors[tiles]
        if isinstance(error, str):
            report.add(Row("fused", settings, "error", error))
        elif tiles not in right:
            report.add(Row("fused", settings, "gate", f"off by {error:.2g}"))
        elif not isinstance(timed, Timed):
            report.add(Row("fused", settings, "error", getattr(timed, "note", "")))
        else:
            values: dict[str, float | None] = {"us_a_user": timed.median_us / asked.users, "error": error}
            report.add(Row("fused", settings, timed=timed, values=values))
            if timed.median_us < least:
                best, least = tiles, timed.median_us
    return best


def _timed(
    contenders: list[Contender], sizes: Sizes, seconds: float, device: torch.device
) -> dict[str, Timed | NotTimed]:
    """In turns; a smoke run, which may be interpreted, calls each a few times."""
    return in_turns(contenders, device, 600, least=1) if sizes.smoke else in_turns(contenders, device, seconds)


def _errors(
    store: Store, asked: Cell, sizes: Sizes, tried: tuple[Tiles, ...], device: torch.device
) -> dict[Tiles, float | str]:
    """The error of each cut, or why it does not run; on a card each in a process of its own."""
    if device.type != "cuda":
        return {tiles: store.error(tiles) for tiles in tried}
    with ThreadPoolExecutor(COMPILERS) as pool:
        return dict(zip(tried, pool.map(lambda t: error_elsewhere(asked, sizes, t, device), tried), strict=True))


def _cell(
    report: Report, sizes: Sizes, asked: Cell, dtype_name: str, tiles: Tiles | None, device: torch.device
) -> None:
    """Eager, and by a CUDA graph where there are few users."""
    dtype = getattr(torch, dtype_name)
    store = store_of(asked, sizes, dtype, device)
    tiles = tiles or tiles_of(asked.width, dtype)
    settings: dict[str, Setting] = {**settings_of_cell(asked), "dtype": dtype_name, "tiles": named(tiles)}
    error = store.error(tiles)
    if not error <= TOLERANCE[dtype_name]:
        report.fail("fused", f"fused {dtype_name}", settings, f"off by {error:.2g}")
        return
    contenders = [Contender("eager", store.calls(tiles))]
    if asked.graph:
        with cell(report, "fused", {**settings, "launch": "graph"}):
            contenders.append(Contender("graph", list(_graphs(store, tiles, device))))
    found = _timed(contenders, sizes, CELL_SECONDS, device)
    for launch, timed in found.items():
        row: dict[str, Setting] = {**settings, "launch": launch}
        if not isinstance(timed, Timed):
            report.add(Row("fused", row, "skipped" if timed.status == "skipped" else "error", timed.note))
            continue
        flop = 2.0 * asked.users * sizes.candidates * asked.rows * asked.width * HIDDEN
        rate = report.ceiling("tflop_per_s", "tf32" if dtype_name == "float32" else dtype_name)
        values = {
            "us_a_user": timed.median_us / asked.users,
            "users_per_s": 1e6 * asked.users / timed.median_us,
            "matmul_share": flop / timed.median_us / 1e6 / rate if rate else None,
            "error": error,
        }
        report.add(Row("fused", row, timed=timed, values=values))


def _graphs(store: Store, tiles: Tiles, device: torch.device) -> Iterator[Call]:
    """A graph for each of a few requests; its result is that of the eager call, bit by bit."""
    for call in store.calls(tiles)[:GRAPHS]:
        replay, result = captured(call, device)
        assert isinstance(result, Tensor)
        result.fill_(torch.nan)
        replay()
        if not torch.equal(result, call()):  # pyright: ignore[reportArgumentType]
            raise RuntimeError("a replayed graph gives other bits than the call")
        yield replay


def _random_users(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Users drawn from as many records as fit, against the same few in each call."""
    asked = Cell(sizes.rank, 2 if sizes.smoke else sizes.gathered, 16)
    each = 2 * asked.rows * asked.width * 2 + 4 * asked.width * (asked.width + 1)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 100 * each
    users = max(2 * asked.users, int(0.3 * free / each))
    store = store_of(asked, sizes, torch.float16, device, min(users, sizes.most_records))
    last = torch.tensor([len(store.rows) - 1], device=device)  # beyond what 32 bits count
    error = replace(store, positions=(last,), candidates=(store.candidates[0][:1],)).error(None)
    if not error <= TOLERANCE["float16"]:
        report.fail("fused", "fused store", {"what": "store"}, f"off by {error:.2g}")
        return
    hot = replace(store, positions=store.positions[:1])
    contenders = [Contender("random users", store.calls(None)), Contender("hot users", hot.calls(None))]
    for name, timed in _timed(contenders, sizes, 2 * CELL_SECONDS, device).items():
        settings: dict[str, Setting] = {
            "what": "store", "case": name, "D": 16, "R": asked.rows, "users": asked.users, "records": len(store.rows)
        }  # fmt: skip
        if isinstance(timed, Timed):
            report.add(Row("fused", settings, timed=timed, values={"us_a_user": timed.median_us / asked.users}))
        else:
            report.add(Row("fused", settings, "skipped" if timed.status == "skipped" else "error", timed.note))
