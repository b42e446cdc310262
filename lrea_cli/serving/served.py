"""What travels wherever requests are served: a run, its users' records, how those were made, and the histories."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lrea_cli.dataset.histories import Histories
from lrea_cli.kernels import Kernel
from lrea_cli.recipe.settings import Compression
from lrea_cli.records.cache import Cache
from lrea_cli.records.maker import RecordMaker
from lrea_cli.records.resident import Records, records_on
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.scorer import RequestScorer


@dataclass(frozen=True)
class Served:
    """A run as it is served.

    Args:
        run: its model is on the device that serves.
        records: of the users.
        compression: how the records were made from a din run; None where the run's method makes them.
        histories: of the same users.
    """

    run: Run
    records: Records
    compression: Compression | None
    histories: Histories

    @classmethod
    def of(cls, run: Run, cache: Cache, histories: Histories) -> Served:
        """A run through a cache of it: on a GPU all records are read into its memory."""
        return cls(run, records_on(cache.store, run.device), cache.manifest.compression, histories)

    @property
    def device(self) -> torch.device:
        return self.run.device

    @property
    def maker(self) -> RecordMaker:
        """What makes such records of other histories."""
        return RecordMaker.of(self.run, self.compression, self.records.layout.dtype)

    def scorer(self, kernel: Kernel) -> RequestScorer:
        """What scores the candidates of a request, with one kernel."""
        return RequestScorer(self.run.model, self.histories, self.run.recipe.data, self.records, kernel)
