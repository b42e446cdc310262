"""What all stages of a decision work with: where runs lie, the workers, and the watch over the hours."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.decide.running.asked import Asked
from lrea_cli.decide.running.clock import Clock
from lrea_cli.decide.running.plan import Plan, StageName, minutes
from lrea_cli.sweep.datasets import Dataset
from lrea_cli.sweep.jobs import SweepJob
from lrea_cli.sweep.run import doing_what_is_missing
from lrea_cli.sweep.search import Ground
from lrea_cli.sweep.workers import Failure
from lrea_cli.workspace.home import Workspace


@dataclass(frozen=True)
class Out:
    """A method or a compression that does not come to the end: see `results.Dropped`."""

    name: str
    stage: str
    auc: float | None
    bar: float | None
    reason: str


@dataclass
class Contest:
    """One decision at work.

    Args:
        plan: None until the probes are done, which no watch stops.
        workers: jobs at a time.
    """

    asked: Asked
    dataset: Dataset
    info: DatasetInfo
    workspace: Workspace
    clock: Clock
    pool: ProcessPoolExecutor
    workers: int
    reporter: Reporter
    plan: Plan | None = None
    failures: list[Failure] = field(default_factory=list)

    @property
    def extras(self) -> bool:
        """Whether learning curves and old records are in the plan."""
        return self.plan is not None and self.plan.extras

    @property
    def ground(self) -> Ground:
        """Where the first seed trains."""
        return Ground(self.workspace.home, (self.dataset,), self.asked.sweep.seeds[0])

    def work(self, title: StageName, jobs: Sequence[SweepJob[Any]], unit: str) -> None:
        """Do what is missing of a stage; no job starts once the stages after it need the rest of the hours."""
        reserve, limit = 0.0, 3600 * self.asked.hours
        if self.plan is not None:
            reserve = self.plan.after(title)
            ahead = minutes(self.plan.of(title) + reserve)
            self.reporter.say(f"{minutes(self.clock.spent())} of {minutes(limit)} gone; at most {ahead} of work ahead")

        def may_start() -> bool:
            self.clock.keep()
            return self.plan is None or self.clock.spent() + reserve < limit

        doing_what_is_missing(self.pool, self.failures, self.reporter, may_start)(title, jobs, unit)
        failed = {failure.job for failure in self.failures}
        if late := [job for job in jobs if job.name not in failed and not job.done()]:
            self.reporter.say(f"{title}: {len(late)} of {len(jobs)} {unit} do not fit the hours and are left out")

    def why(self, jobs: Sequence[SweepJob[Any]]) -> str:
        """Why jobs without a result have none."""
        names = {job.name for job in jobs}
        failed = next((failure for failure in self.failures if failure.job in names), None)
        return "The hours were over before it was done." if failed is None else f"It failed: {failed.message}"
