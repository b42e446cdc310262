"""Random models and requests for the native request, and their answers in float64 by torch."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lrea_cli.attention import Attention
from lrea_cli.dataset.fields import EncodedField
from lrea_cli.ids import PADDING_ID
from lrea_cli.kernels import naive
from lrea_cli.kernels.weights import linear_half, linear_interest
from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import DataSettings, ModelSettings
from lrea_cli.sequence import Buckets as BucketSums
from lrea_cli.sequence import CandidateIds, Candidates, HistoryIds
from lrea_cli.serving.native import abi
from lrea_cli.serving.native.model import Behaviors, Buckets, GivenInterest, Matrix, NativeModel, NativeRequest, Rows
from lrea_cli.serving.native.model_file import write_model

PATHS = [mode for mode in abi.MODES if mode not in ("auto", "fp32") and abi.path_of(mode)]
"""The modes that this machine has, each by its own name."""
KEYS = 16
"""Keys at once in float64, so that the naive kernel needs little memory."""


@dataclass(frozen=True)
class Shape:
    """What is drawn; letters as in lrea.h."""

    N: int = 40
    R: int = 9
    S: int = 5
    fields: int = 2
    d: int = 8
    H: int = 32
    profile: int = 0
    counters: int = 1
    hidden: tuple[int, ...] = (48, 20)
    long: str = "rows"
    dtype: str = "float32"
    linear: str = "computed"
    by_candidate: bool = False
    one_sign: bool = False


def draw_shape(rng: np.random.Generator, most: int = 1030) -> Shape:
    """Any shape; small ones are as frequent as large ones."""

    def up_to(limit: int, least: int = 1) -> int:
        return round(np.exp(rng.uniform(np.log(least), np.log(limit))))

    fields = int(rng.choice([1, 2, 3]))
    profile = int(rng.choice([0, 1, 3]))
    widths = [d for d in range(1, 129) if 8 <= d * fields <= 128 and d * fields % 8 == 0]
    return Shape(
        N=up_to(most),
        R=int(rng.choice([0, up_to(30), up_to(min(2 * most, 2000))])),
        S=int(rng.choice([0, up_to(70)])),
        fields=fields,
        d=int(rng.choice(widths)),
        H=int(rng.choice([int(rng.integers(1, 9)) * 16, 8, up_to(128)])),
        profile=profile,
        counters=int(rng.integers(0, fields + 1)),
        hidden=tuple(up_to(200) for _ in range(rng.integers(1, 4))),
        long=str(rng.choice(["rows", "rows", "behaviors", "interest", "buckets", "none"])),
        dtype=str(rng.choice(["float32", "float16", "int8"])),
        linear=str(rng.choice(["computed", "given", "another"])),
        by_candidate=bool(rng.integers(2)),
        one_sign=bool(rng.integers(4) == 0),
    )


def draw_model(shape: Shape, seed: int) -> CTRModel:
    """In eval mode, with every weight, scale and running statistic random."""
    generator = torch.Generator().manual_seed(seed)
    items = [EncodedField(f"item{i}" if i else "item", "item", size=30 + 11 * i) for i in range(shape.fields)]
    profile = [EncodedField(f"user{i}", "user", size=5 + i) for i in range(shape.profile)]
    method = "sdim" if shape.long == "buckets" else "din"
    sizes = {"embedding_dim": shape.d, "hidden": shape.hidden, "scorer_hidden": shape.H}
    settings = ModelSettings(method=method, **sizes, m=12, tau=3)
    counters = tuple(f.name for f in items[: shape.counters])
    model = CTRModel([*items, *profile], settings, DataSettings(match_counters=counters))
    model.eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.4, 2.0, generator=generator)
            elif tensor.is_floating_point() and not name.endswith("planes"):
                scale = tensor.shape[1] ** -0.5 if tensor.dim() == 2 and name.startswith("mlp") else 0.3
                tensor.copy_(scale * torch.randn(tensor.shape, generator=generator))
            if name.startswith("features"):
                tensor[PADDING_ID] = 0
            if shape.one_sign and name.endswith("w_o"):
                tensor.abs_()
    return model


def draw_request(model: CTRModel, shape: Shape, rng: np.random.Generator, mode: str = "auto") -> NativeRequest:
    """Ids of which some were not seen in training, and a long part of the shape's kind."""
    D = model.features.width

    def ids(fields: list[int], count: int) -> np.ndarray:
        return np.array([rng.integers(0, size + 5, count) for size in fields], np.int32).reshape(len(fields), count)

    items = [f.size for f in model.features.item_fields]
    profile = [f.size for f in model.features.profile_fields]
    counts = np.minimum(rng.geometric(0.2, (shape.counters, shape.N)) ** 3, 20_000).astype(np.int32) - 1
    long = {
        "rows": lambda: draw_rows(model, shape, rng),
        "behaviors": lambda: Behaviors(ids(items, shape.R)),
        "interest": lambda: GivenInterest(rng.standard_normal((shape.N, D)).astype(np.float32)),
        "buckets": lambda: draw_sums(rng, D, shape.R > 0),
        "none": lambda: None,
    }[shape.long]()
    profile_ids = None
    if shape.profile:
        profile_ids = ids(profile, shape.N) if shape.by_candidate else ids(profile, 1)[:, 0]
    return NativeRequest(
        candidate_ids=ids(items, shape.N),
        short_ids=ids(items, shape.S),
        history_length=int(rng.integers(0, 5000)),
        long=long,
        profile_ids=profile_ids,
        counts=counts,
        mode=mode,
    )


def draw_rows(model: CTRModel, shape: Shape, rng: np.random.Generator) -> Rows:
    D, scale = model.features.width, (1 + shape.R) ** -0.5
    keys = narrowed(0.3 * rng.standard_normal((shape.R, D)), shape.dtype)
    values = narrowed(scale * rng.standard_normal((shape.R, D)), shape.dtype)
    if shape.linear == "computed":
        return Rows(keys, values)
    exact = exact_linear(model, keys, values)
    if shape.linear == "another":  # as a compressor has it: of the whole history, not of these rows
        exact += 0.1 * rng.standard_normal(exact.shape)
    return Rows(keys, values, narrowed(exact, shape.dtype if shape.linear == "another" else "float32"))


def draw_sums(rng: np.random.Generator, D: int, some: bool) -> Buckets:
    sums = rng.standard_normal((4 * 8 if some else 0, D)).astype(np.float32)
    sums[rng.random(len(sums)) < 0.2] = 0  # empty buckets
    return Buckets(sums)


def narrowed(numbers: np.ndarray, dtype: str) -> Matrix:
    """In the dtype of a record; int8 with a scale for each row."""
    if dtype != "int8":
        return Matrix(numbers.astype(dtype))
    scales = (np.abs(numbers).max(1, initial=1e-9) / 127).astype(np.float32)
    return Matrix(np.rint(numbers / scales[:, None]).astype(np.int8), scales)


def widened(matrix: Matrix) -> Tensor:
    """In float64, (1, rows, columns)."""
    numbers = matrix.data.astype(np.float64)
    if matrix.scales is not None:
        numbers = numbers * matrix.scales[:, None].astype(np.float64)
    return torch.from_numpy(numbers)[None]


def exact_linear(model: CTRModel, keys: Matrix, values: Matrix) -> np.ndarray:
    with torch.inference_mode():
        weights = model.full_attention.weights.to(torch.float64)
        return linear_half(widened(keys), widened(values), weights)[0].numpy().copy()


def exact_logits(model: CTRModel, request: NativeRequest) -> tuple[np.ndarray, np.ndarray]:
    """(N,) logits and (N, D) long interests of the trained module in float64, by the naive kernel."""
    model = copy.deepcopy(model).double()
    N = request.candidate_ids.shape[1]
    with torch.inference_mode():
        chosen = candidates_of(model, request)
        long = exact_interest(model, request, chosen)
        if not N:
            return np.empty(0), long[0].numpy()
        short = history_ids(model, request.short_ids)
        inputs = model.mlp_inputs(chosen, long, short, torch.tensor([request.history_length]), naive)
        return model.mlp(inputs.joined()[0]).numpy(), long[0].numpy()


def candidates_of(model: CTRModel, request: NativeRequest) -> Candidates:
    N, features = request.candidate_ids.shape[1], model.features
    profile = by_name(features.profile_fields, request.profile_ids)
    counts = {} if request.counts is None else dict(zip(model.match_counters, request.counts, strict=True))
    ids = CandidateIds(
        ids=by_name(features.item_fields, request.candidate_ids),
        profile={name: ids.reshape(1, -1).expand(1, N) for name, ids in profile.items()},
        mask=torch.ones(1, N, dtype=torch.bool),
        time=torch.tensor([0]),
        matches={name: torch.from_numpy(column.astype(np.int64))[None] for name, column in counts.items()},
    )
    return model.candidates(ids)


def by_name(fields: Sequence[EncodedField], ids: np.ndarray | None) -> dict[str, Tensor]:
    """Field -> (1, count)."""
    columns = [] if ids is None else list(ids)
    return {f.name: torch.from_numpy(np.atleast_1d(c))[None] for f, c in zip(fields, columns, strict=True)}


def history_ids(model: CTRModel, ids: np.ndarray) -> HistoryIds:
    mask = torch.ones(1, ids.shape[1], dtype=torch.bool)
    return HistoryIds(by_name(model.features.item_fields, ids), mask, torch.zeros(1, ids.shape[1], dtype=torch.int64))


def exact_interest(model: CTRModel, request: NativeRequest, chosen: Candidates) -> Tensor:
    long = request.long
    if isinstance(long, GivenInterest):
        return torch.from_numpy(long.vectors).double()[None]
    if isinstance(long, Buckets):
        rows = torch.tensor([len(long.sums)])
        return model.long.attend(BucketSums(torch.from_numpy(long.sums).double()[None], rows=rows), chosen)
    if isinstance(long, Rows):
        linear = widened(long.linear) if long.linear else None
        return by_chunks(model.full_attention, chosen.vectors, widened(long.keys), widened(long.values), linear)
    if isinstance(long, Behaviors):
        vectors = model.features.behaviors(history_ids(model, long.ids)).vectors
        scale = max(1, vectors.shape[1]) ** -0.5
        return by_chunks(model.full_attention, chosen.vectors, vectors, scale * vectors, None)
    assert long is None
    return torch.zeros_like(chosen.vectors)


def by_chunks(attention: Attention, e: Tensor, keys: Tensor, values: Tensor, linear: Tensor | None) -> Tensor:
    """The naive kernel, some keys at once."""
    weights = attention.weights
    total, nothing = torch.zeros_like(e), None if linear is None else torch.zeros_like(linear)
    for k, v in zip(keys.split(KEYS, 1), values.split(KEYS, 1), strict=True):
        total += naive(e, k, v, weights, nothing)
    return total if linear is None else total + linear_interest(e, keys, values, weights, linear)


def opened(model: CTRModel) -> NativeModel:
    return NativeModel(write_model(model))


def error_of(actual: np.ndarray, exact: np.ndarray, least: float) -> float:
    """The largest difference, relative to the largest number or to `least`."""
    assert actual.shape == exact.shape
    assert np.isfinite(actual).all()
    return float(np.abs(actual - exact).max(initial=0) / max(least, np.abs(exact).max(initial=0)))
