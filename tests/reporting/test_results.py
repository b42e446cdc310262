"""The page of results: every number of a small sweep is on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lrea_cli.reporting.results import difference, page
from lrea_cli.stats.methods import MethodEstimate
from lrea_cli.sweep.results import Compressed, LeftOut, OverSeeds, Prepared, Results, Scored, Tried, over_seeds

NONE = over_seeds([None, None])


def scored(recipe: str, auc: float, against: OverSeeds | None, entropy: OverSeeds) -> Scored:
    return Scored(
        dataset="drift",
        recipe=recipe,
        seeds=(1, 2),
        point={"lr": 0.05},
        metrics={
            "auc": over_seeds([auc, auc + 0.01], [(auc - 0.02, auc + 0.02), (auc, auc + 0.02)]),
            "gauc": over_seeds([0.61, 0.61]),
            "normalized_entropy": over_seeds([0.912, 0.914]),
        },
        difference=against,
        auc_served=over_seeds([auc - 0.002, auc]),
        difference_served=against,
        gap=over_seeds([-0.002, -0.01]),
        rms_over_sd=over_seeds([0.123, 0.123]),
        column_entropy=entropy,
        bytes_per_record=over_seeds([12345.0, 12345.0]),
        rows_changed=over_seeds([8.0, 8.0]),
        flops_changed=over_seeds([531_000.0, 532_000.0]),
        best_counter=over_seeds([0.6543, 0.6543]),
        seconds=over_seeds([61.0, 63.0]),
    )


def tried(recipe: str, lr: float, auc: float | None, chosen: bool, seed: int = 1) -> Tried:
    return Tried("drift", recipe, f"drift-{recipe}-{lr}-{seed}", seed, {"lr": lr}, chosen, auc, 2, 3, 60.0)


RESULTS = Results(
    sweep="table3",
    title="does the rank count",
    command="lrea sweep table3 --page docs/results/table3.md",
    date="2026-01-02 03:04 UTC",
    machine={"cpu": "A CPU", "cores": 2, "jobs": 2},
    versions={"lrea": "0.1.0", "torch": "2.6"},
    base="din",
    recipes={"din": {"model": {"method": "din"}}},
    search=({"lr": 0.05}, {"lr": 0.1}),
    datasets=(
        Prepared(
            "drift",
            "synthetic",
            {"preset": "drift", "users": 4000},
            (1, 2),
            4000,
            10_870,
            {"train": 9000, "test": 800},
            {"bayes_auc": 0.8401},
        ),
    ),
    tried=(
        tried("din", 0.05, 0.7012, True),
        tried("din", 0.1, None, False),
        tried("lrea-8", 0.05, 0.69, False),
        tried("lrea-8", 0.1, 0.7, True),
        tried("lrea-8", 0.1, 0.55, True, seed=2),
    ),
    scored=(
        scored("din", 0.7, None, NONE),
        scored("lrea-8", 0.68, over_seeds([-0.02, -0.01], [(-0.03, -0.01), (-0.02, -0.005)]), over_seeds([0.25, 0.35])),
    ),
    compressed=(
        Compressed(
            "drift",
            "din",
            "clusters",
            16,
            (1, 2),
            over_seeds([0.01, 0.03]),
            over_seeds([0.05, 0.07]),
            over_seeds([0.0001, -0.0003], [(-0.001, 0.001), (-0.002, 0.001)]),
            over_seeds([4000.0, 4200.0]),
        ),
    ),
    failed={"drift-din-lr0.1-seed1": "The loss became nan."},
)


def lines_of(text: str, *cells: str) -> list[str]:
    return [line for line in text.splitlines() if all(f" {cell} " in line for cell in cells)]


def test_every_number_is_on_the_page() -> None:
    text = page(RESULTS, "rank/rank.json")
    for words in (
        "# Results: does the rank count",
        "    lrea sweep table3 --page docs/results/table3.md",
        "(rank/rank.json)",
        "A CPU, 2 cores; 2 jobs at a time",
        "lrea 0.1.0, torch 2.6",
        "lr 0.05; lr 0.1",
        "preset = drift, users = 4000",
        "9,000 train, 800 test",
        "Seeds of training: 1, 2. Best possible AUC: 0.8401.",
    ):
        assert words in text
    assert lines_of(text, "configurations tried", "4")
    assert lines_of(text, "trainings", "5")
    assert lines_of(text, "lrea-8", "0.6850", "0.6700 to 0.7000", "0.6800 to 0.6900", "-0.0150", "0.300", "62")
    assert lines_of(text, "lrea-8", "0.6790", "-0.0060", "0.12", "-0.0250 to -0.0075", "12,345")
    assert lines_of(text, "din", "clusters", "16", "0.0200", "0.0600", "~ -0.0001", "-0.0015 to +0.0010", "4,100")
    assert lines_of(text, "din", "* 0.7012", "failed")
    assert lines_of(text, "lrea-8", "0.6900", "* 0.7000")
    assert lines_of(text, "drift-din-lr0.1-seed1", "The loss became nan.")
    assert "**" not in text


def test_a_recipe_with_fewer_seeds_is_named() -> None:
    first, *others = RESULTS.scored
    text = page(replace(RESULTS, scored=(replace(first, seeds=(1,)), *others)), "x.json")
    assert f"Seeds of training: 1, 2. Seed 1 alone: `{first.recipe}`. Best" in text


def test_rows_of_a_table_have_the_cells_of_its_head() -> None:
    for block in page(RESULTS, "x.json").split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1, block


def test_what_was_left_out_is_said_at_its_dataset() -> None:
    left_out = (LeftOut("drift", "sim", "No categories."), LeftOut("other", "eta", "No."))
    text = page(replace(RESULTS, left_out=left_out), "x.json")
    assert text.count("- Left out: `sim`. No categories.") == 1
    assert "`eta`" not in text


def test_a_sweep_without_a_base_or_best_has_a_page() -> None:
    bare = replace(RESULTS, base=None, search=({},), tried=(), compressed=(), failed={}, datasets=())
    assert "Differences are of the same seed" in page(bare, "x.json")


@pytest.mark.parametrize(
    ("values", "intervals", "expected"),
    [
        ([0.01, 0.02], [(0.001, 0.03), (0.01, 0.03)], "+0.0150"),
        ([0.01, 0.02], [(-0.02, 0.03), (0.01, 0.03)], "~ +0.0150"),
        ([0.03, -0.001], [(0.02, 0.04), (0.01, 0.03)], "~ +0.0145"),
        ([0.03], [(0.02, 0.04)], "+0.0300"),
        ([0.03, 0.02], [(0.02, 0.04), None], "~ +0.0250"),
        ([None], [None], "-"),
    ],
)
def test_a_difference_is_shown_where_interval_and_seeds_agree(values, intervals, expected) -> None:
    assert difference(over_seeds(values, intervals)) == expected


BOTH_SIDES, ABOVE_ZERO = MethodEstimate(0.02, (-0.01, 0.05), 0.01, 4.0), MethodEstimate(0.02, (0.01, 0.03), 0.01, 4.0)


def test_the_interval_over_seeds_decides_where_there_is_one() -> None:
    values, intervals = [0.03, 0.01], [(0.01, 0.05), (0.005, 0.02)]
    assert difference(over_seeds(values, intervals)) == "+0.0200"
    unclear = over_seeds(values, intervals, BOTH_SIDES)
    assert difference(unclear) == "~ +0.0200"
    assert (unclear.interval, unclear.ci) == ((-0.01, 0.05), pytest.approx((0.0075, 0.035)))
    clear = over_seeds([0.05, -0.01], [(-0.01, 0.08), (-0.05, 0.01)], ABOVE_ZERO)
    assert difference(clear) == "+0.0200"
    given_models = MethodEstimate(0.02, (-0.01, 0.05), 0.01)
    assert over_seeds(values, intervals, given_models) == over_seeds(values, intervals)


def test_a_page_says_what_its_intervals_cover() -> None:
    old = page(RESULTS, "x.json")
    assert "given the trained models" in old
    assert "may not hold for other seeds of training" in old
    first, second = RESULTS.scored
    auc = over_seeds(first.auc.values, [(0.6, 0.8)] * 2, MethodEstimate(0.705, (0.5, 0.9), 0.01, 4.0))
    new = page(replace(RESULTS, scored=(replace(first, metrics={**first.metrics, "auc": auc}), second)), "x.json")
    assert "95% interval is over seeds and users" in new
    assert "may not hold" not in new
    assert lines_of(new, "din", "0.5000 to 0.9000")


def test_mean_spread_and_bounds_over_seeds() -> None:
    found = over_seeds([0.1, None, 0.3], [(0.0, 0.2), (0.1, 0.3), (0.2, 0.6)])
    assert found.mean == pytest.approx(0.2)
    assert found.sd == pytest.approx(0.1414213562)
    assert found.ci == pytest.approx((0.1, 1.1 / 3))
    assert found.range == (0.1, 0.3)
    assert over_seeds([0.5]).sd is None


def test_the_papers_numbers_stand_beside_ours_where_there_are_any() -> None:
    published = {"table": "Table 2 of a paper", "least_users": 9, "auc": {"din": 0.8903}}
    text = page(replace(RESULTS, published=published, changes={"data": {"long": 90}}), "x.json")
    assert "| din | 0.7050 | 0.8903 | 0.6900 to 0.7200 |" in text
    assert "| lrea-8 | 0.6850 | - | 0.6700 to 0.7000 |" in text
    assert "Paper: AUC by Table 2 of a paper. It names neither split nor negatives" in text
    assert "Here every recipe has long = 90." in text
    assert "paper" not in page(RESULTS, "x.json").lower()
