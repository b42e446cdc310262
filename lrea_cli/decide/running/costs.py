"""What the parts of a decision cost on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

SCORED = 1 / 3
"""Time of scoring a row over that of a training step on it: a backward pass costs about two forward ones."""
BOOTSTRAPS = 10
"""That an evaluation draws."""


@dataclass(frozen=True)
class Cost:
    """What a method costs one thread, as a small training of it has shown.

    Args:
        start_seconds: of a training, whatever its rows.
        row_seconds: of a training step on one row.
        request_seconds: of making the record of a test request, and scoring the request through it.
        epochs: that it trains, at most.
        always: it goes on whatever its AUC.
    """

    start_seconds: float
    row_seconds: float
    request_seconds: float
    epochs: int
    always: bool


@dataclass(frozen=True)
class Costs:
    """What all parts of a decision cost.

    Args:
        methods: by the name of the recipe.
        compressed: request_seconds of each compression.
        train_rows, valid_rows, test_rows: samples.
        users: whose records are made for the timing.
        bootstrap_seconds: of an interval on the test rows.
        timing_seconds: of the timing, all contenders together.
        workers: jobs at a time.
    """

    methods: Mapping[str, Cost]
    compressed: tuple[float, ...]
    train_rows: int
    valid_rows: int
    test_rows: int
    test_requests: int
    users: int
    bootstrap_seconds: float
    timing_seconds: float
    workers: int

    def scaled(self, by: Mapping[str, float]) -> Costs:
        """The same where trainings of each method take so many times as long."""
        methods = {
            name: replace(one, start_seconds=one.start_seconds * by[name], row_seconds=one.row_seconds * by[name])
            for name, one in self.methods.items()
        }
        return replace(self, methods=methods)

    def training(self, name: str, share: float) -> float:
        """Seconds of training a method on a share of the users."""
        one = self.methods[name]
        rows = one.epochs * (share * self.train_rows + SCORED * self.valid_rows)
        return one.start_seconds + rows * one.row_seconds

    def evaluation(self, name: str) -> float:
        """Seconds of scoring the test split as trained and as served."""
        one = self.methods[name]
        scoring = self.test_requests * one.request_seconds + SCORED * self.test_rows * one.row_seconds
        return scoring + BOOTSTRAPS * self.bootstrap_seconds

    def served(self, request_seconds: float) -> float:
        """Seconds of scoring the test split through other records."""
        return self.test_requests * request_seconds + 2 * self.bootstrap_seconds
