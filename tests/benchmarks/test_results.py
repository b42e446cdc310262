"""`benchmarks/results.py`: pages of docs/results, with the best in bold and the paper's numbers beside ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import results as script
from authors.page import Page, Ranked, rank
from authors.plans import OF_SOURCE, PLANS, Plan, Published
from authors.quick import quick_plan, quick_sweep
from authors.variants import VARIANTS, variant_jobs

from lrea_cli.compressors.clusters import Choices
from lrea_cli.console.progress import Silent
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError
from lrea_cli.recipe.chosen import Chosen, read_chosen
from lrea_cli.recipe.recipe import load_recipe, shipped_recipes
from lrea_cli.reporting import results as shown
from lrea_cli.reporting.search import search_page
from lrea_cli.sweep import run
from lrea_cli.sweep.gather import gather, runs_of
from lrea_cli.sweep.results import OverSeeds, Prepared, Scored, Tried, over_seeds
from lrea_cli.sweep.searched import SearchResults
from lrea_cli.sweep.settings import load_sweep
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import SEAL
from tests.reporting.test_results import NONE, RESULTS, lines_of, scored
from tests.sweep.conftest import ABOUT, RECIPES, Inline, InlineSweep, dataset, inline_sweep, make_sweep, swept

__all__ = ["dataset", "inline_sweep", "swept"]

DOCS = Path(__file__).parents[2] / "docs"
BELOW = over_seeds([-0.02, -0.01], [(-0.03, -0.01), (-0.02, -0.005)])
ABOVE = over_seeds([0.02, 0.01], [(0.01, 0.03), (0.005, 0.02)])
INSIDE = over_seeds([-0.02, -0.01], [(-0.03, 0.01), (-0.02, 0.005)])
SEEDS_DISAGREE = over_seeds([-0.03, 0.001], [(-0.04, -0.02), (-0.03, 0.0)])


def ranked(one: Scored, to_best: OverSeeds | None = None) -> Ranked:
    return Ranked(**vars(one), to_best=to_best)


PAGE = Page(replace(RESULTS, scored=tuple(map(ranked, RESULTS.scored))), "It does.")


PAGES = sorted((DOCS / "results").glob("*.md"))
OF_SEARCHES = [path for path in PAGES if (path.with_suffix("") / "search.json").exists()]


@pytest.mark.parametrize("committed", OF_SEARCHES, ids=lambda path: path.stem)
def test_a_committed_page_of_a_search_is_that_of_its_numbers(committed: Path) -> None:
    numbers = committed.with_suffix("") / "search.json"
    content = json.loads(numbers.read_text(encoding="utf-8"))
    content.pop(SEAL)
    made = {
        "worlds": tuple(Prepared(**world) for world in content["worlds"]),
        "tried": tuple(Tried(**tried) for tried in content["tried"]),
        "chosen": {name: Chosen(**how) for name, how in content["chosen"].items()},
    }
    results = SearchResults(**{**content, **made})
    assert committed.read_text(encoding="utf-8") == search_page(results, f"{committed.stem}/{numbers.name}")
    assert results.command == f"lrea search methods --chosen recipes/chosen --page docs/results/{committed.name}"
    for name, how in results.chosen.items():
        assert replace(how, worlds=tuple(how.worlds), settings=tuple(how.settings)) == read_chosen(
            shipped_recipes() / "chosen" / f"{name}.toml"
        )


@pytest.mark.parametrize("committed", [p for p in PAGES if p not in OF_SEARCHES], ids=lambda path: path.stem)
def test_a_committed_page_is_that_of_its_numbers(committed: Path) -> None:
    """Make it anew with the command that stands on it."""
    (numbers,) = (DOCS / "results" / committed.stem).glob("*.json")
    page = Page.from_dict(json.loads(numbers.read_text(encoding="utf-8")))
    assert committed.read_text(encoding="utf-8") == page.text(f"{committed.stem}/{numbers.name}")
    assert page.findings == (numbers.parent / "findings.md").read_text(encoding="utf-8").strip()
    assert page.results.command == f"python benchmarks/results.py {committed.stem}"
    assert committed.stem in (DOCS / "results.md").read_text(encoding="utf-8")


def test_a_page_is_that_of_the_command_and_what_came_out() -> None:
    text = PAGE.text("x.json")
    assert text.replace("## What came out\n\nIt does.\n\n", "") == shown.page(RESULTS, "x.json")
    assert "bold" not in text.lower()


def test_the_same_numbers_give_the_same_page_after_json() -> None:
    published = {"drift": Published("Table 2 of a paper", 9, {"din": 0.8903})}
    page = replace(PAGE, paper=published, changes={"drift": {"data": {"long": 90}}}, fidelity={"DIN": {"faithful": 3}})
    again = Page.from_dict(json.loads(json.dumps(page.to_dict())))
    assert again == page
    assert "Here every recipe has long = 90." in again.text("x.json")
    assert lines_of(again.text("x.json"), "all", "3")


def test_results_from_before_a_key_was_kept_load_and_have_the_same_page() -> None:
    old = PAGE.to_dict()
    for name in ("left_out", "paper", "fidelity"):
        del old[name]
    for row in old["scored"]:
        del row["to_best"], row["to_best_served"]
    assert Page.from_dict(json.loads(json.dumps(old))) == PAGE


def with_best(**to_best: OverSeeds | None) -> Page:
    """Three recipes, `lrea` the best of them as trained; differences to it by recipe, and none as served."""
    aucs = {"din": 0.7, "lrea": 0.72, "mean": 0.69}
    rows = [ranked(scored(name, auc, None, NONE), to_best.get(name)) for name, auc in aucs.items()]
    return Page(replace(RESULTS, scored=tuple(rows)))


def test_the_best_is_bold_where_it_is_told_apart_from_all_others() -> None:
    page = with_best(din=BELOW, mean=BELOW)
    text = page.text("x.json")
    assert text.count("**") == 2
    assert lines_of(text, "lrea", "**0.7250**")
    assert "\n- Bold: the highest AUC" in text
    assert "None is bold" not in text
    low = over_seeds([0.5, 0.5])  # lrea's as trained: what is bold in a form is decided by that form
    served = tuple(
        replace(
            s,
            metrics={**s.metrics, "auc": low if s.recipe == "lrea" else s.auc},
            to_best=None,
            to_best_served=s.to_best,
        )
        for s in page.results.scored
        if isinstance(s, Ranked)
    )
    text = Page(replace(page.results, scored=served)).text("x.json")
    assert text.count("**") == 2
    assert lines_of(text, "lrea", "**0.7190**")
    assert "\n- Bold: the highest AUC" in text


@pytest.mark.parametrize("unresolved", [INSIDE, SEEDS_DISAGREE, ABOVE, None])
def test_nothing_is_bold_where_the_best_is_not_told_apart_from_one(unresolved: OverSeeds | None) -> None:
    """`ABOVE`: the seeds that both have say the opposite of the means."""
    text = with_best(din=unresolved, mean=BELOW).text("x.json")
    assert "**" not in text
    assert text.count("None is bold: `lrea` has the highest AUC, and no difference to `din` is shown.") == 1
    assert "no difference to `mean` is shown" in with_best(din=BELOW, mean=INSIDE).text("x.json")
    assert "no difference to `din`, `mean` is shown" in with_best(din=INSIDE, mean=INSIDE).text("x.json")


def test_differences_to_the_best_are_paired_in_either_form(swept: Path, inline_sweep: InlineSweep) -> None:
    finished = inline_sweep(make_sweep(), swept)
    rows = list(rank(gather(make_sweep(), finished, ABOUT, Silent()).scored, runs_of(finished)))
    assert {row.recipe for row in rows} == set(RECIPES)
    for auc, to_best in (("auc", "to_best"), ("auc_served", "to_best_served")):
        best, below = sorted(rows, key=lambda s, auc=auc: getattr(s, auc).mean, reverse=True)
        expected = [b - a for a, b in zip(getattr(best, auc).values, getattr(below, auc).values, strict=True)]
        assert getattr(best, to_best) is None
        assert getattr(below, to_best).values == pytest.approx(expected, abs=1e-12)


def test_the_papers_numbers_stand_beside_ours_where_there_are_any() -> None:
    published = Published("Table 2 of a paper", 9, {"din": 0.8903})
    text = replace(PAGE, paper={"drift": published}).text("x.json")
    assert lines_of(text, "din", "0.7050 | 0.8903", "0.6900 to 0.7200")
    assert lines_of(text, "lrea-8", "0.6850 | -", "0.6700 to 0.7000")
    assert "Paper: AUC by Table 2 of a paper. It names neither split nor negatives" in text
    for elsewhere in (PAGE, replace(PAGE, paper={"taobao": published})):
        assert "paper" not in elsewhere.text("x.json").lower()


def test_the_numbers_of_the_paper_are_those_of_its_table() -> None:
    """Table 2: Amazon, Taobao."""
    table = """
        din       0.8101 0.8903
        din-short 0.7833 0.8535
        sim       0.7919 0.8667
        eta       0.7984 0.8651
        sdim      0.8013 0.8734
        twin      0.8015 0.8838
        lrea      0.8098 0.8904
    """
    rows = [line.split() for line in table.strip().splitlines()]
    assert set(OF_SOURCE) == {"table2"}
    published = {source: each.published for source, each in OF_SOURCE["table2"].items()}
    assert set(published) == {"amazon-books", "taobao"}
    assert published["amazon-books"].auc == {name: float(amazon) for name, amazon, _ in rows}
    assert published["taobao"].auc == {name: float(taobao) for name, _, taobao in rows}
    assert all(each.table and each.least_users >= 50_000 for each in published.values())
    assert set(published["taobao"].auc) <= set(load_sweep("table2").recipes)


def test_published_numbers_stand_beside_a_whole_log_alone(tiny: Workspace) -> None:
    whole = tiny.open(DATASETS, "synthetic")
    published = Published("T", 150, {})
    assert script.published_beside(published, whole) == {"synthetic": published}
    assert script.published_beside(replace(published, least_users=151), whole) == {}


def test_amazon_has_the_behaviors_of_the_paper_and_ranks_that_fit() -> None:
    sweep = OF_SOURCE["table2"]["amazon-books"].changed(load_sweep("table2"))
    for recipe in sweep.recipes.values():
        assert (recipe.data.short, recipe.data.long) == (10, 90)
    assert sweep.recipes["lrea"].model.rank == 32
    for name in ("amazon-books-lrea", "amazon-books-din"):
        recipe = load_recipe(name)
        assert (recipe.data.dataset, recipe.data.short, recipe.data.long) == ("amazon-books", 10, 90)


@pytest.mark.parametrize(("name", "plan"), [(name, plan) for name, plans in PLANS.items() for plan in plans])
def test_every_plan_has_its_recipes_and_shrinks(name: str, plan: Plan) -> None:
    sweep = plan.sweep(load_sweep(name))
    small, few = quick_sweep(sweep), quick_plan(plan)
    assert sweep.base in sweep.recipes
    assert list(small.recipes) == list(sweep.recipes)
    assert len(few.seeds) <= 2
    assert few.users == (150 if plan.preset else 0)
    assert all(recipe.train.epochs == 1 and recipe.model.k < 64 for recipe in small.recipes.values())
    if name == "rank":
        ranks = {recipe.model.rank for key, recipe in small.recipes.items() if key.startswith("lrea")}
        assert len(ranks) == len({recipe.model.rank for key, recipe in sweep.recipes.items() if key.startswith("lrea")})


@pytest.mark.slow
def test_a_planted_dataset_is_prepared_once_and_another_one_of_its_name_is_refused(tmp_path: Path) -> None:
    home, plan = Workspace(tmp_path / "home"), Plan("planted", "drift", 60)
    dataset = script.ready(plan, home)
    assert script.ready(plan, home).order == dataset.order
    with pytest.raises(UserError, match=r"The dataset 'planted' in .* was prepared with"):
        script.ready(replace(plan, users=61), home)


@pytest.mark.slow
def test_variants_change_one_choice_each_and_are_rows_of_their_own(inline_sweep: InlineSweep, tmp_path: Path) -> None:
    assert all(choices != Choices() for choices in VARIANTS.values())
    compress = {"compressors": ["clusters"], "ranks": [2]}
    sweep = make_sweep({"din": {"model": {"method": "din"}}}, (3,), base="din", search={}, compress=compress)
    finished = inline_sweep(sweep, tmp_path / "home")
    assert sweep.compress is not None
    jobs = list(variant_jobs(sweep.compress, finished, 2))
    assert [job.label for job in jobs] == [f"clusters, {variant}" for variant in VARIANTS]
    for job in jobs[:2]:
        assert not job.done()
        job()
        assert job.done()
    finished = replace(finished, compressed=(*finished.compressed, *jobs[:2]))
    rows = gather(sweep, finished, ABOUT, Silent()).compressed
    assert [row.compressor for row in rows] == ["clusters", "clusters, no correction", "clusters, plain metric"]
    assert len({row.deviation.mean for row in rows}) == 3


def test_a_page_is_made_by_one_command_and_goes_on(
    workspace_copy: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("din-default", "din-short-default")
    monkeypatch.setitem(PLANS, "defaults", (Plan("synthetic", recipes=few), Plan("other", seeds=(1,), recipes=few)))
    monkeypatch.setenv("LREA_HOME", str(workspace_copy.home))
    shutil.copytree(workspace_copy.path(DATASETS, "synthetic"), workspace_copy.path(DATASETS, "other"))
    pool = Inline()

    @contextmanager
    def worker_pool(workers: int) -> Iterator[Inline]:
        yield pool

    monkeypatch.setattr(run, "worker_pool", worker_pool)
    assert script.main(["defaults", "--quick"]) == 0
    page = workspace_copy.home / "defaults-quick.md"
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == {"page": str(page), "trainings": len(pool.names) // 2, "failed": {}, "ok": True}
    text = page.read_text(encoding="utf-8")
    assert "    python benchmarks/results.py defaults --quick\n" in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## synthetic", "## other"]
    assert "| all |" in text
    again = Page.from_dict(json.loads((page.parent / "defaults-quick" / "defaults-quick.json").read_text()))
    assert again.text("defaults-quick/defaults-quick.json") == text
    done = len(pool.names)
    assert script.main(["defaults", "--quick"]) == 0
    assert len(pool.names) == done
