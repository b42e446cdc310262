"""One side of `benchmarks/request.py`: answers requests with the `lrea_cli` of the tree that it is started for.

Reads one JSON object a line and answers with one. Weights, histories, records and candidates follow from the seed and
the names of the tensors alone, so that two trees make the same ones.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import request_first
import torch

USERS, SETS, ITEMS, CATEGORIES = 32, 8, 50_000, 1_000
SIZES = {"item": ITEMS, "category": CATEGORIES}
NOW = 1_700_000_000

Serve = Callable[[int, int], Any]
"""(user, set of candidates) -> logits (N,), or an interest."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--peers", default="")
    for name in ("core", "candidates", "rank", "short", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {asked.core})
    import lrea_cli

    assert Path(lrea_cli.__file__).is_relative_to(asked.tree.resolve()), f"{lrea_cli.__file__} is not of {asked.tree}"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="lrea-request-") as folder, torch.inference_mode():
        side = (First if request_first.is_first(asked.tree) else This)(asked, Path(folder))
        for line in sys.stdin:
            order = json.loads(line)
            print(json.dumps(getattr(side, order.pop("do"))(**order)), flush=True)


class Side:
    """A model with its users, records and candidates; `served` names what can be timed."""

    served: dict[str, Serve]
    exact: Serve

    def names(self) -> list[str]:
        """What can be timed, whole requests first."""
        return list(self.served)

    def logits(self, what: str, count: int) -> dict[str, Any]:
        """Of some requests, with the largest error of a logit against the same model in float64 by `naive`."""
        answers, errors = [], []
        for number in range(count):
            found, expected = (torch.as_tensor(serve(*_request(number))) for serve in (self.served[what], self.exact))
            errors.append(float((found.double() - expected).abs().max()))
            answers.append(found.double().flatten().tolist())
        return {"logits": answers, "errors": errors}

    def turn(self, what: str, first: int, count: int) -> dict[str, list[float]]:
        """CPU and wall time of each of some requests, ms, and the pages that each made the system map."""
        serve = self.served[what]
        cpu, wall, before = [], [], resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for number in range(first, first + count):
            began, began_cpu = time.perf_counter_ns(), time.process_time_ns()
            serve(*_request(number))
            cpu.append((time.process_time_ns() - began_cpu) / 1e6)
            wall.append((time.perf_counter_ns() - began) / 1e6)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        return {"cpu_ms": cpu, "wall_ms": wall, "page_faults": [faults / count]}


class First(Side):
    """The tree of the first request that was timed."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        from lrea_cli.sequence import CandidateIds

        model, settings = request_first.make_model(asked.rank, asked.short, SIZES)
        fill(model, asked.seed)
        offsets, times, columns = behaviors(asked.seed)
        histories = request_first.make_histories(offsets, times, columns)
        keys, lengths = np.arange(USERS), np.diff(offsets)
        ids = histories.newest(keys, lengths, settings.short, settings.long)
        store = request_first.make_store(model, ids, keys, folder)
        sets = candidates(CandidateIds, asked.candidates, asked.seed)

        def server(model: Any, kernel: str) -> tuple[Serve, Serve]:
            request, full = request_first.server(model, histories, settings, store, kernel)
            return (
                lambda user, drawn: request(user, int(lengths[user]), sets[drawn]),
                lambda user, drawn: full(user, int(lengths[user]), sets[drawn]),
            )

        request, full = server(model, "gemm")
        self.served = {"torch": request, "full": full}
        self.exact = server(copy.deepcopy(model).double(), "naive")[0]


class This(Side):
    """A tree whose request is told all but the record: torch, and natively in every mode of the machine."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        from lrea_cli.dataset.histories import Histories
        from lrea_cli.kernels import gemm
        from lrea_cli.records.maker import Known, RecordMaker
        from lrea_cli.records.store import RecordStore, RecordWriter
        from lrea_cli.sequence import CandidateIds
        from lrea_cli.serving.export.golden import Exact
        from lrea_cli.serving.native import abi
        from lrea_cli.serving.native.scorer import NativeScorer
        from lrea_cli.serving.scorer import RequestScorer, Visitor

        model, settings = make_model(asked.rank, asked.short, asked.seed)
        histories = Histories(*behaviors(asked.seed))
        keys, lengths = np.arange(USERS), np.diff(histories.offsets)
        maker = RecordMaker(model, settings)
        with RecordWriter(folder, maker.layout) as writer:
            maker.write(writer, keys, Known(histories, keys, lengths))
        store = RecordStore(folder, maker.layout, model.long.summary_type)
        sets = candidates(CandidateIds, asked.candidates, asked.seed)

        def of_request(score: Callable[[Any], Any]) -> Serve:
            def serve(user: int, drawn: int) -> Any:
                return score(Visitor(user, int(lengths[user])).request(histories, settings, sets[drawn]))

            return serve

        scorer = RequestScorer(model, store, gemm)

        def full(user: int, drawn: int) -> Any:
            long = Visitor(user, int(lengths[user])).newest(histories, settings.short, settings.long)
            return scorer.full_interest(long, model.features.candidates(sets[drawn]))

        modes = [mode for mode in ("fp32", "x6", "x3") if abi.path_of(mode)]
        natives = {mode: of_request(NativeScorer(model, store, mode)) for mode in modes}
        peers = {
            name: self._peer(name, scorer, histories, settings, sets) for name in filter(None, asked.peers.split(","))
        }
        self.served = {"torch": of_request(scorer), **natives, **peers, "full": full}
        self.exact = of_request(Exact(model, store))

    @staticmethod
    def _peer(name: Any, scorer: Any, histories: Any, settings: Any, sets: list[Any]) -> Serve:
        """The graph alone: what it reads is put together once, and not timed."""
        from lrea_cli.bench.peers import OPENERS, feed_of
        from lrea_cli.serving.export.onnx_graph import request_graph
        from lrea_cli.serving.scorer import Visitor

        run = OPENERS[name](request_graph(scorer.model).SerializeToString(), 1, 1)
        lengths = np.diff(histories.offsets)
        feeds = {}
        for number in range(USERS * SETS):
            user, drawn = _request(number)
            request = Visitor(user, int(lengths[user])).request(histories, settings, sets[drawn])
            feeds[user, drawn] = feeds.get((user, drawn)) or feed_of(scorer.model, scorer.fetch(request), request)
        return lambda user, drawn: run(feeds[user, drawn])


def _request(number: int) -> tuple[int, int]:
    """The user and the set of candidates of a request."""
    return number % USERS, number % SETS


def make_model(rank: int, short: int, seed: int) -> tuple[Any, Any]:
    """LREA with two item fields, a match counter, and every weight and statistic random; and the data settings."""
    from lrea_cli.dataset.fields import EncodedField
    from lrea_cli.model import CTRModel
    from lrea_cli.recipe.settings import DataSettings, ModelSettings

    fields = [EncodedField(name, "item", size=size) for name, size in SIZES.items()]
    settings = DataSettings(short=short)
    model = CTRModel(fields, ModelSettings(method="lrea", rank=rank), settings).eval()
    fill(model, seed)
    return model, settings


def fill(model: Any, seed: int) -> None:
    """Make every weight and statistic random; those of one name are the same in every tree."""
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed)
        noise = torch.randn(tensor.shape, generator=generator)
        if name.startswith("features"):
            tensor.copy_(0.15 * noise)[0].zero_()
        elif name in ("long.W_comp", "long.decomp"):
            tensor.add_(0.01 * noise)  # how they start depends on no random number
        elif name.endswith("running_var"):
            tensor.copy_(0.5 + noise.abs())
        elif tensor.dim() == 2:
            tensor.copy_(noise * tensor.shape[1 if name.startswith("mlp") else 0] ** -0.5)
        else:
            tensor.copy_(0.1 * noise + float(name.endswith("weight")))


def behaviors(seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Offsets, times and columns of users who fill the short and the long part."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(600, 1400, USERS))])
    columns = {name: rng.integers(2, size, offsets[-1], dtype=np.int32) for name, size in SIZES.items()}
    return offsets, NOW - np.arange(offsets[-1])[::-1], columns


def candidates(kind: Any, count: int, seed: int) -> list[Any]:
    """Sets of candidates for one request each."""
    rng = np.random.default_rng(seed + 1)
    mask = torch.ones(1, count, dtype=torch.bool)
    empty = kind(ids={}, profile={}, mask=mask, time=torch.tensor([NOW + 1]))

    def draw(size: int) -> torch.Tensor:
        return torch.from_numpy(rng.integers(2, size, (1, count), dtype=np.int32))

    return [replace(empty, ids={name: draw(size) for name, size in SIZES.items()}) for _ in range(SETS)]


if __name__ == "__main__":
    main()
