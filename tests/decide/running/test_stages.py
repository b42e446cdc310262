"""What is asked and where its work lies; the watch over the hours; who is dropped, with which numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lrea_cli.console.progress import Silent
from lrea_cli.decide.running.asked import RANKS, read_asked
from lrea_cli.decide.running.entrants import kind_of
from lrea_cli.decide.running.halving import halve
from lrea_cli.decide.running.kept import kept
from lrea_cli.decide.running.measure import about
from lrea_cli.decide.running.plan import SEARCH_QUARTER, SHARES, TEST, make_plan
from lrea_cli.decide.running.planned import Planned
from lrea_cli.decide.running.stages import Contest, Out
from lrea_cli.recipe.settings import DataSettings
from lrea_cli.workspace.sealed import write_json
from tests.decide.running.test_plan import COSTS
from tests.sweep.conftest import Inline

ASKED = read_asked("din,category,codes", 2, 1.0, 100)


class Watched:
    """A clock that jobs move."""

    def __init__(self) -> None:
        self.now, self.kept = 0.0, 0

    def spent(self) -> float:
        return self.now

    def keep(self) -> None:
        self.kept += 1


@dataclass(frozen=True)
class Takes:
    """A job of so many seconds on that clock."""

    name: str
    clock: Watched
    finished: set[str]
    seconds: float = 100.0

    def done(self) -> bool:
        return self.name in self.finished

    def __call__(self) -> str:
        if "broken" in self.name:
            raise ValueError("no")
        self.clock.now += self.seconds
        self.finished.add(self.name)
        return self.name


def test_a_kept_plan_with_other_stages_is_none(tmp_path: Path) -> None:
    """One of another version of lrea is made anew."""
    whole = Planned(make_plan(COSTS, 2, 2, 1), COSTS, 1.0, {}, False, ("x",))
    for name, found in ((SEARCH_QUARTER, whole), ("search, 1/4 of the rows", None)):
        stages = tuple(replace(s, name=name if s.name == SEARCH_QUARTER else s.name) for s in whole.plan.stages)
        write_json(tmp_path / "plan.json", asdict(replace(whole, plan=replace(whole.plan, stages=stages))))
        assert kept(Planned, tmp_path / "plan.json") == found


def contest(clock: Watched, hours: float, plan: Any = None) -> Contest:
    """One whose jobs run in this process, one after another."""
    asked: Any = SimpleNamespace(hours=hours)
    nothing: Any = None
    return Contest(asked, nothing, nothing, nothing, clock, Inline(), 1, Silent(), plan)  # type: ignore[arg-type]


def test_the_key_is_that_of_the_work_alone():
    dataset: Any = SimpleNamespace(name="d", identity="i")
    key = ASKED.key(dataset)
    assert replace(ASKED, hours=3.0).key(dataset) == key
    other: Any = SimpleNamespace(name="d", identity="j")
    assert ASKED.key(other) != key
    for changed in (
        replace(ASKED, candidates=101),
        replace(ASKED, compressions=ASKED.compressions[:1]),
        read_asked("din,category,codes", 3, 1.0, 100),
        read_asked("din,sdim,codes", 2, 1.0, 100),
        read_asked("din,category,codes", 2, 1.0, 100, {"short": 10, "long": None}),
    ):
        assert changed.key(dataset) != key


def test_names_choose_recipes_and_compressors():
    assert list(ASKED.sweep.recipes) == ["category", "din"]
    assert [(c.compressor, c.rank) for c in ASKED.compressions] == [("codes", rank) for rank in RANKS]
    assert ASKED.sweep.seeds == (1, 2)
    everyone = read_asked(None, 1, 1.0, 100, {"short": 10, "long": None})
    assert {(r.data.short, r.data.long) for r in everyone.sweep.recipes.values()} == {(10, DataSettings.long)}
    assert set(everyone.sweep.recipes) > {"din", "din-short", "lrea", "category", "sketch", "twin-v2", "vq", "linear"}
    assert {c.compressor for c in everyone.compressions} == {"clusters", "codes"}
    assert ASKED.without({"din"}).compressions == ()
    assert ASKED.without({"category"}).compressions == ASKED.compressions


def test_every_recipe_tries_as_many_settings_and_its_own_first():
    sweep = ASKED.searched(3, SHARES)
    assert {name: len(points) for name, points in sweep.search.points.items()} == {"category": 3, "din": 3}
    assert all(points[0] == {} for points in sweep.search.points.values())
    assert [rung.share for rung in sweep.search.rungs] == list(SHARES)
    assert sweep.search.worlds == ()


def test_no_job_starts_once_later_stages_need_the_rest_of_the_hours():
    plan = make_plan(COSTS, 1, 1, 1)
    clock, finished = Watched(), set()
    hours = (plan.after(TEST) + 250) / 3600
    one = contest(clock, hours, plan)
    late = [Takes(f"job {n}", clock, finished) for n in range(6)]
    clock.now = 300.0
    one.work(TEST, late, "jobs")  # type: ignore[arg-type]
    assert finished == set()
    assert one.why(late) == "The hours were over before it was done."  # type: ignore[arg-type]
    clock.now = 249.0
    one.work(TEST, late[:1], "jobs")  # type: ignore[arg-type]
    assert finished == {"job 0"}
    assert clock.kept >= 2


def test_what_failed_is_told_from_what_was_late_and_probes_know_no_hours():
    clock, finished = Watched(), set()
    clock.now = 1e9
    one = contest(clock, 1.0)
    jobs: Any = [Takes("broken one", clock, finished), Takes("other", clock, finished)]
    one.work("probes", jobs, "probes")
    assert finished == {"other"}
    assert one.why(jobs[:1]) == "It failed: ValueError: no"


def test_the_worst_are_dropped_with_their_numbers_and_the_bar(monkeypatch: pytest.MonkeyPatch):
    aucs = {"din": 0.6, "category": 0.7, "lrea": 0.65, "sdim": 0.66, "mean": None}
    asked = read_asked(",".join(aucs), 1, 1.0, 100)

    def run_rung(sweep: Any, left: Any, number: int, *_: Any) -> Any:
        trial = lambda name, n: SimpleNamespace(number=n, point={"n": n}, valid_auc=None, jobs=())  # noqa: E731
        made = {name: [trial(name, n) for n, _ in points] for name, points in left.items()}
        for name, own in made.items():
            for n, one in enumerate(own):
                one.valid_auc = aucs[name] and aucs[name] - (0.01 if len(own) > 1 and n != 1 else 0) + 0.1 * number
        return made

    monkeypatch.setattr("lrea_cli.decide.running.halving.run_rung", run_rung)
    plan = Planned(make_plan(COSTS, 1, 1, 2), COSTS, 1.0, {}, final=True, words=())
    monkeypatch.setattr(Contest, "ground", None)
    found = halve(contest(Watched(), 1.0), asked.searched(2, SHARES), plan, frozenset({"din"}))
    assert found.points == {"category": {"n": 1}, "din": {"n": 1}}
    assert [(o.name, o.stage, o.auc, o.bar) for o in found.out] == [
        ("mean", SEARCH_QUARTER, None, None),
        ("lrea", SEARCH_QUARTER, 0.65, 0.66),
        ("sdim", "search, 1/2 of the users", pytest.approx(0.76), pytest.approx(0.8)),
    ]
    assert isinstance(found.out[0], Out)


def test_what_a_contender_is():
    assert [kind_of(method) for method in ("din", "din-short", "lrea")] == ["full", "short", "cached"]
    assert about("lrea", "lrea").startswith("LREA (arXiv 2503.02542")
    assert about("din, codes 16", "din").startswith("Groups behaviors by the nearest of a few codes")
