"""The pages of docs/results: `python benchmarks/results.py table2` does what is missing, in as many calls as it takes.

It prepares the planted datasets, runs `lrea sweep`'s steps on each dataset of a page, compares every recipe with the
best, tries the choices of `clusters`, and writes docs/results/NAME.md with all numbers as JSON beside it. What came
out in words is read from docs/results/NAME/findings.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from authors.fidelity import count_statuses
from authors.page import Page, rank
from authors.plans import OF_SOURCE, PLANS, Plan, Published
from authors.quick import quick_plan, quick_sweep
from authors.variants import variant_jobs

from lrea_cli.console.output import Console
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import LreaError, UserError
from lrea_cli.reporting.results import write_page
from lrea_cli.sweep.datasets import workspace_of
from lrea_cli.sweep.gather import about, gather, runs_of
from lrea_cli.sweep.results import About, Results
from lrea_cli.sweep.run import Finished, run_sweep
from lrea_cli.sweep.settings import SEEDS, Sweep, load_sweep
from lrea_cli.sweep.workers import run_jobs, worker_pool
from lrea_cli.workspace.home import Artifact, Workspace

DOCS = Path(__file__).resolve().parents[1] / "docs" / "results"


def main(arguments: Sequence[str]) -> int:
    asked = _asked(arguments)
    console, home = Console(as_json=True), Workspace.from_environment()
    plans = PLANS[asked.name] if asked.dataset is None else (Plan(asked.dataset),)
    if asked.seeds is not None:
        plans = tuple(replace(plan, seeds=tuple(range(1, asked.seeds + 1))) for plan in plans)
    plans = tuple(map(quick_plan, plans)) if asked.quick else plans
    if not plans:
        raise UserError(f"No dataset is planned for {asked.name}.", "Name a prepared one: --dataset NAME")
    stem = "-".join([asked.name, *([asked.dataset] if asked.dataset else []), *["quick"] * asked.quick])
    path = asked.page or (home.home if asked.quick else DOCS) / f"{stem}.md"
    command = shlex.join(["python", "benchmarks/results.py", *arguments])
    page = make_page(asked, plans, home, about(command, asked.jobs), console)
    write_page(path, path.stem, page.to_dict(), page.text)
    failed = page.results.failed
    print(json.dumps({"page": str(path), "trainings": len(page.results.tried), "failed": failed, "ok": not failed}))
    return 1 if failed else 0


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make a page of docs/results; given again, it goes on.")
    parser.add_argument("name", choices=PLANS, help="a folder of recipes")
    parser.add_argument("--dataset", help="a prepared dataset in place of the planned ones")
    parser.add_argument("--seeds", type=int, help=f"train with seeds 1 to N (default: as planned, else {len(SEEDS)})")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at a time, one thread each")
    parser.add_argument("--page", type=Path, help="where the page goes (default: docs/results/NAME.md)")
    parser.add_argument("--quick", action="store_true", help="small data and models: its numbers say nothing")
    return parser.parse_args(arguments)


def make_page(asked: argparse.Namespace, plans: Sequence[Plan], home: Workspace, made: About, console: Console) -> Page:
    """Run the sweep of every plan, and put the results together."""
    parts, paper, changes = [], {}, {}
    for plan in plans:
        dataset = ready(plan, home)
        sweep = plan.sweep(load_sweep(asked.name))
        source = OF_SOURCE.get(asked.name, {}).get(dataset.manifest.source)
        if source is not None:
            sweep, changes[dataset.name] = source.changed(sweep), source.changes
            paper |= published_beside(source.published, dataset)
        sweep = quick_sweep(sweep) if asked.quick else sweep
        parts.append(results_of(sweep, plan, dataset, home, made, console))
    findings = DOCS / asked.name / "findings.md"
    planned = findings.is_file() and not asked.dataset and not asked.quick
    words = findings.read_text(encoding="utf-8").strip() if planned else ""
    return Page(together(parts), words, paper, count_statuses(), changes)


def published_beside(published: Published, dataset: Artifact) -> dict[str, Published]:
    """Published numbers, where the dataset is whole."""
    return {dataset.name: published} if dataset.manifest.users >= published.least_users else {}


def ready(plan: Plan, home: Workspace) -> Artifact:
    """The dataset of a plan; a planted one is prepared where it is not there.

    Raises:
        UserError: it is not there, or was prepared with other options.
    """
    if not plan.preset:
        return home.open(DATASETS, plan.dataset)
    options = {"preset": plan.preset, "users": plan.users}
    if plan.dataset not in [artifact.name for artifact in home.all(DATASETS)]:
        flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = [
            sys.executable,
            "-m",
            "lrea_cli",
            "prepare",
            "synthetic",
            "--dataset",
            plan.dataset,
            "--json",
            *flags,
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "LREA_HOME": str(home.home)})
    dataset = home.open(DATASETS, plan.dataset)
    made = dataset.manifest.source_options
    if {name: made.get(name) for name in options} != options:
        raise UserError(
            f"The dataset '{plan.dataset}' in {home.home} was prepared with {made}, the plan has {options}.",
            "Set LREA_HOME to another folder.",
        )
    return dataset


def results_of(sweep: Sweep, plan: Plan, dataset: Artifact, home: Workspace, made: About, console: Console) -> Results:
    """The results of one dataset: of `lrea sweep`, with the differences to the best, and the choices of `clusters`."""
    workers = made.machine["jobs"]
    finished = run_sweep(sweep, dataset, workspace_of(sweep, dataset, home), workers, console)
    if plan.variant_rank:
        finished = _with_variants(sweep, plan.variant_rank, finished, workers, console)
    results = gather(sweep, finished, made, console)
    return replace(results, scored=tuple(rank(results.scored, runs_of(finished))))


def _with_variants(sweep: Sweep, rank: int, finished: Finished, workers: int, console: Console) -> Finished:
    assert sweep.compress is not None
    jobs = list(variant_jobs(sweep.compress, finished, rank))
    with worker_pool(workers) as pool:
        failures = run_jobs(pool, "variants", [job for job in jobs if not job.done()], "compressions", console)
    done = tuple(job for job in jobs if job.done())
    return replace(finished, compressed=(*finished.compressed, *done), failures=(*finished.failures, *failures))


def together(parts: Sequence[Results]) -> Results:
    """The results of several datasets as those of one sweep."""
    rows = ("datasets", "tried", "scored", "compressed", "left_out")
    joined = {name: tuple(row for part in parts for row in getattr(part, name)) for name in rows}
    mappings = {
        name: {key: value for part in reversed(parts) for key, value in getattr(part, name).items()}
        for name in ("recipes", "failed")
    }
    return replace(parts[0], **joined, **mappings)


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except LreaError as error:
        raise SystemExit(f"error: {error.message}\n  {error.remedy}") from error
