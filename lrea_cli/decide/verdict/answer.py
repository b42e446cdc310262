"""The answer of `lrea decide`: where each contender stands, the verdict in words, and all of it as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from lrea_cli.decide.results import Measurements
from lrea_cli.workspace.kinds import parse
from lrea_cli.workspace.sealed import read_json, write_json

Shown = Literal["within", "beyond", "undecided"]
Answer = Literal[
    "ship", "full-attention", "no-long-history", "not-shown", "over-tolerance", "over-budget", "nothing-measured"
]
"""What is said:

    ship              this one: the cheapest that is shown to be within the tolerance, in the budget
    full-attention    the same, and it is full attention over the history itself
    no-long-history   a counter, or the newest behaviors alone, are shown to be within the tolerance
    not-shown         some fit the budget, and the data do not show one of them to be within the tolerance
    over-tolerance    all that fit the budget are shown to lose more than the tolerance
    over-budget       none is known to fit the budget
    nothing-measured  no contender has an AUC
"""


@dataclass(frozen=True)
class Standing:
    """What the intervals say of a contender or a counter.

    Args:
        shown: its loss against every other contender is below the tolerance; or above it against one; or neither.
        at_most: the largest upper end of its losses' intervals; None where a loss has none, or there is no rival.
        rival: whose interval decides: the largest upper end (of `beyond`: lower end), or the one that is missing.
        fits: the p99 of a request is within the budget; None where it is not known.
    """

    name: str
    shown: Shown
    at_most: float | None
    rival: str | None
    fits: bool | None


@dataclass(frozen=True)
class Way:
    """Data that would be enough: that many test users, and so many seeds of training."""

    users: int
    seeds: int


@dataclass(frozen=True)
class More:
    """What would show where a contender stands, if its losses stay as they were measured.

    Args:
        shows: that it is within the tolerance, or beyond it.
        ways: the least that would do; empty where nothing that was tried would.
        note: why nothing would, or what is not known and was assumed, as a sentence; empty where nothing is.
    """

    name: str
    shows: Shown
    ways: tuple[Way, ...]
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """The answer.

    Args:
        choice: what to ship; None where nothing was shown.
        guess: where there is no choice, what fits the budget and seems best.
        best: the contender with the highest AUC.
        headline: the verdict in a sentence.
        reasons: the sentences that carry it.
        unsure: what might change it.
        standings: of contenders and counters, in the order of the tables.
        frontier: contenders that no other one beats in both p99 and AUC, as measured; the fastest first.
        more: of the guess, and of a cheaper contender than the choice that may do.
    """

    answer: Answer
    choice: str | None
    guess: str | None
    best: str | None
    headline: str
    reasons: tuple[str, ...]
    unsure: tuple[str, ...]
    standings: tuple[Standing, ...]
    frontier: tuple[str, ...]
    more: tuple[More, ...]

    def standing(self, name: str) -> Standing:
        """Of a contender or counter."""
        return next(standing for standing in self.standings if standing.name == name)


@dataclass(frozen=True)
class Decision:
    """The measurements and what they say: the JSON file has these keys."""

    measured: Measurements
    verdict: Verdict

    def write(self, path: Path) -> None:
        """Write the JSON, with a hash of itself."""
        write_json(path, asdict(self))


def read_decision(path: Path) -> Decision:
    """Read what `Decision.write` has written; a `DamagedArtifact` where it is not as it was written."""
    remedy = "Make it again with: lrea decide"
    return parse(Decision, read_json(path, remedy), path, remedy)
