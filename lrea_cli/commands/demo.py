"""`lrea demo`: prepare, train, eval, compress and serve-bench on a small planted data set, one page of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrea_cli.commands.evaluate import interval
from lrea_cli.commands.options import Json, Session, Threads, start, within
from lrea_cli.console.output import number
from lrea_cli.recipe.limits import HIGHEST_SEED

if TYPE_CHECKING:
    from lrea_cli.recipe.recipe import Recipe
    from lrea_cli.runs.checkpoint import Run
    from lrea_cli.score.evaluate import Evaluation, ServedFrom
    from lrea_cli.score.kept import KeptScores
    from lrea_cli.stats.estimates import Difference

METHODS = ("din-short", "mean", "lrea", "din")
BENCHED = "lrea"
DATASET = "demo"
RECIPE = "demo"
CANDIDATES = 1000
SECONDS_A_ROUTE = 4.0
CLUSTERS_RANK = 16


def demo(
    users: Annotated[int, typer.Option(callback=within(50, 10**7), help="Users of the planted data set.")] = 1800,
    seed: Annotated[
        int, typer.Option(callback=within(0, HIGHEST_SEED), help="Seed of the data and of training.")
    ] = 2025,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """See all of it on planted data, in under three minutes.

    Example: lrea demo
    """
    from dataclasses import replace

    from lrea_cli.workspace.home import Workspace

    session = start(json, threads, "auto")
    session = replace(session, workspace=Workspace(session.workspace.home / "demo"))
    with session.workspace.alone("demo"):
        _demo(session, users, seed, threads)


def _demo(session: Session, users: int, seed: int, threads: int | None) -> None:
    """All steps, by names that are the same in each demo."""
    import shutil

    from lrea_cli.commands.prepare import prepare_source
    from lrea_cli.commands.serve_bench import bench_run
    from lrea_cli.prepare.options import PrepareOptions
    from lrea_cli.prepare.sources.synthetic import Synthetic
    from lrea_cli.recipe.recipe import Compression, load_recipe
    from lrea_cli.runs.checkpoint import open_run
    from lrea_cli.runs.train import train_run
    from lrea_cli.score.evaluate import ServedFrom

    console, workspace = session.console, session.workspace
    for kind in ("runs", "caches"):
        shutil.rmtree(workspace.home / kind, ignore_errors=True)
    source = Synthetic(users=users, seed=seed)
    options = PrepareOptions(seed=seed, threads=threads)
    made = prepare_source(console, workspace, source, [], DATASET, options, replace=True)
    runs, found = {}, []
    for method in METHODS:
        recipe = _recipe(load_recipe(RECIPE), method, seed)
        train_run(workspace, recipe, f"demo-{method}", session.device, session.threads, console)
        runs[method] = open_run(workspace, f"demo-{method}", None, session.device)
        found.append(_served(session, runs[method], ServedFrom()))
    clusters = ServedFrom(compression=Compression("clusters", CLUSTERS_RANK))
    found.append(_served(session, runs["din"], clusters))
    bench = bench_run(session, runs[BENCHED], None, CANDIDATES, "gemm", SECONDS_A_ROUTE, seed)
    facts = made.manifest.facts
    columns = ["method", "AUC", "served", "95%", "to din-short", "", "change"]
    rows = [_row(served, found[0]) for served in found]
    rows.append(["best possible", number(facts["bayes_auc"]), "", "", "", "", ""])
    console.table(
        "planted data: AUC as trained and as served; ~: no difference is shown; change: rms of the logit, by serving",
        columns,
        rows,
    )
    console.say(_headline(bench))
    console.result(
        {
            "bayes_auc": facts["bayes_auc"],
            "bayes_gauc": facts["bayes_gauc"],
            "results": [_result(served, found[0]) for served in found],
            "serve": bench["rows"],
            "speedup_vs_full": bench["speedup_vs_full"],
            "withheld": bench["withheld"],
            "load": bench["load"],
            "gate": bench["gate"],
        },
        then="lrea prepare taobao   (or: lrea prepare table --help, for your own log)",
    )


def _headline(bench: Mapping[str, Any]) -> str:
    """The whole request, in one line."""
    from lrea_cli.stats.ratios import Ratio

    if bench["withheld"]:
        return f"no ratio of times is given: {bench['withheld']}"
    ratio = Ratio(**bench["speedup_vs_full"]["request"]["real"])
    return f"whole request, full attention / {BENCHED} through its cache: {ratio} at real lengths"


def _recipe(base: Recipe, method: str, seed: int) -> Recipe:
    flags = {"data": {"dataset": DATASET}, "model": {"method": method}, "train": {"seed": seed}}
    return base.with_flags(flags)


@dataclass(frozen=True)
class Served:
    """One way to serve a run: its numbers, and the scores that pair it with others."""

    name: str
    numbers: Evaluation
    scores: KeptScores

    def difference(self, base: Served) -> Difference:
        """AUC as served minus that of the base, paired."""
        from lrea_cli.stats.bootstrap import auc_difference

        return auc_difference(base.scores.served, self.scores.served, base.scores.label, base.scores.user)


def _served(session: Session, run: Run, way: ServedFrom) -> Served:
    from lrea_cli.score.evaluate import measure, score

    scored = score(run, "test", way, session.console)
    made = way.compression
    name = f"{run.recipe.model.method}, {made.compressor} {made.rank}" if made else run.recipe.model.method
    return Served(name, measure(run, scored, "user"), scored.scores)


def _row(served: Served, base: Served) -> list[str]:
    found, difference = served.numbers, served.difference(base)
    value = "" if difference.value is None or served is base else f"{difference.value:+.4f}"
    unclear = "~" if value and not difference.resolved else ""
    gap = f"{found.absorption_gap.rms_logit:.1g}"
    return [
        served.name,
        number(found.auc),
        number(found.auc_cached),
        interval(found.auc_ci, ".3f"),
        value,
        unclear,
        gap,
    ]


def _result(served: Served, base: Served) -> dict[str, object]:
    found, difference = served.numbers, served.difference(base)
    return {
        "name": served.name,
        "method": found.method,
        "compressor": found.compressor,
        "auc": found.auc,
        "auc_ci": found.auc_ci,
        "gauc": found.gauc,
        "auc_cached": found.auc_cached,
        "difference": {"value": difference.value, "ci": difference.ci, "resolved": difference.resolved},
        "absorption_gap": vars(found.absorption_gap),
    }
