"""Numbers of the terminal's tables, in each of their forms."""

from __future__ import annotations

from lrea_cli.console.show import CHANGE, WHOLE, interval, number, ratio, size, spread, unclear


def test_numbers_of_a_table():
    assert [number(0.71234), number(None), number(0.5, ".2f")] == ["0.7123", "n/a", "0.50"]


def test_bytes_are_written_short() -> None:
    assert [size(n) for n in (24, 999.6, 4_400, 20_664, 1_204_000)] == ["24 B", "1000 B", "4.4 kB", "20.7 kB", "1.2 MB"]


def test_differences_have_a_sign() -> None:
    assert [number(0.00123, CHANGE), number(-0.5, "+.1f"), number(None, CHANGE)] == ["+0.00123", "-0.5", "n/a"]
    assert interval((-0.00012, 0.00234), CHANGE) == "-0.00012 to +0.00234"
    assert [unclear(resolved=True), unclear(resolved=False)] == ["", "~"]


def test_intervals_are_wide_or_narrow() -> None:
    assert [interval((0.70123, 0.72), ".3f"), interval((0.70123, 0.72), ".3f", "-")] == [
        "0.701 to 0.720",
        "0.701-0.720",
    ]
    assert [interval(None), interval(None, none="-")] == ["n/a", "-"]


def test_ratios_and_times_carry_their_interval() -> None:
    assert [ratio(1.5512, (1.5, 1.614)), ratio(None, None)] == ["1.55 (1.50-1.61)", "n/a"]
    assert [spread(1.234, (1.2, 1.25)), spread(123.4, None)] == ["1.23 ±2.0%", "123"]


def test_means_are_whole() -> None:
    assert [number(20_664.4, WHOLE), number(None, WHOLE, none="-")] == ["20,664", "-"]
