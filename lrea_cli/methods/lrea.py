"""LREA (arXiv 2503.02542, Eq. 4 to 11): two learned matrices mix a history into R pseudo items."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from lrea_cli.attention import history_scale
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods.base import HistoryShape
from lrea_cli.methods.cost import Work
from lrea_cli.methods.pseudo_items import PseudoItemMethod
from lrea_cli.oracle.pseudo_items import SlowLREA
from lrea_cli.recipe.settings import CacheDtype, ModelSettings
from lrea_cli.sequence import Behaviors, Candidates, Interest, PseudoItems


class LREA(PseudoItemMethod):
    """The training form and the serving form of one model.

        K = W_comp^T E,  V = c(n) W_decomp E                          what is cached (R x D each)
        decomposed (Eq. 4, 5):  interest = c(n) sum_l m_l s(e_t, (W_decomp^T K)_l) e_l
        absorbed (Eq. 9):       interest = sum_j s(e_t, k_j) v_j

    With reader `softmax` (ours), V = W+ E without c(n), W+ = max(0, W_decomp), and each pseudo item stands for a mass:

        n_j = sum of row j of W+ over the real positions
        decomposed:  weight of behavior l ~ exp(q . (W_decomp^T K)_l) = prod_j exp(q . k_j)^W_jl
        absorbed:    weight of behavior l ~ sum_j W+_jl exp(q . k_j)

    So with unit columns the served weight is an arithmetic mean where the trained one is the geometric mean of the same
    numbers: never smaller, and equal where a column is one-hot. Only W+ makes V_j / n_j a mean of behaviors for `free`
    columns, too; a row whose mass is 0 is not read.

    These settings of the recipe act here:
        rank: R.
        form: the form that is trained; the absorbed form is always served.
        decomp_columns: `unit` makes the columns of W_decomp a softmax over the rank axis, so they are non-negative and
            sum to 1 (the first term of Eq. 10 is then zero); `free` allows any matrix, as the paper does.
        short_histories: `mix` sends every history through the matrices; `exact` keeps a history of at most R behaviors
            as it is (keys = E, values = c(n) E), in training and serving alike.
        penalty: `sum` takes the squared norms of Eq. 10; `mean` divides each by the entries of its matrix, so that one
            lambda fits every rank: as a sum, lambda .3 weighs more than the loss itself (docs/log.md).
        start: share of a column of W_decomp that starts in its own block. Uniform columns (1 / R) would stay uniform,
            as mean pooling.
        step: of the matrices over positions, as a share of the learning rate. Adagrad's first steps are as large as
            the rate whatever the gradient, and a pseudo item sums L positions: steps of the full rate buried a
            block's mean under 500 small random weights, and rank 128 was no better than mean pooling (docs/log.md).
    """

    name = "lrea"
    slow_twin = SlowLREA
    penalty_name = "non-negativity loss"

    def __init__(self, settings: ModelSettings, shape: HistoryShape) -> None:
        super().__init__(settings, shape)
        self.rank, self.form = settings.rank, settings.form
        self.unit = settings.decomp_columns == "unit"
        self.exact_short = settings.short_histories == "exact"
        self.mean_penalty = settings.penalty == "mean"
        blocks_RL = _blocks(self.rank, self.long)
        self.W_comp = nn.Parameter((blocks_RL / blocks_RL.sum(1, keepdim=True)).T.contiguous())
        logits_RL = math.log(settings.start / (1 - settings.start) * max(1, self.rank - 1)) * blocks_RL
        self.decomp = nn.Parameter(logits_RL if self.unit else logits_RL.softmax(0))

    @property
    def W_decomp(self) -> Tensor:
        """(R, L)."""
        return self._columns(self.decomp.dtype)

    @property
    def penalty_weight(self) -> float:
        """lambda, Eq. 11."""
        return self.settings.lam

    def position_matrices(self) -> tuple[nn.Parameter, ...]:
        return self.W_comp, self.decomp

    def column_entropy(self) -> float | None:
        """Mean entropy of W_decomp's columns over log R: 0 is one-hot, 1 uniform (mean pooling); None for `free`."""
        if not self.unit or self.rank == 1:
            return None
        p = self.W_decomp.detach()
        return float(-(p * p.clamp(min=1e-30).log()).sum(0).mean() / torch.tensor(float(self.rank)).log())

    def summarize(self, behaviors: Behaviors) -> PseudoItems:
        """K (B, R, D) and V (B, R, D)."""
        return self._summarize(behaviors, self._compress(behaviors), self._columns(behaviors.vectors.dtype))

    def forward(self, behaviors: Behaviors, candidates: Candidates, kernel: Kernel = folded) -> Interest:
        """Compute the trained form and the two terms of Eq. 10."""
        keys_BRD, decomp_RL = self._compress(behaviors), self._columns(behaviors.vectors.dtype)
        if self.form == "absorbed":
            vectors = self.attend(self._summarize(behaviors, keys_BRD, decomp_RL), candidates, kernel)
        else:
            rebuilt_BLD = self._rebuild(behaviors, keys_BRD, decomp_RL)
            items = replace(self.attention.items_of(behaviors), keys=rebuilt_BLD)
            vectors = self.attention.read(candidates.vectors, items, kernel)
        return Interest(vectors, self._penalty(behaviors, keys_BRD, decomp_RL))

    def rows_of(self, n: int) -> int:
        """R, or n where a short history is kept, so a request is O(N R D H), the paper's O(B r d).

        With reader `softmax` it is O(N R D).
        """
        return n if self._keeps(n) else self.rank

    def offline_work(self, n: int) -> Work:
        """O(R n D): 2 R n D each for W_comp^T E and W_decomp E, then c(n) on V and the linear half of R rows.

        For reader `softmax` 2 R n for the mass in place of the last two.
        """
        if self._keeps(n):
            return self.kept_offline(n)
        mixed = Work(products=4 * self.rank * n * self.width)
        if self.softmax:
            return mixed + Work(products=2 * self.rank * n)
        return mixed + Work(elementwise=self.rank * self.width) + self.seal_work(self.rank)

    def behavior_work(self, n: int, dtype: CacheDtype) -> Work:
        """O(R n D), since the record is computed and written anew.

        The matrices are indexed by position, and one new behavior moves all others by one: in k_j = sum_l W_lj e_l
        every e_l gets another weight, so no key or value follows from the old record. All R rows count as changed (a
        row stays only where a matrix is zero over all n + 1 positions). A short history that is kept changes by one
        row; the behavior after the R-th turns it into R mixed rows.
        """
        after = min(n + 1, self.long)
        if self._keeps(after):
            return self.kept_behavior(n, dtype)
        return self.offline_work(after) + self.record_work(after, dtype)

    def _keeps(self, n: int) -> bool:
        """Whether the record of n behaviors holds those behaviors as they are; an empty one holds no row."""
        return n == 0 or (self.exact_short and n <= self.rank)

    def _compress(self, behaviors: Behaviors) -> Tensor:
        """K = W_comp^T E, "E_comp^T" (B, R, D)."""
        E = behaviors.vectors
        return self.W_comp.to(E.dtype)[: E.shape[1]].T @ E

    def _columns(self, dtype: torch.dtype) -> Tensor:
        """W_decomp (R, L), with its softmax in `dtype`: summaries are computed in float64."""
        decomp = self.decomp.to(dtype)
        return decomp.softmax(0) if self.unit else decomp

    def _rebuild(self, behaviors: Behaviors, keys_BRD: Tensor, decomp_RL: Tensor) -> Tensor:
        """Ehat = W_decomp^T K (B, L, D), Eq. 4."""
        rebuilt_BLD = decomp_RL[:, : behaviors.vectors.shape[1]].T @ keys_BRD
        if not self.exact_short:
            return rebuilt_BLD
        return torch.where(self._is_short(behaviors), behaviors.vectors, rebuilt_BLD)

    def _summarize(self, behaviors: Behaviors, keys_BRD: Tensor, decomp_RL: Tensor) -> PseudoItems:
        """V = c(n) W_decomp E, "E_auxabsorb^T" (B, R, D), Eq. 9; short histories as the recipe says."""
        mixed = self._mixed(behaviors, keys_BRD, decomp_RL[:, : behaviors.vectors.shape[1]])
        if not self.exact_short:
            return mixed
        short_B11, kept = self._is_short(behaviors), self.attention.items_of(behaviors)
        mass = None
        if mixed.mass is not None and kept.mass is not None:
            mass = torch.where(short_B11[..., 0], self._first_rows(kept.mass[..., None])[..., 0], mixed.mass)
        return PseudoItems(
            torch.where(short_B11, self._first_rows(kept.keys), mixed.keys),
            torch.where(short_B11, self._first_rows(kept.values), mixed.values),
            mass=mass,
            rows=behaviors.lengths.clamp(max=self.rank),
        )

    def _mixed(self, behaviors: Behaviors, keys_BRD: Tensor, decomp_RL: Tensor) -> PseudoItems:
        """The pseudo items of histories that all go through the matrices."""
        n, E = behaviors.lengths, behaviors.vectors
        rows = torch.where(n > 0, self.rank, 0)
        if not self.softmax:
            return PseudoItems(keys_BRD, (decomp_RL @ E) * history_scale(n)[:, None, None].to(E.dtype), rows=rows)
        shares_RL = decomp_RL.clamp(min=0)
        return PseudoItems(keys_BRD, shares_RL @ E, mass=behaviors.mask.to(E.dtype) @ shares_RL.T, rows=rows)

    def _first_rows(self, vectors_BLD: Tensor) -> Tensor:
        """The first R rows, zeros where there are fewer."""
        missing = max(0, self.rank - vectors_BLD.shape[1])
        return nn.functional.pad(vectors_BLD[:, : self.rank], (0, 0, 0, missing))

    def _is_short(self, behaviors: Behaviors) -> Tensor:
        """(B, 1, 1): whether a history has at most R behaviors."""
        return (behaviors.lengths <= self.rank)[:, None, None]

    def _penalty(self, behaviors: Behaviors, keys_BRD: Tensor, decomp_RL: Tensor) -> dict[str, Tensor]:
        """Eq. 10: ||max(0, -W_decomp^T)||^2 once, and ||max(0, -W_comp^T E)||^2 as the mean over the histories."""
        negative_BRD = keys_BRD.clamp(max=0)
        if self.exact_short:
            negative_BRD = negative_BRD * ~self._is_short(behaviors)
        decomp, comp = decomp_RL.clamp(max=0).square().sum(), negative_BRD.square().sum((1, 2)).mean()
        if self.mean_penalty:
            decomp, comp = decomp / decomp_RL.numel(), comp / keys_BRD[0].numel()
        return {"decomp": decomp, "comp": comp}


def _blocks(rows: int, length: int) -> Tensor:
    """(rows, length): 1 where position l lies in block j = l * rows // length, one 1 in each column."""
    owner = torch.arange(length) * rows // length
    return torch.nn.functional.one_hot(owner, rows).T.float()
