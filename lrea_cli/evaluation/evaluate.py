"""All numbers of `lrea eval`: the training form, the served form, what lies between, and the trivial baselines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from lrea_cli.data.layout import Split
from lrea_cli.evaluation.baselines import Baselines, trivial_baselines
from lrea_cli.evaluation.cached import score_split_cached
from lrea_cli.evaluation.metrics import GAUC, auc, gauc, log_loss
from lrea_cli.evaluation.scores import score_split
from lrea_cli.progress import Reporter
from lrea_cli.serving.records import CacheDtype
from lrea_cli.training.checkpoint import Run
from lrea_cli.training.loop import reader_of

Group = Literal["user", "request"]


@dataclass(frozen=True)
class AbsorptionGap:
    """What changes when the trained form is replaced by the served one.

    Args:
        auc: auc_cached - auc. rms_logit: root mean square of the logit's change.
    """

    auc: float | None
    rms_logit: float


@dataclass(frozen=True)
class Evaluation:
    """One run on one split.

    Args:
        auc, gauc, log_loss: of the training form. auc_cached: of what would be served from records of `dtype`.
        groups, single_class_groups: counted in GAUC, and left out of it.
    """

    run: str
    method: str
    split: Split
    rows: int
    requests: int
    auc: float | None
    gauc: float | None
    group: Group
    groups: int
    single_class_groups: int
    log_loss: float
    dtype: CacheDtype
    auc_cached: float | None
    absorption_gap: AbsorptionGap
    baselines: Baselines

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json` and `eval.json`."""
        return asdict(self)


def evaluate(
    run: Run, split: Split, group: Group, dtype: CacheDtype, device: torch.device, reporter: Reporter
) -> Evaluation:
    """Score a split in both forms.

    Args:
        group: of GAUC. dtype: of the records that the served form goes through.
    """
    reader = reader_of(run.dataset, split, run.recipe.data, run.recipe.train.batch_size)
    samples = reader.samples
    with reporter.task(f"score {split}", samples.rows, "samples") as progress:
        logits = score_split(run.model, reader, device, progress)
    with reporter.task(f"score {split} through records", samples.rows, "samples") as progress:
        cached = score_split_cached(run.model, reader, dtype, device, progress)
    request = samples.row_request
    by_group: GAUC = gauc(logits, samples.label, samples.user[request] if group == "user" else request)
    plain, served = auc(logits, samples.label), auc(cached, samples.label)
    gap = served - plain if plain is not None and served is not None else None
    return Evaluation(
        run=run.name,
        method=run.recipe.model.method,
        split=split,
        rows=samples.rows,
        requests=samples.requests,
        auc=plain,
        gauc=by_group.value,
        group=group,
        groups=by_group.groups,
        single_class_groups=by_group.single_class_groups,
        log_loss=log_loss(logits, samples.label),
        dtype=dtype,
        auc_cached=served,
        absorption_gap=AbsorptionGap(gap, float(np.sqrt(np.mean((cached - logits) ** 2)))),
        baselines=trivial_baselines(samples, reader.histories, run.dataset.valid_from),
    )
