"""Records in a Redis, one key a user."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.console.progress import Progress
from lrea_cli.errors import LreaError, UserError
from lrea_cli.serving.export.destinations.source import Source

if TYPE_CHECKING:
    import redis


def to_redis(source: Source, where: str, folder: Path | None, progress: Progress) -> str:
    """Keys `lrea:<run>:<cache>:<user>`; when all are there, `lrea:<run>:current` names the cache.

    A reader that asks for `current` first sees the old cache until the new one is complete. Each record is read back.
    """
    client = _redis(where)
    manifest = source.cache.manifest
    prefix = f"lrea:{manifest.run}:{manifest.cache}"
    from redis.exceptions import RedisError

    try:
        for keys in source.batches():
            named = {f"{prefix}:{source.users[int(key)]}": source.store.verified(int(key))[0] for key in keys}
            client.mset(named)
            if client.mget(list(named)) != list(named.values()):
                raise LreaError(
                    f"{without_password(where)} does not give back the records that were written.",
                    "Look at its memory limit.",
                )
            progress(len(keys))
        client.set(prefix, json.dumps(source.description()))
        client.set(f"lrea:{manifest.run}:current", manifest.cache)
    except RedisError as error:
        raise LreaError(f"{without_password(where)}: {error}", "Mend it, then give the same command again.") from error
    finally:
        client.close()
    return f"{prefix}:<user>"


def _redis(where: str) -> redis.Redis:
    try:
        import redis
    except ImportError as error:
        raise UserError("The package redis is not installed.", "Install it with: pip install 'lrea[redis]'") from error
    try:
        client = redis.Redis.from_url(where, socket_connect_timeout=5, socket_timeout=30)
        client.ping()
    except (redis.RedisError, ValueError) as error:
        raise UserError(
            f"There is no Redis at {without_password(where)}: {error}", "Start it, or name another address."
        ) from error
    return client


def without_password(address: str) -> str:
    """The address as it may be shown: redis://user:secret@host is redis://***@host."""
    return re.sub(r"//.*@", "//***@", address)
