"""Clusters a user's behaviors by k-means and fits the clusters' values to what full attention gives.

It is LREA with one-hot columns that come from the content of behaviors and not from their position; with one-hot
columns the values lose nothing, and LREA's two forms agree for any phi.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lrea_cli.attention import Reader, SoftmaxReader, scaled_values
from lrea_cli.compressors.base import Compressor, Items, uniforms
from lrea_cli.compressors.kmeans import kmeans, membership
from lrea_cli.kernels.folded import absolute_half
from lrea_cli.kernels.weights import SLOPE, ScorerWeights
from lrea_cli.oracle import compressors as reference_compressors
from lrea_cli.sequence import Behaviors, PseudoItems

G = (1 - SLOPE) / 2


@dataclass(frozen=True)
class Choices:
    """Options of `Clusters`; docs/log.md (issue H, third part) has what each is worth.

    Args:
        metric: distance of k-means: `scorer` = how much the reader's scores change, `plain` = Euclidean.
        correction: add to `linear` what members differ by where a hidden unit has one sign.
        fit: fit the values on probes.
        ridge: pull of the fit toward the members' sums, a share of the mean squared score.
        fit_probes: shared probes to fit on.
        own_probes: behaviors of the user to fit on.
    """

    metric: Literal["scorer", "plain"] = "scorer"
    correction: bool = True
    fit: bool = True
    ridge: float = 0.1
    fit_probes: int = 4
    own_probes: int = 4


@dataclass(frozen=True)
class ClusterRows:
    """The R clusters of B histories, including clusters without a member.

    Args:
        keys: (B, R, D), the centroids.
        values: (B, R, D), sums of the members' values, or fitted.
        used: (B, R) bool, True where a cluster has a member.
        correction: (B, D + 1, D) to add to the exact linear half, or None.
        mass: (B, R) members of each, for reader `softmax`.
    """

    keys: Tensor
    values: Tensor
    used: Tensor
    correction: Tensor | None = None
    mass: Tensor | None = None


class Clusters(Compressor):
    """k-means of a history in the scorer's metric; keys = centroids, values = sums of members, then two corrections.

    1. Where a hidden unit has one sign over a cluster, |x| is affine in the behavior, so `linear` can hold exactly what
       the members differ by: with omega_jh = g w_oh mean_t sign(x_h(t, k_j)) over the probes t,

           A += sum_l diag(W3 omega_j(l)) (e_l - k_j(l))^T v_l,   a0 += sum_l ((e_l - k_j(l)) . W2 omega_j(l)) v_l

    2. Least squares with a ridge fits the values to what full attention gives on the probes T:

           V = argmin || s_abs(T, E) c E - correction(T) - s_abs(T, K) V ||^2 + mu || V - member sums ||^2

    With as many rows as distinct behaviors the two corrections vanish, and the interest is that of full attention.

    With reader `softmax` neither correction is made: values are the sums of the members and mass is their number, so
    only scores are approximated, and the masses sum to n.
    """

    name = "clusters"
    slow_twin = staticmethod(reference_compressors.clusters)

    def __init__(
        self,
        reader: Reader,
        rank: int,
        seed: int,
        probes_TD: Tensor,
        items: Items | None = None,
        *,
        choices: Choices | None = None,
    ) -> None:
        super().__init__(reader, rank, seed, probes_TD, items)
        self.choices = choices or Choices()

    def compress(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        """Cluster, correct, fit; clusters without a member are dropped."""
        E = behaviors.vectors
        draws = torch.from_numpy(uniforms(self.seed, users, self.rank + self.choices.own_probes)).to(E.device)
        points = E @ metric_of(self.reader, self.probes_TD) if self.choices.metric == "scorer" else E
        owner = kmeans(points, behaviors.mask, draws[:, : self.rank])
        rows, members_BLR = merged(self.reader, behaviors, owner, self.rank)
        if isinstance(self.reader, SoftmaxReader):
            return without_empty(rows)
        return without_empty(self._corrected(behaviors, rows, members_BLR, draws[:, self.rank :]))

    def _corrected(self, behaviors: Behaviors, rows: ClusterRows, members_BLR: Tensor, draws: Tensor) -> ClusterRows:
        """The rows with both corrections, as the choices say."""
        weights = self.attention.weights.to(torch.float64)
        if self.choices.correction:
            signs_BRH = mean_signs(self.probes_TD.double(), rows.keys, weights)
            correction = sign_correction(signs_BRH, behaviors, rows.keys, members_BLR, weights)
            rows = replace(rows, correction=correction)
        if self.choices.fit:
            probes = self._probes(behaviors, draws)
            rows = replace(rows, values=fitted_values(probes, behaviors, rows, weights, self.choices.ridge))
        return rows

    def _probes(self, behaviors: Behaviors, draws: Tensor) -> Tensor:
        """(B, T, D): some of the shared probes, and behaviors of the user, drawn with replacement."""
        own = (draws * behaviors.lengths[:, None]).long().clamp(max=behaviors.mask.shape[1] - 1)
        index = own[..., None].expand(-1, -1, behaviors.vectors.shape[2])
        shared = self.probes_TD[: self.choices.fit_probes].to(behaviors.vectors).expand(len(own), -1, -1)
        return torch.cat([shared, behaviors.vectors.gather(1, index)], 1)


def merged(reader: Reader, behaviors: Behaviors, owner: Tensor, rank: int) -> tuple[ClusterRows, Tensor]:
    """Behaviors in R groups: means as keys, sums of their values; and which group each is in, (B, L, R).

    Args:
        owner: (B, L), the group of each behavior.
    """
    members_BLR = membership(owner, behaviors.mask, rank)
    size_BR, to_rows = members_BLR.sum(1), members_BLR.transpose(1, 2)
    keys = to_rows @ behaviors.vectors / size_BR.clamp(min=1)[..., None]
    mass = size_BR if isinstance(reader, SoftmaxReader) else None
    return ClusterRows(keys, to_rows @ reader.items_of(behaviors).values, size_BR > 0, mass=mass), members_BLR


def metric_of(reader: Reader, probes_TD: Tensor) -> Tensor:
    """A map M (D, D) float64 of behaviors, under which the distance of two is how much the reader tells them apart."""
    if isinstance(reader, SoftmaxReader):
        return softmax_metric(reader, probes_TD.double())
    return scorer_metric(reader.weights.to(torch.float64), probes_TD)


def scorer_metric(weights: ScorerWeights, probes_TD: Tensor) -> Tensor:
    """A map M (D, D) of behaviors, under which the distance of two is how much the scorer's hidden values differ.

    |(k - k') M|^2 = mean_t sum_h w_oh^2 ((k - k') (W2 + diag(t) W3))_h^2 over the probes t.
    """
    maps_TDH = (weights.W2 + probes_TD.to(weights.W2)[..., None] * weights.W3) * weights.w_o
    return _root(maps_TDH)


def softmax_metric(reader: SoftmaxReader, probes_TD: Tensor) -> Tensor:
    """A map M (D, D) of behaviors, under which the distance of two is how much their scores differ.

    |(k - k') M|^2 = mean_t sum_h ((t W_Q)_h . ((k - k') W_K)_h)^2 / d_h over the probes t.
    """
    queries_THd = reader.queries(probes_TD).unflatten(-1, (reader.heads, -1)) * reader.scale
    keys_DHd = reader.W_K.to(probes_TD.dtype).unflatten(-1, (reader.heads, -1))
    return _root(torch.einsum("dhx,thx->tdh", keys_DHd, queries_THd))


def _root(maps_TDX: Tensor) -> Tensor:
    """M (D, D) with M M^T = mean_t maps_t maps_t^T."""
    squared = torch.einsum("tdx,tex->de", maps_TDX, maps_TDX) / len(maps_TDX)
    values, vectors = torch.linalg.eigh(squared)
    return vectors * values.clamp(min=0).sqrt()


def sign_correction(
    signs_BRH: Tensor, behaviors: Behaviors, keys: Tensor, members_BLR: Tensor, weights: ScorerWeights
) -> Tensor:
    """What members differ by from their key if each hidden unit keeps its mean sign, (B, D + 1, D)."""
    omega_BRH = signs_BRH * (G * weights.w_o)
    slopes_BLD = members_BLR @ (omega_BRH @ weights.W3.T)
    offsets_BLD = members_BLR @ (omega_BRH @ weights.W2.T)
    apart = behaviors.vectors - members_BLR @ keys  # zero where masked: such rows are zero and belong to no cluster
    changes_BLX = torch.cat([apart * slopes_BLD, (apart * offsets_BLD).sum(2, keepdim=True)], 2)
    return changes_BLX.transpose(1, 2) @ scaled_values(behaviors)


def mean_signs(probes_TD: Tensor, keys: Tensor, weights: ScorerWeights) -> Tensor:
    """(B, R, H): the sign of each hidden unit at each key, as the mean over the probes."""
    maps_DTH = (weights.W2 + probes_TD[..., None] * weights.W3).transpose(0, 1)
    hidden = keys @ maps_DTH.flatten(1) + (probes_TD @ weights.W1 + weights.b).flatten()
    return hidden.sign_().unflatten(2, (len(probes_TD), -1)).mean(2)


def fitted_values(
    probes: Tensor, behaviors: Behaviors, rows: ClusterRows, weights: ScorerWeights, ridge: float
) -> Tensor:
    """Fit the values (B, R, D) by ridge regression on the probes.

    Args:
        probes: (B, T, D).
        rows: clusters whose values are the sums of their members.
        ridge: a share of the mean squared score of a key.
    """
    keys, correction = rows.keys, rows.correction
    identity = torch.eye(keys.shape[1], dtype=keys.dtype, device=keys.device)
    scores_BTR = absolute_half(probes, keys, identity * rows.used[:, None].to(keys.dtype), weights)
    wanted_BTD = absolute_half(probes, behaviors.vectors, scaled_values(behaviors), weights)
    if correction is not None:
        wanted_BTD = wanted_BTD - torch.baddbmm(correction[:, -1:], probes, correction[:, :-1])
    gram = scores_BTR.transpose(1, 2) @ scores_BTR
    pull = ridge * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-12
    change = scores_BTR.transpose(1, 2) @ (wanted_BTD - scores_BTR @ rows.values)
    return rows.values + torch.linalg.solve(gram + pull * identity, change)


def without_empty(rows: ClusterRows) -> PseudoItems:
    """Move clusters with members to the front, in their order, and set the others to zero."""
    order_BR = (~rows.used).long().argsort(dim=1, stable=True)
    order, kept = order_BR[..., None].expand_as(rows.keys), rows.used[..., None].to(rows.keys.dtype)
    keys, values = ((tensor * kept).gather(1, order) for tensor in (rows.keys, rows.values))
    mass = None if rows.mass is None else rows.mass.gather(1, order_BR)
    return PseudoItems(keys, values, rows.correction, mass, rows=rows.used.sum(1))
