"""What closed and open loops say: a row each, whose keys are those of `--json`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lrea_cli.bench.load.loops import Trial
from lrea_cli.bench.load.overload import Backlog, backlog_of
from lrea_cli.stats.estimates import Interval, t_quantile
from lrea_cli.stats.latencies import percentile, requests_needed

PERCENTS = (99.0, 95.0, 90.0, 50.0)
"""Of which the first that enough requests back is compared with a limit."""


@dataclass(frozen=True)
class Latencies:
    """Of all requests of a row, each from its scheduled time (open loop) or from its sending (closed loop).

    Args:
        p50_ms, p95_ms, p99_ms: None where too few requests back them, or where it is of one that was never served.
        latencies_ms: of each request, in the order of their times; None = never served.
    """

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    latencies_ms: tuple[float | None, ...]

    @classmethod
    def of(cls, trial: Trial) -> Latencies:
        times = trial.latencies_ms
        p50, p95, p99 = (finite(percentile(times, percent)) for percent in (50, 95, 99))
        return cls(p50, p95, p99, tuple(finite(time) for time in times.tolist()))


@dataclass(frozen=True)
class ClosedLoop:
    """C threads, one request in flight each.

    Args:
        server: `gemm`, `onnxruntime`, ..
        per_second: requests a second, all threads together.
        scaling: `per_second` over that of one thread, the mean over rounds; None with one thread, or withheld.
        scaling_ci: its 95% interval.
        cpus: that this process used, the mean; below `clients` where threads waited for one another.
        service_ms: the mean of what a thread works on a request.
    """

    server: str
    clients: int
    requests: int
    per_second: float
    scaling: float | None
    scaling_ci: Interval | None
    cpus: float
    service_ms: float
    latency: Latencies

    def without_scaling(self) -> ClosedLoop:
        """The row where the machine was too busy for a ratio."""
        return replace(self, scaling=None, scaling_ci=None)


@dataclass(frozen=True)
class OpenLoop:
    """Poisson arrivals at a rate; C threads take them from one queue.

    Args:
        rate: offered, requests a second. seconds: in which they arrive.
        requests: that arrived. unserved: of these, given up when the trial ended.
        per_second: served, while threads served.
        percent, percent_ms: the highest percentile that enough requests back, None where none or where it is of one
            that was never served.
        late_p50_ms: of requests that a free thread waited for, how late it began: the load generator's own error.
        backlog: whether it grows.
    """

    server: str
    clients: int
    rate: float
    seconds: float
    requests: int
    unserved: int
    per_second: float
    percent: float | None
    percent_ms: float | None
    late_p50_ms: float | None
    service_ms: float
    backlog: Backlog
    overloaded: bool
    latency: Latencies

    @classmethod
    def of(cls, server: str, clients: int, offered: tuple[float, float], trial: Trial) -> OpenLoop:
        """The row of a trial; `offered`: its rate and seconds."""
        rate, seconds = offered
        requests, late, backlog = len(trial.scheduled), trial.late_ms, backlog_of(trial, seconds)
        percent = next((p for p in PERCENTS if requests >= requests_needed(p)), None)
        return cls(
            server=server,
            clients=clients,
            rate=rate,
            seconds=seconds,
            requests=requests,
            unserved=int((~trial.served).sum()),
            per_second=trial.per_second,
            percent=percent,
            percent_ms=None if percent is None else finite(percentile(trial.latencies_ms, percent)),
            late_p50_ms=float(np.median(late)) if len(late) else None,
            service_ms=mean(trial.service_ms),
            backlog=backlog,
            overloaded=backlog.overloaded,
            latency=Latencies.of(trial),
        )

    def keeps(self, slo_ms: float) -> bool:
        """The percentile is at most the limit, and the backlog does not grow."""
        return self.percent_ms is not None and self.percent_ms <= slo_ms and not self.overloaded


def closed_loop(
    server: str, clients: int, trials: Sequence[Trial], alone: Sequence[Trial] | None, cpus: float
) -> ClosedLoop:
    """The row of some rounds.

    Args:
        alone: the same rounds with one thread; None = no scaling is told.
        cpus: that the process used.
    """
    rates = np.array([trial.per_second for trial in trials])
    value, ci = (None, None) if alone is None else scaling(rates, np.array([t.per_second for t in alone]))
    together = Trial(*(np.concatenate([vars(t)[name] for t in trials]) for name in Trial.__dataclass_fields__))
    return ClosedLoop(
        server=server,
        clients=clients,
        requests=len(together.done),
        per_second=float(rates.mean()),
        scaling=value,
        scaling_ci=ci,
        cpus=cpus,
        service_ms=mean(together.service_ms),
        latency=Latencies.of(together),
    )


def scaling(rates: np.ndarray, alone: np.ndarray) -> tuple[float, Interval | None]:
    """exp of the mean log ratio over rounds, with Student's 95% interval; None with fewer than two rounds.

    Args:
        rates, alone: (rounds,) requests a second, one after the other in each round.
    """
    logs = np.log(rates / alone)
    middle = float(logs.mean())
    if len(logs) < 2:
        return math.exp(middle), None
    half = t_quantile(len(logs) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
    return math.exp(middle), (math.exp(middle - half), math.exp(middle + half))


def mean(values: np.ndarray) -> float:
    """0 where there is none."""
    return float(values.mean()) if len(values) else 0.0


def finite(value: float | None) -> float | None:
    """None for what was never served."""
    return None if value is None or math.isinf(value) else value
