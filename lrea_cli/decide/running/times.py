"""Request times of all that has passed its gate, taken in turns on the same users and candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from lrea_cli.bench.contenders import Contender as Timeable
from lrea_cli.bench.machine import Load, Machine
from lrea_cli.bench.routes import MARKS, BenchSettings
from lrea_cli.bench.trade_off import Stand
from lrea_cli.console.progress import Reporter
from lrea_cli.decide.results import UNKNOWN
from lrea_cli.decide.running.entrants import Entrant
from lrea_cli.decide.running.jobs import CPU, SEED
from lrea_cli.decide.running.kept import kept
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.checkpoint import open_run
from lrea_cli.stats.estimates import Estimate
from lrea_cli.stats.latencies import median_interval, percentile, percentile_interval
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import write_json


@dataclass(frozen=True)
class Timed:
    """Of a whole request, in ms; `failure` is what the gate said where there are no times."""

    p50: Estimate = UNKNOWN
    p99: Estimate = UNKNOWN
    failure: str | None = None


@dataclass(frozen=True)
class Times:
    """What was timed.

    Args:
        of: identity of each cache that was read, by the name of the entrant.
        load: None where no gate was passed.
        timed: by the name of the entrant; one without a gate's result is not in it.
    """

    of: dict[str, str]
    candidates: int
    machine: Machine
    load: Load | None
    timed: dict[str, Timed]

    @property
    def busy(self) -> bool:
        """Whether other processes needed the CPU."""
        return self.load is not None and self.load.reason_to_withhold is not None


def times_of(
    entrants: Sequence[Entrant], workspace: Workspace, candidates: int, seconds: float, reporter: Reporter
) -> Times:
    """Those that were kept, unless the machine was busy then; else new ones, with as many threads as torch has.

    Args:
        seconds: for each entrant, the mean; it ends sooner where p99 is backed.
    """
    gates = {each.name: gated for each in entrants if (gated := each.gate.result())}
    ready = [each for each in entrants if each.name in gates and gates[each.name].failure is None]
    of = {each.name: workspace.open(CACHES, each.cache.name).identity for each in ready}
    path = workspace.home / "times.json"
    before = kept(Times, path)
    if before is not None and (before.of, before.candidates) == (of, candidates) and not before.busy:
        return before
    settings = BenchSettings(candidates, seconds, SEED)
    load, timed = _measure(ready, workspace, settings, reporter) if ready else (None, {})
    timed |= {name: Timed(failure=gated.failure) for name, gated in gates.items() if gated.failure}
    times = Times(of, candidates, Machine.of(CPU), load, timed)
    write_json(path, asdict(times))
    return times


def _measure(
    ready: Sequence[Entrant], workspace: Workspace, settings: BenchSettings, reporter: Reporter
) -> tuple[Load | None, dict[str, Timed]]:
    contenders = [_timeable(each, workspace) for each in ready]
    timings = Stand.of(contenders, settings).times(contenders, reporter)
    timed = {each.name: _of(timings.between(call, *MARKS["request"])) for call, each in enumerate(ready)}
    return timings.load, timed


def _timeable(entrant: Entrant, workspace: Workspace) -> Timeable:
    run = open_run(workspace, entrant.runs[0].name, None, CPU)
    one = Timeable(run, entrant.cache.open(run))
    return replace(one, route="full") if entrant.kind == "full" else one


def _of(latencies: np.ndarray) -> Timed:
    """Percentiles and their intervals; one that too few requests back is not known."""
    p50, p99 = percentile(latencies, 50), percentile(latencies, 99)
    listed = latencies.tolist()
    return Timed(
        Estimate(p50, None if p50 is None else median_interval(listed), None),
        Estimate(p99, None if p99 is None else percentile_interval(listed, 99), None),
    )
