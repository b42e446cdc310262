"""One side of `benchmarks/request.py`: answers requests with the `lrea_cli` of the tree that it is started for.

Reads one JSON object a line and answers with one. Weights, histories, records and candidates follow from the seed and
the names of the tensors alone, so that two trees make the same ones.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import json
import os
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

USERS, SETS, ITEMS, CATEGORIES = 32, 8, 50_000, 1_000
NOW = 1_700_000_000

STAGES: dict[str, tuple[str, ...]] = {
    "long interest": ("serving.scorer:RequestScorer.cached_interest",),
    "short attention": ("attention:Attention.over",),
    "MLP": ("model:MLP.forward", "mlp:FoldedMLP.__call__"),
    "item vectors": ("features:Features.candidates", "features:Features.behaviors"),
    "history ids": ("dataset.histories:Histories.newest",),
    "match counters": ("serving.scorer:count_matches", "records.past:Past.matches"),
    "fetch": ("records.store:RecordStore.fetch",),
}
"""What each stage is in either tree; what only one of them has is passed over in the other."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tree", type=Path, required=True)
    for name in ("core", "candidates", "rank", "short", "seed"):
        parser.add_argument(f"--{name}", type=int, required=True)
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {asked.core})
    import torch

    import lrea_cli

    assert Path(lrea_cli.__file__).is_relative_to(asked.tree.resolve()), f"{lrea_cli.__file__} is not of {asked.tree}"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="lrea-request-") as folder, torch.inference_mode():
        side = Side(asked, Path(folder))
        for line in sys.stdin:
            order = json.loads(line)
            print(json.dumps(getattr(side, order.pop("do"))(**order)), flush=True)


class Side:
    """A model with its users, records and candidates, and what can be asked of it."""

    def __init__(self, asked: argparse.Namespace, folder: Path) -> None:
        from lrea_cli.kernels import gemm
        from lrea_cli.serving import scorer
        from lrea_cli.serving.scorer import Visitor

        self.tells_all = hasattr(scorer, "Request")
        self.model, self.settings = make_model(asked.rank, asked.short, asked.seed)
        self.histories = make_histories(asked.seed)
        store = make_store(self.model, self.histories, self.settings, folder)
        self.scorer = self.scorer_of(self.model, store, gemm)
        lengths = self.histories.offsets[1:] - self.histories.offsets[:-1]
        self.visitors = [Visitor(key, int(length)) for key, length in enumerate(lengths)]
        self.sets = make_candidates(asked.candidates, asked.seed)

    def scorer_of(self, model: Any, records: Any, kernel: Any) -> Any:
        """Of this tree: one that is told all by the request, or one that reads histories."""
        from lrea_cli.serving.scorer import RequestScorer

        if self.tells_all:
            return RequestScorer(model, records, kernel)
        older: Any = RequestScorer
        return older(model, self.histories, self.settings, records, kernel)

    def request(self, number: int) -> Any:
        """Logits of the whole request, from ids: newest ids, fetch, embed, attend to long and short, count, score."""
        user, ids = self.visitors[number % USERS], self.sets[number % SETS]
        if self.tells_all:
            return self.scorer(user.request(self.histories, self.settings, ids))
        candidates = self.scorer.candidates(user, ids)
        return self.scorer.logits(user, candidates, self.scorer.cached_interest(user, candidates))

    def full(self, number: int) -> Any:
        """Full attention over the long part, the thing to beat."""
        user, ids = self.visitors[number % USERS], self.sets[number % SETS]
        candidates = self.model.features.candidates(ids)
        if self.tells_all:
            user = user.newest(self.histories, self.settings.short, self.settings.long)
        return self.scorer.full_interest(user, candidates)

    def logits(self, count: int) -> dict[str, Any]:
        """Of some requests, with their largest relative error against the same model in float64 by `naive`."""
        from lrea_cli.kernels import naive

        model = copy.deepcopy(self.model).double()
        exact = self.scorer_of(model, self.scorer.records, naive)
        answers, errors = [], []
        for number in range(count):
            found = self.request(number)
            self.scorer, self.model, kept = exact, model, (self.scorer, self.model)
            expected = self.request(number)
            self.scorer, self.model = kept
            errors.append(float((found - expected).abs().max() / expected.abs().max().clamp(min=1.0)))
            answers.append(found.double().tolist())
        return {"logits": answers, "errors": errors}

    def turn(self, what: str, first: int, count: int) -> dict[str, list[float]]:
        """CPU and wall time of each of some requests, ms, and the pages that each made the system map."""
        call = getattr(self, what)
        cpu, wall, before = [], [], resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for number in range(first, first + count):
            began, began_cpu = time.perf_counter_ns(), time.process_time_ns()
            call(number)
            cpu.append((time.process_time_ns() - began_cpu) / 1e6)
            wall.append((time.perf_counter_ns() - began) / 1e6)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        return {"cpu_ms": cpu, "wall_ms": wall, "page_faults": [faults / count]}

    def stages(self, first: int, count: int) -> dict[str, float]:
        """CPU time of each stage a request, ms; what no stage has is `the rest`."""
        spent = dict.fromkeys(STAGES, 0)
        with contextlib.ExitStack() as patches:
            for stage, places in STAGES.items():
                for place in places:
                    patches.enter_context(timed(place, stage, spent))
            began = time.process_time_ns()
            for number in range(first, first + count):
                self.request(number)
            whole = time.process_time_ns() - began
        spent["the rest"] = whole - sum(spent.values())
        return {stage: ns / 1e6 / count for stage, ns in spent.items()}


@contextlib.contextmanager
def timed(place: str, stage: str, spent: dict[str, int]) -> Iterator[None]:
    """Count the time in a function, calls from a function that is counted already left out."""
    module_name, path = place.split(":")
    try:
        *owners, name = path.split(".")
        owner = reduce(getattr, owners, importlib.import_module(f"lrea_cli.{module_name}"))
        right: Callable[..., Any] = getattr(owner, name)
    except (ImportError, AttributeError):
        yield
        return

    def counted(*arguments: Any, **named: Any) -> Any:
        before, began = sum(spent.values()), time.process_time_ns()
        try:
            return right(*arguments, **named)
        finally:
            spent[stage] += time.process_time_ns() - began - (sum(spent.values()) - before)

    setattr(owner, name, counted)
    try:
        yield
    finally:
        setattr(owner, name, right)


def make_model(rank: int, short: int, seed: int) -> tuple[Any, Any]:
    """LREA with two item fields, a match counter, and every weight and statistic random; and the data settings."""
    import torch

    from lrea_cli.dataset.fields import EncodedField
    from lrea_cli.model import CTRModel
    from lrea_cli.recipe.settings import DataSettings, ModelSettings

    fields = [EncodedField("item", "item", size=ITEMS), EncodedField("category", "item", size=CATEGORIES)]
    settings = DataSettings(short=short)
    model = CTRModel(fields, ModelSettings(method="lrea", rank=rank), settings).eval()
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
    return model, settings


def make_histories(seed: int) -> Any:
    """Of users who fill the short and the long part."""
    import numpy as np

    from lrea_cli.dataset.histories import Histories

    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(600, 1400, USERS))])
    sizes = {"item": ITEMS, "category": CATEGORIES}
    columns = {name: rng.integers(2, size, offsets[-1], dtype=np.int32) for name, size in sizes.items()}
    return Histories(offsets, NOW - np.arange(offsets[-1])[::-1], columns)


def make_store(model: Any, histories: Any, settings: Any, folder: Path) -> Any:
    """A record store of all users, made as `lrea compress` makes it."""
    import numpy as np

    from lrea_cli.records import maker
    from lrea_cli.records.store import RecordStore, RecordWriter

    keys = np.arange(histories.users)
    lengths = histories.offsets[1:] - histories.offsets[:-1]
    if hasattr(maker, "Known"):
        made = maker.RecordMaker(model, lambda long, _: model.long.summarize(long.double()), settings)
        with RecordWriter(folder, made.layout) as writer:
            made.write(writer, keys, maker.Known(histories, keys, lengths))
        return RecordStore(folder, made.layout, model.long.summary_type)
    return make_older_store(model, histories.newest(keys, lengths, settings.short, settings.long), folder)


def make_older_store(model: Any, ids: Any, folder: Path) -> Any:
    """The same in a tree whose records lack the counters and the length."""
    import numpy as np

    from lrea_cli.records import format as record_format
    from lrea_cli.records.store import RecordStore, RecordWriter

    older: Any = model.features.behaviors(ids)
    layout: Any = record_format.RecordFormat(model.long.record, "float32")
    writer: Any
    with RecordWriter(folder, layout) as writer:
        writer.add(np.arange(len(ids.mask)), model.long.seal(model.long.summarize(older.double()), layout.torch_dtype))
    return RecordStore(folder, layout, model.long.summary_type)


def make_candidates(count: int, seed: int) -> list[Any]:
    """Sets of candidates for one request each."""
    import numpy as np
    import torch

    from lrea_cli.sequence import CandidateIds

    rng = np.random.default_rng(seed + 1)

    def draw(size: int) -> torch.Tensor:
        return torch.from_numpy(rng.integers(2, size, (1, count), dtype=np.int32))

    mask = torch.ones(1, count, dtype=torch.bool)
    empty = CandidateIds(ids={}, profile={}, mask=mask, time=torch.tensor([NOW + 1]))
    return [replace(empty, ids={"item": draw(ITEMS), "category": draw(CATEGORIES)}) for _ in range(SETS)]


if __name__ == "__main__":
    main()
