"""`lrea serve-bench` under load: its options, its tables, its JSON and its picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrea_cli.bench.load.choices import PEERS, OnMissing, PeerName, UserDraw
from lrea_cli.commands.load_tables import show_load_bench
from lrea_cli.commands.options import Session, as_threads, within
from lrea_cli.commands.trade_off import result_path
from lrea_cli.errors import UserError, check_choice
from lrea_cli.workspace.sealed import write_json

if TYPE_CHECKING:
    from lrea_cli.bench.load.load_bench import LoadBench, LoadSettings
    from lrea_cli.bench.routes import BenchSettings
    from lrea_cli.kernels import KernelName
    from lrea_cli.records.cache import Cache
    from lrea_cli.runs.checkpoint import Run

PANEL = "Under load, on a CPU: each request on one thread, several side by side"
HIGHEST_RATE, LONGEST_MS = 1e6, 1e6


def chosen_peers(text: str | None) -> tuple[PeerName, ...]:
    """Names with commas, each once; a UserError for a name that no runtime has."""
    names = [] if text is None else [part.strip() for part in text.split(",")]
    for name in names:
        check_choice("peer", name, PEERS)
    return tuple(name for name in PEERS if name in names)


def _under_load(help: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=PANEL, **settings)


@dataclass(frozen=True)
class LoadOptions:
    """The options of `lrea serve-bench` for load."""

    clients: Annotated[
        int | None,
        _under_load(
            "Send requests from 1, 2, 4, .. and so many threads at once, one in flight each; default under load: all "
            "CPUs.",
            callback=as_threads,
        ),
    ] = None
    rate: Annotated[
        float | None,
        _under_load(
            "Let so many requests a second arrive at random times (Poisson), whether or not the earlier ones are done.",
            callback=within(1e-3, HIGHEST_RATE),
        ),
    ] = None
    slo_ms: Annotated[
        float | None,
        _under_load(
            "Search the highest rate whose p99 stays at or below this many milliseconds.",
            callback=within(1e-3, LONGEST_MS),
        ),
    ] = None
    users: Annotated[
        UserDraw, _under_load("Whose requests: zipf: the user of rank r in proportion to 1 / r; uniform: all alike.")
    ] = "zipf"
    cold: Annotated[
        bool, _under_load("Take records out of memory before each request, so that it reads the disk.", "--cold")
    ] = False
    without_record: Annotated[
        float, _under_load("Share of the requests whose user has no record, from 0 to 1.", callback=within(0, 1))
    ] = 0.0
    on_missing: Annotated[
        OnMissing,
        _under_load("Without a record: score with an empty one, or summarize the user's history in the request."),
    ] = "empty"

    @property
    def is_load(self) -> bool:
        """Whether load is asked for."""
        return any(value is not None for value in (self.clients, self.rate, self.slo_ms))

    def require_used(self) -> None:
        """Refuse options that only count under load where none is asked for."""
        given = {name: getattr(self, name) for name in ("users", "cold", "without_record", "on_missing")}
        idle = [name for name, value in given.items() if value != getattr(LoadOptions, name)]
        if idle and not self.is_load:
            raise UserError(
                f"--{idle[0].replace('_', '-')} counts only under load.", "Add --clients, --rate or --slo-ms."
            )

    def settings(self, bench: BenchSettings, peers: tuple[PeerName, ...]) -> LoadSettings:
        """What is measured."""
        from lrea_cli.bench.load.load_bench import LoadSettings
        from lrea_cli.bench.machine import own_cpus

        return LoadSettings(
            bench.candidates,
            bench.seconds,
            bench.seed,
            self.clients or len(own_cpus()),
            self.rate,
            self.slo_ms,
            self.users,
            self.without_record,
            self.on_missing,
            "cold" if self.cold else "warm",
            peers,
        )


def bench_under_load(
    session: Session, run: Run, records: Cache, settings: LoadSettings, kernel: KernelName
) -> LoadBench:
    """Gate and load a run's cache, show the tables, keep JSON and picture in `bench/`."""
    from lrea_cli.bench.load.measure import load_bench
    from lrea_cli.reporting.load import draw

    console = session.console
    bench = load_bench(run, records, settings, kernel, console)
    path = result_path(session.workspace, run.name)
    picture = path.with_suffix(".png")
    if draw(picture, bench):
        bench = replace(bench, picture=picture.name)
    write_json(path, bench.to_dict(latencies=True))
    show_load_bench(console, bench)
    console.say(f"written to {path}{f' and {bench.picture}' if bench.picture else ''}")
    return bench
