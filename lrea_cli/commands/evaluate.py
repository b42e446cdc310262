"""`lrea eval`: a split as trained and as served, with intervals, calibration, slices and trivial baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lrea_cli.commands.next_steps import after_evaluate
from lrea_cli.commands.options import Device, Json, RunDataset, RunName, Threads, command, existing, start
from lrea_cli.console.counts import counted
from lrea_cli.console.show import CHANGE, interval, number, unclear
from lrea_cli.recipe.settings import CacheDtype
from lrea_cli.records.manifest import CACHES

if TYPE_CHECKING:
    from lrea_cli.console.output import Console
    from lrea_cli.score.cached import CacheAge
    from lrea_cli.score.evaluate import Evaluation


@dataclass(frozen=True)
class EvaluateOptions:
    """Options of `lrea eval`."""

    split: Annotated[Literal["train", "valid", "test"], typer.Option(help="Which samples to score.")] = "test"
    group: Annotated[Literal["user", "request"], typer.Option(help="GAUC: the mean AUC over users, or requests.")] = (
        "user"
    )
    cache: Annotated[
        str | None,
        existing(CACHES, "Which cache to read the compressor, rank and dtype from; default: the run's own method."),
    ] = None
    cache_age: Annotated[
        str | None,
        typer.Option(help="Also score with records made this long before each request, such as 0,90m,1d,3d."),
    ] = None
    dtype: Annotated[
        CacheDtype | None,
        typer.Option(help="Number format of the records; default: the cache's, else float32."),
    ] = None
    dataset: RunDataset = None
    run: RunName = None
    threads: Threads = None
    device: Device = "auto"
    json: Json = False


@command
def evaluate(options: EvaluateOptions) -> None:
    """Score a split as trained and as it would be served.

    Example: lrea eval --cache-age 0,1d,3d

    The scores are kept for `lrea compare`.
    """
    from lrea_cli.records.cache import require_of_run, run_and_cache
    from lrea_cli.runs.checkpoint import open_run
    from lrea_cli.score.cached import parse_ages
    from lrea_cli.score.evaluate import ServedFrom, measure, score
    from lrea_cli.score.kept_scores import write_evaluation

    ages = parse_ages(options.cache_age) if options.cache_age else ()
    session = start(options.json, options.threads, options.device)
    name, cache = run_and_cache(session.workspace, options.run, options.cache)
    run = open_run(session.workspace, name, options.dataset, session.device)
    if cache is None:
        folder, served_from = run.artifact.path, ServedFrom(options.dtype or "float32")
    else:
        require_of_run(cache, run)
        manifest = cache.manifest
        folder, served_from = cache.path, ServedFrom(options.dtype or manifest.dtype, manifest.compression, cache.name)
    scored = score(run, options.split, served_from, session.console, ages)
    evaluation = measure(run, scored, options.group)
    write_evaluation(folder, scored.scores, evaluation.to_dict())
    show(session.console, evaluation)
    then = after_evaluate(session.workspace, run.artifact, options.cache, options.split)
    session.console.result(evaluation.to_dict(), then=then)


def show(console: Console, evaluation: Evaluation) -> None:
    """Tables of one evaluation, and a warning where a counter beats the model."""
    from lrea_cli.dataset.counters import strongest

    scored = f"{counted(evaluation.rows, 'sample')}, {counted(evaluation.requests, 'request')}"
    title = f"{evaluation.run} ({evaluation.method}) on {evaluation.split}: {scored}"
    served = f"through {evaluation.dtype} records" if evaluation.cache is None else f"as from {evaluation.cache}"
    console.table(title, ["", "as trained", served], _metrics(evaluation))
    title = "absorption gap: as served minus as trained. baseline: the AUC of a plain counter"
    console.table(title, ["", "value"], _beside(evaluation))
    console.table("slices (NE: normalized entropy)", *_slices(evaluation))
    if evaluation.cache_age:
        columns = ["age", "AUC", "difference", "95%, paired", "", "missing", "requests"]
        title = "older records. missing: behaviors a request lacks; requests: share with any; ~: no difference shown"
        console.table(title, columns, list(map(_aged, evaluation.cache_age)))
    if (work := evaluation.new_behavior) is not None:
        console.say(
            f"one new behavior changes {work.rows:,.1f} rows of a record, takes {work.flops:,.0f} FLOPs and "
            f"writes {work.bytes:,.0f} bytes (means over the requests)"
        )
    name, best = strongest(evaluation.baselines)
    auc = evaluation.metrics["auc"].trained
    if auc is not None and best >= auc:
        console.warn(f"the trivial baseline {name} has AUC {best:.4f}: it beats the model ({auc:.4f}).")


def _metrics(evaluation: Evaluation) -> list[list[str]]:
    """Every metric in both forms, and its interval where it can have one."""
    from lrea_cli.stats.metrics import METRICS

    rows = []
    for metric in METRICS:
        measured = evaluation.metrics[metric.name]
        rows.append([metric.title, number(measured.trained), number(measured.served)])
        if metric.statistic is not None:
            rows.append(["  95% interval", interval(measured.ci), ""])
    counts = f"{evaluation.groups:,} / {evaluation.single_class_groups:,}"
    return [*rows, [f"GAUC: {evaluation.group}s / of one class", counts, ""]]


def _beside(evaluation: Evaluation) -> list[list[str]]:
    from lrea_cli.dataset.counters import COUNTERS

    gap = evaluation.absorption_gap
    share = "" if gap.rms_over_sd is None else f" ({gap.rms_over_sd:.2g} of its sd)"
    return [
        ["absorption gap (AUC)", number(gap.auc, CHANGE)],
        ["  95% interval, paired", interval(gap.ci, CHANGE)],
        ["absorption gap (rms of the logit)", f"{gap.rms_logit:.2g}{share}"],
        *([f"baseline: {COUNTERS[name].title}", number(value)] for name, value in evaluation.baselines.items()),
    ]


def _slices(evaluation: Evaluation) -> tuple[list[str], list[list[object]]]:
    """Columns and rows: slices that have samples, and the metrics that narrow tables show."""
    from lrea_cli.stats.metrics import METRICS

    shown = [metric for metric in METRICS if metric.column]
    columns, rows = ["slice", "rows"], []
    for metric in shown:
        columns += [metric.column or "", *(["95%", "served"] if metric.slice_interval else [])]
    for name, part in evaluation.slices.items():
        if not part.rows:
            continue
        row: list[object] = [name, part.rows]
        for metric in shown:
            measured, form = part.metrics[metric.name], f".{metric.digits}f"
            row.append(number(measured.trained, form))
            if metric.slice_interval:
                row += [interval(measured.ci, ".3f", "-"), number(measured.served, form)]
        rows.append(row)
    return columns, rows


def _aged(row: CacheAge) -> list[object]:
    resolved = row.ci is not None and not row.ci[0] <= 0 <= row.ci[1]
    change = number(row.difference, CHANGE), interval(row.ci, CHANGE), unclear(resolved)
    return [row.age, number(row.auc), *change, number(row.missing, ".1f"), f"{row.requests_missing:.0%}"]
