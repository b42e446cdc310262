"""`lrea demo`: all steps on a small planted data set, with one page of results."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from lrea_cli.commands.options import SEED, Json, Session, Threads, command, start, within
from lrea_cli.console.show import interval, number, unclear
from lrea_cli.records.manifest import CACHES
from lrea_cli.runs.manifest import RUNS

if TYPE_CHECKING:
    from lrea_cli.dataset.manifest import DatasetManifest
    from lrea_cli.runs.checkpoint import Run
    from lrea_cli.score.evaluate import Evaluation
    from lrea_cli.stats.estimates import Estimate

METHODS = ("din-short", "mean", "lrea", "din")
BENCHED = "lrea"
NAME = "demo"
"""Of the folder in the home, of the dataset and of the recipe."""

CANDIDATES = 1000
SECONDS_A_ROUTE = 4.0
CLUSTERS_RANK = 16
SHOWN = ("method", "compressor", "auc", "auc_ci", "gauc", "auc_cached", "absorption_gap")
"""Of an evaluation, in what `--json` prints."""


@dataclass(frozen=True)
class DemoOptions:
    """Options of `lrea demo`."""

    users: Annotated[int, typer.Option(callback=within(50, 10**7), help="Users of the planted data set.")] = 1800
    seed: Annotated[int, SEED] = 2025
    threads: Threads = None
    json: Json = False


@command
def demo(options: DemoOptions) -> None:
    """See all steps on planted data, in about three minutes.

    Example: lrea demo
    """
    from lrea_cli.workspace.home import Workspace

    session = start(options.json, options.threads, "auto")
    session = replace(session, workspace=Workspace(session.workspace.home / NAME))
    with session.workspace.alone(NAME):
        _demo(session, options)


def _demo(session: Session, options: DemoOptions) -> None:
    """All steps, by names that are the same in each demo."""
    from lrea_cli.bench.routes import BenchSettings
    from lrea_cli.commands.serve_bench import bench_run
    from lrea_cli.stats.methods import GIVEN_MODELS

    facts = _prepare(session, options).facts
    runs = {method: _train(session, method, options.seed) for method in METHODS}
    results = _evaluate(session, runs)
    settings = BenchSettings(CANDIDATES, SECONDS_A_ROUTE, options.seed)
    bench = bench_run(session, runs[BENCHED], None, settings, "gemm")
    best = ["best possible", number(facts["bayes_auc"]), "", "", "", "", ""]
    session.console.table(
        "planted data: AUC as trained and as served; ~: no difference is shown; change: rms of the logit, by serving",
        ["method", "AUC", "served", "95%", "to din-short", "", "change"],
        [*(row for row, _ in results), best],
    )
    session.console.say(f"95% and ~ are {GIVEN_MODELS}: other users are drawn, but another seed moves an AUC, too")
    ratio = f"{bench.speedup_vs_full['request']['real']} at real lengths"
    headline = f"whole request, full attention / {BENCHED} through its cache: {ratio}"
    session.console.say(f"no ratio of times is given: {bench.withheld}" if bench.withheld else headline)
    timed = bench.to_dict()
    content = {
        **{key: facts[key] for key in ("bayes_auc", "bayes_gauc")},
        "interval": GIVEN_MODELS,
        "results": [content for _, content in results],
        "serve": timed["rows"],
        **{key: timed[key] for key in ("speedup_vs_full", "withheld", "load", "gate")},
    }
    session.console.result(content, then="lrea prepare taobao   (or: lrea prepare table --help, for your own log)")


def _prepare(session: Session, options: DemoOptions) -> DatasetManifest:
    """Make the planted dataset, without runs and caches of an earlier demo."""
    from lrea_cli.commands.prepare import SharedOptions, prepare_source
    from lrea_cli.prepare.options import PrepareOptions
    from lrea_cli.prepare.sources.synthetic import Synthetic

    for kind in (RUNS, CACHES):
        shutil.rmtree(session.workspace.home / kind.folder, ignore_errors=True)
    source = Synthetic(users=options.users, seed=options.seed)
    preparing = PrepareOptions(seed=options.seed, threads=options.threads)
    shared = SharedOptions(dataset=NAME, replace=True)
    manifest, _ = prepare_source(session.console, session.workspace, source, [], preparing, shared)
    return manifest


def _train(session: Session, method: str, seed: int) -> Run:
    from lrea_cli.recipe.recipe import load_recipe
    from lrea_cli.runs.checkpoint import open_run
    from lrea_cli.runs.train import train_run

    flags = {"data": {"dataset": NAME}, "model": {"method": method}, "train": {"seed": seed}}
    recipe, name = load_recipe(NAME).with_flags(flags), f"{NAME}-{method}"
    train_run(session.workspace, recipe, name, session.device, session.console)
    return open_run(session.workspace, name, None, session.device)


def _evaluate(session: Session, runs: Mapping[str, Run]) -> list[tuple[list[str], dict[str, object]]]:
    """Every run through its own records, and the din run through compressed ones, as row and as content."""
    from lrea_cli.recipe.settings import Compression
    from lrea_cli.score.evaluate import ServedFrom, measure, score
    from lrea_cli.stats.bootstrap import auc_difference

    clusters = ServedFrom(compression=Compression("clusters", CLUSTERS_RANK))
    served = [(method, run, ServedFrom()) for method, run in runs.items()]
    served.append((f"din, clusters {CLUSTERS_RANK}", runs["din"], clusters))
    scored = [(name, run, score(run, "test", by, session.console)) for name, run, by in served]
    base, results = scored[0][2].scores, []
    for name, run, each in scored:
        change = auc_difference(base.served, each.scores.served, base.label, base.user)
        hidden = each.scores is base or change.value is None
        shown = ("", "") if hidden else (number(change.value, "+.4f"), unclear(change.resolved))
        evaluation = measure(run, each, "user")
        results.append((_row(name, evaluation, shown), _content(name, evaluation, change)))
    return results


def _row(name: str, evaluation: Evaluation, change: tuple[str, str]) -> list[str]:
    auc, gap = evaluation.metrics["auc"], number(evaluation.absorption_gap.rms_logit, ".1g")
    return [name, number(auc.trained), number(auc.served), interval(auc.ci, ".3f"), *change, gap]


def _content(name: str, evaluation: Evaluation, change: Estimate) -> dict[str, object]:
    numbers = evaluation.to_dict()
    difference = {"value": change.value, "ci": change.ci, "resolved": change.resolved}
    return {"name": name, **{key: numbers[key] for key in SHOWN}, "difference": difference}
