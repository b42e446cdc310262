"""Compressing without a disk: embeddings, `summarize` and `seal` of batches of users on the device."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from lrea_cli.compressors import COMPRESSORS
from lrea_cli.model import CTRModel
from lrea_cli.records.summarizer import SHARED_PROBES, Summarizer
from lrea_cli.sequence import HistoryIds, Summary
from on_gpu.made import candidate_ids, generator_of, history_ids, model_of
from on_gpu.rows import Report, Row, Setting, Timed, cell
from on_gpu.sizes import Sizes
from on_gpu.timing import Call, Contender, in_turns, release

CLUSTERS_RANK = 16
CELL_SECONDS = 6.0


def measure_compress(report: Report, sizes: Sizes, device: torch.device) -> None:
    """lrea over L = 2,000 (what a gate of methods has passed), and the clusters of a din over L = 500."""
    cases = (
        ("lrea", "method lrea", sizes.summarized, sizes.rank),
        ("clusters", "compress clusters", sizes.long, CLUSTERS_RANK),
    )
    for name, path, long, rank in cases:
        settings: dict[str, Setting] = {"what": "compress", "by": name, "D": 16, "L": long, "R": rank}
        if path in report.failed:
            report.add(Row("compress", settings, "skipped", "its gate failed"))
            continue
        for batch in sizes.batches:
            if report.seconds_left("compress") <= 0:
                report.add(Row("compress", {**settings, "users": batch}, "skipped", "the budget's share is used up"))
                continue
            with cell(report, "compress", {**settings, "users": batch}), torch.inference_mode():
                _measure(report, sizes, name, long, rank, {**settings, "users": batch}, batch, device)
            release(device)


def _measure(
    report: Report,
    sizes: Sizes,
    name: str,
    long: int,
    rank: int,
    settings: dict[str, Setting],
    batch: int,
    device: torch.device,
) -> None:
    generator = generator_of(device, 14)
    model = model_of("lrea" if name == "lrea" else "din", sizes, device, long=long).eval()
    summarize: Summarizer = lambda behaviors, _: model.long.summarize(behaviors.double())  # noqa: E731
    if name != "lrea":
        probes_TD = model.features.candidates(candidate_ids(1, SHARED_PROBES, sizes, generator)).vectors[0]
        summarize = COMPRESSORS[name](model.full_attention, rank, 0, probes_TD)
    drawn = [history_ids(batch, long, sizes, generator) for _ in range(2)]
    calls: list[Call] = [partial(_sealed, model, summarize, ids, np.arange(batch)) for ids in drawn]
    timed = in_turns([Contender(name, calls)], device, min(CELL_SECONDS, report.seconds_left("compress")))[name]
    if isinstance(timed, Timed):
        report.add(Row("compress", settings, timed=timed, values={"users_per_s": 1e6 * batch / timed.median_us}))
    else:
        report.add(Row("compress", settings, "skipped" if timed.status == "skipped" else "error", timed.note))


def _sealed(model: CTRModel, summarize: Summarizer, ids: HistoryIds, users: np.ndarray) -> Summary:
    return model.long.seal(summarize(model.features.behaviors(ids), users), torch.float16)
