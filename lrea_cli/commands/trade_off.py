"""`lrea serve-bench --methods`: what each method gives and what it costs, as tables, JSON and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrea_cli.commands.options import Session
from lrea_cli.console import number
from lrea_cli.errors import GateFailed

if TYPE_CHECKING:
    from lrea_cli.serving.bench import Row
    from lrea_cli.serving.contenders import Contender
    from lrea_cli.serving.percentiles import Percentile
    from lrea_cli.serving.trade_off import Line

SHOWN = (50, 99)
"""Percentiles of the table."""


def trade_off(
    session: Session,
    methods: str,
    dataset: str | None,
    candidates: int,
    seconds: float,
    seed: int,
    machine: Mapping[str, Any],
) -> None:
    """Gate, score and time each method's latest run on a dataset, show them, keep JSON and picture in `bench/`.

    Args:
        methods: `all`, or names with commas; of a din run also full attention and every compressor.

    Raises:
        UserError: no such method, dataset or run.
        GateFailed: of some; the others have been shown and kept.
    """
    from lrea_cli.serving.contenders import chosen_methods, latest_runs, training
    from lrea_cli.serving.trade_off import trade_off as measure_all
    from lrea_cli.workspace import write_json

    names = chosen_methods(methods)
    data = session.workspace.open("data", dataset)
    runs = latest_runs(session.workspace, data, names)
    contenders = [c for run in runs.values() for c in _contenders(session, run)]
    lines = measure_all(contenders, candidates, seconds, seed, session.device, session.console)
    stem = session.workspace.home / "bench" / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{data.name}"
    picture = stem.with_name(f"{stem.name}.png")
    drawn = _draw(picture, lines, data.name, candidates, machine)
    missing = [{"method": m, "command": training(m, data.name)} for m in names if m not in runs]
    content = {
        "dataset": data.name,
        "machine": dict(machine),
        "candidates": candidates,
        "rows": [line.to_dict() for line in lines],
        "picture": picture.name if drawn else None,
        "without_run": missing,
    }
    file = stem.with_name(f"{stem.name}.json")
    try:
        write_json(file, content)
    except BaseException:
        picture.unlink(missing_ok=True)
        raise
    _show(session, lines, content)
    session.console.say(f"written to {file}" + (f" and {picture.name}" if drawn else ""))
    kept = dict.fromkeys(line.contender.scores.name for line in lines)
    session.console.result(content, then=f"lrea compare {' '.join(kept)}" if len(kept) > 1 else "lrea eval")
    _require_gates(lines)


def _contenders(session: Session, name: str) -> list[Contender]:
    """The ways to serve a run; a cache that is missing is made."""
    from lrea_cli.commands.compress import compress_run
    from lrea_cli.serving.cache import open_cache
    from lrea_cli.serving.contenders import Contender, compressions, find_whole_cache
    from lrea_cli.training.checkpoint import open_run

    run = open_run(session.workspace, name, None, session.device)
    found = []
    for compression in compressions(run.recipe.model.method):
        cache = find_whole_cache(session.workspace, run, compression)
        if cache is None:
            made_by = compression.compressor if compression else run.recipe.model.method
            session.console.say(f"run {name} has no whole cache by {made_by} yet: making one first (lrea compress)")
            cache = compress_run(session, run, "float32", None, None, None, compression).cache
        found.append(Contender(run, open_cache(session.workspace, run, cache)))
    if run.recipe.model.method == "din":
        found.append(Contender(run, found[0].cache, "full"))
    return found


def _draw(path: Path, lines: Sequence[Line], dataset: str, candidates: int, machine: Mapping[str, Any]) -> bool:
    """Whether there is anything to draw."""
    from lrea_cli.reporting.trade_off import Mark, draw

    marks = []
    for line in lines:
        c, p50 = line.contender, _percentile(line.request, 50)
        if p50 is None or p50.value is None or line.auc.value is None:
            continue
        kind = "full" if c.route == "full" else "compressor" if c.cache.compression else "method"
        size = None if c.route == "full" else c.cache.bytes_per_user
        marks.append(Mark(c.name, kind, p50.value, line.auc.value, line.auc.ci, size))
    if marks:
        draw(path, marks, f"{dataset}, {candidates:,} candidates a request", machine_line(machine))
    return bool(marks)


def _show(session: Session, lines: Sequence[Line], content: Mapping[str, Any]) -> None:
    from lrea_cli.serving.percentiles import shortfalls

    console = session.console
    console.say(f"machine: {machine_line(content['machine'])}")
    for line in lines:
        gate = line.gate
        if not isinstance(gate, GateFailed) and gate.skipped:
            counts = f"{gate.skipped} of {gate.candidates} searches"
            console.say(f"gate of {line.contender.name}: {counts} too close to call, not compared")
    title = f"{content['dataset']}: AUC as served, and one request of {content['candidates']:,} candidates"
    columns = ["method", "AUC", "95% interval", "interest\np50 ms", "p99", "request\np50 ms", "p99"]
    console.table(title, columns, [_request(line) for line in lines])
    timed = [stage for line in lines for stage in (line.interest, line.request) if stage]
    for text in shortfalls([[p for p in stage.percentiles if p.percent in SHOWN] for stage in timed]):
        console.say(text)
    columns = ["method", "record\nbytes", "ms to\nmake", "new behavior\nrows", "FLOPs"]
    console.table("a user's record, and one more behavior in it", columns, [_record(line) for line in lines])
    for missing in content["without_run"]:
        console.say(f"no run of {missing['method']} yet: {missing['command']}")
    if session.device.type != "cuda":
        console.say("device: cpu; this says nothing of a GPU")


def _request(line: Line) -> list[str]:
    ci = "n/a" if line.auc.ci is None else "{:.4f}-{:.4f}".format(*line.auc.ci)
    times = [_time(stage, percent) for stage in (line.interest, line.request) for percent in SHOWN]
    return [line.contender.name, number(line.auc.value), ci, *times]


def _record(line: Line) -> list[str]:
    cache, behavior = line.contender.cache, line.behavior
    if line.contender.route == "full":
        return [line.contender.name, "-", "-", "-", "-"]
    return [
        line.contender.name,
        f"{cache.bytes_per_user:,.0f}",
        f"{cache.ms_per_user:.2f}",
        "made anew" if behavior is None else f"{behavior.rows:,.1f}",
        "" if behavior is None else f"{behavior.flops:,.0f}",
    ]


def _time(stage: Row | None, percent: float) -> str:
    found = _percentile(stage, percent)
    if found is None:
        return "failed"
    return "n/a" if found.value is None else str(found)


def _percentile(stage: Row | None, percent: float) -> Percentile | None:
    return next((p for p in stage.percentiles if p.percent == percent), None) if stage else None


def machine_line(machine: Mapping[str, Any]) -> str:
    """What times were taken on."""
    return f"{machine['cpu']}, {machine['threads']} threads, {machine['device']}"


def _require_gates(lines: Sequence[Line]) -> None:
    """Raises `GateFailed` with every failure, its contender named."""
    failed = {line.contender.name: line.gate for line in lines if isinstance(line.gate, GateFailed)}
    if failed:
        messages = "; ".join(f"{name}: {gate}" for name, gate in failed.items())
        raise GateFailed(messages, next(iter(failed.values())).remedy)
