"""`lrea eval`: a split as trained and as served, with intervals, calibration, slices and trivial baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lrea_cli.commands.next_steps import after_evaluate
from lrea_cli.commands.options import Device, Json, RunDataset, RunName, Threads, start
from lrea_cli.console.counts import counted
from lrea_cli.console.output import number

if TYPE_CHECKING:
    from lrea_cli.console.output import Console
    from lrea_cli.records.manifest import CacheDtype, CacheManifest
    from lrea_cli.runs.checkpoint import Run
    from lrea_cli.score.evaluate import Evaluation, ServedFrom
    from lrea_cli.workspace.home import Artifact


def evaluate(
    split: Annotated[Literal["train", "valid", "test"], typer.Option(help="Which samples.")] = "test",
    group: Annotated[Literal["user", "request"], typer.Option(help="Groups of GAUC, weighted by samples.")] = "user",
    cache: Annotated[
        str | None,
        typer.Option(
            help="Serve as from this cache, of its run: its compressor, rank and dtype; default: the method's."
        ),
    ] = None,
    cache_age: Annotated[
        str | None,
        typer.Option(help="Also score from older records: built, for example, 0,90m,1d,3d before each request."),
    ] = None,
    dtype: Annotated[
        Literal["float32", "float16"] | None,
        typer.Option(help="Number format of the records; default: the cache's, else float32."),
    ] = None,
    dataset: RunDataset = None,
    run: RunName = None,
    threads: Threads = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Score a split as trained and as it would be served; keep the scores for `lrea compare`.

    Example: lrea eval --cache-age 0,1d,3d
    """
    from lrea_cli.records.cache import run_and_cache
    from lrea_cli.runs.checkpoint import open_run
    from lrea_cli.score.cache_life import parse_ages
    from lrea_cli.score.evaluate import measure, score
    from lrea_cli.score.kept import write_evaluation

    ages = parse_ages(cache_age) if cache_age else ()
    session = start(json, threads, device)
    run, named = run_and_cache(session.workspace, run, cache)
    opened = open_run(session.workspace, run, dataset, session.device)
    way, artifact = _served_from(opened, named, dtype)
    scored = score(opened, split, way, session.console, ages)
    found = measure(opened, scored, group)
    write_evaluation(artifact.path, scored.scores, found.to_dict())
    show(session.console, found)
    session.console.result(found.to_dict(), then=after_evaluate(session.workspace, opened, cache, split))


def _served_from(
    run: Run, cache: Artifact[CacheManifest] | None, dtype: CacheDtype | None
) -> tuple[ServedFrom, Artifact[Any]]:
    """How records are made, and the artifact beside which the numbers are kept: the cache, or the run."""
    from lrea_cli.records.cache import require_of_run
    from lrea_cli.score.evaluate import ServedFrom

    if cache is None:
        return ServedFrom(dtype or "float32"), run.artifact
    require_of_run(cache, run)
    return ServedFrom(dtype or cache.manifest.dtype, cache.manifest.compression, cache.name), cache


def show(console: Console, found: Evaluation) -> None:
    """Tables of one evaluation, and a warning where a counter beats the model."""
    scored = f"{counted(found.rows, 'sample')}, {counted(found.requests, 'request')}"
    title = f"{found.run} ({found.method}) on {found.split}: {scored}"
    served = f"through {found.dtype} records" if found.cache is None else f"as from {found.cache}"
    console.table(title, ["", "as trained", served], _both_forms(found))
    console.table(
        "absorption gap: as served minus as trained. baseline: the AUC of a plain counter",
        ["", "value"],
        _beside(found),
    )
    columns = ["slice", "rows", "AUC", "95%", "served", "GAUC", "NE"]
    console.table("slices (NE: normalized entropy)", columns, _slices(found))
    if found.cache_age:
        columns = ["age", "AUC", "difference", "95%, paired", "", "missing", "requests"]
        console.table(
            "older records. missing: behaviors that a request lacks; requests: share with any; ~: no difference shown",
            columns,
            _aged(found),
        )
    if found.new_behavior is not None:
        work = found.new_behavior
        console.say(
            f"one new behavior changes {work.rows:,.1f} rows of a record, takes {work.flops:,.0f} FLOPs and writes"
            f" {work.bytes:,.0f} bytes (means over the requests)"
        )
    name, best = found.baselines.best()
    if found.auc is not None and best >= found.auc:
        console.warn(f"the trivial baseline {name} has AUC {best:.4f}: it beats the model ({found.auc:.4f}).")


def interval(ci: tuple[float, float] | None, form: str = ".4f") -> str:
    """`0.7012 to 0.7234`."""
    return "n/a" if ci is None else f"{ci[0]:{form}} to {ci[1]:{form}}"


def _both_forms(found: Evaluation) -> list[list[str]]:
    served = found.calibration_cached
    return [
        ["AUC", number(found.auc), number(found.auc_cached)],
        ["  95% interval", interval(found.auc_ci), ""],
        [f"GAUC by {found.group}", number(found.gauc), number(found.gauc_cached)],
        ["  95% interval", interval(found.gauc_ci), ""],
        ["  groups / left out (one class)", f"{found.groups:,} / {found.single_class_groups:,}", ""],
        ["log loss", number(found.log_loss), ""],
        ["normalized entropy", number(found.normalized_entropy), number(served.normalized_entropy)],
        ["predicted / observed clicks", number(found.calibration_ratio), number(served.calibration_ratio)],
        ["calibration error, 10 bins", number(found.ece), number(served.ece)],
    ]


def _beside(found: Evaluation) -> list[list[str]]:
    gap, base = found.absorption_gap, found.baselines
    share = "" if gap.rms_over_sd is None else f" ({gap.rms_over_sd:.2g} of its sd)"
    return [
        ["absorption gap (AUC)", "n/a" if gap.auc is None else f"{gap.auc:+.5f}"],
        ["  95% interval, paired", interval(gap.ci, "+.5f")],
        ["absorption gap (rms of the logit)", f"{gap.rms_logit:.2g}{share}"],
        ["baseline: clicks of its category", number(base.category_count)],
        ["baseline: clicks of the item", number(base.item_count)],
        ["baseline: popularity", number(base.popularity)],
    ]


def _aged(found: Evaluation) -> list[list[object]]:
    return [
        [
            row.age,
            number(row.auc),
            "n/a" if row.difference is None else f"{row.difference:+.5f}",
            interval(row.ci, "+.5f"),
            "~" if row.ci is None or row.ci[0] <= 0 <= row.ci[1] else "",
            f"{row.missing:.1f}",
            f"{row.requests_missing:.0%}",
        ]
        for row in found.cache_age
    ]


def _slices(found: Evaluation) -> list[list[object]]:
    """Slices with rows."""
    return [
        [
            name,
            part.rows,
            number(part.auc),
            "n/a" if part.auc_ci is None else "{:.3f}-{:.3f}".format(*part.auc_ci),
            number(part.auc_cached),
            number(part.gauc),
            number(part.normalized_entropy, 3),
        ]
        for name, part in found.slices.items()
        if part.rows
    ]
