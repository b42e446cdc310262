"""Compressing without a disk: embeddings, `summarize` and `seal` of batches of users on the device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from lrea_cli.compressors import COMPRESSORS
from lrea_cli.recipe.settings import DataSettings
from lrea_cli.records.maker import SHARED_PROBES, RecordMaker
from lrea_cli.sequence import HistoryIds, Summary
from on_gpu.made import candidate_ids, generator_of, history_ids, model_of
from on_gpu.rows import Report, Row, Setting, Timed, cell
from on_gpu.sizes import Sizes
from on_gpu.timing import Call, Contender, in_turns, release

CLUSTERS_RANK = 16
CELL_SECONDS = 6.0


@dataclass(frozen=True)
class Case:
    """What makes records; `path` is of the gate that this must have passed."""

    by: str
    path: str
    long: int
    rank: int

    @property
    def settings(self) -> dict[str, Setting]:
        """For its rows."""
        return {"what": "compress", "by": self.by, "D": 16, "L": self.long, "R": self.rank}


def measure_compress(report: Report, sizes: Sizes, device: torch.device) -> None:
    """lrea over L = 2,000 (what a gate of methods has passed), and the clusters of a din over L = 500."""
    cases = (
        Case("lrea", "method lrea", sizes.summarized, sizes.rank),
        Case("clusters", "compress clusters", sizes.long, CLUSTERS_RANK),
    )
    for case in cases:
        if case.path in report.failed:
            report.add(Row("compress", case.settings, "skipped", "its gate failed"))
            continue
        for users in sizes.batches:
            settings = {**case.settings, "users": users}
            if report.seconds_left("compress") <= 0:
                report.add(Row("compress", settings, "skipped", "the budget's share is used up"))
                continue
            with cell(report, "compress", settings), torch.inference_mode():
                _measure(report, replace(sizes, long=case.long), case, users, device)
            release(device)


def _measure(report: Report, sizes: Sizes, case: Case, users: int, device: torch.device) -> None:
    generator = generator_of(device, 14)
    model = model_of("lrea" if case.by == "lrea" else "din", sizes, device).eval()
    maker = RecordMaker(model, DataSettings(long=case.long), "float16")
    if case.by != "lrea":
        probes_TD = model.features.candidates(candidate_ids(1, SHARED_PROBES, sizes, generator)).vectors[0]
        maker = replace(maker, compress=COMPRESSORS[case.by](model.full_attention, case.rank, 0, probes_TD))
    drawn = [history_ids(users, case.long, sizes, generator) for _ in range(2)]
    calls: list[Call] = [partial(_sealed, maker, ids, np.arange(users)) for ids in drawn]
    timed = in_turns([Contender(case.by, calls)], device, min(CELL_SECONDS, report.seconds_left("compress")))[case.by]
    settings = {**case.settings, "users": users}
    if isinstance(timed, Timed):
        report.add(Row("compress", settings, timed=timed, values={"users_per_s": 1e6 * users / timed.median_us}))
    else:
        report.add(Row("compress", settings, "skipped" if timed.status == "skipped" else "error", timed.note))


def _sealed(maker: RecordMaker, ids: HistoryIds, users: np.ndarray) -> Summary:
    return maker.summarize(maker.model.features.behaviors(ids), users)
