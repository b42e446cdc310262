"""`lrea export RUN --to DIR`: what the folder says of itself is true, and its replayers find the logits of float64."""

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
import pytest

from lrea_cli.console.progress import Silent
from lrea_cli.prepare.prepare import PrepareOptions, prepare
from lrea_cli.prepare.sources.table import Table
from lrea_cli.recipe.settings import CacheDtype, Compression
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.export.bundle import BundleSettings, export_bundle
from lrea_cli.workspace.home import Workspace
from tests.conftest import untrained_run

onnx = pytest.importorskip("onnx", reason="pip install 'lrea[export]'")
pytest.importorskip("onnxruntime", reason="pip install onnxruntime")

COMPILER, MAKE = shutil.which("c++"), shutil.which("make")
needs_compiler = pytest.mark.skipif(not (COMPILER and MAKE), reason="there is no C++ compiler, or no make")
DATASET = "shop"
FEW = 50
LIMIT = 1e-6
RUNS: dict[str, tuple[dict[str, Any], CacheDtype, Compression | None]] = {
    "lrea": ({"method": "lrea"}, "float32", None),
    "sdim": ({"method": "sdim"}, "float16", None),
    "din": ({"method": "din"}, "int8", Compression("clusters", 4)),
    "sim": ({"method": "sim", "k": 4}, "float32", None),
}
NATIVE = [name for name in RUNS if name != "sim"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A log with a user field, two context fields of which one is numeric, and raw ids of every kind of text."""
    rng, rows = np.random.default_rng(0), []
    items = [f"i{n}" for n in range(50)] + ["-", "naïve café", "a,b", "x  y", "日本", "0007", 'q"q']
    for n in range(4000):
        user, item = int(rng.integers(45)), int(rng.zipf(1.4)) % len(items)
        price = "" if n % 19 == 0 else f"{rng.integers(1, 400) / 4}"
        time, label = 1_600_000_000 + n * 300, int(rng.random() < 0.5)
        named = f"u{user}" if user else "-"
        rows.append([named, items[item], f"c{item % 7}", f"city{user % 5}", f"hour{n % 24}", price, time, label])
    folder = tmp_path_factory.mktemp("shop")
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
        names = ["user", "item", "category", "home town", "hour", "price", "time", "label"]
        csv.writer(file).writerows([names, *rows])
    source = Table(
        label_column="label",
        item_field=["category"],
        user_field=["town=home town"],
        context_field=["hour", "price"],
        numeric=["price"],
    )
    workspace = Workspace(folder / "home")
    prepare(source, [folder / "log.csv"], DATASET, workspace, PrepareOptions(threads=1))
    return workspace


@dataclass(frozen=True)
class Bundle:
    """A folder that was exported, and what it was made of."""

    folder: Path
    run: Run
    cache: Cache
    native: bool

    def replay(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a replayer in a folder that is not its own."""
        return subprocess.run(command, cwd=self.folder.parent, capture_output=True, text=True, env={"PATH": "/nowhere"})

    def python(self) -> subprocess.CompletedProcess[str]:
        """The Python replayer without lrea: -I leaves the current folder and the user's paths out."""
        return self.replay(sys.executable, "-I", str(self.folder / "replay" / "replay.py"), str(self.folder))

    def copy(self, to: Path) -> Bundle:
        shutil.copytree(self.folder, to)
        return Bundle(to, self.run, self.cache, self.native)


Export = Callable[..., Bundle]


@pytest.fixture(scope="module")
def export(shop: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """`export(name, golden)`: the bundle of a run in `RUNS`, made once."""
    made: dict[tuple[str, int], Bundle] = {}

    def bundle(name: str, golden: int = FEW) -> Bundle:
        if (name, golden) not in made:
            settings, dtype, compression = RUNS[name]
            run = untrained_run(shop, shop, ("item", "category"), settings, DATASET)
            as_of = run.dataset.manifest.splits.test_from
            compress(shop, run, CacheSettings(dtype, as_of, compression=compression), Silent(), f"{run.name}-cache")
            cache = open_cache(shop, run, f"{run.name}-cache")
            folder = tmp_path_factory.mktemp(name) / "served"
            folder.mkdir()
            native = export_bundle(run, cache, folder, BundleSettings(golden), Silent())
            made[name, golden] = Bundle(folder, run, cache, native)
        return made[name, golden]

    return bundle


@pytest.mark.parametrize("name", RUNS)
def test_the_python_replayer_needs_no_lrea_and_finds_the_golden_logits(export: Export, name: str) -> None:
    done = export(name).python()
    assert done.returncode == 0, done.stdout + done.stderr
    assert largest_of(done.stdout) <= LIMIT
    assert f"{FEW} requests, onnxruntime" in done.stdout


def largest_of(said: str) -> float:
    return float(re.search(r"largest difference of a logit (\S+)", said)[1])  # type: ignore[index]
