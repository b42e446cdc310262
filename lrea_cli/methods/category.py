"""One row for each category that a user has touched: SIM's hard search, made ahead of the request and without a cut."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from lrea_cli.attention import Attention, history_scale
from lrea_cli.errors import UserError
from lrea_cli.ids import same_value
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.category_sums import CategorySums, Pooled, appended, empty_sums, summed
from lrea_cli.methods.cost import ENVELOPE_BYTES, Work, linear_half_work, paired_work, pseudo_item_work, row_bytes
from lrea_cli.methods.exact import exact_product
from lrea_cli.methods.prototypes import Prototypes
from lrea_cli.methods.sums import decay_table
from lrea_cli.methods.top_k import gather
from lrea_cli.oracle.categories import SlowCategory
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, Interest, RecordField, Summary

LEAST = 1e-30
"""Least mass that a sum is divided by; a sum of less mass is zero."""


@dataclass(frozen=True)
class Read:
    """What candidates read of their histories: (B, N) numbers and (B, N, D) vectors, zero where there is no behavior.

    Args:
        n: (B,), behaviors of the history.
        count, own: number and sum of the behaviors of the candidate's category.
        rest: sum of all others, or None where shared rows are read.
        recent: the decayed sum of the own ones at the time of the request, or None. recent_mean: their decayed mean.
    """

    n: Tensor
    count: Tensor
    own: Tensor
    rest: Tensor | None = None
    recent: Tensor | None = None
    recent_mean: Tensor | None = None


class Category(LongInterest):
    """A candidate reads the row of its own category, and all other behaviors as one row or as R shared ones.

        own:    s_1(e_t, mean_O) c(n) sum_O     over the behaviors O of the candidate's category; none without one
        rest:   s_2(e_t, mean_X) c(n) sum_X     over all others X, if shared_rows = 0; else over all behaviors
                sum_r s_2(e_t, S_r / m_r) c(n) S_r,   S_r = sum_l A_lr e_l,   m_r = sum_l A_lr,   A: see `Prototypes`
        recent: s_3(e_t, D / w) c(n) D,   D = sum_O 2^(-newer_l / half_life) e_l,   w the sum of these weights; only
                with half_life > 0

    newer_l are the behaviors of the history that are newer than l. Each share has a scorer of its own (DIN's), and the
    interest is their sum. The record needs no total of all behaviors: it is the sum of the rows. No paper shows this
    method; it is ours.
    """

    name = "category"
    summary_type = CategorySums
    slow_twin = SlowCategory
    needs_categories = True
    decays: Tensor | None

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        if not shape.categories:
            raise UserError(
                "category keeps a row for each category, but the model reads no field 'category'.",
                "Prepare the data with a category column, or use --method lrea.",
            )
        super().__init__(settings, shape)
        self.shared_rows, self.half_life = settings.shared_rows, settings.half_life
        self.attention, self.rest_attention = Attention(self.width), Attention(self.width)
        R = self.shared_rows
        self.prototypes = Prototypes(R, self.width, settings.temperature) if R else None
        self.recent_attention = Attention(self.width) if self.half_life else None
        decays = decay_table(self.half_life, shape.long) if self.half_life else None
        self.register_buffer("decays", decays, persistent=False)

    @property
    def record(self) -> tuple[RecordField, ...]:
        fields = [RecordField("category", (), "rows", "int32"), RecordField("count", (), "rows", "int32")]
        fields.append(RecordField("sums", (self.width,), "rows", "wide"))
        if self.shared_rows:
            fields.append(RecordField("shared", (self.width,), self.shared_rows, "wide"))
            fields.append(RecordField("mass", (), self.shared_rows, "float32"))
        if self.half_life:
            fields.append(RecordField("recent", (self.width,), "rows", "wide"))
            fields += [RecordField("weight", (), "rows", "float32"), RecordField("newest", (), "rows", "int32")]
        return tuple(fields)

    @property
    def appends(self) -> bool:
        return True

    def column_entropy(self) -> float | None:
        """As of `sketch`; None without shared rows."""
        return None if self.prototypes is None else self.prototypes.entropy

    def summarize(self, behaviors: Behaviors) -> CategorySums:
        """The rows by sums in any order, with a gradient; `recorded` adds one behavior after the other."""
        return summed(behaviors, self._shared(behaviors), self.decays)

    def recorded(self, behaviors: Behaviors, dtype: CacheDtype) -> Summary:
        """A record to which every behavior was appended, the oldest first."""
        return self.seal(self.append(empty_sums(behaviors, self.shared_rows, self.half_life > 0), behaviors), dtype)

    def append(self, record: Summary, newer: Behaviors) -> CategorySums:
        """Each behavior adds its vector to one row, which is new with a new category, and to the shared rows."""
        assert isinstance(record, CategorySums)
        newer = newer.double()
        shares = None if self.prototypes is None else self.prototypes.shares(newer, exact_product)
        return appended(record, newer, shares, self.decays)

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        """Look up one row of the record for each candidate; the others are all rows less that one."""
        assert isinstance(summary, CategorySums)
        assert candidates.category is not None
        dtype, category = candidates.vectors.dtype, summary.category
        found, row_BN = same_value(candidates.category[..., None], category[:, None]).max(-1)
        own, n = gather(summary.sums, row_BN) * found[..., None], summary.count.sum(1)
        read = Read(n, summary.count.gather(1, row_BN) * found, own.to(dtype))
        if self.prototypes is None:  # in float64, since almost all may be own
            read = replace(read, rest=(summary.sums.double().sum(1, keepdim=True) - own).to(dtype))
        if self.decays is not None:
            recent = gather(_given(summary.recent), row_BN).to(dtype) * found[..., None]
            weight = _given(summary.weight).gather(1, row_BN).to(dtype)
            factor = self.decays[n[:, None] - _given(summary.newest).gather(1, row_BN)].to(dtype)
            read = replace(read, recent=recent * factor[..., None], recent_mean=_mean(recent, weight))
        return self._interest(read, (summary.shared, summary.mass), candidates, kernel)

    def forward(self, behaviors: Behaviors, candidates: Candidates, kernel: Kernel = folded) -> Interest:
        """The same without rows: a training batch has few candidates, and each sums the behaviors of its category."""
        assert behaviors.category is not None
        assert candidates.category is not None
        E = behaviors.vectors
        own_BNL = same_value(candidates.category[..., None], behaviors.category[:, None]) & behaviors.mask[:, None]
        read = Read(behaviors.lengths, own_BNL.sum(-1), own_BNL.to(E.dtype) @ E)
        if self.prototypes is None:
            read = replace(read, rest=(~own_BNL).to(E.dtype) @ E)  # vectors of padding are zero
        if self.decays is not None:
            weights_BNL = own_BNL * self.decays[: E.shape[1]].to(E.dtype)
            recent = weights_BNL @ E
            read = replace(read, recent=recent, recent_mean=_mean(recent, weights_BNL.sum(-1)))
        return Interest(self._interest(read, self._shared(behaviors), candidates, kernel))

    def rows_of(self, n: int) -> int:
        """At most n: a category of its own for each behavior. A record has as many rows as categories."""
        return n

    def offline_work(self, n: int) -> Work:
        """O(n D), and O(n R D) with shared rows: n behaviors are added."""
        return self._adding(n)

    def request_work(self, n: int, candidates: int) -> Work:
        """O(N D H), and O(R N D H) with shared rows; O(n D) for the sum of n rows.

                     own              rest                     recent
        products     `paired_work` of each share
        elementwise  3 N D            n D  +  4 N D            5 N D
                     found,           sum     all - own,       found, factor,
                     mean, c(n)               mean, c(n), add  mean, c(n), add
        shared rows in place of the rest: 2 R D for mean and c(n), their linear half, `pseudo_item_work`, N D to add
        """
        N, D, H, R = candidates, self.width, len(self.attention.w_o), self.shared_rows
        pair = paired_work(D, H, N)
        work = pair + Work(elementwise=3 * N * D)
        if R:
            work += linear_half_work(R, D) + pseudo_item_work(R, D, H, N) + Work(elementwise=2 * R * D + N * D)
        else:
            work += pair + Work(elementwise=n * D + 4 * N * D)
        return work + pair + Work(elementwise=5 * N * D) if self.half_life else work

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """One row of a category, and all R shared ones. At n = L the oldest behavior leaves its row by the same work.

        The server must still know the vector or ids of the oldest behavior, since the record does not hold them.
        """
        moved = 2 if n == self.long else 1
        bytes_of = {"rows": 0, self.shared_rows: 0}
        for field in self.record:
            bytes_of[field.rows] += sum(row_bytes(field, dtype))
        written = moved * bytes_of["rows"] + self.shared_rows * bytes_of[self.shared_rows]
        return Work(moved + self.shared_rows, bytes=ENVELOPE_BYTES + written) + self._adding(moved)

    def _adding(self, count: int) -> Work:
        """FLOPs of adding so many behaviors to a record.

        products     2 R D       logits of the prototypes
        elementwise  D           sum                       2 (D + 1)     decay and sum of recent rows
                     2 D + 2 R   rounding, units           6 R           softmax, shares
                     2 R (D + 1) shares of the vector, their sums
        """
        D, R = self.width, self.shared_rows
        recent = 2 * (D + 1) if self.half_life else 0
        shared = 2 * D + 8 * R + 2 * R * (D + 1) if R else 0
        return Work(0, count * 2 * R * D, count * (D + recent + shared))

    def _interest(self, read: Read, shared: Pooled, candidates: Candidates, kernel: Kernel) -> Tensor:
        """The sum of the shares, each read by its own scorer."""
        e, scale_B11 = candidates.vectors, history_scale(read.n)[:, None, None].to(candidates.vectors.dtype)
        interest = self.attention.paired(e, _mean(read.own, read.count), read.own * scale_B11)
        sums, mass = shared
        if sums is not None and mass is not None:
            keys = _mean(sums, mass).to(e.dtype)
            interest = interest + self.rest_attention(e, keys, sums.to(e.dtype) * scale_B11, kernel=kernel)
        if read.rest is not None:
            mean = _mean(read.rest, read.n[:, None] - read.count)
            interest = interest + self.rest_attention.paired(e, mean, read.rest * scale_B11)
        if self.recent_attention is not None:
            recent, mean = _given(read.recent), _given(read.recent_mean)
            interest = interest + self.recent_attention.paired(e, mean, recent * scale_B11)
        return interest

    def _shared(self, behaviors: Behaviors) -> Pooled:
        """Sums (B, R, D) of all behaviors by their shares, and the sums of the shares (B, R)."""
        if self.prototypes is None:
            return None, None
        shares_BLR = self.prototypes.shares(behaviors)
        return shares_BLR.transpose(1, 2) @ behaviors.vectors, shares_BLR.sum(1)


def _mean(sums: Tensor, weight: Tensor) -> Tensor:
    """Sums (.., D) over their weights (..); zero where both are."""
    return sums / weight.clamp(min=LEAST).to(sums.dtype)[..., None]


def _given(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor
