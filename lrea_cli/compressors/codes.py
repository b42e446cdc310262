"""Groups behaviors by the nearest of a few codes that all users share.

It is VQL's quantization (arXiv 2508.17125) of a trained din's keys, after training; the rows are those of `clusters`
without a k-means for each user and without fitted values.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lrea_cli.attention import Attention, Reader
from lrea_cli.compressors.base import Compressor, Items
from lrea_cli.compressors.clusters import mean_signs, merged, metric_of, sign_correction, without_empty
from lrea_cli.compressors.codebook import make_codebook
from lrea_cli.methods.nearest import nearest
from lrea_cli.oracle import compressors as reference_compressors
from lrea_cli.sequence import Behaviors, PseudoItems

CPU = torch.device("cpu")


class Codes(Compressor):
    """keys = mean of the user's behaviors of a code, values = c(n) times their sum, and a correction of `linear`.

        z_l = argmin_j |(e_l - C_j) M|^2,   n_j = #{l: z_l = j},   S_j = sum_{z_l = j} e_l,   k_j = S_j / n_j

    The codebook C (K, D) is `make_codebook` of the clicked items in the scorer's metric M (`clusters.scorer_metric`).
    It depends on the run and the compression alone, and is made on the CPU: whatever serves the run has the same one.
    The correction is that of `clusters`, with the sign that a hidden unit has at the code and not at the key:

        A += c sum_l diag(W3 omega_z(l)) (e_l - k_z(l))^T e_l,   a0 += c sum_l ((e_l - k_z(l)) . W2 omega_z(l)) e_l

    so a record depends on n_j, S_j and sum_l e_l^T e_l of each code alone. A click changes row z, and `linear` by terms
    that follow from this row: appended equals rebuilt, but for rounding and the factor c(n) that every number has.
    A window would have to subtract its oldest behavior. A new model has a new codebook, so all records are made anew.

    With reader `softmax` values are the plain sums, mass is n_j, and there is no correction.

    A record has as many rows as the user touched codes, at most `rank`. With as many codes as items the keys are exact.
    """

    name = "codes"
    slow_twin = staticmethod(reference_compressors.codes)
    reads_items = True

    @torch.no_grad()
    def __init__(self, reader: Reader, rank: int, seed: int, probes_TD: Tensor, items: Items | None = None) -> None:
        super().__init__(reader, rank, seed, probes_TD, items)
        if items is None or not len(items.clicks):
            raise ValueError("A codebook is made of clicked items.")
        device, metric = probes_TD.device, metric_of(reader, probes_TD).to(CPU)
        codebook = make_codebook(Items(items.vectors.to(CPU), items.clicks.to(CPU)), metric, rank, seed)
        self.metric, self.codebook, self.points = metric.to(device), codebook.to(device), (codebook @ metric).to(device)
        if isinstance(reader, Attention):
            weights = reader.weights.to(torch.float64)
            self.signs_1KH = mean_signs(probes_TD.double(), self.codebook[None], weights)

    def compress(self, behaviors: Behaviors, users: np.ndarray) -> PseudoItems:
        """Assign, sum, correct; nothing is drawn, and codes without a behavior are dropped."""
        owner = nearest(behaviors.vectors @ self.metric, self.points)
        rows, members_BLK = merged(self.reader, behaviors, owner, len(self.codebook))
        if not isinstance(self.reader, Attention):
            return without_empty(rows)
        weights = self.reader.weights.to(torch.float64)
        correction = sign_correction(self.signs_1KH, behaviors, rows.keys, members_BLK, weights)
        return without_empty(replace(rows, correction=correction))
