"""What `lrea decide` has measured: the question, a contender for each method or compression, what was dropped.

All is frozen and typed, and comes back from JSON as it was (`answer.py` writes and reads it). A number that is not
known is None; NaN and infinities, which a failed training leaves, become None in `finite`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal

from lrea_cli.bench.machine import Load, Machine
from lrea_cli.errors import UserError
from lrea_cli.stats.estimates import Estimate
from lrea_cli.stats.methods import MethodEstimate

Kind = Literal["cached", "compressed", "full", "short"]
KINDS: dict[Kind, str] = {
    "cached": "method, through its records",
    "compressed": "full attention's model, its records made smaller",
    "full": "full attention over the history itself",
    "short": "newest behaviors only, no long history",
}
"""What a contender is, as legends say it."""

UNKNOWN = Estimate(None, None, None)


@dataclass(frozen=True)
class Data:
    """The dataset that is asked about.

    Args:
        train_rows, test_rows: samples.
        test_users: that the test split has; its bootstrap draws them.
        test_days: length of the test split.
        best_auc: the best possible AUC on it, where its source knows it.
    """

    name: str
    source: str
    users: int
    items: int
    train_rows: int
    test_rows: int
    test_users: int
    test_days: float
    best_auc: float | None = None


@dataclass(frozen=True)
class Question:
    """What the user has asked.

    Args:
        budget_ms: that the p99 of a request may take; a contender at exactly this fits.
        tolerance: AUC that may be lost against the best contender; a loss must be shown to lie below it.
        hours: that all may take.
        seeds: of training.
        candidates: of a timed request.
    """

    data: Data
    budget_ms: float
    tolerance: float
    hours: float
    seeds: tuple[int, ...]
    candidates: int

    def __post_init__(self) -> None:
        for option, value in (("budget-ms", self.budget_ms), ("tolerance", self.tolerance), ("hours", self.hours)):
            if not (math.isfinite(value) and value > 0):
                raise UserError(f"--{option} is {value}: it must be a number above 0.", f"Give another --{option}.")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError("The seeds of training must be one or more different numbers.", "Give another --seeds.")


@dataclass(frozen=True)
class Loss:
    """AUC of a rival minus the contender's own, as served: above zero the contender is the worse one.

    Args:
        against: the rival's name.
        auc: `method_difference` of the same test rows, or `paired_difference` where the runs of one come of the runs of
            the other; its 95% interval is for other users and, unless there is one seed, other seeds of training.
    """

    against: str
    auc: MethodEstimate


@dataclass(frozen=True)
class Aged:
    """AUC of a contender's fresh records minus that of its records of some days ago."""

    days: float
    loss: Estimate


@dataclass(frozen=True)
class CurvePoint:
    """AUC of the first seed, trained on the rows of a share of the users."""

    share: float
    rows: int
    auc: Estimate


@dataclass(frozen=True)
class NewBehavior:
    """Work that one more behavior causes in a record, the mean over test requests.

    Args:
        rows: of the record that change; None = the record is made anew.
        flops: None = those of making it.
    """

    rows: float | None
    flops: float | None


class HasLosses:
    """What is compared with contenders."""

    losses: tuple[Loss, ...]

    def loss_against(self, rival: str) -> Loss | None:
        """The loss against a contender; None where it was not measured."""
        return next((loss for loss in self.losses if loss.against == rival), None)


@dataclass(frozen=True)
class Contender(HasLosses):
    """A method or a compression that was measured to the end.

    Args:
        about: what it is, in a few words.
        recipe: its settings, as one reads them; `lrea train` takes the file.
        auc: of the test split as served, the mean over seeds; its interval is for other users and seeds.
        losses: against each other contender, the best one among them.
        ece, ne: calibration: expected calibration error, normalized entropy.
        p50_ms, p99_ms: of the whole request.
        record_bytes: of a user's record; 0 where nothing is made ahead of a request.
        make_ms: of one record, from the history.
        aged: with records that are some days old.
        curve: by share of the training rows, the smallest first.
    """

    name: str
    kind: Kind
    about: str
    recipe: str
    auc: Estimate
    losses: tuple[Loss, ...] = ()
    gauc: Estimate = UNKNOWN
    ece: Estimate = UNKNOWN
    ne: Estimate = UNKNOWN
    p50_ms: Estimate = UNKNOWN
    p99_ms: Estimate = UNKNOWN
    record_bytes: float | None = None
    make_ms: float | None = None
    new_behavior: NewBehavior | None = None
    aged: tuple[Aged, ...] = ()
    curve: tuple[CurvePoint, ...] = ()


@dataclass(frozen=True)
class Dropped:
    """A method or a compression that was not measured to the end.

    Args:
        stage: where it ended: `search, 1/4 of the users`.
        auc: validation AUC there; None where it has none.
        bar: validation AUC of the worst one that went on; None where it did not end by its rank.
        reason: a sentence.
    """

    name: str
    kind: Kind
    about: str
    stage: str
    auc: float | None
    bar: float | None
    reason: str


@dataclass(frozen=True)
class Counter(HasLosses):
    """A trivial baseline: a count that ranks the candidates without a model.

    Args:
        losses: against each contender.
    """

    name: str
    auc: Estimate
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True)
class Command:
    """A command line, and what it makes again."""

    makes: str
    line: str


@dataclass(frozen=True)
class Measurements:
    """Everything that the verdict is made of.

    Args:
        contenders: measured to the end, in the order of all tables.
        load: the machine while times were taken; None where none were.
        date: in UTC.
        plan: what was done to end within the hours, and what was left out for it, in sentences.
    """

    question: Question
    contenders: tuple[Contender, ...]
    dropped: tuple[Dropped, ...]
    counters: tuple[Counter, ...]
    machine: Machine
    load: Load | None
    versions: dict[str, str]
    commands: tuple[Command, ...]
    date: str
    plan: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [each.name for each in (*self.contenders, *self.counters, *self.dropped)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two contenders, counters or dropped ones are called {twice[0]!r}")

    def named(self, name: str) -> Contender:
        """The contender of this name."""
        return next(contender for contender in self.contenders if contender.name == name)


def finite(value: Any) -> Any:
    """The same with None for each number that is NaN or infinite, and for each interval that has such an end."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple):
        whole = all(math.isfinite(each) for each in value if isinstance(each, float))
        return tuple(map(finite, value)) if whole else None
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: finite(getattr(value, each.name)) for each in fields(value)})
    return value
