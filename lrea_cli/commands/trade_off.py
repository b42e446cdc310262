"""`lrea serve-bench --methods`: what each method gives and what it costs, as tables, JSON and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrea_cli.commands.options import Session
from lrea_cli.commands.times import machine, machine_line, show_load
from lrea_cli.console.counts import counted
from lrea_cli.console.show import number, ratio, span, whole
from lrea_cli.errors import GateFailed
from lrea_cli.workspace.sealed import write_json

if TYPE_CHECKING:
    from lrea_cli.bench.contenders import Contender, Trained
    from lrea_cli.bench.routes import Stage
    from lrea_cli.bench.trade_off import Line, TradeOff
    from lrea_cli.recipe.settings import Compression
    from lrea_cli.records.cache import Cache
    from lrea_cli.runs.checkpoint import Run
    from lrea_cli.stats.percentiles import Percentile

SHOWN = (50, 99)
"""Percentiles of the tables."""


def trade_off(session: Session, methods: str, dataset: str | None, candidates: int, seconds: float, seed: int) -> None:
    """Gate, score and time each recipe of each method on a dataset, show them, keep JSON and picture in `bench/`.

    Args:
        methods: `all`, or names with commas; of a din run also full attention and every compressor.
        dataset: None = that of the latest run of these methods.

    Raises:
        UserError: no such method, dataset or run.
        GateFailed: of some; the others have been shown and kept.
    """
    from lrea_cli.bench.contenders import chosen_methods, dataset_of, trained_recipes
    from lrea_cli.bench.routes import BenchSettings
    from lrea_cli.bench.trade_off import trade_off as measure_all

    names = chosen_methods(methods)
    data, others = dataset_of(session.workspace, dataset, names)
    trained = trained_recipes(session.workspace, data, names)
    session.console.say(f"dataset {data.name}: {_of_others(others)}")
    contenders = [c for recipe in trained for c in _contenders(session, recipe)]
    result = measure_all(contenders, BenchSettings(candidates, seconds, seed), session.console)
    without_run = [name for name in names if name not in {recipe.method for recipe in trained}]
    content = _content(session, result, data.name, candidates, without_run)
    stem = session.workspace.home / "bench" / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{data.name}"
    content = _write(stem, content, result)
    _show(session, result, content)
    drawn = f" and {content['picture']}" if content["picture"] else ""
    session.console.say(f"written to {stem.with_name(f'{stem.name}.json')}{drawn}")
    kept = dict.fromkeys(line.contender.scores.name for line in result.lines)
    session.console.result(content, then=f"lrea compare {' '.join(kept)}" if len(kept) > 1 else "lrea eval")
    _require_gates(result.lines)


def _content(
    session: Session, result: TradeOff, dataset: str, candidates: int, without_run: Sequence[str]
) -> dict[str, Any]:
    """What `--json` prints; `picture` is filled in where one is drawn."""
    from lrea_cli.bench.contenders import training

    return {
        "dataset": dataset,
        "machine": machine(session),
        "candidates": candidates,
        "rows": [line.to_dict() for line in result.lines],
        "load": vars(result.load) if result.load else None,
        "withheld": result.withheld,
        "picture": None,
        "without_run": [{"method": name, "command": training(name, dataset)} for name in without_run],
    }


def _write(stem: Path, content: dict[str, Any], result: TradeOff) -> dict[str, Any]:
    """The picture, then the JSON; no picture is left where the JSON cannot be written.

    Returns:
        the content with the name of the picture; None = there was nothing to draw.
    """
    picture = stem.with_name(f"{stem.name}.png")
    busy = result.load is not None and result.load.reason_to_withhold is not None
    taken_on = machine_line(content["machine"]) + ("; others needed the CPU: do not compare times" if busy else "")
    title = f"{content['dataset']}, {counted(content['candidates'], 'candidate')} a request"
    drawn = _draw(picture, result.lines, title, taken_on)
    content = {**content, "picture": picture.name if drawn else None}
    try:
        write_json(stem.with_name(f"{stem.name}.json"), content)
    except BaseException:
        picture.unlink(missing_ok=True)
        raise
    return content


def _of_others(runs: int) -> str:
    if not runs:
        return "all runs of these methods are of it"
    return f"{counted(runs, 'run of these methods is', 'runs of these methods are')} of other datasets"


def _contenders(session: Session, trained: Trained) -> list[Contender]:
    """The ways to serve a recipe: timed by its latest run, scored by the runs of all its seeds."""
    from lrea_cli.bench.contenders import Contender, compressions
    from lrea_cli.bench.trade_off import scores_through
    from lrea_cli.runs.checkpoint import open_run

    first, *others = (open_run(session.workspace, name, None, session.device) for name in trained.runs)
    contenders = []
    for compression in compressions(trained.method):
        seeds = [scores_through(run, _whole_cache(session, run, compression), session.console) for run in others]
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


def _draw(path: Path, lines: Sequence[Line], title: str, machine: str) -> bool:
    """Whether there is anything to draw."""
    from lrea_cli.reporting.trade_off import Mark, draw

    marks, seeds = [], []
    for line in lines:
        c, p50 = line.contender, _percentile(line, "request", 50)
        if p50 is None or p50.value is None or line.auc.value is None:
            continue
        kind = "full" if c.route == "full" else "compressor" if c.cache.manifest.compression else "method"
        size = None if c.route == "full" else c.cache.manifest.bytes_per_user
        marks.append(Mark(c.name, kind, p50.value, line.auc.value, line.auc.ci, size))
        seeds.append(len(line.auc_by_seed))
    if marks:
        draw(path, marks, title, machine, seeds)
    return bool(marks)


def _show(session: Session, result: TradeOff, content: Mapping[str, Any]) -> None:
    from lrea_cli.stats.percentiles import shortfalls

    console, lines = session.console, result.lines
    console.say(f"machine: {machine_line(content['machine'])}")
    for line in lines:
        gate = line.gate
        if not isinstance(gate, GateFailed) and gate.skipped:
            counts = f"{gate.skipped:,} of {counted(gate.candidates, 'search', 'searches')}"
            console.say(f"gate of {line.contender.name}: {counts} too close to call, not compared")
    requests = max((row.requests for line in lines if line.timed for row in line.timed.rows.values()), default=0)
    shown = f"{counted(requests, 'request')} of {counted(content['candidates'], 'candidate')}"
    title = f"{content['dataset']}: AUC as served; {shown}"
    columns = ["method", "AUC", "95% interval", "request\np50 ms", "p99", "full attention\n/ it (95%)"]
    console.table(title, columns, [_request(line) for line in lines])
    timed = [row for line in lines if line.timed for row in line.timed.rows.values()]
    for text in shortfalls([[p for p in row.percentiles if p.percent in SHOWN] for row in timed]):
        console.say(text)
    columns = ["method", "interest\np50 ms", "p99", "record\nbytes", "ms to\nmake", "new behavior\nrows", "FLOPs"]
    console.table(
        "the interest alone; the record of a user; one more behavior in it", columns, [_record(x) for x in lines]
    )
    if result.load:
        show_load(console, result.load)
        if result.withheld and not result.load.reason_to_withhold:
            console.say(f"no ratio to full attention: {result.withheld}")
    if any(len(line.auc_by_seed) > 1 for line in lines):
        console.say("AUC: mean over the runs that differ only in their seed; its interval covers users and seeds")
    for missing in content["without_run"]:
        console.say(f"no run of {missing['method']} yet: {missing['command']}")
    if session.device.type != "cuda":
        console.say("device: cpu; this says nothing of a GPU")


def _request(line: Line) -> list[str]:
    times = [_time(line, "request", percent) for percent in SHOWN]
    full = line.contender.route == "full"
    shown = "failed" if line.timed is None else "-"
    if line.timed is not None and not full:
        shown = ratio(line.timed.speedup["request"].value, line.timed.speedup["request"].ci)
    return [line.contender.name, number(line.auc.value), span(line.auc.ci), *times, shown]


def _record(line: Line) -> list[str]:
    cache, behavior = line.contender.cache.manifest, line.behavior
    times = [_time(line, "interest", percent) for percent in SHOWN]
    if line.contender.route == "full":
        return [line.contender.name, *times, "-", "-", "-", "-"]
    return [
        line.contender.name,
        *times,
        whole(cache.bytes_per_user),
        number(cache.ms_per_user, 2),
        "made anew" if behavior is None else whole(behavior.rows, 1),
        "" if behavior is None else whole(behavior.flops),
    ]


def _time(line: Line, stage: Stage, percent: float) -> str:
    time = _percentile(line, stage, percent)
    if time is None:
        return "failed"
    return "n/a" if time.value is None else str(time)


def _percentile(line: Line, stage: Stage, percent: float) -> Percentile | None:
    if line.timed is None:
        return None
    return next(p for p in line.timed.rows[stage].percentiles if p.percent == percent)


def _require_gates(lines: Sequence[Line]) -> None:
    """Raises `GateFailed` with every failure, its contender named."""
    failed = {line.contender.name: line.gate for line in lines if isinstance(line.gate, GateFailed)}
    if failed:
        messages = "; ".join(f"{name}: {gate}" for name, gate in failed.items())
        raise GateFailed(messages, next(iter(failed.values())).remedy)
