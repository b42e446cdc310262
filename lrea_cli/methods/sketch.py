"""Sketch Attention of SequenceO1 (RecSys 2026, arXiv 2609.08443): learned prototypes share out each behavior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lrea_cli.methods.base import HistoryShape, LongInterest
from lrea_cli.methods.cost import Work
from lrea_cli.methods.exact import exact_product
from lrea_cli.methods.prototypes import Prototypes
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.methods.sketch_cost import appended_offline, appended_request, click, mixed_offline
from lrea_cli.methods.sums import add_weighted
from lrea_cli.oracle.sketch import SlowSketch
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Behaviors, PseudoItems, RecordField, Sketched, Summary

USERS_AT_ONCE = 8
"""Whose shares (L, R) are made at once while records are folded: they take 4 MB at L = 500, R = 128."""


class Sketch(PseudoItemMethod):
    """R prototypes P attend to the history; each behavior is shared out between them, and candidates read the rows.

        A = softmax over the R prototypes of (P W_Q)(E W_K)^T / (sqrt(D) temperature)                (R, L)
        k_j = sum_l A_jl e_l / sum_l A_jl,   v_j = c(n) sum_l A_jl e_l        one layer; a mean and a sum of behaviors
        interest = e_t A' + a0' + sum_j g |e_t W1 + k_j W2 + (e_t * k_j) W3 + b| w_o v_j

    [A'; a0'] is the linear half over the behaviors themselves, which follows from sum_l e_l^T e_l and sum_l e_l.
    With reader `softmax` (`attention.SoftmaxReader`) there is no such half, v_j = sum_l A_jl e_l without c(n), and row
    j stands for n_j = sum_l A_jl behaviors: with one layer v_j / n_j = k_j.

    These settings of the recipe act here:
        rank: R.
        layers: 1, or 2 as in the paper: X_0 = P, X_i = layer(X_{i-1}) with LayerNorm and SwiGLU (`prototypes.Refine`);
            the rows are then features, so k_j = X_2j, v_j = c(n) (sum_l A_jl) k_j, and their linear half is their own.
        normalize: `prototypes`, or `tokens`: softmax over the L behaviors, so that each row is a mean of them that
            stands for n / R behaviors.
        temperature: below 1 sharpens A.

    One layer over prototypes keeps sums over behaviors, to which a click adds (`Sketched`); any other record is made
    anew, as pseudo items.
    """

    name = "sketch"
    slow_twin = SlowSketch

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__(settings, shape)
        self.rank = settings.rank
        tokens = settings.normalize == "tokens"
        self.prototypes = Prototypes(self.rank, shape.width, settings.temperature, settings.layers, tokens)
        self.summary_type = Sketched if self.appends else PseudoItems

    @property
    def appends(self) -> bool:
        return self.settings.layers == 1 and self.settings.normalize == "prototypes"

    @property
    def record(self) -> tuple[RecordField, ...]:
        if not self.appends:
            return super().record
        sums = RecordField("sums", (self.width,), "rows")
        count = RecordField("count", (), 1, "int64")
        if self.softmax:
            return sums, RecordField("mass", (1,), "rows", "float32"), count
        gram = RecordField("gram", (self.width,), self.width, "wide")
        total = RecordField("total", (self.width,), 1, "wide")
        return sums, RecordField("mass", (1,), "rows", "wide"), gram, total, count

    def column_entropy(self) -> float | None:
        """Of the histories of the last training step: mean entropy of what the softmax gave, over its highest."""
        return self.prototypes.entropy

    def summarize(self, behaviors: Behaviors) -> Sketched | PseudoItems:
        """The sums; or keys and values (B, R, D)."""
        if not self.appends:
            return self._mixed(behaviors)
        E = behaviors.vectors
        shares_BLR = self.prototypes.shares(behaviors)
        return Sketched(
            sums=shares_BLR.transpose(1, 2) @ E,
            mass=shares_BLR.sum(1)[..., None],
            count=behaviors.lengths[:, None],
            gram=None if self.softmax else E.transpose(1, 2) @ E,
            total=None if self.softmax else E.sum(1, keepdim=True),
            rows=self._rows(behaviors.lengths),
        )

    def seal(self, summary: Summary, dtype: CacheDtype) -> PseudoItems:
        return LongInterest.seal(self, summary, dtype) if self.appends else super().seal(summary, dtype)  # type: ignore[return-value]

    def recorded(self, behaviors: Behaviors, dtype: CacheDtype) -> Summary:
        """Fold the history as clicks would add it, if a float32 record is to have the same bits."""
        if not (self.appends and dtype == "float32"):
            return super().recorded(behaviors, dtype)
        return self.append(self._nothing(behaviors), behaviors.double())

    def append(self, record: Summary, newer: Behaviors) -> Summary:
        if not self.appends:
            return super().append(record, newer)
        assert isinstance(record, Sketched)
        parts = [slice(start, start + USERS_AT_ONCE) for start in range(0, len(record.count), USERS_AT_ONCE)]
        after = [self._append(record.of_users(part), newer.of_users(part)) for part in parts]
        kept = [name for name, tensor in vars(record).items() if tensor is not None]
        return Sketched(**{f: torch.cat([getattr(few, f) for few in after]) for f in kept}) if after else record

    def pseudo_items(self, summary: Summary, dtype: torch.dtype) -> PseudoItems:
        """Of sums: means as keys, (scaled) sums as values, and for `din` the exact linear half."""
        if not isinstance(summary, Sketched):
            return super().pseudo_items(summary, dtype)
        sums, mass = summary.sums.to(dtype), summary.mass.to(dtype)
        keys = sums / mass.masked_fill(mass == 0, 1.0)
        if summary.gram is None or summary.total is None:
            return PseudoItems(keys, sums, mass=mass[..., 0], rows=summary.rows)
        c_B11 = self.attention.value_scale(summary.count).to(dtype)[..., None]
        linear = c_B11 * self.scorer.affine_half(summary.gram.to(dtype), summary.total.to(dtype))
        return PseudoItems(keys, c_B11 * sums, linear, mass[..., 0], rows=summary.rows)

    def rows_of(self, n: int) -> int:
        """R, so a request is O(N R D H), and O(N R D) with reader `softmax`."""
        return self.rank if n else 0

    def offline_work(self, n: int) -> Work:
        """O(n R D) for each layer."""
        if not n:
            return Work()
        if self.appends:
            return appended_offline(n, self.rank, self.width, self.softmax)
        return mixed_offline(self.settings, n, self.width)

    def request_work(self, n: int, candidates: int) -> Work:
        """That of R pseudo items; where the record holds sums, they are made first."""
        work = super().request_work(n, candidates)
        return work + appended_request(self.rank, self.width, self.softmax) if self.appends else work

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """O(R D + D^2) where a click is added to sums; at n = L the oldest behavior leaves by the same work.

        The server must still know the vector of that one, and the record then has the bits of no new one. All R rows
        change. With reader `softmax` it is O(R D). A record that is no sum is made anew, O(n R D).
        """
        after = min(n + 1, self.long)
        if not self.appends:
            return self.offline_work(after) + self.record_work(after, dtype)
        one = click(self.rank, self.width, self.softmax)
        return (one + one if n == self.long else one) + self.record_work(after, dtype)

    def _rows(self, lengths: Tensor) -> Tensor:
        return torch.where(lengths > 0, self.rank, 0)

    def _mixed(self, behaviors: Behaviors) -> PseudoItems:
        """Keys and values, zero for an empty history; for `din` and one layer, the behaviors' exact linear half."""
        E, n = behaviors.vectors, behaviors.lengths
        keys_BRD, mass_BR1 = self.prototypes(behaviors)
        keys_BRD = keys_BRD.masked_fill((n == 0)[:, None, None], 0.0)
        if self.softmax:
            return PseudoItems(keys_BRD, mass_BR1 * keys_BRD, mass=mass_BR1[..., 0], rows=self._rows(n))
        c_B11 = self.attention.value_scale(n)[:, None, None].to(E.dtype)
        linear = None
        if self.settings.layers == 1:
            linear = c_B11 * self.scorer.affine_half(E.transpose(1, 2) @ E, E.sum(1, keepdim=True))
        return PseudoItems(keys_BRD, c_B11 * mass_BR1 * keys_BRD, linear, mass_BR1[..., 0], rows=self._rows(n))

    def _nothing(self, behaviors: Behaviors) -> Sketched:
        """The float32 records of users without a behavior."""
        B, R, D = len(behaviors.mask), self.rank, self.width
        zeros, device = torch.zeros, behaviors.mask.device
        count = zeros(B, 1, dtype=torch.int64, device=device)
        sums, mass, gram, total = (zeros(B, *s, device=device) for s in ((R, D), (R, 1), (D, D), (1, D)))
        more = () if self.softmax else (gram, total)
        return Sketched(sums, mass, count, *more, rows=count[:, 0])

    def _append(self, record: Sketched, newer: Behaviors) -> Sketched:
        """Add the behaviors of a few users, the oldest first; all sums are one.

        They are sum_l [a_l, e_l, 1]^T [e_l, 1], and for reader `softmax` sum_l a_l^T [e_l, 1].
        """
        E, real_BL1, R, D = newer.vectors, newer.mask[..., None].double(), self.rank, self.width
        missing = (0, 0, 0, R - record.sums.shape[1])  # a batch of empty records is one row wide
        sums, mass = (nn.functional.pad(rows, missing) for rows in (record.sums, record.mass))
        count, shares_BLR = record.count + newer.lengths[:, None], self.prototypes.shares(newer, exact_product)
        before, vectors, rows = torch.cat([sums, mass], 2), torch.cat([E, real_BL1], 2), self._rows(count[:, 0])
        if record.gram is None or record.total is None:
            after = add_weighted(before, shares_BLR, vectors)
            return Sketched(after[..., :D], after[..., D:], count, rows=rows)
        by_vector = torch.cat([record.gram, record.total.transpose(1, 2)], 2)
        by_one = torch.cat([record.total, record.count[..., None].float()], 2)
        weights = torch.cat([shares_BLR, E, real_BL1], 2)
        after = add_weighted(torch.cat([before, by_vector, by_one], 1), weights, vectors)
        sums, gram, total = after[..., :D].split([R, D, 1], 1)
        return Sketched(sums, after[:, :R, D:], count, gram, total, rows=rows)
