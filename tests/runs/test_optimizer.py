"""Who steps how far: embeddings sparsely, matrices over positions slowly, all else at the learning rate."""

import pytest
import torch

from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import TrainSettings
from lrea_cli.runs.checkpoint import build_model, open_dataset
from lrea_cli.runs.loop import Optimizer


def stepped(tiny, method, **model):
    """Every parameter's first step with gradients of one, by name."""
    recipe = Recipe().with_values({"data": {"short": 8, "long": 40}, "model": {"method": method, "rank": 6, **model}})
    _, dataset = open_dataset(tiny, "synthetic")
    model = build_model(recipe, dataset)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for name, parameter in model.named_parameters():
        ones = torch.ones_like(parameter)
        parameter.grad = ones.to_sparse(1) if name.startswith("features") else ones
    Optimizer(model, TrainSettings(lr=0.5, initial_accumulator=3.0)).step()
    return {name: (before[name] - p.detach()).abs().mean().item() for name, p in model.named_parameters()}


@pytest.mark.parametrize("step_setting", [None, 0.25, 2.0])
def test_position_matrices_step_slowly(tiny, step_setting):
    steps = stepped(tiny, "lrea", **({} if step_setting is None else {"step": step_setting}))
    for name, step in steps.items():
        if name in ("long.W_comp", "long.decomp"):
            expected = 0.5 * (step_setting or 0.01)
        elif name.startswith("features"):
            expected = 0.25  # Adagrad: lr / sqrt(3 + 1)
        else:
            expected = 0.5
        assert abs(step - expected) < 1e-4, name


def test_a_method_without_such_matrices_has_no_slow_steps(tiny):
    assert all(step > 0.2 for step in stepped(tiny, "din").values())


def test_weight_decay_shrinks_only_the_embeddings_that_were_read(tiny):
    recipe = Recipe().with_values({"data": {"short": 8, "long": 40}, "model": {"method": "mean"}})
    _, dataset = open_dataset(tiny, "synthetic")
    shrunk, plain = (build_model(recipe, dataset) for _ in range(2))
    for model, decay in ((shrunk, 0.25), (plain, 0.0)):
        table = model.features.tables["field:item"].weight
        table.grad = torch.sparse_coo_tensor([[3, 5, 3]], torch.ones(3, table.shape[1]), table.shape)
        Optimizer(model, TrainSettings(weight_decay=decay)).step()
    found, expected = (m.features.tables["field:item"].weight.detach() for m in (shrunk, plain))
    torch.testing.assert_close(found[[3, 5]], 0.75 * expected[[3, 5]])
    torch.testing.assert_close(found[6:], expected[6:])
