"""The native request on one core: errors against float64 first, then times beside the floor of the same run.

    python benchmarks/native.py

The floor is the time of the request's products and sums in float32 at the peak of this core. The peak is measured
between the turns, and around each call for the share of the moment's peak: other programs slow both. Times are CPU time
of the thread, the call from Python included. Of the interest, a share without gathering is printed, too: a call with an
empty record, which gathers the candidates and copies the result, is taken off. Where an error is too large, no time is
printed and the exit code is 3.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from request_worker import CATEGORIES, ITEMS, make_model

from lrea_cli.bench.machine import cpu_name
from lrea_cli.kernels import naive
from lrea_cli.kernels.weights import linear_half
from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import CandidateIds, HistoryIds
from lrea_cli.serving.native import abi
from lrea_cli.serving.native.model import Matrix, NativeModel, NativeRequest, Rows
from lrea_cli.serving.native.model_file import write_model

MOST_ERROR = {"x3": 5e-6}
USUAL_ERROR = 4e-7
"""Of a logit, relative to the largest one or to 1."""
INTEREST_ROWS = (16, 64, 128, 500)
GATHERING = "gathering, {mode}"
PEAK = Path(__file__).with_name("native_peak.cpp")
LENGTH = 900
WIDTH, HIDDEN = 2 * ModelSettings.embedding_dim, ModelSettings.scorer_hidden


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("core", 0), ("candidates", 1000), ("rank", 128), ("short", 64), ("turns", 40), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {asked.core})
    torch.set_num_threads(1)
    bench = Bench(asked)
    errors = bench.errors()
    print(f"{cpu_name()}; load {os.getloadavg()[0]:.1f}; {abi.load().reason}")
    print("largest error of a logit: " + ", ".join(f"{mode} {error:.1e}" for mode, error in errors.items()))
    wrong = [mode for mode, error in errors.items() if not error <= MOST_ERROR.get(mode, USUAL_ERROR)]
    if wrong:
        print(json.dumps({"errors": errors, "times": None}))
        sys.exit(3)
    result = {"cpu": cpu_name(), "load": os.getloadavg(), "errors": errors, **bench.times(asked.turns)}
    show(result)
    print(json.dumps(result))


@dataclass(frozen=True)
class Work:
    """What is timed, its products and sums in float32, and the work in the same call that is no part of them."""

    call: Callable[[], Any]
    flops: float
    beside: str = ""


class Bench:
    """One model and one request, in every mode of this machine."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.model, _ = make_model(asked.rank, asked.short, asked.seed)
        self.native = NativeModel(write_model(self.model))
        self.rng = np.random.default_rng(asked.seed)
        self.request = NativeRequest(
            candidate_ids=self.ids(asked.candidates),
            short_ids=self.ids(asked.short),
            history_length=LENGTH,
            long=self.rows(asked.rank),
            counts=self.rng.integers(0, 60, (1, asked.candidates), dtype=np.int32),
        )
        self.modes = [mode for mode in ("fp32", "x6", "x3") if abi.path_of(mode)]
        self.peaks = Peaks()

    def ids(self, count: int) -> np.ndarray:
        return np.stack([self.rng.integers(2, size, count, dtype=np.int32) for size in (ITEMS, CATEGORIES)])

    def rows(self, rank: int) -> Rows:
        """A record of `rank` pseudo items, with its linear half."""
        D = self.model.features.width
        keys, values = (0.15 * self.rng.standard_normal((2, rank, D)) * [[[1.0]], [[0.3]]]).astype(np.float32)
        weights = self.model.long_scorer.weights.to(torch.float64)
        with torch.inference_mode():
            exact = [torch.from_numpy(rows).double()[None] for rows in (keys, values)]
            linear = linear_half(exact[0], exact[1], weights)[0].float()
        return Rows(Matrix(keys), Matrix(values), Matrix(linear.numpy()))

    def errors(self) -> dict[str, float]:
        exact = exact_logits(self.model, self.request)
        scale = max(1.0, float(np.abs(exact).max()))
        found = {mode: self.native.logits(replace(self.request, mode=mode)) for mode in self.modes}
        return {mode: float(np.abs(logits - exact).max()) / scale for mode, logits in found.items()}

    def works(self) -> dict[str, Work]:
        works = {}
        assert self.request.counts is not None
        one = slice(0, 1)
        single = replace(
            self.request, candidate_ids=self.request.candidate_ids[:, one], counts=self.request.counts[:, one]
        )
        vectors = np.empty((self.request.candidate_ids.shape[1], self.native.width), np.float32)
        records = {rank: self.rows(rank) for rank in INTEREST_ROWS}
        for mode in self.modes:
            for name, request in (("request", self.request), ("one candidate", single)):
                asked = replace(request, mode=mode)
                works[f"{name}, {mode}"] = Work(lambda asked=asked: self.native.logits(asked), self.flops(asked))
            gathering = GATHERING.format(mode=mode)
            for name, rows in [(gathering, None), *((f"interest of {R} rows, {mode}", r) for R, r in records.items())]:
                asked = replace(self.request, mode=mode, long=rows)
                flops = self.attention_flops(asked, len(rows.keys.data)) if rows else 0.0
                works[name] = Work(
                    lambda asked=asked: self.native.interest(asked, vectors), flops, gathering if rows else ""
                )
        return works

    def times(self, turns: int) -> dict[str, Any]:
        """Of each work in turns, ms: least and median; and shares of the peak, of the run and of the call's moment."""
        works = self.works()
        spent: dict[str, list[float]] = {name: [] for name in works}
        peaks: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(turns):
            self.peaks.measure()
            for name, work in works.items():
                for _ in range(3):
                    before, began = self.peaks.now(), time.thread_time_ns()
                    work.call()
                    spent[name].append((time.thread_time_ns() - began) / 1e6)
                    peaks[name].append((before + self.peaks.now()) / 2)
        rows = {}
        for name, times in spent.items():
            work, beside = works[name], spent.get(works[name].beside, [0.0])
            floor = work.flops / self.peaks.fma * 1e-6
            rows[name] = {
                "ms": min(times),
                "median": statistics.median(times),
                "floor": floor,
                "share": floor / min(times),
                "share_without_gathering": floor / (min(times) - min(beside)),
                "share_of_the_moment": statistics.median(
                    work.flops / (ms - statistics.median(beside)) * 1e-6 / peak
                    for ms, peak in zip(times, peaks[name], strict=True)
                ),
            }
        return {"peak_gflops": {"fma": self.peaks.fma, "amx": self.peaks.amx}, "times": rows}

    def flops(self, request: NativeRequest) -> float:
        assert isinstance(request.long, Rows)
        return request_flops(request.candidate_ids.shape[1], len(request.long.keys.data) + request.short_ids.shape[1])

    def attention_flops(self, request: NativeRequest, rows: int) -> float:
        return attention_flops(request.candidate_ids.shape[1], rows)


def attention_flops(candidates: int, rows: int) -> float:
    """Products and sums of attention to rows, and of its linear half."""
    return 2.0 * candidates * rows * (WIDTH * HIDDEN + HIDDEN + WIDTH) + 2.0 * candidates * WIDTH**2


def request_flops(candidates: int, rows: int) -> float:
    """Of a whole request that attends to so many long and short rows; of the MLP the products alone."""
    widths = (5 * WIDTH, *ModelSettings.hidden, 1)
    second_half = 2.0 * candidates * WIDTH**2
    return attention_flops(candidates, rows) + second_half + 2.0 * candidates * sum(a * b for a, b in pairwise(widths))


class Peaks:
    """The most GFLOP/s that this core gave in any turn."""

    def __init__(self) -> None:
        self.fma = self.amx = 0.0
        compiler = shutil.which("c++") or shutil.which("g++")
        if not compiler:
            raise SystemExit("There is no C++ compiler to measure the peak with.")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "peak.so"
            subprocess.run(
                [compiler, "-O2", "-march=native", "-shared", "-fPIC", str(PEAK), "-o", str(path)], check=True
            )
            self._library = ctypes.CDLL(str(path))
        for name in ("peak_fma", "peak_amx"):
            function = getattr(self._library, name)
            function.restype, function.argtypes = ctypes.c_double, (ctypes.c_long,)

    def now(self) -> float:
        """GFLOP/s of FMA at this moment, measured for some 50 microseconds: other programs share the core."""
        return self._library.peak_fma(20_000)

    def measure(self) -> None:
        self.fma = max(self.fma, self._library.peak_fma(100_000))
        if abi.path_of("x6"):
            self.amx = max(self.amx, self._library.peak_amx(10_000))


def exact_logits(model: CTRModel, request: NativeRequest) -> np.ndarray:
    """(N,) by the trained module in float64."""
    model = copy.deepcopy(model).double()
    assert request.counts is not None
    assert isinstance(request.long, Rows)
    N, S = request.candidate_ids.shape[1], request.short_ids.shape[1]

    def by_name(ids: np.ndarray) -> dict[str, torch.Tensor]:
        return {f.name: torch.from_numpy(c)[None] for f, c in zip(model.features.item_fields, ids, strict=True)}

    matches = {"category": torch.from_numpy(request.counts[0].astype(np.int64))[None]}
    ids = CandidateIds(by_name(request.candidate_ids), {}, torch.ones(1, N, dtype=torch.bool), torch.zeros(1), matches)
    short = HistoryIds(by_name(request.short_ids), torch.ones(1, S, dtype=torch.bool), torch.zeros(1, S))
    with torch.inference_mode():
        chosen = model.candidates(ids)
        keys, values = (torch.from_numpy(m.data).double()[None] for m in (request.long.keys, request.long.values))
        long = naive(chosen.vectors, keys, values, model.long_scorer.weights)
        inputs = model.mlp_inputs(chosen, long, short, torch.tensor([request.history_length]), naive)
        return model.mlp(inputs.joined()[0]).numpy()


def show(result: dict[str, Any]) -> None:
    peaks = result["peak_gflops"]
    print(f"peak of this core: {peaks['fma']:.0f} GFLOP/s of float32 FMA, {peaks['amx']:.0f} of AMX bfloat16")
    for name, row in result["times"].items():
        shares = f"; floor at the FMA peak {row['floor']:.3f} ms, share {row['share']:.2f}"
        if name.startswith("interest"):
            shares += f"; without gathering {row['share_without_gathering']:.2f}"
        moment = f", {row['share_of_the_moment']:.2f} of the moment's peak"
        print(f"{name}: {row['ms']:.3f} ms (median {row['median']:.3f})" + (shares + moment if row["floor"] else ""))


if __name__ == "__main__":
    main()
