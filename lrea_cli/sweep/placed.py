"""Compares the recipes of a sweep: each run's kept scores are read and sorted once, for however many differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from lrea_cli.score.kept_scores import Form
from lrea_cli.stats.methods import MethodEstimate, method_auc, method_difference, paired_difference
from lrea_cli.stats.ranks import Placed, UserClusters
from lrea_cli.sweep.jobs import CompressJob, TrainJob
from lrea_cli.sweep.results import OverSeeds, over_seeds


class PlacedRuns:
    """The evaluated runs of one dataset: AUCs and differences over seeds and users, see `stats.methods`."""

    def __init__(self) -> None:
        self._clusters: UserClusters | None = None
        self._placed: dict[tuple[str, Form], Placed] = {}

    def auc(self, runs: Sequence[TrainJob], form: Form) -> MethodEstimate:
        """Mean AUC of a recipe's runs, one a seed."""
        placed = [self.placed(run, form) for run in runs]
        return method_auc(placed, self.clusters)

    def gap(self, runs: Sequence[TrainJob]) -> MethodEstimate:
        """Mean AUC as served minus as trained, of the same run."""
        trained, served = [self.placed(run, "trained") for run in runs], [self.placed(run, "served") for run in runs]
        return paired_difference(trained, served, self.clusters)

    def difference(self, runs: Sequence[TrainJob], base: Sequence[TrainJob], form: Form) -> OverSeeds | None:
        """AUC of the runs minus the base's: of all seeds that both have, and of each seed given the trained models.

        Returns:
            None where they have no seed in common.
        """
        base_of = {run.seed: self.placed(run, form) for run in base}
        pairs = [(base_of[run.seed], self.placed(run, form)) for run in runs if run.seed in base_of]
        if not pairs:
            return None
        each = [method_difference([a], [b], self.clusters) for a, b in pairs]
        of_methods = method_difference([a for a, _ in pairs], [b for _, b in pairs], self.clusters)
        return over_seeds([d.value for d in each], [d.ci for d in each], of_methods)

    def compression(self, jobs: Sequence[CompressJob], trained: Mapping[str, TrainJob]) -> MethodEstimate:
        """AUC through compressed records minus that of full attention, of the same run.

        Args:
            jobs: by one compressor, of runs of one recipe.
            trained: by the name of the run.
        """
        full = [self.placed(trained[job.run], "trained") for job in jobs]
        return paired_difference(full, [self.clusters.place(job.logits()) for job in jobs], self.clusters)

    def placed(self, run: TrainJob, form: Form) -> Placed:
        """A run's scores of one form, beside the users' part in the error of its AUC."""
        if (run.name, form) not in self._placed:
            kept = run.scores()
            self._clusters = self._clusters or UserClusters(kept.label, kept.user)
            for each in get_args(Form):
                self._placed[run.name, each] = self._clusters.place(kept.form(each))
        return self._placed[run.name, form]

    @property
    def clusters(self) -> UserClusters:
        """Of the rows that all runs scored; there is one as soon as a run is placed."""
        assert self._clusters is not None
        return self._clusters
