"""Nothing at or after a request's time changes its score, bit for bit; one event a second before does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrea_cli.methods import METHODS
from lrea_cli.prepare.prepare import PrepareOptions, prepare
from lrea_cli.prepare.sources.table import Table
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.runs.checkpoint import build_model, open_dataset
from lrea_cli.runs.loop import reader_of
from lrea_cli.workspace.home import Workspace
from tests.selection import examples

DAY = 86_400
MIDNIGHT = 20_000 * DAY
REQUEST = MIDNIGHT + 2 * DAY + 3_600
ITEMS = 12

event = st.tuples(
    st.integers(0, 2),  # user
    st.integers(0, ITEMS - 1),
    st.one_of(st.integers(0, 3 * DAY - 1).map(lambda s: MIDNIGHT + s), st.just(REQUEST), st.just(REQUEST - 1)),
    st.integers(0, 1),
)


def logits(folder: Path, events):
    """For each method: logits of user 0's candidates at `REQUEST`, by item, with an untrained model."""
    folder.mkdir()
    lines = [f"u{user},i{item:02d},c{item % 3},{time},{label}" for user, item, time, label in events]
    (folder / "log.csv").write_text("user,item,category,time,label\n" + "\n".join(lines) + "\n")
    workspace = Workspace(folder / "home")
    source = Table(category_column="category", label_column="label")
    prepare(source, [folder / "log.csv"], "log", workspace, PrepareOptions(threads=1))
    _, dataset = open_dataset(workspace, "log")
    recipe = Recipe().with_values({"data": {"short": 3, "long": 5}, "model": {"rank": 2, "k": 2}})
    counted = replace(recipe.data, match_counters=("item", "category"))
    recipe = replace(recipe, data=counted, model=replace(recipe.model, hidden=(8,)))
    reader = reader_of(dataset, "test", recipe.data, 1024)
    samples = reader.samples
    batch = reader.batch(np.flatnonzero((samples.user == 0) & (samples.time == REQUEST)))
    found = {}
    for method in METHODS:
        model = build_model(replace(recipe, model=replace(recipe.model, method=method)), dataset).eval()
        with torch.inference_mode():
            found[method] = [float(x).hex() for x in model(batch)[0]]
    return found


@settings(max_examples=examples(12), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(event, min_size=5, max_size=40), st.randoms(use_true_random=False))
def test_the_future_never_reaches_a_score(tmp_path_factory, events, rng):
    known = [
        (user, item, MIDNIGHT + item, 1) for user in range(3) for item in range(ITEMS)
    ]  # every item is in the vocabulary
    asked = [(0, 1, REQUEST, 0), (0, 2, REQUEST, 1)]
    before = [(0, 3, REQUEST - 1, 1)]
    other_days = [(1, 4, MIDNIGHT + DAY + 5, 1), (1, 5, MIDNIGHT + DAY + 6, 0), (2, 4, MIDNIGHT + 2 * DAY, 0)]
    mine = {(user, time) for user, _, time, _ in asked}
    drawn = [e for e in events if (e[0], e[2]) not in mine]
    folder = tmp_path_factory.mktemp("leak")
    base = [*known, *other_days, *drawn, *before, *asked]
    expected = logits(folder / "base", base)

    future = [e for e in drawn if e[2] >= REQUEST]
    garbage = [(user, rng.randrange(ITEMS), time, rng.randrange(2)) for user, _, time, _ in future]
    extra = [(0, rng.randrange(ITEMS), REQUEST + 1 + rng.randrange(9), 1), (2, 7, REQUEST, 1)]
    flipped = [(user, item, time, 1 - label) for user, item, time, label in asked]
    past = [e for e in drawn if e[2] < REQUEST]
    changed = [*known, *other_days, *past, *garbage, *extra, *before, *flipped]
    assert logits(folder / "future", changed) == expected

    other = logits(folder / "past", [*known, *other_days, *drawn, (0, 8, REQUEST - 1, 1), *asked])
    assert all(other[method] != expected[method] for method in METHODS)


@pytest.mark.each_once
@pytest.mark.parametrize("search", ["hard", "soft"])
@pytest.mark.parametrize("poison", [float("nan"), 1e30])
def test_a_poisoned_padding_row_changes_nothing(tiny, poison, search):
    _, dataset = open_dataset(tiny, "synthetic")
    for method in METHODS:
        settings = {"method": method, "rank": 4, "k": 6, "search": search}
        recipe = Recipe().with_values({"data": {"short": 8, "long": 40}, "model": settings})
        model = build_model(recipe, dataset).eval()
        reader = reader_of(dataset, "test", recipe.data, 64)
        batch = next(iter(reader.batches()))
        with torch.inference_mode():
            expected, _ = model(batch)
            for table in model.features.tables.values():
                table.weight[0] = poison
            found, _ = model(batch)
        assert torch.equal(found, expected)
