"""Write the pages of docs/ that come from the code: `.venv/bin/python docs/generate.py`.

A test fails while a page is older than the code (`tests/test_docs.py`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path

from gpu_page import gpu_page
from results_page import results_page
from serving_page import serving_page

import lrea_cli
from lrea_cli.compressors import COMPRESSORS
from lrea_cli.kernels import KERNELS
from lrea_cli.methods import METHODS
from lrea_cli.prepare.sources import SOURCES
from lrea_cli.serving.export.destinations import DESTINATIONS
from lrea_cli.stats.metrics import METRICS

DOCS = Path(__file__).parent

PARTS_HEAD = """\
# Parts: what can be chosen by name

Each part is one file and one entry in a list; [CONTRIBUTING.md](../CONTRIBUTING.md) shows how to add one. The
sentences are those of the files. `docs/generate.py` writes this page.
"""

METRICS_HEAD = """\
`lrea eval` shows every metric for the scores of the run and of its records, `lrea compare` for each run. In JSON a
metric has its own key, with `_cached` for the scores from records and `_ci` for its 95% interval: users are drawn with
replacement; in slices of `lrea eval` the interval is from DeLong's standard error."""


def parts_page() -> str:
    """A table for each registry: name, what the part is, its file."""
    return "\n".join(
        [
            PARTS_HEAD,
            table("Sources", "`lrea prepare NAME`", ((s.name, s.__module__) for s in SOURCES)),
            table("Methods", "`lrea train --method NAME`", ((n, m.__module__) for n, m in METHODS.items())),
            table(
                "Compressors", "`lrea compress --compressor NAME`", ((n, c.__module__) for n, c in COMPRESSORS.items())
            ),
            table("Kernels", "`lrea serve-bench --kernel NAME`", ((n, k.__module__) for n, k in KERNELS.items())),
            table("Destinations", "`lrea export --records NAME`", ((n, d.__module__) for n, d in DESTINATIONS.items())),
            metrics_table(),
        ]
    )


def table(title: str, used: str, parts: Iterable[tuple[str, str]]) -> str:
    """A section: its title, how a part is chosen, and a row a part.

    Args:
        parts: the name of each and its module.
    """
    lines = [f"## {title}", "", f"Chosen by {used}.", "", "| name | what it is | file |", "|---|---|---|"]
    for name, module in parts:
        file = f"{module.replace('.', '/')}.py"
        lines.append(f"| `{name}` | {first_sentence(module)} | [{Path(file).name}](../{file}) |")
    return "\n".join([*lines, ""])


def metrics_table() -> str:
    """The section of metrics: `table` with what is good, and whether the metric has an interval."""
    lines = ["## Metrics", "", METRICS_HEAD, "", "| key | name | better | what it is | interval | file |"]
    lines.append("|---|---|---|---|---|---|")
    for metric in METRICS:
        module = f"lrea_cli.stats.metrics.{metric.name}"
        cells = [f"`{metric.name}`", metric.title, metric.better, first_sentence(module)]
        cells += ["yes" if metric.statistic else "no", f"[{metric.name}.py](../{module.replace('.', '/')}.py)"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def first_sentence(module: str) -> str:
    """The first line of a module's docstring."""
    text = import_module(module).__doc__
    assert text is not None, f"{module} does not say what it is"
    return text.splitlines()[0].replace("|", "\\|")


def cli_page() -> str:
    """Every command with its options, as typer's own tool writes them."""
    command = [sys.executable, "-m", "typer", "lrea_cli.cli", "utils", "docs", "--name", "lrea"]
    folder = Path(lrea_cli.__file__).parents[1]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n") + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "gpu.md": gpu_page,
    "parts.md": parts_page,
    "results.md": results_page,
    "serving.md": serving_page,
}


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
