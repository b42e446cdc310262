"""Shares of prototypes: a softmax over prototypes, and bits that depend on the behavior alone."""

import math

import torch

from lrea_cli.methods.prototypes import TEMPERATURE, Prototypes

R, D = 5, 12


def drawn(*shape):
    torch.manual_seed(1)
    return Prototypes(R, D), torch.randn(*shape, D, dtype=torch.float64)


def test_shares_are_a_softmax_over_the_prototypes():
    prototypes, X = drawn(2, 7)
    P, W_Q, W_K = (w.detach().double() for w in (prototypes.P, prototypes.W_Q, prototypes.W_K))
    found = prototypes.affinities(X)
    for b in range(2):
        for place in range(7):
            logits = [float((p @ W_Q) @ (X[b, place] @ W_K)) / (math.sqrt(D) * TEMPERATURE) for p in P]
            top = max(logits)
            weights = [math.exp(x - top) for x in logits]
            expected = torch.tensor([w / sum(weights) for w in weights], dtype=torch.float64)
            torch.testing.assert_close(found[b, place], expected)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 7, dtype=torch.float64))


def test_exact_shares_are_the_shares():
    prototypes, X = drawn(3, 9)
    exact = prototypes.exact_affinities(X)
    torch.testing.assert_close(exact, prototypes.affinities(X))
    assert not exact.requires_grad
    assert torch.equal(prototypes.exact_affinities(X.float()), prototypes.exact_affinities(X.float().double()))


def test_exact_shares_have_the_same_bits_in_any_batch():
    prototypes, X = drawn(3, 65)
    whole = prototypes.exact_affinities(X)
    for b in range(3):
        for place in (0, 1, 31, 64):
            assert torch.equal(prototypes.exact_affinities(X[b : b + 1, place : place + 1])[0, 0], whole[b, place])
    for part in (slice(0, 1), slice(1, 65), slice(3, 17)):
        assert torch.equal(prototypes.exact_affinities(X[:, part]), whole[:, part])


def test_a_start_that_is_not_uniform():
    """Behaviors as embeddings start, of length .15 a number; equal shares would be mean pooling, and stay so."""
    torch.manual_seed(0)
    shares = Prototypes(16, 32).affinities(0.15 * torch.randn(1, 400, 32))
    entropy = -(shares * shares.log()).sum(-1).mean() / math.log(16)
    assert 0.4 < float(entropy.detach()) < 0.9
