"""What is measured: by default the cells of the goals, `--full` the rest, `--smoke` a few tiny ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

WIDTH, RANK, CANDIDATES = 16, 128, 1000
LENGTHS = (500, 2_000, 10_000)


@dataclass(frozen=True)
class Cell:
    """Users batched through `attend`.

    Args:
        rows: R of a record, or L where `full`: full attention reads one row a behavior. users: in one call.
        width: D. compiled: also by torch.compile. graph: also by a CUDA graph.
    """

    rows: int
    users: int
    width: int = WIDTH
    full: bool = False
    compiled: bool = False
    graph: bool = False


@dataclass(frozen=True)
class Sizes:
    """All sizes of one run.

    Args:
        candidates: N of a request. cells: of `attend` in torch. batches_of_users: of the Triton kernel.
        widths: D for which its cut is chosen. most_records: of the store that random users are drawn from.
        l2_mb: so many megabytes are taken to be the L2 cache.
        matmul, copy_mb: of the measured ceilings.
        l2_share: how many times the L2 cache the rotated inputs are. record_users: of the resident records.
        short, long: S and L of a request and of training. summarized: L of compress. batches: users a batch there.
        items: of the item table. requests: with two samples each, of a training step.
    """

    candidates: int
    cells: tuple[Cell, ...]
    matmul: int
    copy_mb: int
    l2_share: float
    record_users: int
    gathered: int
    rank: int
    short: int
    long: int
    summarized: int
    batches: tuple[int, ...]
    items: int
    requests: int
    batches_of_users: tuple[Cell, ...] = ()
    widths: tuple[int, ...] = (16, 32, 64)
    most_records: int = 1_100_000
    l2_mb: int = 60
    smoke: bool = False


def sizes_of(full: bool, smoke: bool) -> Sizes:
    """The sizes that the command asks for."""
    if smoke:
        cells = (Cell(4, 1, 8, graph=True), Cell(70, 3, 8, compiled=True), Cell(9, 2, 8, full=True))
        few = (Cell(3, 1, 8, compiled=True, graph=True), Cell(2, 2, 16, full=True))
        return Sizes(
            17, cells, 64, 1, 0.0, 30, 8, 4, 4, 20, 30, (3, 5), 50, 6,
            batches_of_users=few, widths=(8,), most_records=20, l2_mb=0, smoke=True,
        )  # fmt: skip
    cells = _all_cells() if full else _goals()
    return Sizes(
        CANDIDATES, cells, 8192, 2048, 2.0, 20_000, 512, RANK, 64, 500, 2_000, (256, 4_096), 1_000_000, 2_048,
        batches_of_users=_batches(),
    )  # fmt: skip


def _goals() -> tuple[Cell, ...]:
    many = [Cell(RANK, 512, compiled=True)]
    few = [*(Cell(RANK, users, graph=True) for users in (1, 8)), Cell(RANK, 64)]
    wider = [Cell(RANK, 512, width, compiled=True) for width in (32, 64)]
    shorter = [Cell(16, users) for users in (64, 512)]
    longer = [Cell(length, 64, full=True) for length in LENGTHS]
    return (*many, *few, *wider, *shorter, *longer)


def _batches() -> tuple[Cell, ...]:
    """Of the Triton kernel: the goals, then every other combination; `compiled` = in float32, too."""
    goals = (
        *(Cell(RANK, 512, width, compiled=True) for width in (16, 32, 64)),
        *(Cell(RANK, users, graph=True) for users in (1, 8)),
        *(Cell(rows, 64, full=rows in LENGTHS) for rows in (RANK, *LENGTHS)),
        *(Cell(16, users) for users in (512, 64)),
    )
    known = {(c.rows, c.users, c.width) for c in goals}
    rest = product((RANK, 16, *LENGTHS), (512, 64, 8, 1), (16, 32, 64))
    return goals + tuple(
        Cell(rows, users, width, full=rows in LENGTHS, graph=users <= 8)
        for rows, users, width in rest
        if (rows, users, width) not in known
    )


def _all_cells() -> tuple[Cell, ...]:
    """Those of the goals first, then every other combination."""
    goals = _goals()
    known = {(c.rows, c.users, c.width) for c in goals}
    rest = product((16, RANK, *LENGTHS), (1, 8, 64, 512), (16, 32, 64))
    return goals + tuple(
        Cell(rows, users, width, full=rows in LENGTHS, graph=users <= 8)
        for rows, users, width in rest
        if (rows, users, width) not in known
    )
