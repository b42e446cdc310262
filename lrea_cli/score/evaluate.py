"""All numbers of `lrea eval`: metrics of both forms, what lies between them, slices, and trivial baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.counters import trivial_aucs
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.layout import Split
from lrea_cli.dataset.samples import Samples
from lrea_cli.errors import UserError
from lrea_cli.methods.cost import Work
from lrea_cli.recipe.settings import CacheDtype, Compression, CompressorName
from lrea_cli.records.cache import Cache
from lrea_cli.records.maker import RecordMaker
from lrea_cli.runs.checkpoint import Run
from lrea_cli.runs.loop import reader_of, score_split
from lrea_cli.score.cached import Age, CacheAge, cache_life, score_split_cached
from lrea_cli.score.kept_scores import KeptScores, read_scores, write_evaluation
from lrea_cli.score.measured import (
    AbsorptionGap,
    Measures,
    absorption_gap,
    as_keys,
    from_keys,
    measure_rows,
    measure_slice,
)
from lrea_cli.score.slices import slice_masks
from lrea_cli.stats.metrics import Rows
from lrea_cli.stats.metrics.gauc import gauc
from lrea_cli.workspace.sealed import as_json

Group = Literal["user", "request"]
CALIBRATION = ("normalized_entropy", "calibration_ratio", "ece")
"""Metrics whose served form also has the key `calibration_cached`."""


@dataclass(frozen=True)
class Slice:
    """The rows of a slice, and their metrics."""

    rows: int
    metrics: Measures


@dataclass(frozen=True)
class Evaluation:
    """One run on one split.

    Args:
        cache: its kind of records gave the served form; None = the method's own records.
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
    baselines: dict[str, float | None]

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
class ServedFrom:
    """How the records are made that the served form goes through.

    Args:
        dtype: of keys and values.
        compression: of a din run; None = the method's own records.
        cache: the cache that has such records, if any.
    """

    dtype: CacheDtype = "float32"
    compression: Compression | None = None
    cache: str | None = None

    def __str__(self) -> str:
        by = self.compression
        return f"{self.dtype} records" + (f" of {by.compressor} at rank {by.rank}" if by else "")


@dataclass(frozen=True)
class Scored:
    """A split with its scores in both forms, and the mean size of the records that the served form went through."""

    samples: Samples
    histories: Histories
    served_from: ServedFrom
    scores: KeptScores
    bytes_per_record: float
    cache_age: list[CacheAge]


def score(run: Run, split: Split, served_from: ServedFrom, reporter: Reporter, ages: Sequence[Age] = ()) -> Scored:
    """Score a split as trained, and through records of each request's own history.

    Args:
        ages: of records that are tried beside those that were built at the request.
    """
    maker = RecordMaker.of(run, served_from.compression, served_from.dtype)
    reader = reader_of(run.dataset, split, run.recipe.data, run.recipe.train.batch_size)
    samples = reader.samples
    with reporter.task(f"score {split}", samples.rows, "samples") as progress:
        trained = score_split(run.model, reader, progress)
    with reporter.task(f"score {split} through records", samples.rows, "samples") as progress:
        served, bytes_per_record = score_split_cached(maker, reader, progress)
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
    """Everything that the scores of a run say, with GAUC by `group`; the model itself is not needed any more."""
    scores, samples, served = scored.scores, scored.samples, scored.served_from
    groups = scores.user if group == "user" else scores.request
    by_group = gauc(scores.trained, samples.label, groups)

    def in_both_forms(mask: np.ndarray | slice = slice(None)) -> tuple[Rows, Rows]:
        shared = samples.label[mask], scores.user[mask], groups[mask]
        return Rows(scores.trained[mask], *shared), Rows(scores.served[mask], *shared)

    item_size = next(f.size for f in run.dataset.manifest.fields if f.name == "item")
    rank = served.compression.rank if served.compression else getattr(run.model.long, "rank", None)
    families = slice_masks(samples, scored.histories, item_size, run.recipe.data, rank)
    masks = {name: mask for family in families.values() for name, mask in family.items()}
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
        metrics=measure_rows(*in_both_forms()),
        absorption_gap=absorption_gap(*in_both_forms()),
        slices={name: Slice(int(mask.sum()), measure_slice(*in_both_forms(mask))) for name, mask in masks.items()},
        cache_age=scored.cache_age,
        new_behavior=None if served.compression else new_behavior(run, samples.history_length, served.dtype),
        baselines=trivial_aucs(samples, scored.histories, run.dataset.manifest.splits.valid_from),
    )


def new_behavior(run: Run, lengths: np.ndarray, dtype: CacheDtype) -> Work:
    """What one more behavior changes in a record of a run's method: the mean over histories of these lengths."""
    long = np.clip(lengths - run.recipe.data.short, 0, run.recipe.data.long)
    return run.model.long.cost(long, 1, dtype).behavior


def served_scores(run: Run, cache: Cache, reporter: Reporter) -> KeptScores:
    """Both forms of the test split's scores; the served form has gone through this cache's kind of records.

    They lie with the cache that a compressor made, else with the run. New ones are made and kept where there are none,
    or they are damaged, of another dataset, or served otherwise.
    """
    compression, artifact = cache.manifest.compression, cache.artifact
    served_from = ServedFrom(cache.manifest.dtype, compression, artifact.name if compression else None)
    folder = artifact.path if compression else run.artifact.path
    try:
        kept = read_scores(folder, "test", "", run.artifact.manifest.made_from)
        if (kept.run, kept.method, kept.served_from) == (run.name, run.recipe.model.method, str(served_from)):
            return kept
    except UserError:
        pass
    scored = score(run, "test", served_from, reporter)
    write_evaluation(folder, scored.scores, measure(run, scored, "user").to_dict())
    return scored.scores
