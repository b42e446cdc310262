"""What becomes of each cell: a row with a time, or with the reason why there is none; all rows in one file."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

Section = Literal["card", "gate", "fused", "serving", "compress", "training"]
SECTIONS: tuple[Section, ...] = ("card", "gate", "fused", "serving", "compress", "training")
SHARE_OF_BUDGET: dict[Section, float] = {
    "card": 0.08,
    "gate": 0.4,
    "fused": 0.6,
    "serving": 0.8,
    "compress": 0.86,
    "training": 0.97,
}
"""Of the budget, counted from the start, until which a section may begin another cell."""

Status = Literal["ok", "gate", "skipped", "error"]
Setting = str | int
FORMAT = 1


@dataclass(frozen=True)
class Timed:
    """Times of one call in microseconds: the median, and the 10th and 90th percentile as its spread."""

    median_us: float
    p10_us: float
    p90_us: float
    samples: int


@dataclass(frozen=True)
class Row:
    """One cell.

    Args:
        settings: what was measured, such as {"what": "interest", "kernel": "gemm", "users": 8}.
        status: `ok`; `gate` = a wrong result, so there is no time; `skipped`; `error`.
        note: why there is no time. values: what follows from the time, or what was measured in place of one.
    """

    section: Section
    settings: dict[str, Setting]
    status: Status = "ok"
    note: str = ""
    timed: Timed | None = None
    values: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """The JSON file.

    Args:
        settings: of the command. machine: what it ran on. sections: those that ended.
        seconds: since the start. exit_code: 3 where a gate failed. headline: the goals, from the rows.
    """

    format: int
    settings: dict[str, Setting | float | bool]
    machine: dict[str, str | int | float | None]
    sections: tuple[str, ...]
    seconds: float
    exit_code: int
    headline: dict[str, float | None]
    rows: tuple[Row, ...]


class Report:
    """Collects rows, and rewrites the file with each of them.

    Args:
        out: the file. settings: of the command. budget: seconds, from now. headline: of rows.
    """

    def __init__(
        self,
        out: Path,
        settings: dict[str, Setting | float | bool],
        budget: float,
        headline: Callable[[Sequence[Row]], dict[str, float | None]],
    ) -> None:
        self.out, self.settings, self.budget, self.headline = out, settings, budget, headline
        self.started = time.monotonic()
        self.machine: dict[str, str | int | float | None] = {}
        self.rows: list[Row] = []
        self.sections: list[str] = []
        self.failed: set[str] = set()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    def seconds_left(self, section: Section) -> float:
        """Until the section may begin no further cell."""
        return SHARE_OF_BUDGET[section] * self.budget - self.seconds

    def ceiling(self, name: str, dtype: str | None = None) -> float | None:
        """What the card reached in this run: `tflop_per_s` of a matrix product, or `tb_per_s` of a copy."""
        found = (r.values[name] for r in self.rows if name in r.values and r.settings.get("dtype") == dtype)
        return next((rate for rate in found if rate is not None), None)

    def add(self, row: Row) -> None:
        """Keep a row, in the file, too; say it on standard error."""
        clean = {name: _finite(value) for name, value in row.values.items()}
        row = Row(row.section, row.settings, row.status, row.note, row.timed, clean)
        self.rows.append(row)
        print(f"[{self.seconds:5.0f} s] {row.section}: {line_of(row)}", file=sys.stderr, flush=True)
        self.save()

    def fail(self, section: Section, path: str, settings: dict[str, Setting], note: str) -> None:
        """Keep a path whose result is wrong: no time of it is taken."""
        self.failed.add(path)
        self.add(Row(section, settings, "gate", note))

    def end(self, section: Section) -> None:
        """Note that a section has ended."""
        self.sections.append(section)
        self.save()

    def content(self) -> Content:
        """Everything so far."""
        return Content(
            FORMAT,
            self.settings,
            self.machine,
            tuple(self.sections),
            round(self.seconds, 1),
            3 if any(row.status == "gate" for row in self.rows) else 0,
            {name: _finite(value) for name, value in self.headline(self.rows).items()},
            tuple(self.rows),
        )

    def take(self, path: Path, sections: Sequence[str]) -> None:
        """Rows of sections, and the machine, from the file of another process."""
        content = json.loads(path.read_text(encoding="utf-8"))
        for row in content["rows"]:
            if row["section"] in sections:
                self.rows.append(Row(**{**row, "timed": row["timed"] and Timed(**row["timed"])}))
                if row["section"] == "gate" and row["status"] != "ok":
                    self.failed.add(" ".join(str(value) for value in row["settings"].values()))
        self.machine = {**content["machine"], **self.machine}
        self.save()

    def save(self) -> None:
        """Replace the file as a whole, so that a killed run leaves one that can be read."""
        partial = self.out.with_name(f".{self.out.name}.{os.getpid()}")
        partial.write_text(json.dumps(asdict(self.content()), allow_nan=False) + "\n", encoding="utf-8")
        partial.replace(self.out)


@contextmanager
def cell(report: Report, section: Section, settings: dict[str, Setting]) -> Iterator[None]:
    """An exception inside becomes a row: out of memory, or an operation that the device lacks."""
    try:
        yield
    except Exception as error:
        report.add(Row(section, settings, "error", described(error)))


def described(error: BaseException) -> str:
    """An exception in one line of at most 200 characters."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200]


def line_of(row: Row) -> str:
    """A row in one line."""
    name = " ".join(f"{key} {value}" if isinstance(value, int) else value for key, value in row.settings.items())
    if row.status != "ok":
        return f"{name}: {row.status.upper()} {row.note}"
    time_text = ""
    if row.timed is not None:
        time_text = f" {row.timed.median_us:,.1f} us ({row.timed.p10_us:,.1f} to {row.timed.p90_us:,.1f})"
    values = ", ".join(f"{key} {'-' if value is None else format(value, '.4g')}" for key, value in row.values.items())
    return f"{name}:{time_text}{' ' if values else ''}{values}"


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
