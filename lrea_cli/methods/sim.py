"""SIM (Pi et al., CIKM 2020): attends to k behaviors, of the candidate's category or nearest by inner product."""

from __future__ import annotations

from lrea_cli.errors import UserError
from lrea_cli.ids import same_value
from lrea_cli.methods.base import HistoryShape
from lrea_cli.methods.cost import Work
from lrea_cli.methods.searched import SearchedMethod
from lrea_cli.methods.top_k import Selection, best, newest
from lrea_cli.oracle.searches import SlowSIM
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, RecordField, Searched


class SIM(SearchedMethod):
    """A general search, then attention to what it selects; `search` in the recipe names the search.

    hard (Eq. 1):  the newest k behaviors of the candidate's category; none for a candidate without category
    soft (Eq. 1):  the k behaviors with the largest inner products e_t . e_l
    """

    name = "sim"
    slow_twin = SlowSIM

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        if settings.search == "hard" and not shape.categories:
            raise UserError(
                "sim searches by category (search = 'hard'), but the model reads no field 'category'.",
                'Search by inner product: search = "soft" in the recipe, or --search soft.',
            )
        super().__init__(settings, shape)
        self.hard = settings.search == "hard"

    @property
    def record(self) -> tuple[RecordField, ...]:
        vectors = RecordField("vectors", (self.width,), "rows")
        return (vectors, RecordField("category", (), "rows", "int32")) if self.hard else (vectors,)

    def summarize(self, behaviors: Behaviors) -> Searched:
        """The behaviors as they are."""
        return Searched(behaviors.vectors, behaviors.category if self.hard else None, rows=behaviors.lengths)

    def search(self, summary: Searched, candidates: Candidates) -> Selection:
        real_B1L = summary.in_use(summary.vectors.shape[1])[:, None]
        if self.hard:
            assert summary.category is not None
            assert candidates.category is not None
            same_BNL = same_value(candidates.category[..., None], summary.category[:, None])
            return newest(same_BNL & real_B1L, self.k)
        vectors_BLD = summary.vectors.to(candidates.vectors.dtype)
        return best(candidates.vectors @ vectors_BLD.transpose(1, 2), real_B1L, self.k)

    def search_work(self, n: int, candidates: int) -> Work:
        """Soft: 2 N n D for e_t . e_l. Hard: nothing, since it compares whole numbers."""
        return Work() if self.hard else Work(products=2 * candidates * n * self.width)
