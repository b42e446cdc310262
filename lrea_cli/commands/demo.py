"""`lrea demo`: prepare, train, eval, compress and serve-bench on a small planted data set, one page of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.options import Json, Threads, start
from lrea_cli.console import number

if TYPE_CHECKING:
    from lrea_cli.evaluation.evaluate import Evaluation
    from lrea_cli.recipe import Recipe

METHODS = ("din-short", "mean", "lrea", "din")
BENCHED = "lrea"
DATASET = "demo"
RECIPE = "demo"
CANDIDATES = 1000
SECONDS_A_ROW = 1.5


def demo(
    users: Annotated[int, typer.Option(min=50, help="Users of the planted data set.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the data and of training.")] = 2025,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """See all of it on planted data, in under three minutes.

    Example: lrea demo
    """
    import shutil
    from dataclasses import replace

    from lrea_cli.commands.prepare import prepare_source
    from lrea_cli.commands.serve_bench import bench_run
    from lrea_cli.data.options import PrepareOptions
    from lrea_cli.data.sources.synthetic import Synthetic
    from lrea_cli.evaluation.evaluate import ServedFrom, evaluate
    from lrea_cli.recipe import load_recipe
    from lrea_cli.training.checkpoint import open_run
    from lrea_cli.training.runs import train_run
    from lrea_cli.workspace import Workspace

    session = start(json, threads, "auto")
    console = session.console
    session = replace(session, workspace=Workspace(session.workspace.home / "demo"))
    workspace = session.workspace
    for kind in ("runs", "caches"):
        shutil.rmtree(workspace.home / kind, ignore_errors=True)
    source = Synthetic(users=users, seed=seed)
    options = PrepareOptions(seed=seed, threads=threads)
    dataset = prepare_source(console, workspace, source, [], DATASET, options)
    runs, found = {}, []
    for method in METHODS:
        recipe = _recipe(load_recipe(RECIPE), method, seed)
        train_run(workspace, recipe, f"demo-{method}", session.device, session.threads, console)
        runs[method] = open_run(workspace, f"demo-{method}", None, session.device)
        found.append(evaluate(runs[method], "test", "user", ServedFrom(), session.device, console))
    bench = bench_run(session, runs[BENCHED], None, CANDIDATES, "all", SECONDS_A_ROW, seed)
    facts = dataset["facts"]
    rows = [
        [e.method, number(e.auc), number(e.gauc), number(e.auc_cached), f"{e.absorption_gap.rms_logit:.2g}"]
        for e in found
    ]
    rows.append(["best possible", number(facts["bayes_auc"]), number(facts["bayes_gauc"]), "-", "-"])
    columns = ["method", "AUC", "GAUC", "AUC served", "rms change of the logit"]
    console.table("planted data: what each method reaches, in the order of the runs", columns, rows)
    speedup = bench["speedup_vs_full"]
    console.say(
        f"{BENCHED} through its cache against full attention, the same kernel on both sides: "
        f"{speedup['real'] or float('nan'):.2f}x at real lengths, {speedup['padded'] or float('nan'):.2f}x padded"
    )
    console.result(
        {
            "bayes_auc": facts["bayes_auc"],
            "bayes_gauc": facts["bayes_gauc"],
            "results": [_result(e) for e in found],
            "serve": bench["rows"],
            "speedup_vs_full": speedup,
            "gate": bench["gate"],
        },
        then="lrea prepare taobao   (or: lrea prepare table --help, for your own log)",
    )


def _recipe(base: Recipe, method: str, seed: int) -> Recipe:
    flags = {"data": {"dataset": DATASET}, "model": {"method": method}, "train": {"seed": seed}}
    return base.with_flags(flags)


def _result(found: Evaluation) -> dict[str, object]:
    gap = found.absorption_gap
    return {
        "method": found.method,
        "auc": found.auc,
        "gauc": found.gauc,
        "auc_cached": found.auc_cached,
        "absorption_gap": vars(gap),
    }
