"""Adagrad for all, as the paper has it; embeddings get sparse steps, so a batch touches only the rows that it read."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim import Adagrad
from torch.sparse import check_sparse_tensor_invariants

from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import TrainSettings

MATRIX_LR = 0.01
"""Of the learning rate, for matrices over the positions of a history (LREA's W_comp and W_decomp).

Adagrad's first steps are as large as the rate whatever the gradient. A pseudo item sums L positions, so steps of the
full rate bury a block's mean under 500 small random weights: rank 128 was then no better than mean pooling
(docs/log.md).
"""


class Optimizer:
    """Embeddings, position matrices and all else apart: sparse steps, slow steps, and steps taken together."""

    def __init__(self, model: CTRModel, settings: TrainSettings) -> None:
        sparse = [p for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()]
        slow = list(model.long.position_matrices())
        apart = {id(p) for p in (*sparse, *slow)}
        rest = [p for p in model.parameters() if id(p) not in apart]
        groups = [{"params": rest}, {"params": slow, "lr": MATRIX_LR * settings.lr}]
        self._embeddings, self._decay = sparse, settings.weight_decay
        self._steps = [
            Adagrad(sparse, settings.lr, initial_accumulator_value=settings.initial_accumulator),
            Adagrad([g for g in groups if g["params"]], settings.lr, foreach=True),
        ]

    def zero_grad(self) -> None:
        for optimizer in self._steps:
            optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        with check_sparse_tensor_invariants(enable=False):  # torch warns where the choice is not made
            for optimizer in self._steps:
                optimizer.step()
            if self._decay:
                self._shrink()

    def _shrink(self) -> None:
        """Decoupled weight decay (Loshchilov and Hutter 2019) of the rows that the batch read."""
        with torch.no_grad():
            for table in self._embeddings:
                if table.grad is not None:
                    read = table.grad.coalesce().indices()[0]
                    table[read] *= 1 - self._decay
