"""All numbers of `lrea eval`: the training form, the served form, what lies between, slices, and trivial baselines."""

from __future__ import annotations

from collections.abc import Sequence
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
from lrea_cli.records.maker import RecordMaker
from lrea_cli.runs.checkpoint import Run
from lrea_cli.runs.loop import reader_of, score_split
from lrea_cli.score.baselines import Baselines, trivial_baselines
from lrea_cli.score.cache_life import Age, CacheAge, cache_life
from lrea_cli.score.cached import score_split_cached
from lrea_cli.score.kept import KeptScores
from lrea_cli.score.slices import SliceMetrics, measure_slice, slice_masks
from lrea_cli.stats.bootstrap import auc_difference, auc_estimate, gauc_estimate
from lrea_cli.stats.calibration import Calibration, calibration
from lrea_cli.stats.estimates import Interval
from lrea_cli.stats.metrics import auc, deviation, gauc, log_loss
from lrea_cli.workspace.sealed import as_json

Group = Literal["user", "request"]
DTYPE_BYTES: dict[CacheDtype, int] = {"float32": 4, "float16": 2}


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
class Numbers:
    """What two forms of scores and the labels say.

    Args:
        auc, gauc, log_loss, normalized_entropy, calibration_ratio, ece: of the training form.
        auc_ci, gauc_ci: 95%, users drawn. groups, single_class_groups: counted in GAUC, and left out of it.
        auc_cached, gauc_cached, calibration_cached: of what would be served.
    """

    auc: float | None
    auc_ci: Interval | None
    gauc: float | None
    gauc_ci: Interval | None
    groups: int
    single_class_groups: int
    log_loss: float
    normalized_entropy: float | None
    calibration_ratio: float | None
    ece: float | None
    auc_cached: float | None
    gauc_cached: float | None
    calibration_cached: Calibration
    absorption_gap: AbsorptionGap


@dataclass(frozen=True)
class Evaluation(Numbers):
    """One run on one split.

    Args:
        cache: whose way of making records the served form went through; None = the method's own.
        compressor, dtype: of those records. cache_age: what older records cost, for each age asked for.
        new_behavior: what one more behavior changes in a record of the method, the mean over the requests; None for a
            compressor's, which is made anew.
    """

    run: str
    method: str
    split: Split
    rows: int
    requests: int
    group: Group
    cache: str | None
    compressor: CompressorName | None
    dtype: CacheDtype
    slices: dict[str, SliceMetrics]
    cache_age: list[CacheAge]
    new_behavior: Work | None
    baselines: Baselines

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json` and `eval.json`."""
        return as_json(asdict(self))


@dataclass(frozen=True)
class Scored:
    """A split with its scores in both forms."""

    samples: Samples
    histories: Histories
    way: ServedFrom
    scores: KeptScores
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
        made = self.compression
        return f"{self.dtype} records" + (f" of {made.compressor} at rank {made.rank}" if made else "")


def evaluate(run: Run, split: Split, group: Group, way: ServedFrom, reporter: Reporter) -> Evaluation:
    """Score a split in both forms, and measure.

    Args:
        group: of GAUC. way: in which the records of the served form are made.
    """
    return measure(run, score(run, split, way, reporter), group)


def score(run: Run, split: Split, way: ServedFrom, reporter: Reporter, ages: Sequence[Age] = ()) -> Scored:
    """Score a split as trained, and through records of each request's own history.

    Args:
        ages: of records that are tried beside those that were built at the request.

    Raises:
        UserError: a compression was asked for, and the run is not a din.
    """
    maker = RecordMaker.of(run, way.compression, way.dtype)
    reader = reader_of(run.dataset, split, run.recipe.data, run.recipe.train.batch_size)
    samples = reader.samples
    with reporter.task(f"score {split}", samples.rows, "samples") as progress:
        trained = score_split(run.model, reader, progress)
    with reporter.task(f"score {split} through records", samples.rows, "samples") as progress:
        served = score_split_cached(maker, reader, progress)
    aged = cache_life(maker, reader, served, ages, reporter)
    scores = KeptScores(
        made_from=run.artifact.manifest.made_from,
        run=run.name,
        method=run.recipe.model.method,
        split=split,
        served_from=str(way),
        user=samples.user[samples.row_request],
        request=samples.row_request,
        item=samples.ids["item"],
        label=samples.label,
        trained=trained,
        served=served,
    )
    return Scored(samples, reader.histories, way, scores, aged)


def measure(run: Run, scored: Scored, group: Group) -> Evaluation:
    """Everything that the scores of a run say; the model itself is not needed any more."""
    scores, samples = scored.scores, scored.samples
    groups = scores.user if group == "user" else scores.request
    size = next(f.size for f in run.dataset.manifest.fields if f.name == "item")
    way, settings = scored.way, run.recipe.data
    rank = way.compression.rank if way.compression else getattr(run.model.long, "rank", None)
    long = np.clip(samples.history_length - settings.short, 0, settings.long)
    families = slice_masks(samples, scored.histories, size, settings, rank)
    columns = (scores.trained, scores.served, samples.label, groups, scores.user)
    slices = {
        name: measure_slice(*(column[mask] for column in columns))
        for family in families.values()
        for name, mask in family.items()
    }
    return Evaluation(
        **vars(numbers_of(*columns)),
        run=scores.run,
        method=scores.method,
        split=scores.split,
        rows=samples.rows,
        requests=samples.requests,
        group=group,
        cache=way.cache,
        compressor=way.compression.compressor if way.compression else None,
        dtype=way.dtype,
        slices=slices,
        cache_age=scored.cache_age,
        new_behavior=None if way.compression else run.model.long.cost(long, 1, DTYPE_BYTES[way.dtype]).behavior,
        baselines=trivial_baselines(samples, scored.histories, run.dataset.manifest.splits.valid_from),
    )


def numbers_of(
    trained: np.ndarray, served: np.ndarray, labels: np.ndarray, groups: np.ndarray, users: np.ndarray
) -> Numbers:
    """Metrics, intervals, calibration and the gap, from scores alone.

    Args:
        trained, served: (rows,) logits. labels: (rows,). groups: (rows,) of GAUC. users: (rows,) drawn as one.
    """
    plain, by_group = auc_estimate(trained, labels, users), gauc(trained, labels, groups)
    return Numbers(
        auc=plain.value,
        auc_ci=plain.ci,
        gauc=by_group.value,
        gauc_ci=gauc_estimate(trained, labels, groups, users).ci,
        groups=by_group.groups,
        single_class_groups=by_group.single_class_groups,
        log_loss=log_loss(trained, labels),
        **vars(calibration(trained, labels)),
        auc_cached=auc(served, labels),
        gauc_cached=gauc(served, labels, groups).value,
        calibration_cached=calibration(served, labels),
        absorption_gap=_gap(trained, served, labels, users),
    )


def _gap(trained: np.ndarray, served: np.ndarray, labels: np.ndarray, users: np.ndarray) -> AbsorptionGap:
    paired = auc_difference(trained, served, labels, users)
    rms = float(np.sqrt(np.mean((served - trained) ** 2)))
    return AbsorptionGap(paired.value, paired.ci, rms, deviation(trained, served))
