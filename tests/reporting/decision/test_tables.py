"""The cells of the tables, against the numbers that they show."""

from __future__ import annotations

from dataclasses import replace

from lrea_cli.reporting.decision import tables
from lrea_cli.reporting.decision.document import Cell, Table
from tests.decide.made_up import made_up_ship

DECISION = made_up_ship()


def column(table: Table | None, title: str) -> dict[str, Cell]:
    """Cell of each row."""
    assert table is not None
    at = table.columns.index(title)
    return {row[0].text.strip("`"): row[at] for row in table.rows}


def test_the_cheapest_stand_first() -> None:
    names = ["din-short", "sdim", "category", "din, clusters 16", "sketch"]
    everyone = tables.deciding_table(DECISION)
    assert list(column(everyone, "record"))[:5] == names
    assert everyone.marked == 3
    turned = replace(DECISION.measured, contenders=DECISION.measured.contenders[::-1])
    assert tables.deciding_table(replace(DECISION, measured=turned)) == everyone, "whatever order they are given in"


def test_losses_are_those_to_the_highest() -> None:
    lost = column(tables.deciding_table(DECISION), "loss to the highest")
    assert lost["category"] == Cell("0.0017", "0.0013 to 0.0021")
    assert lost["sdim"].text == "0.0094"
    assert lost["full attention"] == Cell("0", "the highest")
    most = column(tables.deciding_table(DECISION), "at most")
    assert (most["category"].text, most["full attention"].text) == ("0.0021", "0.0002")
    assert column(tables.counter_table(DECISION), "loss to the highest")["category in history"].text == "0.1031"


def test_ages_are_not_mixed_up() -> None:
    other = tables.other_table(DECISION)
    assert column(other, "loss at 1 day")["category"].text == "0.0002"
    assert column(other, "loss at 3 days")["category"].text == "0.0007"
    assert column(other, "loss at 3 days")["sdim"].text == "-"


def test_shares_of_the_rows_are_not_mixed_up() -> None:
    curves = tables.curve_table(DECISION)
    cells = [column(curves, title)["category"].text for title in curves.columns[1:]] if curves else []
    assert cells == ["0.7926", "0.7976", "0.8026", "0.0050"]
    assert curves is not None
    assert curves.columns[1:] == (
        "1/4 of the users: 180,000 rows",
        "1/2 of the users: 360,000 rows",
        "all users: 720,000 rows",
        "last step",
    )


def test_records_and_their_refreshing() -> None:
    table = tables.deciding_table(DECISION)
    assert column(table, "record")["sdim"].text == "14.3 kB"
    assert column(table, "record")["full attention"].text == "none"
    assert column(table, "a new behavior")["sdim"] == Cell("1 row", "4.6k FLOPs")
    assert column(table, "a new behavior")["lrea"] == Cell("made anew")
    assert column(table, "a new behavior")["full attention"] == Cell("-")
    assert column(table, "fits 10 ms")["full attention"].text == "no"
    assert column(table, "fits 10 ms")["twin"].text == "yes"
    assert column(table, "loses less than 0.001")["din, clusters 16"].text == "yes"


def test_what_was_dropped() -> None:
    table = tables.dropped_table(DECISION)
    assert column(table, "validation AUC")["mean"].text == "0.7512"
    assert column(table, "the worst that went on")["mean"].text == "0.7701"
    assert column(table, "why")["din, random 16"] == Cell("Its training failed: NaN.", words=True)
