"""The learning curve of a page: each recipe's points by share, set against the base of the same share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lrea_cli.reporting.learning_curve import STYLES, _series, curve_section, curve_table, curves, draw
from lrea_cli.reporting.results import page
from lrea_cli.sweep.results import OverSeeds, Scored, over_seeds
from tests.reporting.test_results import NONE, RESULTS, scored

SHOWN = over_seeds([-0.02, -0.01], [(-0.03, -0.005), (-0.03, -0.005)])


def point(recipe: str, share: float, auc: float, against: OverSeeds | None) -> Scored:
    name = recipe if share == 1 else f"{recipe}-share-{share:g}"
    return replace(
        scored(name, auc, against, NONE),
        curve=recipe,
        share=share,
        auc_served=over_seeds([auc - 0.01, auc + 0.03]),
        train_rows=over_seeds([9000 * share, 9000 * share]),
    )


POINTS = (
    point("mean", 1.0, 0.70, SHOWN),
    point("din", 0.25, 0.61, None),
    point("din", 1.0, 0.72, None),
    point("mean", 0.25, 0.60, over_seeds([-0.01, 0.02], [(-0.02, 0.0), (0.0, 0.03)])),
    point("mean", 0.5, 0.65, SHOWN),
)
CURVE = replace(RESULTS, scored=POINTS)


def test_a_recipe_has_a_line_and_a_share_a_column() -> None:
    text = curve_table(curves(POINTS, "drift"))
    assert text.splitlines()[0] == "| recipe; share: samples | 0.25: 2,250 | 0.5: 4,500 | 1: 9,000 |"
    assert "| din | 0.6200 | - | 0.7300 |" in text.splitlines()
    assert "| mean | 0.6100 (~ +0.0050) | 0.6600 (-0.0150) | 0.7100 (-0.0150) |" in text.splitlines()


def test_a_page_without_shares_has_no_curve(tmp_path: Path) -> None:
    assert curve_section(RESULTS, RESULTS.datasets[0], "x/y.json") == []
    assert "Learning curve" not in page(RESULTS, "x/y.json")
    assert not draw(tmp_path / "a.png", RESULTS, RESULTS.datasets[0])
    assert not (tmp_path / "a.png").exists()
    assert curves(POINTS, "another") == {}


def test_a_page_with_shares_shows_table_and_picture_beside_its_numbers() -> None:
    text = page(CURVE, "x/y.json")
    assert "### Learning curve" in text
    assert "](x/curve-drift.png)" in text
    assert "minus that of `din` at the same share" in text


def test_points_go_from_few_samples_to_many_with_the_spread_of_the_seeds() -> None:
    rows, means, below, above = _series(curves(POINTS, "drift")["mean"])
    assert rows == [2250, 4500, 9000]
    assert means == pytest.approx([0.61, 0.66, 0.71])
    assert below == pytest.approx([0.02] * 3)
    assert above == pytest.approx([0.02] * 3)


def test_the_picture_has_each_line_in_its_color(tmp_path: Path) -> None:
    assert draw(tmp_path / "p" / "a.png", CURVE, CURVE.datasets[0])
    pixels = matplotlib.image.imread(tmp_path / "p" / "a.png")[..., :3].reshape(-1, 3)
    for color, _ in STYLES[:2]:
        assert (np.abs(pixels - np.array(to_rgb(color))).max(1) < 0.02).sum() > 500
    absent = np.array(to_rgb(STYLES[2][0]))
    assert (np.abs(pixels - absent).max(1) < 0.02).sum() == 0


def test_colors_stay_apart_for_eyes_without_red_or_green_cones() -> None:
    """Distances after the simulation of Vienot, Brettel and Mollon (1999), in linear light."""
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    protan = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
    deutan = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
    linear = np.array([to_rgb(color) for color, _ in STYLES]) ** 2.2
    for blind in (protan, deutan):
        seen = linear @ to_lms.T @ blind.T @ np.linalg.inv(to_lms).T
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=2) + np.eye(len(STYLES))
        assert distance.min() > 0.05
    assert len({marker for _, marker in STYLES}) == len(STYLES)
