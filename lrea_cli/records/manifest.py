"""What `cache.json` says of a cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrea_cli.recipe.settings import CacheDtype, Compression, CompressorName
from lrea_cli.workspace.kinds import Kind, Manifest, NotIdentity

ASKED_USERS = "users.txt"
"""In a cache that was made for some users: their raw ids, one a line, as `lrea compress --users` reads them."""


@dataclass(frozen=True, kw_only=True)
class CacheManifest(Manifest):
    """A cache, as `lrea compress` made it.

    Args:
        compressor, compression: of a din run; None where the method itself makes the records.
        rank: most pseudo items of a record. bytes_per_user: mean. as_of: epoch seconds.
        made_from: identity of the run. layout: plain values, see `records.format.RecordFormat`.
    """

    run: str
    cache: str
    compressor: CompressorName | None
    users: int
    rank: int
    dtype: CacheDtype
    as_of: int
    bytes_per_user: float
    ms_per_user: NotIdentity[float]
    seconds: NotIdentity[float]
    arguments: NotIdentity[tuple[str, ...] | None] = None
    made_from: str
    layout: dict[str, Any]
    compression: Compression | None
    device: NotIdentity[str]

    @classmethod
    def options_of(cls, folder: Path, content: Mapping[str, Any]) -> list[str] | None:
        kept = super().options_of(folder, content)
        if kept is not None and ASKED_USERS in content.get("files", {}):
            return [*kept, "--users", str(folder / ASKED_USERS)]
        return kept

    @classmethod
    def some_options_of(cls, content: Mapping[str, Any]) -> list[str]:
        return ["--run", str(content.get("run"))]

    def users_remedy(self, folder: Path) -> str:
        """What makes the cache anew where its list of users is damaged."""
        options = [*(self.arguments or ("--run", self.run)), "--users", "FILE"]
        return f"Write its users into FILE, one raw id a line, then: {CACHES.command(folder, options)}"


CACHES = Kind("caches", "cache.json", "cache", "lrea compress", "--cache", CacheManifest, not_content=(ASKED_USERS,))
