"""A real Redis for tests; where CI_REDIS=1 says that one was installed, they fail rather than skip without it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Its address; it listens on a free port of this machine, keeps nothing, and ends with the block."""
    server = shutil.which("redis-server")
    if server is None:
        missing("redis-server is not installed: apt-get install redis-server")
    try:
        import redis  # noqa: F401
    except ImportError:
        missing("the package redis is not installed: pip install 'lrea[redis]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen([str(server), *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def missing(what: str) -> None:
    """Skip the test, or fail it where CI_REDIS=1 says that a Redis is there."""
    if os.environ.get("CI_REDIS") == "1":
        pytest.fail(what)
    pytest.skip(what)
