"""The tables of `lrea serve-bench` under load, and the sentences under them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lrea_cli.commands.trade_off import show_gate
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.console.show import WHOLE, interval, milliseconds, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lrea_cli.bench.load.capacity import Capacity
    from lrea_cli.bench.load.choices import PeerName
    from lrea_cli.bench.load.load_bench import LoadBench
    from lrea_cli.bench.load.misses import RecordCost
    from lrea_cli.bench.load.results import ClosedLoop, Latencies, OpenLoop
    from lrea_cli.bench.peers import PeerGate

STATES = {"warm": "in memory", "cold": "on disk", "empty": "none: empty", "summarize": "none: made"}


def show_load_bench(console: Console, bench: LoadBench) -> None:
    """All tables of a measurement under load."""
    settings = bench.under_load
    clients = counted(settings.clients, "client")
    console.say(f"machine: {bench.machine.cpu}, {bench.machine.device}; each request on one thread, up to {clients}")
    show_gate(console, bench.gate)
    show_peer_gates(console, bench.gates)
    console.say(f"native request: {bench.native}")
    users = f"Zipf, exponent {bench.exponent:g}" if settings.users == "zipf" else "uniform"
    missing = f"; a share of {settings.missing:.3g} without a record" if settings.missing else ""
    console.say(
        f"requests: {counted(settings.candidates, 'candidate')} each; users drawn {users}{missing}; records "
        f"{settings.records}; a request reads {bench.record_bytes:,.0f} bytes of the store (mean)"
    )
    _show_closed(console, bench.closed)
    if bench.withheld:
        console.warn(f"no scaling is given: {bench.withheld}.")
        console.say("  Stop what else runs here, or leave CPUs to it with fewer --clients, and run this again.")
    if bench.open:
        _show_open(console, bench.open)
    for server, capacity in bench.capacity.items():
        _show_capacity(console, server, capacity)
    _show_states(console, bench)


def show_peer_gates(console: Console, gates: Mapping[str, PeerGate] | Mapping[PeerName, PeerGate]) -> None:
    """What was compared of other runtimes; and which have no times, and why."""
    from lrea_cli.bench.compared import TOLERANCE

    for name, gate in gates.items():
        if gate.passed:
            console.say(f"gate of {name} passed: largest relative error of a logit {gate.max_relative_error:.1e}")
        else:
            console.warn(
                f"{name} is not timed: relative error {gate.max_relative_error:.2g} (limit {TOLERANCE:.0e}) in "
                f"{gate.where}."
            )


def _show_closed(console: Console, rows: Sequence[ClosedLoop]) -> None:
    columns = ["server", "clients", "requests/s", "/ 1 client", "CPUs", "p50 ms", "p95", "p99"]
    cells = [
        [
            row.server,
            str(row.clients),
            f"{row.per_second:.4g}",
            "" if row.scaling is None else f"{row.scaling:.2f} ({interval(row.scaling_ci, '.2f', '-')})",
            f"{row.cpus:.2f}",
            *_percentiles(row.latency),
        ]
        for row in rows
    ]
    console.table("closed loop: each client sends its next request when it has the last one's logits", columns, cells)
    for text in _shortfalls([row.requests for row in rows]):
        console.say(text)


def _show_open(console: Console, rows: Sequence[OpenLoop]) -> None:
    columns = ["server", "rate/s", "requests", "p50 ms", "p95", "p99", "backlog +/s (95%)"]
    cells = [
        [
            row.server,
            f"{row.rate:.4g}",
            str(row.requests),
            *_percentiles(row.latency),
            f"{row.backlog.growth:.2f} ({interval(row.backlog.ci, '.2f')})",
        ]
        for row in rows
    ]
    clients, seconds = counted(rows[0].clients, "thread"), rows[0].seconds
    console.table(
        f"open loop: Poisson arrivals for {seconds:.4g} s, {clients}; latency from the scheduled arrival",
        columns,
        cells,
    )
    for row in rows:
        console.say(verdict(row))
        if row.unserved:
            console.say(f"{row.server}: {counted(row.unserved, 'request')} given up when the measurement ended")
    for text in _shortfalls([row.requests for row in rows]):
        console.say(text)
    late = [row.late_p50_ms for row in rows if row.late_p50_ms is not None]
    if late:
        console.say(f"the load generator's own error: a free thread begins {max(late):.2f} ms late (median)")


def verdict(row: OpenLoop) -> str:
    """A sentence: whether the server keeps up."""
    if row.overloaded:
        return (
            f"{row.server} is overloaded at {row.rate:.4g} requests a second: its backlog grows by "
            f"{row.backlog.growth:.3g} a second (95%: {interval(row.backlog.ci, '.3g')}), so latencies say how long "
            "the measurement was"
        )
    return f"{row.server} keeps up: its backlog does not grow (mean {row.backlog.mean:.1f}, most {row.backlog.most})"


def _show_capacity(console: Console, server: str, capacity: Capacity) -> None:
    cells = [
        [
            f"{row.rate:.4g}",
            str(row.requests),
            "n/a" if row.percent is None else f"p{row.percent:g} {milliseconds(row.percent_ms)}",
            f"{row.backlog.growth:.2f} ({interval(row.backlog.ci, '.2f')})",
            "yes" if row.keeps(capacity.slo_ms) else "overloaded" if row.overloaded else "no",
        ]
        for row in capacity.trials
    ]
    columns = ["rate/s", "requests", "ms", "backlog +/s (95%)", "keeps"]
    console.table(f"{server}: trials for p99 of at most {capacity.slo_ms:g} ms", columns, cells)
    console.say(capacity_sentence(server, capacity))


def capacity_sentence(server: str, capacity: Capacity) -> str:
    """What the search found."""
    limit = f"{'p99' if capacity.percent is None else f'p{capacity.percent:g}'} within {capacity.slo_ms:g} ms"
    if capacity.rate is None:
        return f"{server}: no rate down to {number(capacity.failed, '.4g')} requests a second keeps {limit}"
    failed = f"; {capacity.failed:.4g} do not" if capacity.failed else ""
    return f"{server}: {capacity.rate:.4g} requests a second keep {limit}{failed}"


def _show_states(console: Console, bench: LoadBench) -> None:
    columns = ["record", "p50 ms", "p95", "p99", "bytes read", "from disk", "logits off"]
    cells = [_state(row) for row in bench.states]
    requests = counted(bench.states[0].requests, "request")
    how = "natively" if "native" in bench.gates else f"by {bench.kernel}"
    console.table(f"what a miss costs: one at a time, {how}, {requests} each, the same ones", columns, cells)
    for text in _shortfalls([row.requests for row in bench.states]):
        console.say(text)
    console.say(
        "record: on disk = taken out of memory before the request; none = the user has no record: it is scored with an "
        "empty one, or the record is made from the history within the request"
    )
    console.say(
        "logits off: rms / largest difference to the logits from the user's own record, over their standard deviation"
    )
    if not bench.drops_pages:
        console.say("no row of records on disk: this system does not take files out of memory when asked to")


def _state(row: RecordCost) -> list[str]:
    off = "-" if row.how in ("warm", "cold") else f"{row.logit_rms:.2g} / {row.logit_max:.2g}"
    times = map(milliseconds, (row.p50_ms, row.p95_ms, row.p99_ms))
    return [STATES[row.how], *times, f"{row.record_bytes:,.0f}", number(row.disk_bytes, WHOLE), off]


def _percentiles(latency: Latencies) -> list[str]:
    return [milliseconds(time) for time in (latency.p50_ms, latency.p95_ms, latency.p99_ms)]


def _shortfalls(requests: Sequence[int]) -> list[str]:
    """What the row with the fewest requests lacks."""
    from lrea_cli.stats.latencies import shortfalls

    return shortfalls(min(requests), (50, 95, 99))
