"""The time that a decision has taken, over all times that its command was given."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from lrea_cli.decide.running.kept import REMEDY
from lrea_cli.errors import UserError
from lrea_cli.workspace.sealed import read_json, write_json


class Clock:
    """Seconds spent, kept in a file: a process that is killed loses what came after its last `keep`."""

    def __init__(self, path: Path) -> None:
        self._path, self._started, self._before = path, time.monotonic(), 0.0
        with suppress(UserError):  # none yet, or damaged: then it starts anew
            self._before = float(read_json(path, REMEDY)["seconds"])

    def spent(self) -> float:
        """Seconds so far."""
        return self._before + time.monotonic() - self._started

    def keep(self) -> None:
        """Write them down."""
        write_json(self._path, {"seconds": self.spent()})
