"""The settings of a run as frozen dataclasses; each attribute names its limits, which `values.py` enforces.

Beyond its limits a number overflows, or takes too much memory, long after the start.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args

from lrea_cli.errors import UserError

MethodName = Literal[
    "din-short", "mean", "linear", "sim", "eta", "sdim", "twin", "twin-v2", "vq", "category", "sketch", "lrea", "din"
]
"""All methods, each a file in `methods/`: a new one is that file and its name here."""
METHOD_NAMES: tuple[str, ...] = get_args(MethodName)
SearchName = Literal["hard", "soft"]
ReaderName = Literal["din", "softmax"]
"""How candidates attend to pseudo items, see `methods.pseudo_items.PseudoItemMethod`."""
CompressorName = Literal["recent", "mean", "random", "codes", "clusters"]
"""All compressors, each a file in `compressors/`: a new one is that file and its name here."""
COMPRESSOR_NAMES: tuple[str, ...] = get_args(CompressorName)
KernelName = Literal["naive", "folded", "gemm", "fused"]
"""All kernels, each a file in `kernels/` with a function of that name: a new one is that file and its name here."""
KERNEL_NAMES: tuple[KernelName, ...] = get_args(KernelName)
CacheDtype = Literal["float32", "float16", "int8"]
"""How the numbers of a cache's records are stored; int8 with one scale a row, see `int8.py`."""
CACHE_DTYPES: tuple[CacheDtype, ...] = get_args(CacheDtype)

HIGHEST_SEED = 2**63 - 1
"""Seeds are 64-bit numbers with a sign in DuckDB and torch."""

THREADS_A_CORE = 8

COUNT = (1, 10**6)
"""Of rows, behaviors, candidates and epochs."""


@dataclass(frozen=True)
class Limits:
    """Of a number (at least, above, at most, below) or of a list; stands in `Annotated`, where pydantic reads it.

    pydantic's own `Field` costs 60 ms to import, and settings are read where pydantic is not installed.
    """

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**handler(source), **{name: limit for name, limit in vars(self).items() if limit is not None}}


Count = Annotated[int, Limits(ge=COUNT[0], le=COUNT[1])]
CountOrZero = Annotated[int, Limits(ge=0, le=COUNT[1])]
Width = Annotated[int, Limits(ge=1, le=65_536)]
Few = Annotated[int, Limits(ge=1, le=4096)]
Share = Annotated[float, Limits(ge=0, lt=1)]
Seed = Annotated[int, Limits(ge=0, le=HIGHEST_SEED)]


@dataclass(frozen=True)
class DataSettings:
    """[data]: the dataset and how much of a history is read.

    Args:
        dataset: a prepared dataset; None = the latest.
        short: S, the newest behaviors. long: L, the behaviors before those.
        fields: names of the fields that are inputs; empty = all of the dataset's.
        match_counters: item fields of which log(1 + behaviors with the candidate's value) is an input, too; `category`
            is left out where the dataset has none. `item` betrays the label where negatives were drawn: a user never
            clicked them.
    """

    dataset: str | None = None
    short: Count = 64
    long: CountOrZero = 500
    fields: tuple[str, ...] = ()
    match_counters: tuple[str, ...] = ("category",)


@dataclass(frozen=True)
class ModelSettings:
    """[model]: the long-interest method and its hyperparameters, named as in the papers.

    Args:
        method: one of `METHOD_NAMES`.
        embedding_dim: d of one field. embedding_std: of their start.
        hidden: widths of the MLP. dropout: after each of its hidden layers, in training.
        scorer_hidden: H, hidden width of DIN's scorer, in the attention to the short and to the long sequence.
        reader: of din, lrea, mean and sketch: DIN's scorer (`din`) or `softmax`, see
            `methods.pseudo_items.PseudoItemMethod`.
        rank, lam: r and lambda of LREA (Table 3).
        start: of LREA, the share of a column of W_decomp that is its own block's before training.
        step: of LREA, the rate of its position matrices over the learning rate.
        form, decomp_columns, short_histories, penalty: see `methods.lrea.LREA`.
        k: behaviors that the search of SIM, ETA and TWIN keeps. search: of SIM, by category (`hard`) or by inner
            product (`soft`). target_attention: of SIM and ETA, see `methods.searched`.
        heads: of the attention of SIM, ETA and TWIN, and of reader `softmax`.
        m: hashes of ETA and SDIM. tau: those of them that make one group of SDIM.
        most_members: of TWIN V2, most behaviors in a cluster; k: clusters that its search keeps.
        shared_rows: of category, R rows for all behaviors beside the row of the candidate's category; 0 = one row, of
            the behaviors of other categories. half_life: behaviors after which a behavior counts half in a third row,
            that of the candidate's recent category; 0 = without that row. See `methods.category`.
        layers, normalize, temperature: see `methods.sketch.Sketch`; its `rank` is the number of its prototypes.
        codes, beta: see `methods.vq.VQ`, which has heads, too.
    """

    method: MethodName = "lrea"
    embedding_dim: Few = 16
    embedding_std: Annotated[float, Limits(ge=0, le=1000)] = 0.15
    hidden: Annotated[tuple[Width, ...], Limits(min_length=1)] = (512, 256, 128)
    dropout: Share = 0.3
    scorer_hidden: Few = 64
    reader: ReaderName = "din"
    rank: Count = 128
    lam: Annotated[float, Limits(ge=0, le=10**6)] = 0.3
    form: Literal["decomposed", "absorbed"] = "decomposed"
    decomp_columns: Literal["unit", "free"] = "unit"
    short_histories: Literal["mix", "exact"] = "mix"
    penalty: Literal["mean", "sum"] = "mean"
    start: Annotated[float, Limits(gt=0, lt=1)] = 0.98
    step: Annotated[float, Limits(gt=0, le=1000)] = 0.01
    k: Count = 64
    search: SearchName = "hard"
    heads: Few = 4
    target_attention: Literal["multi-head", "din"] = "multi-head"
    m: Few = 48
    tau: Few = 3
    most_members: Count = 8
    shared_rows: Annotated[int, Limits(ge=0, le=4096)] = 16
    half_life: CountOrZero = 0
    layers: Annotated[int, Limits(ge=1, le=2)] = 1
    normalize: Literal["prototypes", "tokens"] = "prototypes"
    temperature: Annotated[float, Limits(gt=0, lt=1000)] = 0.1
    codes: Annotated[int, Limits(ge=2, le=4096)] = 128
    beta: Annotated[float, Limits(ge=0, le=10**6)] = 0.01


@dataclass(frozen=True)
class TrainSettings:
    """[train]: optimizer and stopping.

    Args:
        epochs: at most. patience: epochs without a better validation AUC before training stops.
        batch_size: samples a batch.
        lr: Adagrad's. The paper tuned .01, .005, .001 and names no start of the accumulators; here higher ones were
            better (docs/log.md, issue B).
        initial_accumulator: what the sums of squares of embeddings start from; above 0, a rarely seen value moves
            little, so a small log is not learnt by heart.
        weight_decay: share by which the embeddings that a batch read shrink in its step (decoupled from the gradient).
        share: of the users of the train split: a model learns from the samples of these users alone, which the seed
            draws; a smaller share's users are among a larger one's. Validation and test are whole.
        seed: of start, shuffling, and the users of `share`.
    """

    epochs: Count = 10
    patience: CountOrZero = 2
    batch_size: Annotated[int, Limits(ge=2, le=10**7)] = 1024
    lr: Annotated[float, Limits(gt=0, lt=100)] = 0.05
    initial_accumulator: Annotated[float, Limits(ge=0, le=10**6)] = 0.025
    weight_decay: Share = 0.0
    share: Annotated[float, Limits(gt=0, le=1)] = 1.0
    seed: Seed = 2025


@dataclass(frozen=True)
class Compression:
    """How the records of a din run are made smaller, to `rank` rows at most."""

    __pydantic_config__: ClassVar = {"strict": True, "extra": "forbid"}  # as a manifest has it

    compressor: CompressorName
    rank: Count
    seed: Seed = 2025


def check_range(name: str, value: float, low: float, high: float, remedy: str = "") -> None:
    """Raise a `UserError` for a number outside its limits; nan is outside of all."""
    if not low <= value <= high:
        raise UserError(f"{name} is {value}.", remedy or f"Use {low:,} to {high:,}.")


def check_threads(name: str, value: int) -> None:
    """Raise a `UserError` for more threads or processes than a machine can start."""
    cores = os.cpu_count() or 1
    most = THREADS_A_CORE * cores
    check_range(name, value, 1, most, f"Use 1 to {most}: {THREADS_A_CORE} a core (cores here: {cores}).")
