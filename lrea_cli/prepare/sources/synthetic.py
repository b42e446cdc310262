"""The planted data set: users whose interests drift as in real logs, and a known best possible AUC."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from lrea_cli.dataset.fields import Field
from lrea_cli.prepare.planted.options import PlantedOptions
from lrea_cli.prepare.sources.base import Extract, Source

if TYPE_CHECKING:
    import pyarrow as pa

    from lrea_cli.prepare.planted.dataset import Planted
    from lrea_cli.prepare.reading.intake import Intake

AGE_BANDS = ("18-24", "25-29", "30-34", "35-44", "45-54", "55+")


@dataclass(frozen=True)
class Synthetic(PlantedOptions, Source):
    """Planted interests; nothing is read, the same options give the same bytes."""

    name: ClassVar[str] = "synthetic"
    file_names: ClassVar[tuple[str, ...]] = ()
    unused_options: ClassVar[tuple[str, ...]] = (
        "min_history",
        "negatives_per_positive",
        "train_days",
        "test_days",
        "max_rejected",
        "encoding",
    )
    where_to_get: ClassVar[str] = ""

    def extract(self, intake: Intake, files: list[Path]) -> Extract:
        """Generate the events and put them in `raw_events`, ordered by time; nothing is rejected."""
        from lrea_cli.prepare.planted.dataset import LAST_DAY, generate

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
        best = {"bayes_auc": planted.bayes_auc, "bayes_gauc": planted.bayes_gauc}  # None: the test day has one class
        return Extract(
            fields=(
                Field("item", "item"),
                Field("category", "item"),
                Field("age_band", "user"),
                Field("hour", "context"),
            ),
            sampling=None,
            last_day=LAST_DAY,
            test_days=1,  # of which the best possible AUC is known
            facts={name: value for name, value in best.items() if value is not None} | asdict(self),
        )


def _table(planted: Planted) -> pa.Table:
    """Behaviors, then exposures, as one Arrow table; `draw` is the order in which they were drawn."""
    import numpy as np
    import pyarrow as pa

    behaviors, exposures = planted.behaviors, planted.exposures
    total = len(behaviors.user) + len(exposures.user)

    def combined(name: str) -> np.ndarray:
        return np.concatenate([getattr(behaviors, name), getattr(exposures, name)])

    time, user = combined("time"), combined("user")
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
            "item": combined("item"),
            "category": combined("category"),
            "age_band": age_bands.cast(pa.string()),
            "hour": time // 3600 % 24,
        }
    )
