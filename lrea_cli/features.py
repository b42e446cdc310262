"""Fields to vectors: the only file that knows which fields a data set has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lrea_cli.dataset.fields import EncodedField
from lrea_cli.errors import UserError, nearest
from lrea_cli.ids import PADDING_ID, UNKNOWN_ID
from lrea_cli.sequence import Behaviors, CandidateIds, Candidates, HistoryIds, Ids


def select_fields(available: Sequence[EncodedField], names: Sequence[str]) -> tuple[EncodedField, ...]:
    """The named fields in the dataset's order; all where no name is given.

    Raises:
        UserError: a name that the dataset has not, or a selection without `item`.
    """
    _require([f.name for f in available], names, "The dataset has no field")
    if names and "item" not in names:
        raise UserError("The fields of a recipe must include 'item'.", f"Use: {['item', *names]}")
    return tuple(f for f in available if not names or f.name in names)


def select_counters(available: Sequence[EncodedField], names: Sequence[str]) -> tuple[str, ...]:
    """The named item fields, without `category` where there is none.

    Raises:
        UserError: a name that is no item field of the dataset.
    """
    items = [f.name for f in available if f.role == "item"]
    _require(items, [name for name in names if name != "category"], "match_counters: the dataset has no item field")
    return tuple(name for name in names if name in items)


class Features(nn.Module):
    """Embedding tables: item fields are concatenated to the item vector, user and context fields to the profile.

    Args:
        fields: what the dataset declares. dim: d of one field. std: of the start, N(0, std).
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
        """Item vectors (B, L, D) of behaviors; exactly zero where masked, whatever stands there."""
        vectors = self.item_vectors(history.ids).masked_fill(~history.mask[..., None], 0.0)
        return Behaviors(vectors, history.mask, history.ids["item"], history.ids.get("category"), history.time)

    def candidates(self, candidates: CandidateIds) -> Candidates:
        """Item vectors (B, N, D) of candidates."""
        ids = candidates.ids
        vectors = self.item_vectors(ids)
        return Candidates(vectors, candidates.mask, ids["item"], ids.get("category"), candidates.time)

    def profile(self, candidates: CandidateIds) -> Tensor:
        """(B, N, P): user and context fields, which go straight to the MLP."""
        if not self.profile_fields:
            return torch.zeros(*candidates.mask.shape, 0, device=candidates.mask.device)
        return torch.cat([self._embed(f.name, candidates.profile[f.name]) for f in self.profile_fields], -1)

    def item_vectors(self, ids: Ids) -> Tensor:
        """(..., D): the embeddings of all item fields side by side."""
        return torch.cat([self._embed(f.name, ids[f.name]) for f in self.item_fields], -1)

    def _embed(self, name: str, ids: Tensor) -> Tensor:
        """Ids from `size` on were first seen after training: they share the row of the unknown."""
        return self.tables[table_key(name)](torch.where(ids >= self.sizes[name], UNKNOWN_ID, ids))


def _require(known: Sequence[str], names: Sequence[str], lacks: str) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"{lacks} '{name}'{nearest(name, known)}.", f"It has: {', '.join(known)}")


def table_key(name: str) -> str:
    """The key of a field's table: a field may have any name, also that of a module's attribute, such as `type`."""
    return f"field:{name}"


def _table(size: int, dim: int, std: float) -> nn.Embedding:
    table = nn.Embedding(size, dim, padding_idx=PADDING_ID, sparse=True)
    nn.init.normal_(table.weight, std=std)
    with torch.no_grad():
        table.weight[PADDING_ID].zero_()
    return table
