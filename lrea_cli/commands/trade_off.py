"""`lrea serve-bench --methods`: what each method gives and what it costs, as tables, JSON and a picture."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.commands.options import Session
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.console.show import WHOLE, interval, milliseconds, number, ratio
from lrea_cli.errors import GateFailed
from lrea_cli.workspace.sealed import write_json

if TYPE_CHECKING:
    from lrea_cli.bench.contenders import Contender, Trained
    from lrea_cli.bench.gate import GateResult
    from lrea_cli.bench.machine import Load
    from lrea_cli.bench.routes import BenchSettings
    from lrea_cli.bench.trade_off import Line, TradeOff
    from lrea_cli.recipe.settings import Compression
    from lrea_cli.records.cache import Cache
    from lrea_cli.runs.checkpoint import Run
    from lrea_cli.workspace.home import Workspace

REMEDY = "Stop what else runs here, or leave CPUs to it with --threads N, and run this again."


def trade_off(session: Session, methods: str, dataset: str | None, settings: BenchSettings) -> None:
    """Gate, score and time each recipe of each method on a dataset, show them, keep JSON and picture in `bench/`.

    Args:
        methods: `all`, or names with commas; of a din run also full attention and every compressor.
        dataset: None = that of the latest run of these methods.

    Raises:
        GateFailed: of some; the others have been shown and kept.
    """
    from lrea_cli.bench.contenders import chosen_methods, dataset_of, trained_recipes, training
    from lrea_cli.bench.trade_off import FailedGate
    from lrea_cli.bench.trade_off import trade_off as measure_all

    console, names = session.console, chosen_methods(methods)
    data, others = dataset_of(session.workspace, dataset, names)
    trained = trained_recipes(session.workspace, data, names)
    left_out = counted(others, "run of these methods is", "runs of these methods are") + " of other datasets"
    console.say(f"dataset {data.name}: {left_out if others else 'all runs of these methods are of it'}")
    result = measure_all([c for recipe in trained for c in _contenders(session, recipe)], settings, console)
    missing = [name for name in names if name not in {recipe.method for recipe in trained}]
    commands = ({"method": name, "command": training(name, data.name)} for name in missing)
    path = result_path(session.workspace, data.name)
    result = _write(path, replace(result, without_run=tuple(commands)))
    _show(console, result)
    console.say(f"written to {path}{f' and {result.picture}' if result.picture else ''}")
    kept = dict.fromkeys(line.cache if line.compressor and line.cache else line.run for line in result.rows)
    console.result(result.to_dict(), then=f"lrea compare {' '.join(kept)}" if len(kept) > 1 else "lrea eval")
    failed = {line.name: line.gate for line in result.rows if isinstance(line.gate, FailedGate)}
    if failed:
        messages = "; ".join(f"{name}: {gate.failure}" for name, gate in failed.items())
        raise GateFailed(messages, next(iter(failed.values())).remedy)


def result_path(workspace: Workspace, name: str) -> Path:
    """Where a new result of a run or dataset lies; its name begins with the time of now."""
    return workspace.home / "bench" / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{name}.json"


def _write(path: Path, result: TradeOff) -> TradeOff:
    """Write the picture, if any, then the JSON, or neither; return the result with the picture's name."""
    from lrea_cli.reporting.trade_off import draw

    picture = path.with_suffix(".png")
    if draw(picture, result):
        result = replace(result, picture=picture.name)
    try:
        write_json(path, result.to_dict())
    except BaseException:
        picture.unlink(missing_ok=True)
        raise
    return result


def _contenders(session: Session, trained: Trained) -> list[Contender]:
    """The ways to serve a recipe: timed by its latest run, scored by the runs of all its seeds."""
    from lrea_cli.bench.contenders import Contender, compressions
    from lrea_cli.runs.checkpoint import open_run
    from lrea_cli.score.evaluate import served_scores

    first, *others = (open_run(session.workspace, name, None, session.device) for name in trained.runs)
    contenders = []
    for compression in compressions(trained.method):
        seeds = [served_scores(run, _whole_cache(session, run, compression), session.console) for run in others]
        cache = _whole_cache(session, first, compression)
        contenders.append(Contender(first, cache, difference=trained.difference, other_seeds=tuple(seeds)))
    if trained.method == "din":
        contenders.append(replace(contenders[0], route="full"))
    return contenders


def _whole_cache(session: Session, run: Run, compression: Compression | None) -> Cache:
    """Of all users; made where there is none."""
    from lrea_cli.bench.contenders import find_whole_cache
    from lrea_cli.commands.compress import compress_first
    from lrea_cli.records.cache import open_cache

    name = find_whole_cache(session.workspace, run, compression)
    if name is not None:
        return open_cache(session.workspace, run, name)
    made_by = compression.compressor if compression else run.recipe.model.method
    return compress_first(session, run, f"whole cache by {made_by}", compression)


def _show(console: Console, result: TradeOff) -> None:
    from lrea_cli.bench.gate import GateResult
    from lrea_cli.stats.latencies import shortfalls
    from lrea_cli.stats.methods import GIVEN_MODELS

    console.say(f"machine: {result.machine}")
    for line in result.rows:
        if isinstance(line.gate, GateResult):
            show_skipped(console, f"gate of {line.name}", line.gate)
    shown = f"{counted(result.requests, 'request')} of {counted(result.candidates, 'candidate')}"
    columns = ["method", "AUC", "95% interval", "request\np50 ms", "p99", "full attention\n/ it (95%)"]
    console.table(f"{result.dataset}: AUC as served; {shown}", columns, [_request(line) for line in result.rows])
    if result.load:
        for text in shortfalls(result.requests, (50, 99)):
            console.say(text)
    columns = ["method", "interest\np50 ms", "p99", "record\nbytes", "ms to\nmake", "new behavior\nrows", "FLOPs"]
    title = "the interest alone; the record of a user; one more behavior in it"
    console.table(title, columns, [_record(line) for line in result.rows])
    if result.load:
        show_load(console, result.load)
        if result.withheld and not result.load.reason_to_withhold:
            console.say(f"no ratio to full attention: {result.withheld}")
    if any(len(line.auc_by_seed) > 1 for line in result.rows):
        console.say("AUC: mean of the runs that differ only in their seed; its interval is over seeds and users")
    if any(line.auc_interval == GIVEN_MODELS for line in result.rows):
        console.say(f"the interval of an AUC of one run is {GIVEN_MODELS}: for other users, not for other seeds")
    for missing in result.without_run:
        console.say(f"no run of {missing['method']} yet: {missing['command']}")
    if result.machine.device == "cpu":
        console.say("device: cpu; this says nothing of a GPU")


def _request(line: Line) -> list[str]:
    speedup = line.speedup_vs_full["request"]
    shown = "failed" if not line.gate.passed else "-" if line.method == "full" else ratio(speedup.value, speedup.ci)
    times = _times(line, line.p50_ms, line.p99_ms)
    return [line.name, number(line.auc), interval(line.auc_ci, between="-"), *times, shown]


def _record(line: Line) -> list[str]:
    record = ["-"] * 4
    if line.cache is not None:
        rows = "made anew" if line.rows_changed is None else f"{line.rows_changed:,.1f}"
        flops = number(line.flops_changed, WHOLE, none="")
        record = [number(line.bytes_per_user, WHOLE), number(line.compress_ms_per_user, ".2f"), rows, flops]
    return [line.name, *_times(line, line.interest_p50_ms, line.interest_p99_ms), *record]


def _times(line: Line, *times_ms: float | None) -> list[str]:
    return [milliseconds(time) if line.gate.passed else "failed" for time in times_ms]


def show_gate(console: Console, gate: GateResult) -> None:
    """What was compared, and a warning where that was little."""
    from lrea_cli.bench.gate import GATE_USERS

    made_up = f", {gate.made:,} of them made up, of lengths that no user of the cache has" if gate.made else ""
    users, of_cache = counted(gate.users, "user"), gate.users - gate.made
    console.say(f"gate passed: largest relative error {gate.max_relative_error:.1e} over {users}{made_up}")
    show_skipped(console, "gate", gate)
    if of_cache < GATE_USERS:
        few = counted(of_cache, "user")
        console.warn(f"the gate compared {few} only: the cache has no more; {GATE_USERS} is usual.")


def show_load(console: Console, load: Load) -> None:
    """What this process got of the CPU; and where ratios are withheld for it, why, and what to do."""
    console.say(str(load))
    if reason := load.reason_to_withhold:
        console.warn(f"no ratio is given: {reason}.")
        console.say(f"  {REMEDY}")


def show_skipped(console: Console, name: str, gate: GateResult) -> None:
    """The searches that a gate, of this name, did not compare."""
    if gate.skipped:
        searches = counted(gate.candidates, "search", "searches")
        console.say(f"{name}: {gate.skipped:,} of {searches} are too close to call and were not compared")
