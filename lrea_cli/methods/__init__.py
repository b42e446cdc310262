"""All long-interest methods; a new one is one file and one entry in `METHODS`."""

from __future__ import annotations

from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.din import DIN
from lrea_cli.methods.din_short import DINShort
from lrea_cli.methods.eta import ETA
from lrea_cli.methods.lrea import LREA
from lrea_cli.methods.mean import Mean
from lrea_cli.methods.sdim import SDIM
from lrea_cli.methods.sim import SIM
from lrea_cli.methods.twin import TWIN

METHODS: dict[str, type[LongInterest]] = {m.name: m for m in (DINShort, Mean, SIM, ETA, SDIM, TWIN, LREA, DIN)}

__all__ = ["METHODS", "HistoryShape", "LongInterest"]
