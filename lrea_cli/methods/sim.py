"""Search-based interest model (Pi et al., CIKM 2020): search by category or by inner product, then attend."""

from __future__ import annotations

from typing import Self

from lrea_cli.errors import UserError
from lrea_cli.ids import same_value
from lrea_cli.methods.base import HistoryShape
from lrea_cli.methods.cost import Work
from lrea_cli.methods.search import Found, best, newest
from lrea_cli.methods.searched import SearchedMethod
from lrea_cli.oracle.searches import SlowSIM
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, RecordField, Searched


class SIM(SearchedMethod):
    """General search unit, then exact search unit.

        hard (Eq. 1):  behaviors of the candidate's category, the newest k; of no category: none
        soft (Eq. 1):  the k largest inner products e_t . e_l, padding masked with -inf

    Args:
        settings: `search` = `hard` | `soft`, and see `SearchedMethod`.
    """

    name = "sim"
    slow_twin = SlowSIM

    def __init__(self, settings: ModelSettings, width: int, long: int) -> None:
        super().__init__(settings, width, long)
        self.hard = settings.search == "hard"

    @classmethod
    def build(cls, settings: ModelSettings, shape: HistoryShape) -> Self:
        """Raises `UserError` where hard search has no categories to search by."""
        if settings.search == "hard" and not shape.categories:
            raise UserError(
                "sim searches by category (search = 'hard'), and these histories have none.",
                'Search by inner product: search = "soft" in the recipe, or --search soft.',
            )
        return super().build(settings, shape)

    @property
    def record(self) -> tuple[RecordField, ...]:
        vectors = RecordField("vectors", (self.width,), "rows")
        return (vectors, RecordField("category", (), "rows", "int32")) if self.hard else (vectors,)

    def summarize(self, behaviors: Behaviors) -> Searched:
        """The behaviors as they are."""
        return Searched(behaviors.vectors, behaviors.category if self.hard else None, rows=behaviors.lengths)

    def search(self, summary: Searched, candidates: Candidates) -> Found:
        there_B1L = summary.mask[:, None]
        if self.hard:
            assert summary.category is not None
            assert candidates.category is not None
            same_BNL = same_value(candidates.category[..., None], summary.category[:, None])
            return newest(same_BNL & there_B1L, self.k)
        vectors_BLD = summary.vectors.to(candidates.vectors.dtype)
        return best(candidates.vectors @ vectors_BLD.transpose(1, 2), there_B1L, self.k)

    def row_work(self) -> int:
        """0: a behavior is copied."""
        return 0

    def search_work(self, n: int, candidates: int) -> Work:
        """hard: none, it compares whole numbers; soft: 2 N n D of e_t . e_l."""
        return Work() if self.hard else Work(products=2 * candidates * n * self.width)
