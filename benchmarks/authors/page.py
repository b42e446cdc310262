"""A page of docs/results: that of `lrea sweep`, with findings, the best in bold and the paper's numbers beside ours."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from authors.plans import Published
from lrea_cli.reporting import results as shown
from lrea_cli.score.kept_scores import Form
from lrea_cli.stats.metrics import METRICS
from lrea_cli.sweep.jobs import TrainJob
from lrea_cli.sweep.placed import PlacedRuns
from lrea_cli.sweep.results import Compressed, LeftOut, OverSeeds, Prepared, Results, Scored, Tried
from lrea_cli.workspace.sealed import SEAL, as_json


@dataclass(frozen=True)
class Ranked(Scored):
    """A recipe with its AUC minus that of the recipe of the highest mean, in either form.

    Args:
        to_best, to_best_served: None for the best itself, and in results from before they were kept.
    """

    to_best: OverSeeds | None = None
    to_best_served: OverSeeds | None = None


@dataclass(frozen=True)
class Page:
    """All that stands on a page.

    Args:
        results: of one sweep a dataset, put together; its recipes are `Ranked`.
        findings: what came out, in words.
        paper: published numbers, by dataset; only for datasets that are the paper's.
        fidelity: how many mechanisms have each status, by the section of docs/fidelity.md.
        changes: what all recipes have in place of their own, by dataset and section.
    """

    results: Results
    findings: str = ""
    paper: dict[str, Published] = field(default_factory=dict)
    fidelity: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def text(self, data: str) -> str:
        """The page in Markdown.

        Args:
            data: link to the JSON file with all numbers, relative to the page.
        """
        bold = any(s.to_best or s.to_best_served for s in self._ranked())
        parts = [shown.head(self.results, data)]
        parts += [f"## What came out\n\n{self.findings}"] if self.findings else []
        parts += list(_how_to_read(shown.how_to_read(self.results), self.fidelity, bold))
        for dataset in self.results.datasets:
            parts += list(self._of_dataset(dataset))
        return shown.as_page([*parts, *shown.failures(self.results)])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the JSON file beside the page."""
        content = {**self.results.to_dict(), "findings": self.findings, "fidelity": self.fidelity}
        content["paper"] = {dataset: as_json(asdict(published)) for dataset, published in self.paper.items()}
        for dataset in content["datasets"]:
            dataset["changes"] = self.changes.get(dataset["name"], {})
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Page:
        """Back from the JSON file, also of a version without some of the keys."""
        content = {name: value for name, value in content.items() if name != SEAL}
        own = {name: content.pop(name) for name in ("findings", "fidelity") if name in content}
        paper = {dataset: Published(**table) for dataset, table in content.pop("paper", {}).items()}
        datasets = [dict(dataset) for dataset in content["datasets"]]
        changes = {dataset["name"]: dataset.pop("changes", {}) for dataset in datasets}
        rows = {**content, "datasets": datasets, "left_out": content.get("left_out", [])}
        made = {name: tuple(kind(**_read(row)) for row in rows[name]) for name, kind in _KINDS.items()}
        results = Results(**{**content, "search": tuple(content["search"]), **made})
        return cls(results, paper=paper, changes={name: each for name, each in changes.items() if each}, **own)

    def _ranked(self) -> list[Ranked]:
        return [row for row in self.results.scored if isinstance(row, Ranked)]

    def _of_dataset(self, dataset: Prepared) -> Iterator[str]:
        scored = [s for s in self._ranked() if s.dataset == dataset.name]
        yield shown.about(dataset, scored) + _changed(self.changes.get(dataset.name, {}))
        yield from shown.left_out(self.results, dataset)
        if scored:
            yield shown.best_counter(scored)
            trained = shown.TRAINED
            if published := self.paper.get(dataset.name):
                yield f"Paper: AUC by {published.table}. {_NO_DIGITS}"
                trained = _with_paper(trained, published)
            yield from _table("As trained", trained, scored, lambda s: s.auc, lambda s: s.to_best)
            yield from _table("As served", shown.SERVED, scored, lambda s: s.auc_served, lambda s: s.to_best_served)
        yield from shown.compressions(self.results, dataset)
        yield shown.search(self.results, dataset)


_NO_DIGITS = "It names neither split nor negatives, so digits cannot agree with it, only the order of recipes can."
_BOLD = "\n- Bold: the highest AUC, only where its difference to every other recipe of the table is shown."
_FIDELITY = (
    "How close what is compared is to its papers (docs/fidelity.md has each mechanism, and the test that pins it)"
)
_KINDS = {"datasets": Prepared, "tried": Tried, "scored": Ranked, "compressed": Compressed, "left_out": LeftOut}


def rank(scored: Sequence[Scored], runs: Mapping[str, Sequence[TrainJob]]) -> Iterator[Ranked]:
    """The recipes of one dataset with their differences to the best of them.

    Args:
        runs: by recipe.
    """
    if not scored:
        return
    trained, served = best_of(scored, lambda s: s.auc).recipe, best_of(scored, lambda s: s.auc_served).recipe
    placed = PlacedRuns()

    def to(best: str, recipe: str, form: Form) -> OverSeeds | None:
        return None if best == recipe else placed.difference(runs[recipe], runs[best], form)

    for one in scored:
        in_each_form = to(trained, one.recipe, "trained"), to(served, one.recipe, "served")
        yield Ranked(**vars(one), to_best=in_each_form[0], to_best_served=in_each_form[1])


def best_of(scored: Sequence[Scored], auc: Callable[[Any], OverSeeds]) -> Scored:
    """The recipe of the highest mean AUC, the first of equals.

    Args:
        scored: of one dataset.
        auc: as trained, or as served.
    """

    def mean(one: Scored) -> float:
        value = auc(one).mean
        return -math.inf if value is None else value

    return max(scored, key=mean)


def _how_to_read(text: str, fidelity: dict[str, dict[str, int]], bold: bool) -> Iterator[str]:
    """What each column means, with the rule of what is bold before the last item."""
    columns = "\n- NE:"
    yield text.replace(columns, _BOLD + columns) if bold else text
    if fidelity:
        totals = Counter[str]()
        for counts in fidelity.values():
            totals.update(counts)
        rows = [[section, *map(str, counts.values())] for section, counts in {**fidelity, "all": totals}.items()]
        yield f"{_FIDELITY}:"
        yield shown.table(["mechanisms", *totals], rows)


def _changed(sections: dict[str, dict[str, Any]]) -> str:
    changes = ", ".join(f"{key} = {value}" for values in sections.values() for key, value in values.items())
    return f" Here every recipe has {changes}." if changes else ""


def _with_paper(columns: shown.Columns[Scored], published: Published) -> shown.Columns[Scored]:
    """The paper's numbers beside ours."""
    first = {name: columns[name] for name in ("recipe", "AUC")}
    return {**first, "paper": lambda s: shown.number(published.auc.get(s.recipe)), **columns}


def _table(
    title: str,
    columns: shown.Columns[Scored],
    scored: Sequence[Ranked],
    auc: Callable[[Ranked], OverSeeds],
    to_best: Callable[[Ranked], OverSeeds | None],
) -> Iterator[str]:
    """A table; its best AUC is bold where it is told apart from all others, else a line says from which it is not.

    Args:
        auc, to_best: of the form that the table shows.
    """
    equal = _not_below(scored, auc, to_best)
    show = columns["AUC"]
    marked = {**columns, "AUC": lambda s: f"**{show(s)}**" if [s.recipe] == equal else show(s)}
    yield shown.titled(title, marked, scored)
    if len(equal) > 1:
        best, *others = (f"`{name}`" for name in equal)
        yield f"None is bold: {best} has the highest AUC, and no difference to {', '.join(others)} is shown."


def _not_below(
    scored: Sequence[Ranked],
    auc: Callable[[Ranked], OverSeeds],
    to_best: Callable[[Ranked], OverSeeds | None],
) -> list[str]:
    """The best recipe, and those that are not shown to be below it; empty where nothing was compared with the best."""
    if all(to_best(one) is None for one in scored):
        return []
    best = best_of(scored, auc)
    return [best.recipe, *(one.recipe for one in scored if one is not best and not _is_below(to_best(one)))]


def _is_below(values: OverSeeds | None) -> bool:
    return values is not None and values.resolved and values.mean is not None and values.mean < 0


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: _value(value) for name, value in row.items()}
    if "auc_served" in row:  # of a recipe: each metric is a key
        values["metrics"] = {m.name: values.pop(m.name) for m in METRICS if m.name in values}
    return values


def _value(value: Any) -> Any:
    if isinstance(value, Mapping) and {"values", "mean", "sd", "ci"} <= set(value):
        return OverSeeds(**{name: _value(inner) for name, inner in value.items()})
    return tuple(value) if isinstance(value, list) else value
