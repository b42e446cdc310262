"""Bundles that tests share: a prepared log, runs of it in `RUNS`, and how replayers are started."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrea_cli.console.progress import Silent
from lrea_cli.prepare.prepare import PrepareOptions, prepare
from lrea_cli.prepare.sources.table import Table
from lrea_cli.recipe.settings import CacheDtype, Compression
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.export.bundle import BundleSettings, export_bundle
from lrea_cli.workspace.home import Workspace
from tests.conftest import untrained_run
from tests.serving.native.drawn import PATHS

COMPILER, MAKE = shutil.which("c++"), shutil.which("make")
MODES = ["fp32", *(mode for mode in ("x6",) if mode in PATHS)]
"""Those in which a logit is within `LIMIT`."""
DATASET = "shop"
FEW = 50
"""Golden requests."""
LIMIT = 1e-6
RUNS: dict[str, tuple[dict[str, Any], CacheDtype, Compression | None]] = {
    "lrea": ({"method": "lrea"}, "float32", None),
    "sdim": ({"method": "sdim"}, "float16", None),
    "din": ({"method": "din"}, "int8", Compression("clusters", 4)),
    "sim": ({"method": "sim", "k": 4}, "float32", None),
    "softmax": ({"method": "lrea", "reader": "softmax", "scorer_hidden": 8}, "int8", None),
}
NATIVE = [name for name in RUNS if name not in ("sim", "softmax")]


@dataclass(frozen=True)
class Bundle:
    """A folder that was exported, and what it was made of."""

    folder: Path
    run: Run
    cache: Cache
    native: bool

    def replay(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a replayer from a folder that is not its own."""
        return subprocess.run(command, cwd=self.folder.parent, capture_output=True, text=True, env={"PATH": "/nowhere"})

    def python(self) -> subprocess.CompletedProcess[str]:
        """The Python replayer; -I leaves out the current folder and all paths of the user.

        The packages are those of the tests, but any import of lrea would end it.
        """
        script, folder = str(self.folder / "replay" / "replay.py"), str(self.folder)
        code = f"import sys, runpy; sys.modules['lrea_cli'] = None; sys.argv = ['replay.py', {folder!r}]; "
        return self.replay(sys.executable, "-I", "-c", code + f"runpy.run_path({script!r}, run_name='__main__')")

    def copy(self, to: Path) -> Bundle:
        """To be damaged."""
        shutil.copytree(self.folder, to)
        return Bundle(to, self.run, self.cache, self.native)


Export = Callable[..., Bundle]


def prepared_shop(folder: Path) -> Workspace:
    """A log with a user field, two context fields of which one is numeric, and raw ids of every kind of text."""
    rng, rows = np.random.default_rng(0), []
    cities = ["Oslo", "Rome", "Sao Paulo", "Łódź", "x"]
    items = [f"i{n}" for n in range(50)] + ["-", "naïve café", "a,b", "x  y", "日本", "0007", 'q"q']
    for n in range(4000):
        user = 45 + n // 4 if n < 40 else int(rng.integers(45))  # ten users have few events
        item = int(rng.zipf(1.4)) % len(items)
        price = "" if n % 19 == 0 else f"{rng.integers(1, 400) / 4}"
        time, label = 1_600_000_000 + n * 300, int(rng.random() < 0.5)
        named = f"u{user}" if user else "-"
        rows.append([named, items[item], f"c{item % 7}", cities[user % 5], f"hour{n % 24}", price, time, label])
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
        names = ["user", "item", "category", "home town", "hour", "price", "time", "label"]
        csv.writer(file).writerows([names, *rows])
    source = Table(
        label_column="label",
        item_field=["category"],
        user_field=["city=home town"],
        context_field=["hour", "price"],
        numeric=["price"],
    )
    workspace = Workspace(folder / "home")
    prepare(source, [folder / "log.csv"], DATASET, workspace, PrepareOptions(threads=1))
    return workspace


def exported(shop: Workspace, name: str, golden: int, folder: Path) -> Bundle:
    """The bundle of a run in `RUNS`, untrained with random weights."""
    settings, dtype, compression = RUNS[name]
    run = untrained_run(shop, shop, ("item", "category"), settings, DATASET)
    as_of = run.dataset.manifest.splits.test_from
    compress(shop, run, CacheSettings(dtype, as_of, compression=compression), Silent(), f"{run.name}-cache")
    cache = open_cache(shop, run, f"{run.name}-cache")
    folder.mkdir()
    native = export_bundle(run, cache, folder, BundleSettings(golden), Silent())
    return Bundle(folder, run, cache, native)


def largest_of(said: str) -> float:
    """What a replayer printed."""
    found = re.search(r"largest difference of a logit (\S+)", said)
    assert found, said
    return float(found[1])


def check(done: subprocess.CompletedProcess[str], words: str) -> None:
    """The replayer ended well, and it printed a difference that is small."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert largest_of(done.stdout) <= LIMIT
    assert words in done.stdout
