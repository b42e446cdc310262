"""`lrea eval`: AUC, GAUC and log loss in the trained and in the served form, beside trivial baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lrea_cli.commands.options import Dataset, Device, Json, RunName, Threads, start
from lrea_cli.console import number

if TYPE_CHECKING:
    from lrea_cli.console import Console
    from lrea_cli.evaluation.evaluate import Evaluation


def evaluate(
    split: Annotated[Literal["train", "valid", "test"], typer.Option(help="Which samples.")] = "test",
    group: Annotated[Literal["user", "request"], typer.Option(help="Groups of GAUC, weighted by samples.")] = "user",
    dtype: Annotated[Literal["float32", "float16"], typer.Option(help="Of the records it is served from.")] = "float32",
    dataset: Dataset = None,
    run: RunName = None,
    threads: Threads = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Score a split as trained and as it would be served.

    Example: lrea eval --split test --dtype float16
    """
    from lrea_cli.evaluation.evaluate import evaluate as evaluate_run
    from lrea_cli.training.checkpoint import open_run
    from lrea_cli.workspace import write_json

    session = start(json, threads, device)
    opened = open_run(session.workspace, run, dataset, session.device)
    found = evaluate_run(opened, split, group, dtype, session.device, session.console)
    write_json(opened.artifact.path / f"eval-{split}.json", found.to_dict())
    show(session.console, found)
    session.console.result(found.to_dict(), then="lrea train --method din   (full attention, to compare)")


def show(console: Console, found: Evaluation) -> None:
    """The table of one evaluation, and a warning where a counter beats the model."""
    gap, base = found.absorption_gap, found.baselines
    rows = [
        ["AUC, as trained", number(found.auc)],
        [f"AUC, through {found.dtype} records", number(found.auc_cached)],
        ["absorption gap (AUC)", "n/a" if gap.auc is None else f"{gap.auc:+.5f}"],
        ["absorption gap (rms of the logit)", f"{gap.rms_logit:.2g}"],
        [f"GAUC by {found.group}", number(found.gauc)],
        ["  groups / left out (one class)", f"{found.groups:,} / {found.single_class_groups:,}"],
        ["log loss", number(found.log_loss)],
        ["baseline: clicks of its category", number(base.category_count)],
        ["baseline: clicks of the item", number(base.item_count)],
        ["baseline: popularity", number(base.popularity)],
    ]
    title = f"{found.run} ({found.method}) on {found.split}: {found.rows:,} samples, {found.requests:,} requests"
    console.table(title, ["", "value"], rows)
    name, best = base.best()
    if found.auc is not None and best >= found.auc:
        console.warn(f"the trivial baseline {name} has AUC {best:.4f}: it beats the model ({found.auc:.4f}).")
