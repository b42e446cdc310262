"""Where the records of a cache can go: files that other engines read, or a key-value store.

Every destination gets the bytes of the records as `records.format` documents them, under the raw id of the user. A new
one is a file here and an entry in `DESTINATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lrea_cli.console.progress import Progress
from lrea_cli.errors import UserError
from lrea_cli.serving.export.destinations.parquet import to_parquet
from lrea_cli.serving.export.destinations.redis import to_redis
from lrea_cli.serving.export.destinations.safetensors import to_safetensors
from lrea_cli.serving.export.destinations.source import Source

Destination = Callable[[Source, str, Path | None, Progress], str]
"""(records, the word or address that the user gave, a new folder or None, told of records) -> where they are now."""

DESTINATIONS: dict[str, Destination] = {"parquet": to_parquet, "safetensors": to_safetensors, "redis": to_redis}
SCHEMES = {"redis": "redis", "rediss": "redis"}
"""How the addresses of a destination begin; one that has none fills a folder."""


def destination_of(where: str) -> tuple[Destination, bool]:
    """What writes there, and whether into a folder; a `UserError` for a place that is none."""
    scheme, colon, _ = where.partition("://")
    if colon and scheme in SCHEMES:
        return DESTINATIONS[SCHEMES[scheme]], False
    if where in DESTINATIONS and where not in SCHEMES.values():
        return DESTINATIONS[where], True
    words = [name for name in DESTINATIONS if name not in SCHEMES.values()]
    addresses = [f"{scheme}://HOST:PORT/DB" for scheme in SCHEMES]
    raise UserError(f"Records cannot go to '{where}'.", f"Use one of: {', '.join(words + addresses)}")
