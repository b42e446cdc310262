"""Data drawn on the device from a seed: models, records, histories, batches; no data set and no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrea_cli.dataset.fields import EncodedField
from lrea_cli.dataset.histories import Histories
from lrea_cli.methods import METHODS, HistoryShape
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import CacheDtype, DataSettings, ModelSettings
from lrea_cli.records.format import RecordFormat
from lrea_cli.records.maker import Known, RecordMaker
from lrea_cli.records.past import Past, UserRecords
from lrea_cli.records.store import RecordStore, RecordWriter
from lrea_cli.sequence import Batch, CandidateIds, Candidates, HistoryIds, PseudoItems
from lrea_cli.serving.scorer import Visitor
from on_gpu.sizes import Sizes

CATEGORIES, PROFILES, START, STEP = 10_000, 20, 1_700_000_000, 60
MOST_POOL_USERS = 4_096
CPU = torch.device("cpu")


def generator_of(device: torch.device, seed: int) -> torch.Generator:
    """A generator of its own: the default one may be held by a CUDA graph."""
    return torch.Generator(device).manual_seed(seed)


def method_of(rows: int, width: int, full: bool, device: torch.device, dtype: torch.dtype) -> PseudoItemMethod:
    """What attends to records of so many rows: lrea, or din where they are behaviors; in eval mode."""
    torch.manual_seed(0)
    settings = ModelSettings(method="din" if full else "lrea", rank=rows)
    method = METHODS[settings.method](settings, HistoryShape(width, rows, categories=False))
    assert isinstance(method, PseudoItemMethod)
    return method.to(device, dtype).eval().requires_grad_(False)


@dataclass(frozen=True)
class Pool:
    """Sealed records of many users and their candidates, so many that parts of it are beyond the L2 cache.

    Args:
        summary: of P users. candidates: of P requests. users: in one part.
    """

    summary: PseudoItems
    candidates: Candidates
    users: int

    def __len__(self) -> int:
        return len(self.summary.rows) // self.users

    def part(self, number: int) -> tuple[PseudoItems, Candidates]:
        """The records and candidates of some users; views."""
        part = slice(number * self.users, (number + 1) * self.users)
        s, c = self.summary, self.candidates
        assert s.linear is not None
        summary = PseudoItems(s.keys[part], s.values[part], s.linear[part], rows=s.rows[part])
        return summary, Candidates(c.vectors[part], c.mask[part], c.item[part])


def pool_of(
    method: PseudoItemMethod,
    rows: int,
    users: int,
    candidates: int,
    bytes_wanted: float,
    generator: torch.Generator,
) -> Pool:
    """Draw embeddings of a trained run's size, seal them, and repeat until so many bytes are there."""
    device, width, dtype = generator.device, method.width, method.scorer.b.dtype
    size = torch.finfo(dtype).bits // 8
    each = size * width * (2 * rows + 2 * candidates) + 4 * width * (width + 1)
    parts = max(2, min(MOST_POOL_USERS // users, -(-int(bytes_wanted) // (each * users))))
    total = parts * users

    def normal(*shape: int) -> Tensor:
        return (0.3 * torch.randn(*shape, device=device, generator=generator)).to(dtype)

    keys = normal(total, rows, width)
    values = keys * rows**-0.5
    used = torch.full((total,), rows, device=device)
    linear = method.scorer.linear_half(keys, values).float()
    asked = Candidates(
        normal(total, candidates, width),
        torch.ones(1, 1, dtype=torch.bool, device=device).expand(total, candidates),
        torch.zeros(1, 1, dtype=torch.int32, device=device).expand(total, candidates),
    )
    return Pool(PseudoItems(keys, values, linear, rows=used), asked, users)


def model_of(
    method: str,
    sizes: Sizes,
    device: torch.device,
    width: int = 16,
    form: str = "decomposed",
    make: Callable[..., CTRModel] = CTRModel,
) -> CTRModel:
    """An untrained model with items, categories and one context field; D = `width`."""
    torch.manual_seed(0)
    fields = (
        EncodedField("item", "item", size=sizes.items),
        EncodedField("category", "item", size=min(CATEGORIES, sizes.items)),
        EncodedField("hour", "context", size=PROFILES),
    )
    of_method: dict[str, Any] = {"method": method, "form": form}
    settings = ModelSettings(embedding_dim=width // 2, rank=sizes.rank, **of_method)
    return make(fields, settings, settings_of(sizes)).to(device)


def settings_of(sizes: Sizes) -> DataSettings:
    """S and L, and match counters of the category, as the recipes have them."""
    return DataSettings(short=sizes.short, long=sizes.long, match_counters=("category",))


def history_ids(users: int, length: int, sizes: Sizes, generator: torch.Generator) -> HistoryIds:
    """Ids (B, L) on the device, newest first; every third user has half of them."""
    device = generator.device
    lengths = torch.where(torch.arange(users, device=device) % 3 == 0, -(-length // 2), length)
    mask = torch.arange(length, device=device) < lengths[:, None]
    ids = {
        name: torch.randint(2, size, (users, length), dtype=torch.int32, device=device, generator=generator) * mask
        for name, size in (("item", sizes.items), ("category", min(CATEGORIES, sizes.items)))
    }
    time = (START - STEP * torch.arange(length, device=device)) * mask
    return HistoryIds(ids, mask, time)


def candidate_ids(requests: int, count: int, sizes: Sizes, generator: torch.Generator) -> CandidateIds:
    """Ids (B, N) on the device, with match counters."""
    device = generator.device

    def draw(size: int, dtype: torch.dtype = torch.int32) -> Tensor:
        return torch.randint(2, size, (requests, count), dtype=dtype, device=device, generator=generator)

    return CandidateIds(
        ids={"item": draw(sizes.items), "category": draw(min(CATEGORIES, sizes.items))},
        profile={"hour": draw(PROFILES)},
        mask=torch.ones(requests, count, dtype=torch.bool, device=device),
        time=torch.full((requests,), START + STEP, device=device),
        matches={"category": draw(50, torch.int64)},
    )


def training_batch(sizes: Sizes, generator: torch.Generator) -> Batch:
    """Requests with a positive and a negative candidate."""
    device, requests = generator.device, sizes.requests
    return Batch(
        short=history_ids(requests, sizes.short, sizes, generator),
        long=history_ids(requests, sizes.long, sizes, generator),
        candidates=candidate_ids(requests, 2, sizes, generator),
        history_length=torch.full((requests,), sizes.short + sizes.long, device=device),
        label=torch.tensor([1.0, 0.0], device=device).expand(requests, 2),
        row=torch.arange(2 * requests, device=device).view(requests, 2),
        request=torch.arange(requests, device=device),
    )


def histories_of(users: int, sizes: Sizes, long: int, seed: int) -> tuple[Histories, list[Visitor]]:
    """Histories in memory, all of short + long behaviors but for an empty one, one of a single behavior, and halves."""
    rng = np.random.default_rng(seed)
    full = sizes.short + long
    lengths = np.where(np.arange(users) % 3 == 0, -(-full // 2), full)
    lengths[:2] = [0, 1]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    time = START - STEP * np.arange(int(offsets[-1]), dtype=np.int64)[::-1]
    columns = {
        name: rng.integers(2, size, int(offsets[-1])).astype(np.int32)
        for name, size in (("item", sizes.items), ("category", min(CATEGORIES, sizes.items)))
    }
    visitors = [Visitor(user, int(length)) for user, length in enumerate(lengths)]
    return Histories(offsets, np.ascontiguousarray(time), columns), visitors


@contextmanager
def stored(method: PseudoItemMethod, users: int, rows: int, dtype: CacheDtype, seed: int) -> Iterator[RecordStore]:
    """A store on disk of random records, written by the product's writer; gone when the block ends."""
    layout = RecordFormat(method.record, dtype)
    generator = generator_of(CPU, seed)
    with TemporaryDirectory(prefix="lrea-gpu-") as folder:
        with RecordWriter(Path(folder), layout) as writer:
            for start in range(0, users, 1_024):
                part = np.arange(start, min(start + 1_024, users))
                keys = 0.3 * torch.randn(len(part), rows, method.width, generator=generator)
                items = PseudoItems(keys, keys * rows**-0.5, rows=torch.full((len(part),), rows))
                linear = torch.zeros(len(part), method.width + 1, method.width)
                past = Past(torch.full((len(part),), rows), {}, {})
                writer.add(3 * part, UserRecords(replace(items, linear=linear), past))
        with RecordStore(Path(folder), layout, method.summary_type) as store:
            yield store


@contextmanager
def cached(
    model: CTRModel, histories: Histories, visitors: list[Visitor], settings: DataSettings, dtype: CacheDtype
) -> Iterator[RecordStore]:
    """The records of all visitors, as `compress` makes them on the model's device; gone when the block ends."""
    maker = RecordMaker(model, settings, dtype)
    keys = np.array([v.key for v in visitors])
    lengths = np.array([v.length for v in visitors])
    with TemporaryDirectory(prefix="lrea-gpu-") as folder, torch.inference_mode():
        with RecordWriter(Path(folder), maker.layout) as writer:
            for part in np.array_split(np.arange(len(keys)), -(-len(keys) // 256)):
                maker.write(writer, keys[part], Known(histories, keys[part], lengths[part]))
        with RecordStore(Path(folder), maker.layout, model.long.summary_type) as store:
            yield store
