"""What every method costs users of given lengths, and what the paper's Table 1 says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lrea_cli.compressors import COMPRESSORS, Compressor
from lrea_cli.methods import METHODS, HistoryShape
from lrea_cli.methods.cost import Work, as_ids, record_bytes
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import RecordField

TABLE_1 = {
    "din": ("DIN", "O(BLd)", "O(BLd)"),
    "sim": ("SIM", "O(Blog(M) + Bkd)", "O(Blog(M) + Bkd)"),
    "eta": ("ETA", "O(Lmlog(d) + BLm + Bkd)", "O(BLm + Bkd)"),
    "sdim": ("SDIM", "O(Lmlog(d) + Bmlog(d))", "O(Bmlog(d))"),
    "lrea": ("LREA", "O(BLrd)", "O(Brd)"),
}
"""The paper's Table 1, letter by letter: its name of a method, training, online serving. It has no row for TWIN."""


@dataclass(frozen=True)
class Users:
    """Whom a bill is for.

    Args:
        lengths: (users,) long behaviors of each.
        candidates: N of a request.
        item_fields: ids that a behavior has.
        dtype: of the records.
    """

    lengths: np.ndarray
    candidates: int
    item_fields: int
    dtype: CacheDtype


@dataclass(frozen=True)
class Bill:
    """What one method costs, the mean over users.

    Args:
        name: as shown. method: as in `METHODS`. compressor: of a din run's records, or None.
        offline, request, behavior: as in `cost.Cost`; None = not counted.
        record_bytes: of a record. record_bytes_as_ids: if it held ids in place of vectors; None = it could not.
    """

    name: str
    method: str
    compressor: str | None
    offline: Work | None
    request: Work
    behavior: Work | None
    record_bytes: float
    record_bytes_as_ids: float | None


def bills(settings: ModelSettings, shape: HistoryShape, users: Users) -> list[Bill]:
    """One for each method, whatever that of the settings, and one for each compressor of a din run at their rank.

    Where histories have no categories SIM searches by inner product (its name says how it does), and methods that need
    them are left out.
    """
    possible = [name for name, method in METHODS.items() if shape.categories or not method.needs_categories]
    return [
        *(_method(name, settings, shape, users) for name in possible),
        *(_compressor(kind, settings, shape, users) for kind in COMPRESSORS.values()),
    ]


def _method(name: str, settings: ModelSettings, shape: HistoryShape, users: Users) -> Bill:
    shown = name
    if name == "sim":
        settings = settings if shape.categories else replace(settings, search="soft")
        shown = f"sim ({settings.search})"
    method = METHODS[name](settings, shape)
    cost = method.cost(users.lengths, users.candidates, users.dtype)
    ids = _mean_bytes(as_ids(method.record, users.item_fields), users) if method.row_per_behavior else None
    return Bill(shown, name, None, cost.offline, cost.request, cost.behavior, cost.offline.bytes, ids)


def _compressor(kind: type[Compressor], settings: ModelSettings, shape: HistoryShape, users: Users) -> Bill:
    """A compressor's rows cost a request what as many behaviors of din do; `clusters` has fewer of equal behaviors."""
    rows = np.minimum(users.lengths, kind.most_rows(settings.rank))
    cost = METHODS["din"](settings, shape).cost(rows, users.candidates, users.dtype)
    return Bill(f"+ {kind.name}", "din", kind.name, None, cost.request, None, cost.offline.bytes, None)


def _mean_bytes(record: tuple[RecordField, ...], users: Users) -> float:
    """Of records with as many rows as the users have behaviors."""
    rows, counts = np.unique(users.lengths, return_counts=True)
    sizes = np.array([record_bytes(record, int(r), users.dtype) for r in rows])
    return float(counts @ sizes / len(users.lengths))
