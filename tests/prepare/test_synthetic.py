"""The planted data set as a source: the contract of `schema.py`, impossible options, a light import."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pytest

from lrea_cli.errors import UserError
from lrea_cli.prepare.reading.intake import Intake
from lrea_cli.prepare.sources.synthetic import Synthetic


def test_extract_keeps_the_contract() -> None:
    with duckdb.connect() as db:
        intake = Intake(db)
        extract = Synthetic(users=30).extract(intake, [])
        columns = {name: kind for name, kind, *_ in db.execute("DESCRIBE raw_events").fetchall()}
        assert columns == {
            "source_row": "BIGINT",
            "user": "BIGINT",
            "time": "BIGINT",
            "is_behavior": "BOOLEAN",
            "label": "TINYINT",
            "item": "BIGINT",
            "category": "BIGINT",
            "age_band": "VARCHAR",
            "hour": "BIGINT",
        }
        checks = db.execute(
            "SELECT count(*), count(DISTINCT source_row), max(source_row) + 1, max(time) // 86400, "
            "count(*) FILTER (is_behavior = (label IS NULL)), count(age_band), count(hour), "
            "count(*) FILTER (hour = time // 3600 % 24) FROM raw_events"
        ).fetchone()
        bands = db.execute(
            "SELECT max(n) FROM (SELECT count(DISTINCT age_band) AS n FROM raw_events GROUP BY user)"
        ).fetchone()
    rows = intake.read
    assert intake.kept == rows
    assert checks == (rows, rows, rows, extract.last_day, rows, rows, rows, rows)
    assert bands == (1,)
    assert [(f.name, f.role) for f in extract.fields] == [
        ("item", "item"),
        ("category", "item"),
        ("age_band", "user"),
        ("hour", "context"),
    ]
    assert extract.sampling is None
    assert {"bayes_auc", "bayes_gauc", "preset", "drift", "seed"} <= set(extract.facts)


def test_a_gauc_that_no_user_has_is_left_out() -> None:
    with duckdb.connect() as db:
        facts = Synthetic(users=5, field_effect=1000.0).extract(Intake(db), []).facts
    assert "bayes_gauc" not in facts
    assert facts["field_effect"] == 1000.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "exact_item"}, "did you mean 'exact-item'"),
        ({"preset": "category-count", "sharpness": 9.0}, "no effect with --preset category-count"),
        ({"preset": "exact-item", "sharpness": 9.0}, "no effect with --preset exact-item"),
        ({"lengths": "day"}, "--lengths is 'day'"),
        ({"users": 0}, "--users is 0"),
        ({"drift": float("nan")}, "--drift is nan"),
        ({"field_effect": float("inf")}, "--field-effect is inf"),
    ],
)
def test_impossible_options_fail_at_once(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Synthetic(**options)  # pyright: ignore[reportArgumentType]


def test_importing_the_source_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'duckdb', 'pyarrow'}"
    program = f"import sys, lrea_cli.prepare.sources.synthetic; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
