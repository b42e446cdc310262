"""What each choice of `clusters` pays: a sweep's runs compressed anew with one choice changed at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lrea_cli.compressors import Clusters
from lrea_cli.compressors.clusters import Choices
from lrea_cli.records.maker import Summarizer
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sweep.jobs import CompressJob
from lrea_cli.sweep.run import Finished
from lrea_cli.sweep.settings import Compress

VARIANTS = {
    "plain metric": Choices(metric="plain"),
    "no correction": Choices(correction=False),
    "values not fitted": Choices(fit=False),
    "neither": Choices(correction=False, fit=False),
    "ridge .01": Choices(ridge=0.01),
    "ridge 1": Choices(ridge=1.0),
    "24 + 24 probes": Choices(fit_probes=24, own_probes=24),
    "8 shared probes": Choices(fit_probes=8, own_probes=0),
}


@dataclass(frozen=True)
class VariantJob(CompressJob):
    """Compress one run by clusters of other choices.

    Args:
        variant: one of `VARIANTS`.
    """

    variant: str = ""

    @property
    def label(self) -> str:
        """How the variant is called in tables."""
        return f"{self.compressor}, {self.variant}"

    def summarizer(self, run: Run) -> Summarizer:
        """What makes the records."""
        plain = super().summarizer(run)
        assert isinstance(plain, Clusters)
        return Clusters(plain.attention, plain.rank, plain.seed, plain.probes_TD, choices=VARIANTS[self.variant])


def variant_jobs(compress: Compress, finished: Finished, rank: int) -> Iterator[VariantJob]:
    """Every variant of every run that the sweep compressed."""
    for cell in finished.cells:
        for job in cell.evaluated() if cell.recipe in compress.recipes else ():
            for variant in VARIANTS:
                yield VariantJob(job.home, job.name, "clusters", rank, job.seed, variant)
