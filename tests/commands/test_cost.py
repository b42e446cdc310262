"""`lrea cost`: with a dataset, without one, and its numbers against arithmetic by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrea_cli.cli import main
from lrea_cli.console.show import short
from lrea_cli.dataset.histories import Histories
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.methods import METHODS, HistoryShape
from lrea_cli.recipe.settings import COMPRESSOR_NAMES, ModelSettings
from lrea_cli.workspace.home import Workspace

Cost = Callable[..., Any]
SMALL = ("--short", 8, "--long", 40, "--rank", 6)


@pytest.fixture
def cost(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cost:
    """Run `lrea cost` in a home; its JSON, with `shown` what a terminal shows, with `code` its standard error."""

    def run(*arguments: object, home: Path = tmp_path, shown: bool = False, code: int = 0) -> Any:
        monkeypatch.setenv("LREA_HOME", str(home))
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(["cost", *map(str, arguments), *([] if shown else ["--json"])])
        found = capsys.readouterr()
        assert (stop.value.code or 0) == code, found.err
        if code:
            return found.err
        return found.out if shown else json.loads(found.out)

    return run


def by_name(bills: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {bill["name"]: bill for bill in bills}


def test_without_a_dataset_only_the_padded_table_is_printed(cost: Cost) -> None:
    found = cost()
    assert (found["dataset"], found["real"], found["users"], found["mean_length"]) == (None, None, None, None)
    assert (found["width"], found["long"], found["candidates"]) == (32, 500, 1000)
    names = {name: "sim (hard)" if name == "sim" else name for name in METHODS}
    assert [bill["name"] for bill in found["padded"]] == [*names.values(), *(f"+ {c}" for c in COMPRESSOR_NAMES)]
    shown = cost(shown=True)
    assert "There is no dataset" in shown
    assert "next: lrea prepare synthetic" in shown


def test_the_flops_of_fidelity_are_those_of_the_command(cost: Cost) -> None:
    """The page had 19.5 M for SIM: the heads one by one, which is not what the code does."""
    page = (Path(__file__).parents[2] / "docs" / "fidelity.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("| Table 1's d |")]
    named = dict(re.findall(r"\b(LREA|SIM) ([\d.]+[kMG])", line))
    found = by_name(cost("--long", 500, "--candidates", 1000)["padded"])
    flops = {"LREA": found["lrea"]["request"]["flops"], "SIM": found["sim (hard)"]["request"]["flops"]}
    assert named == {name: short(value).strip() for name, value in flops.items()}


@pytest.mark.parametrize(("name", "rows"), [("din", 500), ("lrea", 128), ("+ clusters", 128), ("+ mean", 1)])
def test_requests_are_the_arithmetic_of_table_1(cost: Cost, name: str, rows: int) -> None:
    """O(B L d) of DIN and O(B r d) of LREA, with D = 32 and the scorer's 64 hidden units."""
    N, R, D, H = 1000, rows, 32, 64
    bill = by_name(cost()["padded"])[name]
    products = 2 * N * D * D + 2 * R * D * H + 2 * N * R * D * H + 2 * N * R * H + 2 * N * R * D
    elementwise = 2 * R * D * H + R * H + N * R * H
    size = 16 + 4 * (2 * R * D + (D + 1) * D) + 8
    assert bill["request"] == {
        "flops": products + elementwise,
        "rows": R,
        "products": products,
        "elementwise": elementwise,
        "bytes": size,
    }
    assert bill["record_bytes"] == size
    assert bill["record_bytes_as_ids"] is None


def test_other_methods_are_their_cost_of_at_full_length(cost: Cost) -> None:
    found = by_name(cost("--candidates", 7, "--long", 90, "--rank", 20, "--dtype", "float16")["padded"])
    for name in METHODS:
        method = METHODS[name](ModelSettings(method=name, rank=20), HistoryShape(32, 90))
        expected, bill = method.cost_of(90, 7, "float16"), found["sim (hard)" if name == "sim" else name]
        assert bill["record_bytes"] == expected.offline.bytes
        for part in ("offline", "request", "behavior"):
            work = getattr(expected, part)
            assert bill[part] == {"flops": work.flops, **vars(work)}, (name, part)
    assert [found[f"+ {c}"]["offline"] for c in COMPRESSOR_NAMES] == [None] * 4


def test_records_as_ids(cost: Cost) -> None:
    """Item and category of 500 behaviors; eta keeps 48 bits of each, twin its time."""
    sizes = {bill["name"]: bill["record_bytes_as_ids"] for bill in cost()["padded"]}
    assert {name: size for name, size in sizes.items() if size} == {
        "sim (hard)": 24 + 500 * 8,
        "eta": 24 + 500 * (8 + 6),
        "twin": 24 + 500 * (8 + 8),
    }


def test_real_lengths_are_those_of_the_dataset(cost: Cost, tiny: Workspace, histories: Histories) -> None:
    end = tiny.open(DATASETS).manifest.splits.end
    found = cost(*SMALL, home=tiny.home)
    lengths = np.clip(histories.lengths_before(end) - 8, 0, 40)
    assert len(set(lengths.tolist())) > 3
    assert (found["dataset"], found["users"]) == ("synthetic", len(lengths))
    assert found["mean_length"] == pytest.approx(lengths.mean())
    real, padded = by_name(found["real"]), by_name(found["padded"])
    method = METHODS["din"](ModelSettings(), HistoryShape(32, 40))
    assert real["din"]["request"]["flops"] == pytest.approx(
        np.mean([method.cost_of(n, 1000).request.flops for n in lengths.tolist()])
    )
    assert real["+ recent"]["request"]["flops"] == pytest.approx(
        np.mean([method.cost_of(min(n, 6), 1000).request.flops for n in lengths.tolist()])
    )
    assert real["+ recent"]["record_bytes"] == pytest.approx(
        np.mean([method.cost_of(min(n, 6), 1000).offline.bytes for n in lengths.tolist()])
    )
    assert real["twin"]["record_bytes_as_ids"] == pytest.approx(24 + 16 * lengths.mean())
    assert all(bill["request"]["flops"] <= padded[name]["request"]["flops"] for name, bill in real.items())


def test_lengths_are_those_at_the_end_of_the_data(cost: Cost, tiny: Workspace, histories: Histories) -> None:
    splits = tiny.open(DATASETS).manifest.splits
    end, earlier = (np.clip(histories.lengths_before(at) - 8, 0, 2000) for at in (splits.end, splits.test_from))
    assert end.mean() > earlier.mean()
    assert cost("--short", 8, "--long", 2000, home=tiny.home)["mean_length"] == pytest.approx(end.mean())


def test_what_is_shown_fits_80_columns(cost: Cost, tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = cost(*SMALL, home=tiny.home, shown=True)
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("sim (hard)") == 2
    assert "O(Lmlog(d) + Bmlog(d))" in shown
    assert "next: lrea train" in shown


def test_without_categories_sim_searches_softly(cost: Cost, tiny: Workspace, tmp_path: Path) -> None:
    recipe = tmp_path / "items.toml"
    recipe.write_text('[data]\nfields = ["item"]\nmatch_counters = []\n')
    found = cost(*SMALL, "--recipe", recipe, home=tiny.home)
    assert found["width"] == 16
    soft = METHODS["sim"](ModelSettings(search="soft"), HistoryShape(16, 40, categories=False))
    assert by_name(found["padded"])["sim (soft)"]["request"]["products"] == soft.cost_of(40, 1000).request.products
    assert by_name(found["padded"])["sim (soft)"]["record_bytes_as_ids"] == 24 + 40 * 4
    assert "category" not in by_name(found["padded"])


def test_mistakes_end_with_2_and_a_remedy(cost: Cost, tiny: Workspace, tmp_path: Path) -> None:
    assert "rank = 128 is above long = 90" in cost("--long", 90, code=2)
    assert "no dataset 'none'" in cost("--dataset", "none", home=tiny.home, code=2)
    recipe = tmp_path / "groups.toml"
    recipe.write_text("[model]\nm = 10\ntau = 3\n")
    assert "m = 10 is no multiple of tau = 3" in cost("--recipe", recipe, code=2)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "  n/a"), (0, "    0"), (31.69, " 31.7"), (999.4, "  999"), (999.6, "   1k"), (12_345_678, "12.3M")],
)
def test_short_numbers(value: float | None, text: str) -> None:
    assert short(value) == text
