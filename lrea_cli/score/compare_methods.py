"""Compares methods by the kept scores of their runs, where there are runs that differ in the seed of training alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lrea_cli.score.kept_scores import Form, Subject
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.methods import Cover, MethodEstimate, method_auc, method_difference, paired_difference
from lrea_cli.stats.ranks import Placed, UserClusters


@dataclass(frozen=True)
class ComparedMethod:
    """The runs of one recipe, beside those of the first.

    Args:
        runs: names, as they were given; one a seed.
        auc: mean over the seeds.
        difference: of it, to the first recipe's; None for the first itself. `ci`: its 95% interval.
        interval: what `ci` covers: seeds and users only where both recipes have two seeds or more.
        resolved: zero lies outside.
        resolvable: smallest true difference found with 80% power.
    """

    runs: tuple[str, ...]
    method: str
    seeds: tuple[int, ...]
    auc: float | None
    difference: float | None = None
    ci: Interval | None = None
    interval: Cover | None = None
    resolved: bool = False
    resolvable: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return asdict(self)


def compare_methods(subjects: Sequence[Subject], form: Form) -> list[ComparedMethod]:
    """Compare every recipe with that of the first subject, over seeds and users.

    Args:
        subjects: of the same rows, as `compare_scores` requires; of one recipe and seed the first counts.

    Returns:
        empty where there are not two recipes, or each has one seed.
    """
    recipes = _by_recipe(subjects)
    if len(recipes) < 2 or all(len(recipe) < 2 for recipe in recipes):
        return []
    scores = subjects[0].scores
    clusters = UserClusters(scores.label, scores.user)
    placed = [[clusters.place(subject.scores.form(form)) for subject in recipe] for recipe in recipes]
    lines = []
    for recipe, runs in zip(recipes, placed, strict=True):
        names, seeds = tuple(s.name for s in recipe), tuple(s.seed for s in recipe if s.seed is not None)
        line = ComparedMethod(names, recipe[0].scores.method, seeds, method_auc(runs, clusters).value)
        lines.append(
            line if recipe is recipes[0] else _compared(line, _change(recipes[0], recipe, placed[0], runs, clusters))
        )
    return lines


def _by_recipe(subjects: Sequence[Subject]) -> list[list[Subject]]:
    """One subject a seed for each recipe, in the order that they were given."""
    recipes: dict[str, dict[int, Subject]] = {}
    for subject in subjects:
        if subject.seed is not None:
            recipes.setdefault(subject.recipe, {}).setdefault(subject.seed, subject)
    return [list(of_seed.values()) for of_seed in recipes.values()]


def _change(
    base: Sequence[Subject],
    other: Sequence[Subject],
    placed_base: Sequence[Placed],
    placed_other: Sequence[Placed],
    clusters: UserClusters,
) -> MethodEstimate:
    """Paired where both are of the same runs: then one side is served through other records."""
    run_of = {subject.run: placed for subject, placed in zip(base, placed_base, strict=True)}
    if run_of.keys() == {subject.run for subject in other}:
        return paired_difference([run_of[subject.run] for subject in other], placed_other, clusters)
    return method_difference(placed_base, placed_other, clusters)


def _compared(line: ComparedMethod, change: MethodEstimate) -> ComparedMethod:
    return ComparedMethod(
        line.runs,
        line.method,
        line.seeds,
        line.auc,
        difference=change.value,
        ci=change.ci,
        interval=change.cover,
        resolved=change.resolved,
        resolvable=change.resolvable,
    )
