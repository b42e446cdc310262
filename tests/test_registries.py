"""Each part that is chosen by name is one file and one entry: every registry, walked for what a part must have.

A part has a file of its own with a first sentence, a slow twin where it computes something, a contract test that runs
on it without being told, a row in a page of docs, and its name in the help of the command that takes it.
"""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

import lrea_cli
from lrea_cli.cli import COMMANDS, app
from lrea_cli.compressors import COMPRESSORS, Compressor
from lrea_cli.kernels import KERNELS, naive
from lrea_cli.methods import METHODS, LongInterest
from lrea_cli.oracle.model import SlowTwin
from lrea_cli.prepare.sources import SOURCES
from lrea_cli.serving.export.destinations import DESTINATIONS
from lrea_cli.stats.metrics import METRICS, Metric
from tests.prepare.contract.cases import CASES

METRIC = Metric.__module__
PACKAGE = Path(lrea_cli.__file__).parent
ROOT = PACKAGE.parent


def has_slow_twin(part: Any) -> bool:
    twin = part.slow_twin
    return (isinstance(twin, type) and issubclass(twin, SlowTwin)) or callable(twin)


@dataclass(frozen=True)
class Registry:
    """A list of parts, and what the walk compares it with.

    Args:
        parts: name -> class or function of the part.
        folder: of the files, one a part.
        is_part: whether a value of a module is a part, so that a file without an entry is seen; None = another test
            sees it.
        has_twin: whether a part has its slow twin; None = the parts compute nothing.
        contract: the test file that is parametrized over the registry.
        help_of: the command whose help names the parts; None = they are not chosen by name.
        page, row: the page of docs with a row a part, and the pattern of that row.
        files: name -> name of the file, where it is another one.
    """

    parts: Mapping[str, Any]
    folder: str
    is_part: Callable[[Any], bool] | None
    has_twin: Callable[[Any], bool] | None
    contract: str
    help_of: tuple[str, ...] | None
    page: str = "docs/parts.md"
    row: str = r"^\| `{name}` \|"
    files: Mapping[str, str] = field(default_factory=dict)

    def file_of(self, name: str) -> str:
        """The file of `din-short` is `din_short.py`."""
        return self.files.get(name, name.replace("-", "_"))

    def modules(self) -> list[ModuleType]:
        """All files of the folder."""
        package = f"lrea_cli.{self.folder.replace('/', '.')}"
        return [import_module(f"{package}.{path.stem}") for path in (PACKAGE / self.folder).glob("[!_]*.py")]


def named_subclass(base: type) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, type) and issubclass(value, base) and isinstance(vars(value).get("name"), str)
    )


def is_source(value: Any) -> bool:
    return isinstance(value, type) and "where_to_get" in vars(value) and isinstance(vars(value).get("name"), str)


def is_kernel(value: Any) -> bool:
    named_as_its_file = value.__name__ == value.__module__.rpartition(".")[2]
    return named_as_its_file and list(inspect.signature(value).parameters) == list(inspect.signature(naive).parameters)


def is_destination(value: Any) -> bool:
    return inspect.isfunction(value) and list(inspect.signature(value).parameters) == [
        "source",
        "where",
        "folder",
        "progress",
    ]


KERNEL_CONTRACT = "tests/kernels/test_kernels.py"
REGISTRIES = {
    "methods": Registry(
        METHODS,
        "methods",
        named_subclass(LongInterest),
        has_slow_twin,
        "tests/methods/test_contract.py",
        ("train",),
    ),
    "compressors": Registry(
        COMPRESSORS,
        "compressors",
        named_subclass(Compressor),
        has_slow_twin,
        "tests/compressors/test_compressors.py",
        ("compress",),
    ),
    "kernels": Registry(
        KERNELS,
        "kernels",
        is_kernel,
        lambda kernel: any(f"equals_the_loops[{kernel.__name__}-" in t for t in _collected(KERNEL_CONTRACT)),
        KERNEL_CONTRACT,
        ("serve-bench",),
    ),
    "sources": Registry(
        {source.name: source for source in SOURCES},
        "prepare/sources",
        is_source,
        lambda source: source.name in {case.source.name for case in CASES},
        "tests/prepare/test_source_contract.py",
        ("prepare",),
    ),
    "destinations": Registry(
        DESTINATIONS,
        "serving/export/destinations",
        is_destination,
        None,
        "tests/serving/export/test_destinations.py",
        ("export",),
    ),
    "metrics": Registry(
        {metric.name: metric for metric in METRICS},
        "stats/metrics",
        lambda value: isinstance(value, Metric),
        lambda metric: metric.twin is not metric.value,
        "tests/stats/test_metrics.py",
        None,
    ),
    "commands": Registry(
        {name: command for group in COMMANDS.values() for name, command in group.items()},
        "commands",
        None,
        None,
        "tests/commands/test_help.py",
        (),
        "docs/cli.md",
        r"^## `lrea {name}`$",
        {"eval": "evaluate", **dict.fromkeys(("list", "show", "remove", "verify"), "artifacts")},
    ),
}
PARTS = [(registry, name) for registry, each in REGISTRIES.items() for name in each.parts]
every_registry = pytest.mark.parametrize("registry", REGISTRIES.values(), ids=REGISTRIES)
every_part = pytest.mark.parametrize(("registry", "name"), PARTS, ids=[f"{r}-{n}" for r, n in PARTS])


@every_registry
def test_every_file_of_a_part_has_an_entry(registry: Registry) -> None:
    if registry.is_part is None:
        return
    defined: set[Any] = set()
    for module in registry.modules():
        own = [v for v in vars(module).values() if getattr(v, "__module__", None) in (module.__name__, METRIC)]
        defined |= {value for value in own if registry.is_part(value)}
    assert defined == set(registry.parts.values())


@every_part
def test_a_part_has_its_file(registry: str, name: str) -> None:
    parts = REGISTRIES[registry]
    (module,) = [one for one in parts.modules() if Path(one.__file__ or "").stem == parts.file_of(name)]
    part = parts.parts[name]
    assert part in vars(module).values()
    assert (module.__doc__ or "").splitlines()[0].endswith((".", ":", "?")), "its first line is a sentence"


@every_part
def test_a_part_has_its_slow_twin(registry: str, name: str) -> None:
    has_twin = REGISTRIES[registry].has_twin
    assert has_twin is None or has_twin(REGISTRIES[registry].parts[name])


@every_part
def test_the_contract_runs_on_a_part(registry: str, name: str) -> None:
    names = sorted(REGISTRIES[registry].parts, key=len)
    ran = [
        _named(test.partition("[")[2].removesuffix("]"), names) for test in _collected(REGISTRIES[registry].contract)
    ]
    assert name in ran


def _named(test_id: str, names: list[str]) -> str | None:
    """The part that a parametrized test runs on: `din-short`, and not `din`, of `din-short-mix`."""
    inside = [name for name in names if f"-{name}-" in f"-{test_id.replace(' ', '-')}-"]
    return inside[-1] if inside else None


def _collected(path: str) -> list[str]:
    """Default tests of a file."""
    return [test for test in _contracts() if test.startswith(f"{path}::")]


@cache
def _contracts() -> list[str]:
    """Default tests of all files of contracts."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0", "-p", "no:cacheprovider"]
    paths = sorted({registry.contract for registry in REGISTRIES.values()})
    return subprocess.run([*command, *paths], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


@every_part
def test_docs_have_a_row_for_a_part(registry: str, name: str) -> None:
    page = (ROOT / REGISTRIES[registry].page).read_text(encoding="utf-8")
    assert re.search(REGISTRIES[registry].row.format(name=re.escape(name)), page, re.MULTILINE)


@every_part
def test_help_names_a_part(registry: str, name: str) -> None:
    command = REGISTRIES[registry].help_of
    if command is not None:
        shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output
        assert name in re.split(r"[^\w-]+", shown)
