"""The C++ sources of a native library and the options that each is compiled with, for setup.py, tests and bundles.

A source for some x86-64 processors alone names its options in a comment, `// x86-64: -mavx2 ..`; the library chooses
among such sources as it runs. They set the tuning too: generic tuning of AVX-512 can cost 1.6 times the time.
"""

from __future__ import annotations

import re
from pathlib import Path

SHARED = Path(__file__).parent
"""The headers that every native library may include."""
OPTIONS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fvisibility=hidden", "-g0")
X86 = ("x86_64", "AMD64")
"""What `platform.machine()` says of an x86-64 processor."""


def sources_of(folder: Path) -> list[Path]:
    """The files to compile for the library of a folder."""
    return sorted(folder.glob("*.cpp"))


def headers_of(folder: Path) -> list[Path]:
    """The files that those include: the folder's own, then the shared ones."""
    return [*sorted(folder.glob("*.h")), *sorted(SHARED.glob("*.h"))]


def options_of(source: Path, machine: str) -> list[str]:
    """The compiler's options for one source.

    Args:
        machine: as `platform.machine()` has it.
    """
    own = re.search(r"^// x86-64: (.*)$", source.read_text(encoding="utf-8"), re.MULTILINE)
    return [*OPTIONS, *(own[1].split() if own and machine in X86 else [])]
