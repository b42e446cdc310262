"""Bundles and programs that are made once for the tests of a file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lrea_cli.serving.native import abi
from lrea_cli.serving.native.sources import FOLDER
from lrea_cli.workspace.home import Workspace
from tests.serving.export.bundles import COMPILER, FEW, Bundle, Export, exported, prepared_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return prepared_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def export(shop: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """`export(name, golden)`: the bundle of a run in `RUNS`, made once."""
    made: dict[tuple[str, int], Bundle] = {}

    def bundle(name: str, golden: int = FEW) -> Bundle:
        if (name, golden) not in made:
            made[name, golden] = exported(shop, name, golden, tmp_path_factory.mktemp(name) / "served")
        return made[name, golden]

    return bundle


@pytest.fixture(scope="module")
def programs(export: Export, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`replay` and `replay_raw`, built without any warning and linked to the library of the package."""
    bundle, out = export("lrea"), tmp_path_factory.mktemp("programs")
    library = FOLDER / abi.LIBRARY
    for name in ("replay", "replay_raw"):
        source = str(bundle.folder / "replay" / f"{name}.cpp")
        options = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", source, str(library), f"-Wl,-rpath,{FOLDER}"]
        subprocess.run([str(COMPILER), *options, "-o", str(out / name)], check=True)
    return out
