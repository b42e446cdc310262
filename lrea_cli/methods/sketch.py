"""Sketch Attention of SequenceO1 (RecSys 2026, arXiv 2609.08443): learned prototypes share out each behavior."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lrea_cli.attention import history_scale
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape, LongInterest, PseudoItemMethod
from lrea_cli.methods.cost import Work
from lrea_cli.methods.exact import exact_product
from lrea_cli.methods.prototypes import Prototypes
from lrea_cli.methods.sketch_cost import appended_offline, appended_request, click, mixed_offline
from lrea_cli.methods.sums import add_weighted
from lrea_cli.oracle.sketch import SlowSketch
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, PseudoItems, RecordField, Sketched, Summary

USERS_AT_ONCE = 8
"""Whose shares (L, R) are made at once while records are folded: they take 4 MB at L = 500, R = 128."""


class Sketch(PseudoItemMethod):
    """R prototypes P attend to the history; each behavior is shared out between them, and DIN's scorer reads the rows.

        A = softmax over the R prototypes of (P W_Q)(E W_K)^T / (sqrt(D) temperature)                (R, L)
        k_j = sum_l A_jl e_l / sum_l A_jl,   v_j = c(n) sum_l A_jl e_l        one layer; a mean and a sum of behaviors
        interest = e_t A' + a0' + sum_j g |e_t W1 + k_j W2 + (e_t * k_j) W3 + b| w_o v_j

    [A'; a0'] is the linear half over the behaviors themselves, which follows from sum_l e_l^T e_l and sum_l e_l.

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
        return (
            RecordField("sums", (self.width,), "rows"),
            RecordField("mass", (1,), "rows", "wide"),
            RecordField("gram", (self.width,), self.width, "wide"),
            RecordField("total", (self.width,), 1, "wide"),
            RecordField("count", (), 1, "int64"),
        )

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
            gram=E.transpose(1, 2) @ E,
            total=E.sum(1, keepdim=True),
            count=behaviors.lengths[:, None],
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
        users = [Sketched(**{name: tensor[part] for name, tensor in vars(record).items()}) for part in parts]
        after = [self._append(few, newer.of_users(part)) for few, part in zip(users, parts, strict=True)]
        return Sketched(**{f: torch.cat([getattr(few, f) for few in after]) for f in vars(record)}) if after else record

    def attend(self, summary: Summary, candidates: Candidates, kernel: Kernel = folded) -> Tensor:
        if isinstance(summary, Sketched):
            summary = self.pseudo_items(summary, candidates.vectors.dtype)
        return super().attend(summary, candidates, kernel)

    def pseudo_items(self, sketched: Sketched, dtype: torch.dtype) -> PseudoItems:
        """What candidates attend to: means as keys, scaled sums as values, and the exact linear half."""
        c_B11 = history_scale(sketched.count).to(dtype)[..., None]
        sums, mass = sketched.sums.to(dtype), sketched.mass.to(dtype)
        keys = sums / mass.masked_fill(mass == 0, 1.0)
        linear = c_B11 * self.attention.affine_half(sketched.gram.to(dtype), sketched.total.to(dtype))
        return PseudoItems(keys, c_B11 * sums, linear, mass[..., 0], rows=sketched.rows)

    def rows_of(self, n: int) -> int:
        """R, so a request is O(N R D H)."""
        return self.rank if n else 0

    def offline_work(self, n: int) -> Work:
        """O(n R D) for each layer."""
        if not n:
            return Work()
        return (
            appended_offline(n, self.rank, self.width) if self.appends else mixed_offline(self.settings, n, self.width)
        )

    def request_work(self, n: int, candidates: int) -> Work:
        """That of R pseudo items; where the record holds sums, they are made first."""
        work = super().request_work(n, candidates)
        return work + appended_request(self.rank, self.width) if self.appends else work

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """O(R D + D^2) where a click is added to sums; at n = L the oldest behavior leaves by the same work.

        The server must still know the vector of that one, and the record then has the bits of no new one. All R rows
        change. A record that is no sum is made anew, O(n R D).
        """
        after = min(n + 1, self.long)
        if not self.appends:
            return self.offline_work(after) + self.record_work(after, dtype)
        one = click(self.rank, self.width)
        return (one + one if n == self.long else one) + self.record_work(after, dtype)

    def _rows(self, lengths: Tensor) -> Tensor:
        return torch.where(lengths > 0, self.rank, 0)

    def _mixed(self, behaviors: Behaviors) -> PseudoItems:
        """Keys and values, zero for an empty history; with one layer, the exact linear half of the behaviors."""
        E, n = behaviors.vectors, behaviors.lengths
        keys_BRD, mass_BR1 = self.prototypes(behaviors)
        keys_BRD = keys_BRD.masked_fill((n == 0)[:, None, None], 0.0)
        c_B11 = history_scale(n)[:, None, None].to(E.dtype)
        linear = None
        if self.settings.layers == 1:
            linear = c_B11 * self.attention.affine_half(E.transpose(1, 2) @ E, E.sum(1, keepdim=True))
        return PseudoItems(keys_BRD, c_B11 * mass_BR1 * keys_BRD, linear, mass_BR1[..., 0], rows=self._rows(n))

    def _nothing(self, behaviors: Behaviors) -> Sketched:
        """The float32 records of users without a behavior."""
        B, R, D = len(behaviors.mask), self.rank, self.width
        zeros, device = torch.zeros, behaviors.mask.device
        count = zeros(B, 1, dtype=torch.int64, device=device)
        sums, mass, gram, total = (zeros(B, *s, device=device) for s in ((R, D), (R, 1), (D, D), (1, D)))
        return Sketched(sums, mass, gram, total, count, rows=count[:, 0])

    def _append(self, record: Sketched, newer: Behaviors) -> Sketched:
        """Add the behaviors of a few users, the oldest first; all sums are one: sum_l [a_l, e_l, 1]^T [e_l, 1]."""
        E, real_BL1, R, D = newer.vectors, newer.mask[..., None].double(), self.rank, self.width
        missing = (0, 0, 0, R - record.sums.shape[1])  # a batch of empty records is one row wide
        sums, mass = (nn.functional.pad(rows, missing) for rows in (record.sums, record.mass))
        count = record.count + newer.lengths[:, None]
        left = torch.cat([sums, record.gram, record.total], 1)
        right = torch.cat([mass, record.total.transpose(1, 2), record.count[..., None].float()], 1)
        weights = torch.cat([self.prototypes.shares(newer, exact_product), E, real_BL1], 2)
        after = add_weighted(torch.cat([left, right], 2), weights, torch.cat([E, real_BL1], 2))
        sums, gram, total = after[..., :D].split([R, D, 1], 1)
        return Sketched(sums, after[:, :R, D:], gram, total, count, rows=self._rows(count[:, 0]))
