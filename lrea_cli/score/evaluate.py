"""All numbers of `lrea eval`: metrics of both forms, what lies between them, slices, and trivial baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.layout import Split
from lrea_cli.dataset.samples import Samples
from lrea_cli.methods.cost import Work
from lrea_cli.recipe.settings import Compression, CompressorName
from lrea_cli.records.format import CacheDtype
from lrea_cli.records.maker import RecordMaker, summarizer_of
from lrea_cli.runs.checkpoint import Run
from lrea_cli.runs.loop import reader_of, score_split
from lrea_cli.score.baselines import Baselines, trivial_baselines
from lrea_cli.score.cache_life import Age, CacheAge, cache_life
from lrea_cli.score.cached import Counting, score_split_cached
from lrea_cli.score.kept import KeptScores
from lrea_cli.score.measured import Measures, as_keys, from_keys, measure_rows, measure_slice
from lrea_cli.score.slices import slice_masks
from lrea_cli.stats.bootstrap import auc_difference
from lrea_cli.stats.estimates import Interval, deviation
from lrea_cli.stats.metrics import Rows
from lrea_cli.stats.metrics.gauc import gauc
from lrea_cli.workspace.sealed import as_json

Group = Literal["user", "request"]
CALIBRATION = ("normalized_entropy", "calibration_ratio", "ece")
"""Metrics whose served form also has the key `calibration_cached`, from before each had a key of its own."""


@dataclass(frozen=True)
class AbsorptionGap:
    """What changes when the trained form is replaced by the served one.

    Args:
        auc: auc_cached - auc. ci: its 95% interval, paired.
        rms_logit: root mean square of the logit's change. rms_over_sd: over the standard deviation of the trained
            logits; None where those are constant.
    """

    auc: float | None
    ci: Interval | None
    rms_logit: float
    rms_over_sd: float | None


@dataclass(frozen=True)
class Slice:
    """The rows of a slice, and their metrics."""

    rows: int
    metrics: Measures


@dataclass(frozen=True)
class Evaluation:
    """One run on one split.

    Args:
        cache: whose way of making records the served form went through; None = the method's own.
        compressor, dtype: of those records.
        group: of GAUC.
        groups, single_class_groups: counted in GAUC, and left out of it.
        slices: by name.
        cache_age: what older records cost, for each age asked for.
        new_behavior: what one more behavior changes in a record of the method, the mean over the requests; None for a
            compressor's, which is made anew.
    """

    run: str
    method: str
    split: Split
    rows: int
    requests: int
    group: Group
    groups: int
    single_class_groups: int
    cache: str | None
    compressor: CompressorName | None
    dtype: CacheDtype
    metrics: Measures
    absorption_gap: AbsorptionGap
    slices: dict[str, Slice]
    cache_age: list[CacheAge]
    new_behavior: Work | None
    baselines: Baselines

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints: the metrics of the split, and of each slice, by the keys of `measured.as_keys`."""
        content = {**as_keys(self.metrics), **asdict(self)}
        del content["metrics"]
        content["slices"] = {name: {"rows": s.rows, **as_keys(s.metrics)} for name, s in self.slices.items()}
        content["calibration_cached"] = {name: self.metrics[name].served for name in CALIBRATION}
        return as_json(content)


def nested(content: Mapping[str, Any]) -> dict[str, Any]:
    """What `Evaluation.to_dict` gave, with the metrics as `Evaluation` has them, for `parse`.

    A metric that an older version did not know is None.
    """
    slices = {name: {"rows": s["rows"], "metrics": from_keys(s)} for name, s in content.get("slices", {}).items()}
    return {**content, "metrics": from_keys(content), "slices": slices}


@dataclass(frozen=True)
class Scored:
    """A split with its scores in both forms.

    Args:
        bytes_per_record: of the records that the served form went through, mean over the requests.
    """

    samples: Samples
    histories: Histories
    served_from: ServedFrom
    scores: KeptScores
    bytes_per_record: float
    cache_age: list[CacheAge]


@dataclass(frozen=True)
class ServedFrom:
    """How the records are made that the served form goes through.

    Args:
        dtype: of keys and values. compression: of a din run; None = the method's own records.
        cache: the cache whose way this is, if any.
    """

    dtype: CacheDtype = "float32"
    compression: Compression | None = None
    cache: str | None = None

    def __str__(self) -> str:
        by = self.compression
        return f"{self.dtype} records" + (f" of {by.compressor} at rank {by.rank}" if by else "")


def score(run: Run, split: Split, served_from: ServedFrom, reporter: Reporter, ages: Sequence[Age] = ()) -> Scored:
    """Score a split as trained, and through records of each request's own history.

    Args:
        ages: of records that are tried beside those that were built at the request.

    Raises:
        UserError: a compression was asked for, and the run is not a din.
    """
    summarize = Counting.of(run, summarizer_of(run, served_from.compression), served_from.dtype)
    maker = RecordMaker(run.model, summarize, served_from.dtype)
    reader = reader_of(run.dataset, split, run.recipe.data, run.recipe.train.batch_size)
    samples = reader.samples
    with reporter.task(f"score {split}", samples.rows, "samples") as progress:
        trained = score_split(run.model, reader, progress)
    with reporter.task(f"score {split} through records", samples.rows, "samples") as progress:
        served = score_split_cached(maker, reader, progress)
    bytes_per_record = summarize.mean_bytes
    aged = cache_life(maker, reader, served, ages, reporter)
    scores = KeptScores(
        made_from=run.artifact.manifest.made_from,
        run=run.name,
        method=run.recipe.model.method,
        split=split,
        served_from=str(served_from),
        user=samples.user[samples.row_request],
        request=samples.row_request,
        item=samples.ids["item"],
        label=samples.label,
        trained=trained,
        served=served,
    )
    return Scored(samples, reader.histories, served_from, scores, bytes_per_record, aged)


def measure(run: Run, scored: Scored, group: Group) -> Evaluation:
    """Everything that the scores of a run say; the model itself is not needed any more.

    Args:
        group: of GAUC.
    """
    scores, samples, served = scored.scores, scored.samples, scored.served_from
    by_group = gauc(scores.trained, samples.label, scores.user if group == "user" else scores.request)
    return Evaluation(
        run=scores.run,
        method=scores.method,
        split=scores.split,
        rows=samples.rows,
        requests=samples.requests,
        group=group,
        groups=by_group.groups,
        single_class_groups=by_group.single_class_groups,
        cache=served.cache,
        compressor=served.compression.compressor if served.compression else None,
        dtype=served.dtype,
        metrics=measure_rows(*_both_forms(scored, group)),
        absorption_gap=absorption_gap(*_both_forms(scored, group)),
        slices=_slices(run, scored, group),
        cache_age=scored.cache_age,
        new_behavior=None if served.compression else _new_behavior(run, scored),
        baselines=trivial_baselines(samples, scored.histories, run.dataset.manifest.splits.valid_from),
    )


def absorption_gap(trained: Rows, served: Rows) -> AbsorptionGap:
    """What serving changes, from the scores of the same rows in both forms."""
    paired = auc_difference(trained.logits, served.logits, trained.labels, trained.users)
    rms = float(np.sqrt(np.mean((served.logits - trained.logits) ** 2)))
    return AbsorptionGap(paired.value, paired.ci, rms, deviation(trained.logits, served.logits))


def _both_forms(scored: Scored, group: Group, mask: np.ndarray | slice = slice(None)) -> tuple[Rows, Rows]:
    """The rows of a split, or those of a mask (rows,): as trained, and as served."""
    scores = scored.scores
    groups = scores.user if group == "user" else scores.request
    shared = scored.samples.label[mask], scores.user[mask], groups[mask]
    return Rows(scores.trained[mask], *shared), Rows(scores.served[mask], *shared)


def _slices(run: Run, scored: Scored, group: Group) -> dict[str, Slice]:
    served = scored.served_from
    item_size = next(f.size for f in run.dataset.manifest.fields if f.name == "item")
    rank = served.compression.rank if served.compression else getattr(run.model.long, "rank", None)
    families = slice_masks(scored.samples, scored.histories, item_size, run.recipe.data, rank)
    return {
        name: Slice(int(mask.sum()), measure_slice(*_both_forms(scored, group, mask)))
        for family in families.values()
        for name, mask in family.items()
    }


def _new_behavior(run: Run, scored: Scored) -> Work:
    """Counted by the method at the long length of each request."""
    settings = run.recipe.data
    long = np.clip(scored.samples.history_length - settings.short, 0, settings.long)
    return run.model.long.cost(long, 1, np.dtype(scored.served_from.dtype).itemsize).behavior
