"""Embeds ids: the only module that knows which fields a dataset has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lrea_cli.dataset.fields import EncodedField
from lrea_cli.errors import UserError, nearest
from lrea_cli.ids import PADDING_ID, UNKNOWN_ID
from lrea_cli.sequence import Batch, Behaviors, CandidateIds, Candidates, HistoryIds, Ids


def select_fields(available: Sequence[EncodedField], names: Sequence[str]) -> tuple[EncodedField, ...]:
    """The named fields in the dataset's order; all fields if `names` is empty.

    Raises:
        UserError: the dataset lacks a named field, or `item` is not among the names.
    """
    _require([f.name for f in available], names, "The dataset has no field")
    if names and "item" not in names:
        raise UserError("The fields of a recipe must include 'item'.", f"Use: {['item', *names]}")
    return tuple(f for f in available if not names or f.name in names)


def select_counters(available: Sequence[EncodedField], names: Sequence[str]) -> tuple[str, ...]:
    """The named item fields, without `category` if the dataset has none.

    Raises:
        UserError: a name is no item field of the dataset.
    """
    items = [f.name for f in available if f.role == "item"]
    _require(items, [name for name in names if name != "category"], "match_counters: the dataset has no item field")
    return tuple(name for name in names if name in items)


class Features(nn.Module):
    """Embedding tables. The item fields are concatenated to the item vector, user and context fields to the profile.

    Args:
        fields: the fields that the model reads.
        dim: d, the width of one field's embedding.
        std: embeddings start from N(0, std).
    """

    def __init__(self, fields: Sequence[EncodedField], dim: int, std: float) -> None:
        super().__init__()
        self.item_fields = tuple(f for f in fields if f.role == "item")
        self.profile_fields = tuple(f for f in fields if f.role != "item")
        self.sizes = {f.name: f.size for f in fields}
        self.tables = nn.ModuleDict({table_key(f.name): _table(f.size, dim, std) for f in fields})
        self.width = dim * len(self.item_fields)
        self.profile_width = dim * len(self.profile_fields)

    def behaviors(self, history: HistoryIds) -> Behaviors:
        """Behaviors with their item vectors (B, L, D), exactly zero where masked."""
        return _behaviors(history, self.item_vectors(history.ids))

    def candidates(self, candidates: CandidateIds) -> Candidates:
        """Candidates with their item vectors (B, N, D)."""
        return _candidates(candidates, self.item_vectors(candidates.ids))

    def of_batch(self, batch: Batch) -> tuple[Candidates, Behaviors, Behaviors]:
        """Candidates, long and short behaviors, looked up together: a table then has one gradient, not three to add."""
        parts = batch.candidates.ids, batch.long.ids, batch.short.ids
        names = [f.name for f in self.item_fields]
        together = {name: torch.cat([ids[name].flatten() for ids in parts]) for name in names}
        shapes = [ids["item"].shape for ids in parts]
        vectors = self.item_vectors(together).split([shape.numel() for shape in shapes])
        candidates, long, short = (one.unflatten(0, shape) for one, shape in zip(vectors, shapes, strict=True))
        return _candidates(batch.candidates, candidates), _behaviors(batch.long, long), _behaviors(batch.short, short)

    def profile(self, candidates: CandidateIds) -> Tensor:
        """The embeddings of user and context fields (B, N, P), which go straight to the MLP."""
        if not self.profile_fields:
            return torch.zeros(*candidates.mask.shape, 0, device=candidates.mask.device)
        return torch.cat([self._embed(f.name, candidates.profile[f.name]) for f in self.profile_fields], -1)

    def item_vectors(self, ids: Ids) -> Tensor:
        """The embeddings of all item fields side by side, (..., D)."""
        return torch.cat([self._embed(f.name, ids[f.name]) for f in self.item_fields], -1)

    def table(self, name: str) -> Tensor:
        """The embeddings of a field, (size, dim)."""
        weight = self.tables[table_key(name)].weight
        assert isinstance(weight, Tensor)
        return weight

    def _embed(self, name: str, ids: Tensor) -> Tensor:
        """Embed ids; ids from `size` on were first seen after training, and get the embedding of an unknown value."""
        return self.tables[table_key(name)](torch.where(ids >= self.sizes[name], UNKNOWN_ID, ids))


def _behaviors(history: HistoryIds, vectors: Tensor) -> Behaviors:
    real = vectors.masked_fill(~history.mask[..., None], 0.0)
    return Behaviors(real, history.mask, history.ids["item"], history.ids.get("category"), history.time)


def _candidates(candidates: CandidateIds, vectors: Tensor) -> Candidates:
    ids = candidates.ids
    return Candidates(vectors, candidates.mask, ids["item"], ids.get("category"), candidates.time)


def _require(known: Sequence[str], names: Sequence[str], lacks: str) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"{lacks} '{name}'{nearest(name, known)}.", f"It has: {', '.join(known)}")


def table_key(name: str) -> str:
    """The key of a field's table; the prefix keeps a field such as `type` apart from a module's attributes."""
    return f"field:{name}"


def _table(size: int, dim: int, std: float) -> nn.Embedding:
    table = nn.Embedding(size, dim, padding_idx=PADDING_ID, sparse=True)
    nn.init.normal_(table.weight, std=std)
    with torch.no_grad():
        table.weight[PADDING_ID].zero_()
    return table
