"""The losses that a verdict needs: each contender and counter against every contender, from their placed scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from lrea_cli.decide.results import Loss
from lrea_cli.decide.verdict.standing import turned
from lrea_cli.stats.methods import method_difference, paired_difference
from lrea_cli.stats.ranks import Placed, UserClusters


@dataclass(frozen=True)
class Scored:
    """One way to serve, by its scores of the test rows.

    Args:
        runs: one a seed, as served, placed by the same `UserClusters`.
        trained: name of the trained model that each run comes of, as a compression comes of a run of full attention.
    """

    name: str
    runs: tuple[Placed, ...]
    trained: tuple[str, ...]


def losses_of(scored: Sequence[Scored], clusters: UserClusters) -> dict[str, tuple[Loss, ...]]:
    """AUC of each rival minus the own, by name.

    Two ways to serve the same trained models are compared model by model: what a seed of training changes in both drops
    out. All others were trained apart, even by equal seeds.
    """
    losses: dict[str, list[Loss]] = {each.name: [] for each in scored}
    for own, rival in combinations(scored, 2):
        together = own.trained == rival.trained
        change = (paired_difference if together else method_difference)(own.runs, rival.runs, clusters)
        losses[own.name].append(Loss(rival.name, change))
        losses[rival.name].append(Loss(own.name, turned(change)))
    return {name: tuple(each) for name, each in losses.items()}


def counter_losses(counter: Placed, scored: Sequence[Scored], clusters: UserClusters) -> tuple[Loss, ...]:
    """AUC of each contender minus that of a counter, which has no seed: it is the same beside each of theirs."""
    return tuple(
        Loss(rival.name, method_difference([counter] * len(rival.runs), rival.runs, clusters)) for rival in scored
    )
