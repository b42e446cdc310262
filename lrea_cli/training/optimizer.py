"""Adagrad for all, as the paper has it; embeddings get sparse steps, so a batch touches only the rows that it read."""

from __future__ import annotations

from torch import nn
from torch.optim import Adagrad
from torch.sparse import check_sparse_tensor_invariants

from lrea_cli.model import CTRModel
from lrea_cli.recipe import TrainSettings


class Optimizer:
    """One learning rate; sparse and dense parameters apart, so that the dense ones are stepped together.

    Args:
        model: whose parameters are stepped. settings: the recipe's [train].
    """

    def __init__(self, model: CTRModel, settings: TrainSettings) -> None:
        sparse = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        start = settings.initial_accumulator
        self._steps = [
            Adagrad(
                [p for p in model.parameters() if id(p) in sparse],
                settings.lr,
                initial_accumulator_value=start,
            ),
            Adagrad([p for p in model.parameters() if id(p) not in sparse], settings.lr, foreach=True),
        ]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for optimizer in self._steps:
            optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Apply all gradients."""
        with check_sparse_tensor_invariants(enable=False):  # torch warns where the choice is not made
            for optimizer in self._steps:
                optimizer.step()
