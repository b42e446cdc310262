"""Serving: users batched through `attend`, records resident on the device, and the whole request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from lrea_cli.kernels import KERNELS, Kernel, KernelName, gemm
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.records.store import ResidentRecords
from lrea_cli.serving.scorer import RequestScorer, Visitor
from on_gpu.exact import TOLERANCE, error_of
from on_gpu.gate import answer, path_of
from on_gpu.made import (
    CPU,
    Pool,
    cached,
    candidate_ids,
    generator_of,
    histories_of,
    method_of,
    model_of,
    pool_of,
    settings_of,
    stored,
)
from on_gpu.rows import Report, Row, Setting, Status, Timed, cell, described
from on_gpu.sizes import Cell, Sizes
from on_gpu.timing import Call, Contender, NotTimed, captured, in_turns, release

KERNEL_NAMES: tuple[KernelName, ...] = ("naive", "gemm")
"""Forms in torch; `fused` has a section of its own."""
MOST_CALLS = 1024
GRAPHS = 8
"""With inputs of their own; those of so few users lie in the L2 cache, as a server's hot inputs would."""

CELL_SECONDS = 14.0
GATHER_SECONDS = 5.0
COMPILE_SECONDS = 45.0
"""No further compilation begins after so many seconds spent on them."""


def measure_serving(report: Report, sizes: Sizes, device: torch.device) -> None:
    """The whole request first: it is what a user waits for."""
    with cell(report, "serving", {"what": "request"}), torch.inference_mode():
        _requests(report, sizes, device)
    with cell(report, "serving", {"what": "gather"}), torch.inference_mode():
        _resident(report, sizes, device)
    compiling = 0.0
    for asked in sizes.cells:
        settings = _settings(asked)
        if report.seconds_left("serving") <= 0:
            report.add(Row("serving", settings, "skipped", "the budget's share of serving is used up"))
            continue
        with cell(report, "serving", settings), torch.no_grad():
            compiling += _interest(report, sizes, asked, device, compiling < COMPILE_SECONDS)
        release(device)


def _settings(asked: Cell) -> dict[str, Setting]:
    length: dict[str, Setting] = {"L": asked.rows} if asked.full else {"R": asked.rows}
    return {"what": "interest", "D": asked.width, **length, "users": asked.users}


def _interest(report: Report, sizes: Sizes, asked: Cell, device: torch.device, may_compile: bool) -> float:
    """All kernels, dtypes and ways to launch, in turns; returns the seconds spent on compiling."""
    contenders: dict[str, dict[str, Setting]] = {}
    calls: list[Contender] = []
    l2 = float(report.machine.get("l2_mb") or 0) * 2**20
    seconds = 0.0

    def add(settings: dict[str, Setting], make: Callable[[], Sequence[Call]]) -> None:
        name = path_of(settings)
        try:
            calls.append(Contender(name, make()))
            contenders[name] = settings
        except Exception as error:
            wrong = isinstance(error, WrongResult)
            report.add(Row("serving", {**_settings(asked), **settings}, "gate" if wrong else "error", described(error)))
            release(device)

    for dtype_name in TOLERANCE:
        dtype = getattr(torch, dtype_name)
        method = method_of(asked.rows, asked.width, asked.full, device, dtype)
        pool = pool_of(method, asked.rows, asked.users, sizes.candidates, sizes.l2_share * l2, generator_of(device, 2))
        for kernel in KERNEL_NAMES:
            settings: dict[str, Setting] = {"kernel": kernel, "dtype": dtype_name, "launch": "eager"}
            if f"interest {kernel} {dtype_name}" in report.failed:
                report.add(Row("serving", {**_settings(asked), **settings}, "skipped", "its gate failed"))
                continue
            add(settings, lambda m=method, p=pool, k=KERNELS[kernel]: _eager(m, p, k))
            if kernel == "gemm" and asked.graph:
                add({**settings, "launch": "graph"}, lambda m=method, p=pool: _graphs(m, p, device))
            if kernel == "gemm" and asked.compiled and dtype_name == "float16":
                if not may_compile:
                    note = "the time for compiling is used up"
                    report.add(Row("serving", {**_settings(asked), **settings, "launch": "compiled"}, "skipped", note))
                    continue
                before = report.seconds
                add({**settings, "launch": "compiled"}, lambda m=method, p=pool: _compiled(m, p, sizes.smoke))
                seconds += report.seconds - before
    left = min(CELL_SECONDS, report.seconds_left("serving"))
    _keep(report, sizes, asked, contenders, in_turns(calls, device, left))
    return seconds


class WrongResult(Exception):
    """What is not to be timed."""


def _attend(method: PseudoItemMethod, pool: Pool, kernel: Kernel, number: int) -> torch.Tensor:
    return method.attend(*pool.part(number), kernel)


def _eager(method: PseudoItemMethod, pool: Pool, kernel: Kernel) -> list[Call]:
    return [partial(_attend, method, pool, kernel, number) for number in range(min(MOST_CALLS, len(pool)))]


def _graphs(method: PseudoItemMethod, pool: Pool, device: torch.device) -> list[Call]:
    """One graph for each part; its result must be that of the eager call, bit by bit."""
    replays = []
    for number in range(min(GRAPHS, len(pool))):
        eager = partial(_attend, method, pool, gemm, number)
        replay, result = captured(eager, device)
        assert isinstance(result, torch.Tensor)
        result.fill_(torch.nan)
        replay()
        error = error_of(result, eager())
        if not error <= TOLERANCE[str(result.dtype).removeprefix("torch.")]:
            raise WrongResult(f"a replayed graph is off by {error:.2g}")
        replays.append(replay)
    return replays


def _compiled(method: PseudoItemMethod, pool: Pool, smoke: bool) -> list[Call]:
    """`gemm` by torch.compile; its result must be that of the eager call. A smoke run traces it alone."""
    torch.compiler.reset()
    kernel = torch.compile(gemm, dynamic=False, backend="eager" if smoke else "inductor")
    weights = method.scorer.weights

    def call(number: int) -> torch.Tensor:
        summary, candidates = pool.part(number)
        assert summary.linear is not None
        linear = summary.linear.to(candidates.vectors.dtype)
        return kernel(candidates.vectors, summary.keys, summary.values, weights, linear)

    error = error_of(call(0), _attend(method, pool, gemm, 0))
    if not error <= 2 * TOLERANCE[str(pool.candidates.vectors.dtype).removeprefix("torch.")]:
        raise WrongResult(f"torch.compile is off by {error:.2g}")
    return [partial(call, number) for number in range(min(MOST_CALLS, len(pool)))]


def _keep(
    report: Report,
    sizes: Sizes,
    asked: Cell,
    contenders: dict[str, dict[str, Setting]],
    found: dict[str, Timed | NotTimed],
) -> None:
    """Rows with what follows from a time: us a user, shares of the ceilings, the ratio to naive float32."""
    naive = found.get("naive float32 eager")
    for name, settings in contenders.items():
        timed = found[name]
        settings = {**_settings(asked), **settings}
        if isinstance(timed, NotTimed):
            report.add(Row("serving", settings, _status(timed), timed.note))
            continue
        dtype = str(settings["dtype"])
        flop = 2.0 * asked.users * sizes.candidates * asked.rows * asked.width * 64
        size = torch.finfo(getattr(torch, dtype)).bits // 8
        moved = asked.users * (size * asked.width * 2 * (asked.rows + sizes.candidates) + 4 * asked.width**2)
        values = {
            "us_a_user": timed.median_us / asked.users,
            "matmul_share": _share(flop / timed.median_us / 1e6, report.ceiling("tflop_per_s", dtype)),
            "copy_share": _share(moved / timed.median_us / 1e6, report.ceiling("tb_per_s")),
            "times_naive": naive.median_us / timed.median_us if isinstance(naive, Timed) else None,
        }
        report.add(Row("serving", settings, timed=timed, values=values))


def _status(not_timed: NotTimed) -> Status:
    return "skipped" if not_timed.status == "skipped" else "error"


def _share(rate: float, ceiling: float | None) -> float | None:
    return rate / ceiling if ceiling else None


def _resident(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Records of random users, gathered and attended to, against a few hot ones."""
    if "gather" in report.failed:
        report.add(Row("serving", {"what": "gather"}, "skipped", "its gate failed"))
        return
    method = method_of(sizes.rank, 16, False, device, torch.float32)
    with stored(method, sizes.record_users, sizes.rank, "float16", 3) as store:
        records = ResidentRecords(store, device)
        keys = torch.from_numpy(store.keys)[torch.randperm(len(store.keys), generator=generator_of(CPU, 3))].numpy()
    asked = pool_of(method, 1, sizes.gathered, sizes.candidates, 0, generator_of(device, 4)).part(0)[1]
    parts = [keys[i : i + sizes.gathered] for i in range(0, len(keys) - sizes.gathered + 1, sizes.gathered)]

    def call(users: np.ndarray) -> torch.Tensor:
        return method.attend(records.fetch(users).summary, asked, gemm)

    contenders = [
        Contender("random users, fetch", [partial(records.fetch, part) for part in parts]),
        Contender("hot users, fetch", [partial(records.fetch, parts[0])]),
        Contender("random users, interest", [partial(call, part) for part in parts]),
        Contender("hot users, interest", [partial(call, parts[0])]),
    ]
    found = in_turns(contenders, device, min(GATHER_SECONDS, report.seconds_left("serving")))
    for name, timed in found.items():
        settings: dict[str, Setting] = {
            "what": "gather", "case": name, "D": 16, "R": sizes.rank, "users": sizes.gathered, "records": len(keys)
        }  # fmt: skip
        if isinstance(timed, NotTimed):
            report.add(Row("serving", settings, _status(timed), timed.note))
        else:
            report.add(Row("serving", settings, timed=timed, values={"us_a_user": timed.median_us / sizes.gathered}))


def _requests(report: Report, sizes: Sizes, device: torch.device) -> None:
    """One user at a time as a server has it: fetch, attend, short sequence, MLP; by the clock, synchronized."""
    if "request" in report.failed:
        report.add(Row("serving", {"what": "request"}, "skipped", "its gate failed"))
        return
    data = settings_of(sizes)
    histories, visitors = histories_of(min(512, sizes.record_users), sizes, sizes.long, 5)
    visitors = [v for v in visitors if v.length == sizes.short + sizes.long]
    asked = [candidate_ids(1, sizes.candidates, sizes, generator_of(device, 20 + i)) for i in range(4)]
    contenders = []
    for method, route in (("lrea", "cached_interest"), ("din", "full_interest")):
        model = model_of(method, sizes, device).eval()
        with cached(model, histories, visitors, data, "float16") as store:
            records = ResidentRecords(store, device)
        scorer = RequestScorer(model, records, gemm)
        vectors = [model.features.candidates(ids) for ids in asked]

        def interest(
            user: Visitor, number: int, scorer=scorer, records=records, route=route, vectors=vectors
        ) -> torch.Tensor:
            if route == "cached_interest":
                return scorer.cached_interest(records.fetch([user.key]), vectors[number])
            return scorer.full_interest(user.newest(histories, data.short, data.long).to(device), vectors[number])

        def request(user: Visitor, number: int, scorer=scorer, route=route) -> torch.Tensor:
            asking = user.request(histories, data, asked[number]).to(device)
            return answer(scorer, asking, user.newest(histories, data.short, data.long).to(device), route)[1]

        for stage in (interest, request):
            calls = [partial(stage, user, i % len(asked)) for i, user in enumerate(visitors)]
            contenders.append(Contender(f"{stage.__name__}, {method} {route.partition('_')[0]}", calls))
    found = in_turns(contenders, device, min(CELL_SECONDS, report.seconds_left("serving")), wall=True)
    for name, timed in found.items():
        settings: dict[str, Setting] = {"what": "request", "case": name, "D": 16, "R": sizes.rank, "L": sizes.long}
        if isinstance(timed, NotTimed):
            report.add(Row("serving", settings, _status(timed), timed.note))
        else:
            report.add(Row("serving", settings, timed=timed))
