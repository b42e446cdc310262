"""All long-interest methods; a new one is one file and one entry in `METHODS`."""

from __future__ import annotations

from lrea_cli.methods.base import LongInterest
from lrea_cli.methods.din import DIN
from lrea_cli.methods.din_short import DINShort
from lrea_cli.methods.lrea import LREA
from lrea_cli.methods.mean import Mean

METHODS: dict[str, type[LongInterest]] = {m.name: m for m in (DINShort, Mean, LREA, DIN)}

__all__ = ["METHODS", "LongInterest"]
