"""The C++ sources of the native request, for setup.py, tests and bundles."""

from __future__ import annotations

from pathlib import Path

from lrea_cli.native.sources import headers_of, sources_of

FOLDER = Path(__file__).parent


def sources() -> list[Path]:
    """The files to compile."""
    return sources_of(FOLDER)


def headers() -> list[Path]:
    """The files that those include."""
    return headers_of(FOLDER)
