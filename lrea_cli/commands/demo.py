"""`lrea demo`: prepare, train, eval, compress and serve-bench on a small planted data set, one page of results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.command import command
from lrea_cli.commands.options import Json, Session, Threads, start, within
from lrea_cli.console.show import change, interval, number, rough, unclear
from lrea_cli.recipe.limits import HIGHEST_SEED

if TYPE_CHECKING:
    from lrea_cli.bench.bench import Bench
    from lrea_cli.dataset.manifest import DatasetManifest
    from lrea_cli.runs.checkpoint import Run
    from lrea_cli.score.evaluate import Evaluation, ServedFrom
    from lrea_cli.score.kept import KeptScores
    from lrea_cli.stats.estimates import Estimate

METHODS = ("din-short", "mean", "lrea", "din")
BENCHED = "lrea"
DATASET = "demo"
RECIPE = "demo"
CANDIDATES = 1000
SECONDS_A_ROUTE = 4.0
CLUSTERS_RANK = 16


@dataclass(frozen=True)
class DemoOptions:
    """Options of `lrea demo`."""

    users: Annotated[int, typer.Option(callback=within(50, 10**7), help="Users of the planted data set.")] = 1800
    seed: Annotated[int, typer.Option(callback=within(0, HIGHEST_SEED), help="Seed of the data and of training.")] = (
        2025
    )
    threads: Threads = None
    json: Json = False


@command
def demo(options: DemoOptions) -> None:
    """See all of it on planted data, in under three minutes.

    Example: lrea demo
    """
    from lrea_cli.workspace.home import Workspace

    session = start(options.json, options.threads, "auto")
    session = replace(session, workspace=Workspace(session.workspace.home / "demo"))
    with session.workspace.alone("demo"):
        _demo(session, options)


def _demo(session: Session, options: DemoOptions) -> None:
    """All steps, by names that are the same in each demo."""
    from lrea_cli.commands.serve_bench import ServeBenchOptions, bench_run
    from lrea_cli.recipe.settings import Compression
    from lrea_cli.score.evaluate import ServedFrom

    facts = _prepare(session, options).facts
    runs = {method: _train(session, method, options.seed) for method in METHODS}
    served = [_served(session, run, ServedFrom()) for run in runs.values()]
    clusters = ServedFrom(compression=Compression("clusters", CLUSTERS_RANK))
    served.append(_served(session, runs["din"], clusters))
    timing = ServeBenchOptions(candidates=CANDIDATES, kernel="gemm", seconds=SECONDS_A_ROUTE, seed=options.seed)
    bench = bench_run(session, runs[BENCHED], None, timing)
    rows = [_row(one, served[0]) for one in served]
    rows.append(["best possible", number(facts["bayes_auc"]), "", "", "", "", ""])
    session.console.table(
        "planted data: AUC as trained and as served; ~: no difference is shown; change: rms of the logit, by serving",
        ["method", "AUC", "served", "95%", "to din-short", "", "change"],
        rows,
    )
    session.console.say(_headline(bench))
    timed = bench.to_dict()
    content = {
        "bayes_auc": facts["bayes_auc"],
        "bayes_gauc": facts["bayes_gauc"],
        "results": [_result(one, served[0]) for one in served],
        "serve": timed["rows"],
        **{key: timed[key] for key in ("speedup_vs_full", "withheld", "load", "gate")},
    }
    session.console.result(content, then="lrea prepare taobao   (or: lrea prepare table --help, for your own log)")


def _prepare(session: Session, options: DemoOptions) -> DatasetManifest:
    """Make the planted dataset, without runs and caches of an earlier demo.

    Returns:
        its manifest.
    """
    import shutil

    from lrea_cli.commands.prepare import SharedOptions, prepare_source
    from lrea_cli.prepare.sources.synthetic import Synthetic

    for kind in ("runs", "caches"):
        shutil.rmtree(session.workspace.home / kind, ignore_errors=True)
    source = Synthetic(users=options.users, seed=options.seed)
    shared = SharedOptions(dataset=DATASET, seed=options.seed, threads=options.threads, replace=True)
    return prepare_source(session.console, session.workspace, source, [], shared).manifest


def _train(session: Session, method: str, seed: int) -> Run:
    from lrea_cli.recipe.reading import load_recipe
    from lrea_cli.runs.checkpoint import open_run
    from lrea_cli.runs.train import train_run

    flags = {"data": {"dataset": DATASET}, "model": {"method": method}, "train": {"seed": seed}}
    recipe, name = load_recipe(RECIPE).with_flags(flags), f"demo-{method}"
    train_run(session.workspace, recipe, name, session.device, session.threads, session.console)
    return open_run(session.workspace, name, None, session.device)


def _headline(bench: Bench) -> str:
    """The whole request, in one line."""
    if bench.withheld:
        return f"no ratio of times is given: {bench.withheld}"
    ratio = bench.speedup_vs_full["request"]["real"]
    return f"whole request, full attention / {BENCHED} through its cache: {ratio} at real lengths"


@dataclass(frozen=True)
class Served:
    """One way to serve a run: its numbers, and the scores that pair it with others."""

    name: str
    numbers: Evaluation
    scores: KeptScores

    def difference(self, base: Served) -> Estimate:
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
    evaluation, difference = served.numbers, served.difference(base)
    auc = evaluation.metrics["auc"]
    to_base = "", ""
    if difference.value is not None and served is not base:
        to_base = change(difference.value, 4), unclear(difference.resolved)
    return [
        served.name,
        number(auc.trained),
        number(auc.served),
        interval(auc.ci, 3),
        *to_base,
        rough(evaluation.absorption_gap.rms_logit, 1),
    ]


def _result(served: Served, base: Served) -> dict[str, object]:
    from lrea_cli.score.measured import as_keys

    evaluation, difference = served.numbers, served.difference(base)
    return {
        "name": served.name,
        "method": evaluation.method,
        "compressor": evaluation.compressor,
        **as_keys(evaluation.metrics),
        "difference": {"value": difference.value, "ci": difference.ci, "resolved": difference.resolved},
        "absorption_gap": vars(evaluation.absorption_gap),
    }
