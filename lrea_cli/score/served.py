"""Scores of the test split as a run is served: those that `eval` has kept, or new ones, kept in the same way."""

from __future__ import annotations

from lrea_cli.console.progress import Reporter
from lrea_cli.errors import UserError
from lrea_cli.runs.checkpoint import Run
from lrea_cli.score.evaluate import ServedFrom, measure, score
from lrea_cli.score.kept import KeptScores, read_scores, write_evaluation
from lrea_cli.workspace.home import Artifact


def served_scores(run: Run, way: ServedFrom, place: Artifact, reporter: Reporter) -> KeptScores:
    """Both forms of the test split's scores.

    Args:
        way: in which the records of the served form are made.
        place: this version of the run, or a cache of it: where such scores lie, and new ones go.
    """
    kept = _kept(run, way, place)
    if kept is not None:
        return kept
    scored = score(run, "test", way, reporter)
    write_evaluation(place.path, scored.scores, measure(run, scored, "user").to_dict())
    return scored.scores


def _kept(run: Run, way: ServedFrom, place: Artifact) -> KeptScores | None:
    """None where there are none, or they are damaged, of another dataset, or served in another way."""
    try:
        scores = read_scores(place.path, "test", "", run.artifact.manifest.made_from)
    except UserError:
        return None
    same = (scores.run, scores.method, scores.served_from) == (run.name, run.recipe.model.method, str(way))
    return scores if same else None
