"""The folded MLP compared with the trained module: odd shapes, and statistics as after training."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lrea_cli.kernels import affine
from lrea_cli.mlp import MLP, FoldedMLP, MLPInputs

SHAPES = [
    (1, 1, 0, 0, (1,)),
    (9, 3, 0, 1, (7,)),
    (1, 4, 5, 0, (6, 3)),
    (33, 5, 3, 2, (17, 9, 5)),
    (130, 32, 16, 1, (512, 256, 128)),
]
"""N candidates, D, P of the profile, C counters, hidden widths."""


def draw_mlp(inputs: int, hidden: tuple[int, ...]) -> MLP:
    """In eval mode, float64; weights, scales of either sign and running statistics all random."""
    generator = torch.Generator().manual_seed(1)
    mlp = MLP(inputs, hidden, dropout=0.5).double().eval()
    with torch.no_grad():
        for name, tensor in mlp.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.2, 3.0, generator=generator)
            elif tensor.is_floating_point():
                scale = tensor.shape[-1] ** -0.5 if tensor.dim() == 2 else 1.0
                tensor.copy_(scale * torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
    return mlp


def draw_inputs(N: int, D: int, P: int, C: int, requests: int = 1) -> MLPInputs:
    generator = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    vectors = [normal(requests, N, D) for _ in range(3)]
    counters = torch.randint(9, (requests, N, C), generator=generator).double().log1p()
    length = torch.randint(900, (requests,), generator=generator)
    return MLPInputs(*vectors, normal(requests, N, P), counters, length)


def cast(inputs: MLPInputs, dtype: torch.dtype) -> MLPInputs:
    parts = ("candidate", "short", "long", "profile", "counters")
    return replace(inputs, **{name: getattr(inputs, name).to(dtype) for name in parts})


def sharing(inputs: MLPInputs, shared: bool) -> MLPInputs:
    """If `shared`, one profile for all candidates: that of the first."""
    return replace(inputs, profile=inputs.profile[:, :1]) if shared else inputs


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folded_is_the_module(shape: tuple, shared: bool) -> None:
    N, D, P, C, hidden = shape
    widths = MLPInputs.widths(D, P, C)
    mlp, inputs = draw_mlp(sum(widths.values()), hidden), sharing(draw_inputs(N, D, P, C), shared)
    with torch.inference_mode():
        expected = mlp(inputs.joined()[0])
        scale = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(FoldedMLP(mlp, widths)(inputs), expected, rtol=0, atol=1e-12 * scale)
        single = FoldedMLP(mlp.float(), widths)(cast(inputs, torch.float32))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=2e-6 * scale)


def test_without_onednn_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    N, D, P, C, hidden = SHAPES[3]
    widths = MLPInputs.widths(D, P, C)
    mlp, inputs = draw_mlp(sum(widths.values()), hidden).float(), cast(draw_inputs(N, D, P, C), torch.float32)
    folded = FoldedMLP(mlp, widths)
    actual = folded(inputs)
    monkeypatch.setattr(affine, "ONEDNN", None)
    torch.testing.assert_close(folded(inputs), actual, rtol=1e-5, atol=1e-5)


def test_each_part_of_the_inputs_is_felt_by_both() -> None:
    """A part that only one of them reads would go unseen where its weights are small."""
    N, D, P, C, hidden = SHAPES[3]
    widths = MLPInputs.widths(D, P, C)
    mlp, inputs = draw_mlp(sum(widths.values()), hidden), draw_inputs(N, D, P, C)
    folded = FoldedMLP(mlp, widths)
    for name in ("candidate", "short", "long", "profile", "counters", "history_length"):
        changed = replace(inputs, **{name: getattr(inputs, name) + 1})
        with torch.inference_mode():
            moved, expected = folded(changed) - folded(inputs), mlp(changed.joined()[0]) - mlp(inputs.joined()[0])
        assert (expected.abs() > 1e-6).any(), name
        torch.testing.assert_close(moved, expected, rtol=1e-9, atol=1e-11)


def test_widths_are_those_of_the_joined_inputs() -> None:
    N, D, P, C, _ = SHAPES[3]
    inputs = draw_inputs(N, D, P, C, requests=4)
    joined = inputs.joined()
    widths = MLPInputs.widths(D, P, C)
    assert joined.shape == (4, N, sum(widths.values()))
    parts = dict(zip(widths, joined.split(list(widths.values()), -1), strict=True))
    for name in ("candidate", "short", "long", "profile", "counters"):
        assert torch.equal(parts[name], getattr(inputs, name))
    torch.testing.assert_close(parts["long_dot"][..., 0], (inputs.candidate * inputs.long).sum(-1))
    assert torch.equal(parts["short_product"], inputs.candidate * inputs.short)
    assert torch.equal(parts["length"][:, 0, 0], torch.log1p(inputs.history_length.double()))


def test_later_changes_of_the_module_do_not_reach_it() -> None:
    N, D, P, C, hidden = SHAPES[3]
    widths = MLPInputs.widths(D, P, C)
    mlp, inputs = draw_mlp(sum(widths.values()), hidden), draw_inputs(N, D, P, C)
    folded = FoldedMLP(mlp, widths)
    before = folded(inputs)
    kept = copy.deepcopy(mlp.state_dict())
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.mul_(2)
    assert torch.equal(folded(inputs), before)
    assert not torch.allclose(FoldedMLP(mlp, widths)(inputs), before)
    mlp.load_state_dict(kept)


def test_what_was_trained_is_folded() -> None:
    """Statistics as training leaves them, dropout off."""
    N, D, P, C, hidden = SHAPES[3]
    widths = MLPInputs.widths(D, P, C)
    torch.manual_seed(0)
    mlp = MLP(sum(widths.values()), hidden, dropout=0.5).double().train()
    inputs = draw_inputs(N, D, P, C)
    for _ in range(5):
        mlp(inputs.joined()[0]).sum().backward()
    with pytest.raises(ValueError, match="in training mode cannot be folded"):
        FoldedMLP(mlp, widths)
    mlp.eval()
    assert any(isinstance(m, nn.BatchNorm1d) and (m.running_mean != 0).any() for m in mlp)
    torch.testing.assert_close(FoldedMLP(mlp, widths)(inputs), mlp(inputs.joined()[0]).detach())
