"""serve-bench under load: a gate, closed loops, an open loop, the capacity under a limit, and what a miss costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from lrea_cli.bench.gate import Score, run_gate
from lrea_cli.bench.load.capacity import Capacity, find_capacity
from lrea_cli.bench.load.load_bench import LoadBench, LoadSettings
from lrea_cli.bench.load.loops import Server, Trial, Workers
from lrea_cli.bench.load.misses import RecordCost, record_costs, scores_by_state
from lrea_cli.bench.load.pages import PageCache, page_cache
from lrea_cli.bench.load.requests import Requests, read_all, record_sizes, server_of, shards_of
from lrea_cli.bench.load.results import ClosedLoop, OpenLoop, closed_loop
from lrea_cli.bench.load.runtimes import NATIVE, Gate, runtimes
from lrea_cli.bench.load.traffic import EXPONENT, Traffic
from lrea_cli.bench.machine import Machine, Meter, own_cpus, reason_contended
from lrea_cli.bench.routes import visitors_of
from lrea_cli.bench.timing import PERCENT
from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.errors import UserError
from lrea_cli.kernels import KERNELS, KernelName
from lrea_cli.records.cache import Cache
from lrea_cli.records.store import RecordStore
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.scorer import CandidatePool, Served, Visitor
from lrea_cli.stats.latencies import requests_needed

ROUNDS = 5
"""Closed loops of all servers and numbers of threads take turns in so many rounds."""
LONGEST = 10.0
"""A trial of a search lasts until p99 is backed, but at most this many times `--seconds`."""


def load_bench(run: Run, cache: Cache, settings: LoadSettings, kernel: KernelName, reporter: Reporter) -> LoadBench:
    """Gate, then load a run's cache; every request computes on one thread, as many side by side as there are clients.

    Raises:
        GateFailed: before any time is taken.
        UserError: the run is on a GPU, or cold records are asked for where the system does not drop pages.
    """
    if run.device.type != "cpu":
        raise UserError("Load is measured on the CPU only.", "Add --device cpu.")
    served = Served.of(run, cache, open_histories(run.dataset))
    pool = CandidatePool(served.histories, read_samples(run.dataset, "test"), settings.seed)
    visitors, threads = visitors_of(cache, served.histories), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with page_cache(shards_of(cache.store)) as pages:
            return _Bench(served, cache, settings, kernel, reporter)(visitors, pool, pages)
    finally:
        torch.set_num_threads(threads)


class _Bench:
    """One measurement."""

    def __init__(
        self, served: Served, cache: Cache, settings: LoadSettings, kernel: KernelName, reporter: Reporter
    ) -> None:
        self.served, self.cache, self.settings, self.reporter = served, cache, settings, reporter
        self.kernel: KernelName = kernel

    def __call__(self, visitors: Sequence[Visitor], pool: CandidatePool, pages: PageCache) -> LoadBench:
        settings, run, store = self.settings, self.served.run, self.cache.store
        drops = pages.drops()
        _require_cold(settings, drops)
        self.reporter.say("gate: comparing what is served with float64 loops from raw history and checkpoint")
        gate = run_gate(self.served, visitors, pool, (self.kernel,))
        found, native = runtimes(Gate(self.served, visitors, pool), self.kernel, settings.peers, settings.clients)
        traffic = Traffic(settings.users, settings.missing, settings.seed)
        requests = Requests.draw(self.served, visitors, pool, settings.candidates, traffic)
        read_all(requests, store)
        prepare = (lambda _: pages.drop()) if settings.records == "cold" else None
        scores = {r.name: scores_by_state(self.served, KERNELS[self.kernel], requests, r.scoring) for r in found}
        servers = [
            server_of(r.name, requests, (scores[r.name]["warm"], scores[r.name][settings.on_missing]), prepare)
            for r in found
            if r.passed
        ]
        own = next(name for name in (NATIVE, self.kernel) if name in scores)
        meter = Meter(settings.clients)
        with Workers(settings.clients, partial(torch.set_num_threads, 1)) as workers:
            loads = _Loads(workers, settings, traffic, self.reporter)
            closed = loads.closed(servers)
            open_loops = [] if settings.rate is None else [loads.open(server, settings.rate) for server in servers]
            capacity = {} if settings.slo_ms is None else loads.capacities(servers, closed, settings.slo_ms)
        costs = self._states(scores[own], requests, (store, pages if drops else None))
        others = meter.others()
        withheld = reason_contended(others, len(own_cpus()), settings.clients)
        return LoadBench(
            run=run.name,
            cache=self.cache.artifact.name,
            compressor=self.cache.manifest.compression.compressor if self.cache.manifest.compression else None,
            machine=Machine.of(run.device),
            gate=gate,
            kernel=self.kernel,
            under_load=settings,
            exponent=EXPONENT,
            native=native,
            gates={r.name: r.gate for r in found if r.gate is not None},
            record_bytes=float(record_sizes(requests, store).mean()),
            drops_pages=drops,
            others=others,
            withheld=withheld,
            closed=[row if withheld is None else row.without_scaling() for row in closed],
            open=open_loops,
            capacity=capacity,
            states=costs,
        )

    def _states(
        self, states: dict[Any, Score], requests: Requests, stored: tuple[RecordStore, PageCache | None]
    ) -> list[RecordCost]:
        limits = self.settings.seconds, self.settings.seed
        with self.reporter.task("records", PERCENT, "%") as progress, torch.inference_mode():
            return record_costs(states, requests, stored, limits, progress)


@dataclass(frozen=True)
class _Loads:
    """The loops of one measurement."""

    workers: Workers
    settings: LoadSettings
    traffic: Traffic
    reporter: Reporter

    def closed(self, servers: Sequence[Server]) -> list[ClosedLoop]:
        """Each server with 1, 2, 4, .. C threads; all take turns in each round, in an order drawn anew."""
        plan = [(server, clients) for server in servers for clients in client_counts(self.settings.clients)]
        trials: list[list[Trial]] = [[] for _ in plan]
        used = np.zeros(len(plan))
        rng, seconds = np.random.default_rng(self.settings.seed), self.settings.seconds / ROUNDS
        with self.reporter.task("closed loop", ROUNDS * len(plan), "loops") as progress:
            for _ in range(ROUNDS):
                for place in rng.permutation(len(plan)):
                    server, clients = plan[place]
                    wall, cpu = time.perf_counter(), time.process_time()
                    trials[place].append(self.workers.closed(server, seconds, clients))
                    used[place] += (time.process_time() - cpu) / (time.perf_counter() - wall)
                    progress(1)
        alone = {server.name: trials[n] for n, (server, clients) in enumerate(plan) if clients == 1}
        return [
            closed_loop(server.name, clients, trials[n], alone[server.name] if clients > 1 else None, used[n] / ROUNDS)
            for n, (server, clients) in enumerate(plan)
        ]

    def open(self, server: Server, rate: float, seconds: float | None = None, rest: float | None = None) -> OpenLoop:
        """One server at a rate; seconds: None = those of the settings; `rest`: see `Workers.open`."""
        seconds = seconds or self.settings.seconds
        with self.reporter.task(f"open loop of {server.name} at {rate:.4g}/s", 1, "loops") as progress:
            trial = self.workers.open(server, self.traffic.arrivals(rate, seconds), seconds, rest)
            progress(1)
        return OpenLoop.of(server.name, self.workers.count, (rate, seconds), trial)

    def capacities(self, servers: Sequence[Server], closed: Sequence[ClosedLoop], slo_ms: float) -> dict[str, Capacity]:
        """The highest rate of each server that keeps the limit."""

        def trial(server: Server, rate: float) -> OpenLoop:
            wanted = 1.1 * requests_needed(99) / rate  # arrivals are random: some more, so that p99 is backed
            seconds = min(max(self.settings.seconds, wanted), LONGEST * self.settings.seconds)
            return self.open(server, rate, seconds, slo_ms / 1e3)  # what has waited longer cannot keep the limit

        most = {row.server: row.per_second for row in closed if row.clients == self.workers.count}
        return {s.name: find_capacity(partial(trial, s), most[s.name], slo_ms) for s in servers}


def client_counts(clients: int) -> list[int]:
    """1, 2, 4, .. below C, and C."""
    return [*(n for n in (1 << power for power in range(16)) if n < clients), clients]


def _require_cold(settings: LoadSettings, drops: bool) -> None:
    if settings.records == "cold" and not drops:
        raise UserError(
            "--cold: this system does not take files out of memory when asked to (posix_fadvise).",
            "Measure on another file system, or leave --cold out.",
        )
