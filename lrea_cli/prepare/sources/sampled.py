"""Options of the sources whose logs have no real labels: where negatives come from, and which targets count."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import typer

from lrea_cli.errors import check_choice
from lrea_cli.prepare.sources.base import Positives

DayNegatives = Literal["same-day", "same-day-category", "uniform", "popularity"]

NegativesOption = Annotated[
    DayNegatives,
    typer.Option(
        metavar="<kind>",
        help="Negatives are drawn from: other users' behaviors of that day (same-day), and of that category "
        "(same-day-category), all items seen so far (uniform), or all behaviors so far (popularity).",
    ),
]
PositivesOption = Annotated[
    Positives,
    typer.Option(
        metavar="<kind>",
        help="Which targets count: all, or only items that the user had not touched before (first-time).",
    ),
]


DRAWING_OPTIONS = ("negatives", "positives", "min_history", "negatives_per_positive", "train_days", "seed")
"""What decides how candidates are drawn, and nothing else."""


def check_sampling(negatives: str, positives: str) -> None:
    """Refuse an unknown choice.

    Raises:
        UserError: with the nearest known one.
    """
    check_choice("negatives", negatives, get_args(DayNegatives))
    check_choice("positives", positives, get_args(Positives))
