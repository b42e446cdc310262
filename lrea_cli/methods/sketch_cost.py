"""FLOPs of `sketch`; letters: n behaviors, R prototypes, D width, F hidden width of SwiGLU."""

from __future__ import annotations

from lrea_cli.methods.cost import Work, linear_half_work
from lrea_cli.methods.prototypes import FFN_WIDTH
from lrea_cli.recipe.settings import ModelSettings


def appended_offline(n: int, rank: int, width: int, softmax: bool) -> Work:
    """The sums of one layer over prototypes; for reader `softmax` without E^T E and sum e.

    products     2 n R D     +  2 n R D  +  2 n D^2
                 affinities     A E         E^T E
    elementwise  6 n R             +  n R  +  n D
                 softmax, shares      mass    sum e
    """
    R, D = rank, width
    linear = Work() if softmax else Work(0, 2 * n * D * D, n * D)
    return Work(0, 4 * n * R * D, 7 * n * R) + linear


def appended_request(rank: int, width: int, softmax: bool) -> Work:
    """Pseudo items from sums: keys, values, and [A; a0] from E^T E and sum e; for `softmax` the means alone.

    products     2 D^2
                 (W2 w_o)^T E^T E
    elementwise  2 R D          +  3 D^2 + 2 D  +  2 (D + 1) D
                 means, c(n)       A and a0        the factors a and c(n)
    """
    R, D = rank, width
    if softmax:
        return Work(elementwise=R * D)
    return Work(0, 2 * D * D, 2 * R * D + 3 * D * D + 2 * D + 2 * (D + 1) * D)


def click(rank: int, width: int, softmax: bool) -> Work:
    """One more behavior is added to the sums; for reader `softmax` they have R rows and not R + D + 1.

    products     2 R D
                 affinities
    elementwise  2 D + 2 R         +  6 R             +  2 (R + D + 1) (D + 1)
                 rounding, units      softmax, shares    [a, e, 1]^T [e, 1] is added
    """
    R, D = rank, width
    rows = R if softmax else R + D + 1
    return Work(0, 2 * R * D, 2 * D + 8 * R + 2 * rows * (D + 1))


def mixed_offline(settings: ModelSettings, n: int, width: int) -> Work:
    """Two layers, or a softmax over behaviors; then keys, values and the linear half.

    Reader `softmax` has no linear half, and c(n), of R numbers, in no value.
    For each layer:
        products     2 n R D     +  2 n R D
                     affinities     A E
        elementwise  3 n R   +  n R  +  2 n R
                     softmax    mask    shares, over prototypes
    The first layer's maps depend on the weights alone. With two layers, each also has
        products     6 R D F     (the second: + 4 R D^2)
        elementwise  R D     +  14 R D  +  3 R F   +  R D    (the second: + R D)
                     + A E      2 LN       SwiGLU     + X
    """
    R, D, tokens, softmax = settings.rank, width, settings.normalize == "tokens", settings.reader == "softmax"
    F = FFN_WIDTH * D
    layer = Work(0, 4 * n * R * D, (4 if tokens else 6) * n * R)
    mass = Work(elementwise=1 if tokens else n * R)
    values = Work(elementwise=R * D if softmax else R + R * D)
    if settings.layers == 1:
        linear = Work(0, 2 * n * D * D + 2 * D * D, n * D + 3 * D * D + 2 * D + 2 * (D + 1) * D)
        return layer + mass + values + (Work() if softmax else linear)
    refine = Work(0, 6 * R * D * F, 16 * R * D + 3 * R * F)
    maps = Work(0, 4 * R * D * D, R * D)
    return layer + refine + layer + refine + maps + mass + values + (Work() if softmax else linear_half_work(R, D))
