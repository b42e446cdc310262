"""Softmax over rows that stand for several behaviors: exact where members have equal keys, and safe without mass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from lrea_cli.attention import LEAST_MASS, Attention, SoftmaxReader, reader_of
from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import ModelSettings
from lrea_cli.sequence import Behaviors, PseudoItems

B, N, L, D, HEADS = 3, 4, 11, 6, 3


def reader(heads: int = HEADS) -> SoftmaxReader:
    torch.manual_seed(0)
    return SoftmaxReader(D, heads).double()


def drawn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def behaviors(lengths: tuple[int, ...] = (L, 1, 5)) -> Behaviors:
    mask = torch.arange(L) < torch.tensor(lengths)[:, None]
    return Behaviors(drawn(len(lengths), L, D) * mask[..., None], mask, mask.long())


def rows_of(number: int) -> torch.Tensor:
    return torch.full((B,), number)


@pytest.mark.parametrize("heads", [1, 2, 3, 6])
def test_one_row_a_behavior_is_torchs_own_attention(heads: int) -> None:
    read, seen, asked = reader(heads), behaviors(), drawn(B, N, D, seed=2)
    E = seen.vectors
    parts = (read.by_head(x) for x in (read.queries(asked), read.keys(E), read.values(E)))
    with torch.no_grad():
        mixed = scaled_dot_product_attention(*parts, attn_mask=seen.mask[:, None, None])
        expected = mixed.transpose(1, 2).flatten(2) @ read.W_O
        torch.testing.assert_close(read.read(asked, read.items_of(seen)), expected)
        torch.testing.assert_close(read.over(asked, seen), expected)


def merged(seed: int = 3) -> tuple[PseudoItems, PseudoItems]:
    """Histories in which the behaviors of a group have one key and values of their own; and one row a group."""
    groups = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2, 3, 3, 3])
    members = torch.nn.functional.one_hot(groups).double().T  # (R, L)
    keys, values = drawn(B, 4, D, seed=seed), drawn(B, L, D, seed=seed + 1)
    whole = PseudoItems(keys[:, groups], values, mass=torch.ones(B, L).double(), rows=rows_of(L))
    return whole, PseudoItems(keys, members @ values, mass=members.sum(1).expand(B, -1), rows=rows_of(4))


def test_rows_of_equal_keys_merge_without_loss() -> None:
    read, asked = reader(), drawn(B, N, D, seed=2)
    whole, rows = merged()
    torch.testing.assert_close(read.read(asked, rows), read.read(asked, whole))
    assert rows.mass is not None
    forgotten = PseudoItems(
        rows.keys, rows.values / rows.mass[..., None], mass=torch.ones(B, 4).double(), rows=rows.rows
    )
    assert not torch.allclose(read.read(asked, forgotten), read.read(asked, whole), rtol=1e-2)  # without ln n


def test_a_factor_common_to_mass_and_values_cancels() -> None:
    read, asked, (_, rows) = reader(), drawn(B, N, D, seed=2), merged()
    assert rows.mass is not None
    shares = PseudoItems(rows.keys, rows.values / L, mass=rows.mass / L, rows=rows.rows)
    torch.testing.assert_close(read.read(asked, shares), read.read(asked, rows))


def test_values_are_of_the_size_of_one_behavior_at_any_length() -> None:
    """c(n) is not in the values: a history of the same behavior, again and again, gives what one of it does."""
    read, asked, e = reader(), drawn(1, N, D, seed=2), drawn(1, 1, D, seed=5)
    one, many = (Behaviors(e.expand(1, n, D), torch.ones(1, n).bool(), torch.ones(1, n)) for n in (1, 9))
    torch.testing.assert_close(read.over(asked, many), read.over(asked, one))
    lengths = torch.tensor([0, 1, 9])
    assert read.value_scale(lengths).tolist() == [1, 1, 1]
    assert Attention(D).value_scale(lengths).tolist() == [1, 1, pytest.approx(1 / 3)]


@pytest.mark.parametrize("massless", [0.0, LEAST_MASS, -0.5])
def test_a_row_without_mass_is_not_read(massless: float) -> None:
    """Whatever stands in it, and even where its score is the highest by far."""
    read, asked, (_, rows) = reader(), drawn(B, N, D, seed=2), merged()
    assert rows.mass is not None
    more = PseudoItems(
        torch.cat([rows.keys, 1e3 * drawn(B, 1, D)], 1),
        torch.cat([rows.values, 1e3 * drawn(B, 1, D)], 1),
        mass=torch.cat([rows.mass, torch.full((B, 1), massless, dtype=torch.float64)], 1),
        rows=rows_of(5),
    )
    torch.testing.assert_close(read.read(asked, more), read.read(asked, rows))
    nothing = replace(more, mass=torch.full((B, 5), massless, dtype=torch.float64))
    assert not read.read(asked, nothing).any()


@pytest.mark.parametrize("least", [0.0, 1e-40, 1e-13, 2e-12, 1e-6])
def test_gradients_stay_finite_where_mass_is_near_zero(least: float) -> None:
    """In float32, in which 1 / mass is infinite below 1e-38, and with scores of plus and minus 100."""
    read, asked, (_, rows) = reader().float(), 30 * drawn(B, N, D, seed=2).float(), merged()
    assert rows.mass is not None
    mass = rows.mass.float().clone()
    mass[:, 0], mass[1] = least, least
    values = (rows.values.float() * (mass / rows.mass)[..., None].float()).requires_grad_()
    mass.requires_grad_()
    keys = (30 * rows.keys.float()).requires_grad_()
    interest = read.read(asked, PseudoItems(keys, values, mass=mass, rows=rows.rows))
    interest.square().sum().backward()
    assert interest.isfinite().all()
    for tensor in (mass, values, keys, *read.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


def test_scores_of_any_size_do_not_overflow() -> None:
    read, asked, (whole, rows) = reader().float(), 1e4 * drawn(B, N, D, seed=2).float(), merged()
    small, large = (
        PseudoItems(r.keys.float(), r.values.float(), mass=r.mass.float(), rows=r.rows)
        for r in (rows, whole)
        if r.mass is not None
    )
    torch.testing.assert_close(read.read(asked, small), read.read(asked, large), rtol=1e-3, atol=1e-3)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(UserError, match="heads = 4 does not divide D = 6"):
        reader_of(ModelSettings(reader="softmax"), D)
    assert isinstance(reader_of(ModelSettings(reader="softmax", heads=2), D), SoftmaxReader)


@pytest.mark.parametrize("hidden", [1, 8, 64])
def test_the_scorer_has_the_width_of_the_settings(hidden: int) -> None:
    scorer = reader_of(ModelSettings(scorer_hidden=hidden), D)
    assert isinstance(scorer, Attention)
    assert scorer.W1.shape == (D, hidden)
