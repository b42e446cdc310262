"""What is asked of a measurement under load, and all that it says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lrea_cli.bench.gate import GateResult
from lrea_cli.bench.load.capacity import Capacity
from lrea_cli.bench.load.choices import OnMissing, PeerName, RecordState, UserDraw
from lrea_cli.bench.load.misses import RecordCost
from lrea_cli.bench.load.results import ClosedLoop, OpenLoop
from lrea_cli.bench.machine import Machine
from lrea_cli.bench.peers import PeerGate
from lrea_cli.kernels import KernelName
from lrea_cli.workspace.sealed import as_json


@dataclass(frozen=True)
class LoadSettings:
    """What is asked of a measurement under load.

    Args:
        candidates: N of a request. seconds: of each row. seed: of all draws.
        clients: C, the threads.
        rate: of an open loop, requests a second; None = none is run.
        slo_ms: limit of the latency for which the capacity is searched; None = no search.
        users, missing: see `Traffic`. on_missing: see `ON_MISSING`.
        records: `cold`: the pages of all records are dropped before each request.
        peers: other runtimes to load in the same way.
    """

    candidates: int
    seconds: float
    seed: int
    clients: int
    rate: float | None = None
    slo_ms: float | None = None
    users: UserDraw = "zipf"
    missing: float = 0.0
    on_missing: OnMissing = "empty"
    records: RecordState = "warm"
    peers: tuple[PeerName, ...] = ()


@dataclass(frozen=True)
class LoadBench:
    """One serve-bench under load: its keys are those of `--json`.

    Args:
        under_load: the settings. exponent: of Zipf's law.
        kernel: of lrea's request in torch. native: the path of lrea's native request, or why it is not there.
        gates: of the native request and of each peer; a peer whose gate failed has no times.
        record_bytes: read from the store in a request, the mean over the traffic.
        drops_pages: whether this system takes files out of the page cache when asked to.
        others: CPUs that other processes kept busy, the mean; None where the system does not say.
        withheld: why no scaling is given; None where it is.
        closed, open: a row each. capacity: of each server, by name.
        states: of lrea's request, natively where it is there.
        picture: name of its file, beside the JSON.
    """

    run: str
    cache: str
    compressor: str | None
    machine: Machine
    gate: GateResult
    kernel: KernelName
    under_load: LoadSettings
    exponent: float
    native: str
    gates: dict[str, PeerGate]
    record_bytes: float
    drops_pages: bool
    others: float | None
    withheld: str | None
    closed: list[ClosedLoop]
    open: list[OpenLoop]
    capacity: dict[str, Capacity]
    states: list[RecordCost]
    picture: str | None = None

    def to_dict(self, latencies: bool = False) -> dict[str, Any]:
        """What `--json` prints; with `latencies`, each to the microsecond, what the file in `bench/` has."""
        content = as_json(asdict(self))
        searched = [row for found in content["capacity"].values() for row in found["trials"]]
        for row in (*content["closed"], *content["open"], *searched):
            times = row["latency"].pop("latencies_ms")
            if latencies:
                row["latency"]["latencies_ms"] = [None if ms is None else round(ms, 3) for ms in times]
        return content
