"""Scores of the test split as a run is served: those that `eval` has kept, or new ones, which are kept, too."""

from __future__ import annotations

from lrea_cli.console.progress import Reporter
from lrea_cli.errors import UserError
from lrea_cli.records.cache import Cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.score.evaluate import ServedFrom, measure, score
from lrea_cli.score.kept import KeptScores, read_scores, write_evaluation


def served_scores(run: Run, cache: Cache, reporter: Reporter) -> KeptScores:
    """Both forms of the test split's scores; the served form has gone through this cache's kind of records.

    They lie with the cache that a compressor made, else with the run. New ones are made where there are none, or they
    are damaged, of another dataset, or served otherwise.
    """
    compression, artifact = cache.manifest.compression, cache.artifact
    served_from = ServedFrom(cache.manifest.dtype, compression, artifact.name if compression else None)
    folder = artifact.path if compression else run.artifact.path
    try:
        kept = read_scores(folder, "test", "", run.artifact.manifest.made_from)
        if (kept.run, kept.method, kept.served_from) == (run.name, run.recipe.model.method, str(served_from)):
            return kept
    except UserError:
        pass
    scored = score(run, "test", served_from, reporter)
    write_evaluation(folder, scored.scores, measure(run, scored, "user").to_dict())
    return scored.scores
