"""Every path that is timed, and every method, against float64 on the CPU: a path that fails here prints no time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from lrea_cli.attention import Attention
from lrea_cli.compressors import COMPRESSORS, Compressor
from lrea_cli.compressors.base import Items
from lrea_cli.kernels import KERNELS, SERVING_KERNELS, Kernel, folded, gemm, naive, why_not
from lrea_cli.kernels.fused import interpreted
from lrea_cli.methods import METHODS
from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import CACHE_DTYPES
from lrea_cli.records.store import ResidentRecords
from lrea_cli.sequence import Batch, Candidates, HistoryIds, Summary
from lrea_cli.serving.scorer import Request, RequestScorer
from on_gpu.exact import TOLERANCE, error_of, poison, size_error, twin_interest
from on_gpu.gate_fused import fused_at_errors, users_errors
from on_gpu.made import (
    CPU,
    cached,
    candidate_ids,
    generator_of,
    histories_of,
    history_ids,
    method_of,
    model_of,
    settings_of,
    stored,
    training_batch,
)
from on_gpu.rows import Report, Row, Setting, described
from on_gpu.sizes import Sizes
from on_gpu.timing import at_once, release

Shape = tuple[int, int, int, int, int]
SHAPES: tuple[Shape, ...] = (
    (1, 1, 0, 8, 8),
    (3, 7, 1, 8, 64),
    (2, 64, 15, 16, 64),
    (1, 1000, 16, 16, 64),
    (2, 33, 17, 24, 100),
    (2, 1000, 128, 16, 64),
    (1, 1030, 128, 32, 64),
    (5, 129, 65, 64, 128),
    (1, 1030, 500, 128, 128),
    (1, 200, 2000, 16, 64),
)
"""Users, N, R, D, H."""

SMOKE_SHAPES: tuple[Shape, ...] = ((1, 1, 0, 8, 8), (2, 33, 65, 12, 20))
INTERPRETED_SHAPES: tuple[Shape, ...] = ((1, 1, 0, 8, 8), (2, 9, 17, 12, 20))

GRADIENT_TOLERANCE = {"float32": 3e-4, "bfloat16": 0.1}
"""Of the size of the right gradient: where rounding flips the sign of a hidden unit, single entries jump."""

NAIVE_SHARE = 2.0
"""So many times the error of the naive kernel in the same bfloat16 are allowed, too: most of it is the MLP's."""
SAME, LOGIT = 1e-6, 1e-5


def run_gate(report: Report, sizes: Sizes, device: torch.device) -> None:
    """One row a path, the timed ones first; `report.failed` has those that are wrong."""
    with_fused = why_not("fused", device) is None or interpreted()
    for dtype in TOLERANCE:
        for kernel in ("naive", "gemm", *(("fused",) if with_fused else ())):
            _path(report, sizes, {"what": "interest", "kernel": kernel, "dtype": dtype}, _interest_errors, device)
    _case.cache_clear()
    if with_fused:
        _path(report, sizes, {"what": "fused at"}, fused_at_errors, device)
        _path(report, sizes, {"what": "fused users"}, users_errors, device)
    for dtype in GRADIENT_TOLERANCE:
        for method in ("din", "lrea", "lrea absorbed"):
            settings: dict[str, Setting] = {"what": "training", "method": method, "dtype": dtype}
            _path(report, sizes, settings, _training_errors, device)
    _path(report, sizes, {"what": "request"}, _request_errors, device)
    _path(report, sizes, {"what": "gather"}, _gather_errors, device)
    for name in COMPRESSORS:
        _path(report, sizes, {"what": "compress", "compressor": name}, _compressor_errors, device)
    for name in METHODS:
        _path(report, sizes, {"what": "method", "method": name}, _method_errors, device)


def path_of(settings: dict[str, Setting]) -> str:
    """The name under which a path fails."""
    return " ".join(str(value) for value in settings.values())


Errors = Iterator[tuple[str, float, float]]
"""Where, the relative error, the tolerance."""


def _path(
    report: Report,
    sizes: Sizes,
    settings: dict[str, Setting],
    errors_of: Callable[[dict[str, Setting], Sizes, torch.device], Errors],
    device: torch.device,
) -> None:
    """All comparisons of one path; one that raises fails, too."""
    if report.seconds_left("gate") <= 0:
        report.failed.add(path_of(settings))
        report.add(Row("gate", settings, "skipped", "not compared, so not timed: the gate's time is over"))
        return
    worst, where, compared = 0.0, "", 0
    try:
        for name, error, tolerance in errors_of(settings, sizes, device):
            compared += 1
            if not error / tolerance <= worst:
                worst, where = error / tolerance, f"{error:.2g} of {tolerance:.0e} at {name}"
            if not error <= tolerance:
                break
    except Exception as error:
        report.fail("gate", path_of(settings), settings, described(error))
        release(device)
        return
    if worst <= 1 and compared:
        report.add(Row("gate", settings, values={"error_of_tolerance": worst, "compared": compared}))
    else:
        report.fail("gate", path_of(settings), settings, where or "nothing was compared")


@dataclass(frozen=True)
class _Case:
    """One shape: random inputs rounded to a dtype, the right interest, and the linear half of a sealed record."""

    name: str
    attention: Attention
    inputs: tuple[Tensor, Tensor, Tensor]
    expected: Tensor
    linear: Tensor


@lru_cache(maxsize=len(SHAPES))
def _case(number: int, shape: Shape, dtype: torch.dtype, device: torch.device) -> _Case:
    users, N, R, D, H = shape
    generator = generator_of(device, number)

    def normal(*size: int) -> Tensor:
        return (0.5 * torch.randn(*size, device=device, generator=generator)).to(dtype)

    torch.manual_seed(number)
    attention = Attention(D, H).to(device, dtype).requires_grad_(False)
    attention.b.copy_(normal(H))
    candidates, keys, values = normal(users, N, D), normal(users, R, D), normal(users, R, D)
    exact = copy.deepcopy(attention).to(CPU, torch.float64)
    linear = exact.linear_half(keys.to(CPU, torch.float64), values.to(CPU, torch.float64)).to(device, dtype)
    expected = twin_interest(candidates, keys, values, attention.weights)
    name = f"users {users}, N {N}, R {R}, D {D}, H {H}"
    return _Case(name, attention, (candidates, keys, values), expected, linear)


def _interest_errors(settings: dict[str, Setting], sizes: Sizes, device: torch.device) -> Errors:
    """A kernel in one dtype, with and without the linear half of a sealed record, and again: the same bits."""
    dtype = str(settings["dtype"])
    kernel = settings["kernel"]
    assert kernel in SERVING_KERNELS
    shapes = (INTERPRETED_SHAPES if kernel == "fused" else SMOKE_SHAPES) if sizes.smoke else SHAPES
    cases = [_case(number, shape, getattr(torch, dtype), device) for number, shape in enumerate(shapes)]
    if kernel == "fused":
        at_once(lambda case: case.attention(*case.inputs, case.linear, KERNELS[kernel]), cases, device)
    for case in cases:
        for linear in (None, case.linear):
            where = f"{case.name}{'' if linear is None else ', sealed'}"
            poison(device)
            found = case.attention(*case.inputs, linear, KERNELS[kernel])
            yield where, error_of(found, case.expected), TOLERANCE[dtype]
            poison(device)
            again = case.attention(*case.inputs, linear, KERNELS[kernel])
            yield f"{where}: a second call", 0.0 if torch.equal(found, again) else float("inf"), 1.0


def _training_errors(settings: dict[str, Setting], sizes: Sizes, device: torch.device) -> Errors:
    """Loss and gradients of a whole model, against the naive kernel in float64 on the CPU."""
    name, _, form = str(settings["method"]).partition(" ")
    few = replace(sizes, requests=32, items=500, rank=min(sizes.rank, 16), long=70, short=8)
    model = model_of(name, few, CPU, form=form or "decomposed")
    twin = copy.deepcopy(model).double()
    model.to(device)
    batch = training_batch(few, generator_of(device, 5))
    dtype = str(settings["dtype"])
    expected = _gradients(twin, batch.to(CPU), naive, bf16=False)
    poison(device)
    found = _gradients(model, batch, folded, bf16=dtype == "bfloat16")
    plain = _gradients(model, batch, naive, bf16=dtype == "bfloat16")
    for parameter, gradient in expected.items():
        allowed = NAIVE_SHARE * size_error(plain[parameter], gradient)
        yield parameter, size_error(found[parameter], gradient), GRADIENT_TOLERANCE[dtype] + allowed


def _gradients(model: CTRModel, batch: Batch, kernel: Kernel, bf16: bool) -> dict[str, Tensor]:
    """The loss and each parameter's gradient, dense."""
    model.eval()  # no dropout: its random numbers are the device's
    model.zero_grad()
    device = batch.label.device
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        logits, penalty = model(batch, kernel)
    logits = logits.float() if bf16 else logits
    loss = binary_cross_entropy_with_logits(logits, batch.label[batch.candidates.mask].to(logits.dtype))
    (loss + 0.3 * sum(penalty.values(), start=torch.zeros((), device=device))).backward()
    dense = {n: p.grad.to_dense() for n, p in model.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **dense}


def _request_errors(settings: dict[str, Setting], sizes: Sizes, device: torch.device) -> Errors:
    """The whole request from resident float32 records, against a float64 model on the CPU and the store itself."""
    few = replace(sizes, items=min(sizes.items, 500))
    histories, visitors = histories_of(9, few, few.long, 6)
    data = settings_of(few)
    for method in ("lrea", "din"):
        model = model_of(method, few, CPU).eval()
        twin = copy.deepcopy(model).double()
        model.to(device)
        asked = candidate_ids(1, 33, few, generator_of(device, 7))
        with cached(model, histories, visitors, data, "float32") as store, torch.inference_mode():
            served = RequestScorer(model, ResidentRecords(store, device), gemm)
            exact = RequestScorer(twin, store, naive)
            for user in visitors:
                request = user.request(histories, data, asked.to(CPU))
                long = user.newest(histories, data.short, data.long)
                for route in ("cached_interest", "full_interest"):
                    poison(device)
                    interest, logits = answer(served, request.to(device), long.to(device), route)
                    expected, right = answer(exact, request, long, route)
                    where = f"{method}, {route}, {user.length} behaviors"
                    yield where, error_of(interest, expected), TOLERANCE["float32"]
                    yield f"{where}, logits", error_of(logits, right, 1.0), LOGIT


def answer(scorer: RequestScorer, request: Request, long: HistoryIds, route: str) -> tuple[Tensor, Tensor]:
    """The interests and the logits of one request, through its record or by full attention to `long`."""
    records, candidates = scorer.fetch(request), scorer.candidates(request)
    cached = route == "cached_interest"
    interest = scorer.cached_interest(records, candidates) if cached else scorer.full_interest(long, candidates)
    return interest, scorer.logits(request, candidates, records.past, interest)


def _gather_errors(settings: dict[str, Setting], sizes: Sizes, device: torch.device) -> Errors:
    """Resident records are those on disk, bit by bit, whichever users are asked for."""
    method = method_of(min(sizes.rank, 16), 8, False, CPU, torch.float32)
    rng = np.random.default_rng(8)
    for dtype in CACHE_DTYPES:
        with stored(method, 50, method.rows_of(method.long), dtype, 8) as store:
            resident = ResidentRecords(store, device)
            for count in (1, 7, 50, 130):
                keys = rng.choice(store.keys, count)
                found, expected = resident.fetch(keys).summary, store.fetch(keys).summary
                for field in fields(expected):
                    a, b = getattr(found, field.name), getattr(expected, field.name)
                    same = a is b is None or torch.equal(a.cpu(), b)
                    yield f"{field.name} of {count} {dtype} users", 0.0 if same else float("inf"), 1.0


def _compressor_errors(settings: dict[str, Setting], sizes: Sizes, device: torch.device) -> Errors:
    """Records of a compressor in float64, the device's against the CPU's."""
    few = replace(sizes, items=min(sizes.items, 500))
    model = model_of("din", few, CPU).eval()
    twin = copy.deepcopy(model)
    model.to(device)
    ids = history_ids(37, 70, few, generator_of(device, 9))
    users, rank = np.arange(37), 8
    probes = candidate_ids(1, 24, few, generator_of(device, 10))
    with torch.inference_mode():
        found, expected = (
            _compressor(m, str(settings["compressor"]), rank, m.features.candidates(asked).vectors[0])(
                m.features.behaviors(behaviors), users
            )
            for m, behaviors, asked in ((model, ids, probes), (twin, ids.to(CPU), probes.to(CPU)))
        )
        yield from _summary_errors(found, expected)


def _compressor(model: CTRModel, name: str, rank: int, probes_TD: Tensor) -> Compressor:
    return COMPRESSORS[name](model.full_attention, rank, 11, probes_TD, Items(probes_TD, torch.ones(len(probes_TD))))


def _method_errors(settings: dict[str, Setting], sizes: Sizes, device: torch.device) -> Errors:
    """`summarize`, `seal` and `attend` in float64, the device's against the CPU's: other code runs on either."""
    few = replace(sizes, items=min(sizes.items, 500), rank=16, long=70)  # the searches keep 64
    twin = model_of(str(settings["method"]), few, CPU).eval().double()
    model = copy.deepcopy(twin).to(device)
    ids = history_ids(5, few.long, few, generator_of(device, 12))
    ids = replace(ids, mask=ids.mask & (torch.arange(5, device=device) > 0)[:, None])  # the first user has none
    asked = candidate_ids(5, 33, few, generator_of(device, 13))
    with torch.inference_mode():
        results = []
        for m, behaviors, candidates, kernel in ((model, ids, asked, gemm), (twin, ids.to(CPU), asked.to(CPU), folded)):
            sealed = m.long.seal(m.long.summarize(m.features.behaviors(behaviors).double()), "float32")
            results.append((sealed, m.long.attend(sealed, _double(m.features.candidates(candidates)), kernel)))
        (found, interest), (expected, right) = results
        yield from _summary_errors(found, expected)
        yield "interest", error_of(interest, right), SAME


def _double(candidates: Candidates) -> Candidates:
    return replace(candidates, vectors=candidates.vectors.double())


def _summary_errors(found: Summary, expected: Summary) -> Errors:
    for field in fields(expected):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        if b is not None:
            yield field.name, error_of(a, b), SAME
