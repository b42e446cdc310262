"""The CTR model: features, DIN on the short sequence, one method on the long one, and an MLP (paper, 2.1 and 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from lrea_cli.attention import Attention, Reader, SoftmaxReader
from lrea_cli.dataset.fields import EncodedField
from lrea_cli.features import Features
from lrea_cli.kernels import Kernel, folded
from lrea_cli.methods import METHODS, HistoryShape
from lrea_cli.mlp import MLP, FoldedMLP, MLPInputs
from lrea_cli.recipe.settings import DataSettings, ModelSettings
from lrea_cli.sequence import Batch, Behaviors, CandidateIds, Candidates, HistoryIds, Ids


class CTRModel(nn.Module):
    """p(click) = sigmoid(MLP([e_t, u_S, u_L, e_t * u_S, e_t * u_L, <e_t, u_S>, <e_t, u_L>, profile, log(1 + m_n)])).

    u_S and u_L are the short and the long interest, m_n the match counters and the history's length.

    Args:
        fields: the fields that the model reads, `item` among them.
        settings: the recipe's [model].
        data: the recipe's [data].
    """

    def __init__(self, fields: Sequence[EncodedField], settings: ModelSettings, data: DataSettings) -> None:
        super().__init__()
        self.features = Features(fields, settings.embedding_dim, settings.embedding_std)
        width = self.features.width
        self.short = Attention(width, settings.scorer_hidden)
        shape = HistoryShape(width, data.long, any(f.name == "category" for f in self.features.item_fields))
        self.long = METHODS[settings.method](settings, shape)
        self.match_counters = data.match_counters
        self.mlp = MLP(sum(self.input_widths.values()), settings.hidden, settings.dropout)

    def forward(self, batch: Batch, kernel: Kernel = folded) -> tuple[Tensor, dict[str, Tensor]]:
        """Score the real candidates of a batch in the training form.

        Args:
            kernel: computes every attention.

        Returns:
            logits (M,) of the M unmasked candidates in row-major order, and the method's penalty terms.
        """
        candidates, long, short = self.features.of_batch(batch)
        candidates = self._completed(candidates, batch.candidates)
        if self.training:
            self.long.observe(long)
        interest = self.long(long, candidates, kernel)
        inputs = self._mlp_inputs(candidates, interest.vectors, short, batch.history_length, kernel)
        return self.mlp(inputs.joined()[candidates.mask]), interest.penalty

    def candidates(self, ids: CandidateIds) -> Candidates:
        """Look up the candidates' vectors and profile, and take their match counters where they are known."""
        return self._completed(self.features.candidates(ids), ids)

    def _completed(self, candidates: Candidates, ids: CandidateIds) -> Candidates:
        candidates = replace(candidates, profile=self.features.profile(ids))
        return self.counted(candidates, ids.matches) if ids.matches or not self.match_counters else candidates

    def counted(self, candidates: Candidates, matches: Ids) -> Candidates:
        """The candidates with their match counters: for each counted field (B, N)."""
        counts = [matches[name] for name in self.match_counters]
        mask = candidates.mask
        counts_BNC = torch.stack(counts, -1) if counts else mask.new_zeros(*mask.shape, 0, dtype=torch.int64)
        return replace(candidates, counts=counts_BNC)

    def mlp_inputs(
        self,
        candidates: Candidates,
        long_BND: Tensor,
        short: HistoryIds,
        history_length: Tensor,
        kernel: Kernel = folded,
    ) -> MLPInputs:
        """What the MLP reads of candidates whose long interest is known, in training and in serving.

        Args:
            candidates: from `candidates`.
            long_BND: long interests (B, N, D).
            short: the newest S behaviors.
            history_length: (B,), number of all behaviors.
            kernel: computes the attention to the short history.
        """
        return self._mlp_inputs(candidates, long_BND, self.features.behaviors(short), history_length, kernel)

    def _mlp_inputs(
        self, candidates: Candidates, long_BND: Tensor, short: Behaviors, history_length: Tensor, kernel: Kernel
    ) -> MLPInputs:
        assert candidates.profile is not None
        assert candidates.counts is not None
        short_BND = self.short.over(candidates.vectors, short, kernel)
        counters_BNC = candidates.counts.to(long_BND.dtype).log1p()
        return MLPInputs(candidates.vectors, short_BND, long_BND, candidates.profile, counters_BNC, history_length)

    def folded_mlp(self) -> FoldedMLP:
        """The MLP for serving, with the present weights.

        Raises:
            ValueError: the model is in training mode.
        """
        return FoldedMLP(self.mlp, self.input_widths)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.short.b.device

    @property
    def input_widths(self) -> dict[str, int]:
        """Columns of each part of the MLP's inputs, see `MLPInputs.widths`."""
        return MLPInputs.widths(self.features.width, self.features.profile_width, len(self.match_counters))

    @property
    def full_attention(self) -> Reader:
        """The attention over the whole long history: the method's own, or the short one if it has none."""
        own = getattr(self.long, "attention", None)
        return own if isinstance(own, SoftmaxReader) else self.long_scorer

    @property
    def long_scorer(self) -> Attention:
        """DIN's scorer of the long history: the method's own, or the short one if it has none."""
        own = getattr(self.long, "attention", None)
        return own if isinstance(own, Attention) else self.short
