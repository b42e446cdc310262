"""The planted data set: users whose interests drift as in real logs, and a known best possible AUC."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

import typer

from lrea_cli.dataset.fields import Extract, Field
from lrea_cli.errors import UserError, check_choice
from lrea_cli.recipe.limits import HIGHEST_SEED, check_range

if TYPE_CHECKING:
    import pyarrow as pa

    from lrea_cli.prepare.planted.dataset import Planted
    from lrea_cli.prepare.sources.intake import Intake

Preset = Literal["drift", "exchangeable", "exact-item"]
Lengths = Literal["long", "week"]

AGE_BANDS = ("18-24", "25-29", "30-34", "35-44", "45-54", "55+")


@dataclass(frozen=True)
class Synthetic:
    """Planted interests; nothing is read, the same options give the same bytes."""

    name: ClassVar[str] = "synthetic"
    file_names: ClassVar[tuple[str, ...]] = ()
    companion_names: ClassVar[tuple[str, ...]] = ()
    unused_options: ClassVar[tuple[str, ...]] = (
        "min_history",
        "negatives_per_positive",
        "train_days",
        "test_days",
        "max_rejected",
        "encoding",
    )
    idle_options: ClassVar[Mapping[str, str]] = {}
    where_to_get: ClassVar[str] = ""

    preset: Annotated[
        Preset,
        typer.Option(
            metavar="<name>",
            help="What the label depends on. drift: close behaviors of any age, and exact repeats; "
            "exchangeable: the same, but positions carry no signal; exact-item: exact repeats only.",
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
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 2025

    def __post_init__(self) -> None:
        check_choice("preset", self.preset, get_args(Preset))
        check_choice("lengths", self.lengths, get_args(Lengths))
        check_range("--users", self.users, 1, 10**7)
        check_range("--drift", self.drift, 0, 1000)
        check_range("--sharpness", self.sharpness, 0, 1000)
        check_range("--field-effect", self.field_effect, -1000, 1000)
        check_range("--seed", self.seed, 0, HIGHEST_SEED)
        if self.preset == "exact-item" and self.sharpness != type(self).sharpness:
            raise UserError(
                "--sharpness has no effect with --preset exact-item: closeness does not count there.",
                "Leave --sharpness out, or choose another --preset.",
            )

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Generate the events and put them in `raw_events`, ordered by time; nothing is rejected."""
        from lrea_cli.prepare.planted.dataset import generate

        planted = generate(self)
        db = intake.db
        db.register("planted_events", _table(planted))
        try:
            db.execute(
                "CREATE TABLE raw_events AS "
                "SELECT row_number() OVER (ORDER BY time, user, draw) - 1 AS source_row, "
                "user, time, is_behavior, label, item, category, age_band, hour "
                "FROM planted_events ORDER BY source_row"
            )
        finally:
            db.unregister("planted_events")
        intake.read = len(planted.behaviors.user) + len(planted.exposures.user)
        return Extract(
            fields=(
                Field("item", "item"),
                Field("category", "item"),
                Field("age_band", "user"),
                Field("hour", "context"),
            ),
            sampling=None,
            last_day=planted.last_day,
            test_days=1,  # of which the best possible AUC is known
            facts=_facts(self, planted),
        )


def _facts(options: Synthetic, planted: Planted) -> dict[str, float | str]:
    """The best possible AUC and GAUC, left out where the test day has one class only, and the options."""
    best = {"bayes_auc": planted.bayes_auc, "bayes_gauc": planted.bayes_gauc}
    return {name: value for name, value in best.items() if not math.isnan(value)} | asdict(options)


def _table(planted: Planted) -> pa.Table:
    """Behaviors, then exposures, as one Arrow table; `draw` is the order in which they were drawn."""
    import numpy as np
    import pyarrow as pa

    behaviors, exposures = planted.behaviors, planted.exposures
    total = len(behaviors.user) + len(exposures.user)

    def both(name: str) -> np.ndarray:
        return np.concatenate([getattr(behaviors, name), getattr(exposures, name)])

    time, user = both("time"), both("user")
    is_behavior = np.arange(total) < len(behaviors.user)
    label = np.concatenate([np.zeros(len(behaviors.user), np.int8), exposures.label])
    age_bands = pa.DictionaryArray.from_arrays(planted.age_band[user].astype(np.int8), list(AGE_BANDS))
    return pa.table(
        {
            "draw": np.arange(total),
            "user": user,
            "time": time,
            "is_behavior": is_behavior,
            "label": pa.array(label, mask=is_behavior),
            "item": both("item"),
            "category": both("category"),
            "age_band": age_bands.cast(pa.string()),
            "hour": time // 3600 % 24,
        }
    )
