"""What decides a planted data set; each attribute is an option of `lrea prepare synthetic`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import typer

from lrea_cli.errors import UserError, check_choice
from lrea_cli.recipe.settings import HIGHEST_SEED, check_range

Preset = Literal["drift", "exchangeable", "exact-item", "category-count"]
Lengths = Literal["long", "week"]


@dataclass(frozen=True)
class PlantedOptions:
    """Options of a planted data set; the same options give the same bytes."""

    preset: Annotated[
        Preset,
        typer.Option(
            metavar="<name>",
            help="What the label depends on. drift: close behaviors of any age, and exact repeats; "
            "exchangeable: the same, but positions carry no signal; exact-item: exact repeats only; "
            "category-count: the number of behaviors of the category only.",
        ),
    ] = "drift"
    lengths: Annotated[
        Lengths,
        typer.Option(help="Behaviors a user: long = 0 to 1,000 in 180 days, week = median 77 in 9 days."),
    ] = "long"
    users: Annotated[int, typer.Option(help="Number of users, each with 6 requests of 8 candidates.")] = 5000
    drift: Annotated[
        float,
        typer.Option(help="How fast interests move on: 1 = as in real logs, 0 = any past behavior is as near."),
    ] = 1.0
    sharpness: Annotated[
        float, typer.Option(help="How close a behavior must be to a candidate to count; higher = closer.")
    ] = 16.0
    field_effect: Annotated[
        float,
        typer.Option(help="Weight of the user's age band in the logit; 50 = it alone decides the label."),
    ] = 0.4
    seed: Annotated[int, typer.Option(help="Seed of all random draws.")] = 2025

    def __post_init__(self) -> None:
        check_choice("preset", self.preset, get_args(Preset))
        check_choice("lengths", self.lengths, get_args(Lengths))
        check_range("--users", self.users, 1, 10**7)
        check_range("--drift", self.drift, 0, 1000)
        check_range("--sharpness", self.sharpness, 0, 1000)
        check_range("--field-effect", self.field_effect, -1000, 1000)
        check_range("--seed", self.seed, 0, HIGHEST_SEED)
        if self.preset in ("exact-item", "category-count") and self.sharpness != type(self).sharpness:
            raise UserError(
                f"--sharpness has no effect with --preset {self.preset}: closeness does not count there.",
                "Leave --sharpness out, or choose another --preset.",
            )
