"""The request as it was at commit 34139e8, for `benchmarks/request.py --base`: that tree's own names, the same data."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

NAME = "lrea_cli"


def is_first(tree: Path) -> bool:
    """Whether a tree has the names of that commit."""
    return (tree / NAME / "data" / "matches.py").exists()


def _of(module: str, name: str) -> Any:
    return getattr(import_module(f"{NAME}.{module}"), name)


def make_model(rank: int, short: int, sizes: dict[str, int]) -> tuple[Any, Any]:
    """LREA with item fields of these sizes, untrained; and the data settings."""
    fields = [_of("data.schema", "EncodedField")(name, "item", size=size) for name, size in sizes.items()]
    settings = _of("recipe", "DataSettings")(short=short)
    model_settings = _of("recipe", "ModelSettings")(method="lrea", rank=rank)
    return _of("model", "CTRModel")(fields, model_settings, settings).eval(), settings


def make_histories(offsets: Any, time: Any, columns: dict[str, Any]) -> Any:
    """The histories of all users."""
    return _of("data.histories", "Histories")(offsets, time, columns)


def make_store(model: Any, ids: Any, keys: Any, folder: Path) -> Any:
    """A record store of all users."""
    import torch

    layout = _of("serving.records", "RecordFormat")(model.long.record, "float32")
    with torch.inference_mode(), _of("serving.store", "RecordWriter")(folder, layout) as writer:
        behaviors = model.features.behaviors(ids).double()
        writer.add(keys, model.long.seal(model.long.summarize(behaviors), layout.torch_dtype))
    return _of("serving.store", "RecordStore")(folder, layout, model.long.summary_type)


def server(model: Any, histories: Any, settings: Any, store: Any, kernel: str) -> tuple[Callable, Callable]:
    """(key, length, candidate ids) -> logits of the whole request; and the interest of full attention."""
    import torch

    scorer = _of("serving.scorer", "RequestScorer")(model, histories, settings, store, kernel, torch.device("cpu"))
    visitor = _of("serving.scorer", "Visitor")

    def request(key: int, length: int, ids: Any) -> Any:
        user, candidates = visitor(key, length), model.features.candidates(ids)
        return scorer.logits(user, ids, candidates, scorer.cached_interest(user, candidates))

    def full(key: int, length: int, ids: Any) -> Any:
        return scorer.full_interest(visitor(key, length), model.features.candidates(ids))

    return request, full
