"""The arrows between modules, and what an import may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lrea_cli

PACKAGE = Path(lrea_cli.__file__).parent

LAYERS = (
    *("errors", "ids", "int8", "native", "console", "workspace", "recipe", "stats", "sequence", "dataset"),
    *("kernels", "attention", "features", "mlp", "oracle", "methods", "compressors", "model"),
    *(
        "runs",
        "records",
        "serving",
        "score",
        "bench",
        "sweep",
        "decide",
        "reporting",
        "artifacts",
        "verify",
        "commands",
        "cli",
        "__main__",
    ),
)
"""From the bottom up; each package is a layer of its own, and imports from itself and from those before it alone."""

BESIDE = "prepare"
"""Stands on `dataset` and what is below it; only these import it."""
PREPARING = ("commands.prepare", "commands.demo")

HEAVY = ("torch", "duckdb", "pyarrow", "matplotlib", "pandas")


def module_name(path: Path) -> str:
    """`lrea_cli/records/cache.py` -> `serving.cache`, a package's `__init__.py` -> the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(path: Path, at_load: bool = False) -> set[str]:
    """Absolute names that a file imports; `at_load`: not those in functions and under `TYPE_CHECKING`.

    `from a import b` is both `a` and `a.b`, as b may be a module.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if at_load and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if at_load and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


def own_imports(path: Path) -> set[str]:
    """Modules of lrea_cli that a file imports; of `a` and `a.b` only `a.b`, where `a` is an empty package."""
    names = {n.removeprefix("lrea_cli.") for n in imports_of(path) if n.startswith("lrea_cli.")} & set(MODULES)
    return {n for n in names if MODULES[n].stat().st_size > 0}


def package(module: str) -> str:
    """`records.store` -> `records`."""
    return module.partition(".")[0]


def wrong_arrow(module: str, other: str) -> str | None:
    """What is wrong with an import of `other` by `module`, or None."""
    mine, theirs = package(module), package(other)
    if mine == theirs:
        return None
    if theirs == BESIDE:
        return None if module in PREPARING else f"{module} prepares: only {PREPARING} may"
    if mine == BESIDE:
        mine = "dataset"
        if theirs == mine:
            return None
    for each in (mine, theirs):
        assert each in LAYERS, f"{each} has no layer: add it to LAYERS"
    if LAYERS.index(theirs) < LAYERS.index(mine):
        return None
    return f"{module} imports {other}, which stands above it"


@pytest.mark.parametrize("module", [m for m in MODULES if m])
def test_no_arrow_between_packages_points_upward(module: str) -> None:
    wrong = [wrong_arrow(module, other) for other in sorted(own_imports(MODULES[module]))]
    assert not [said for said in wrong if said]


@pytest.mark.parametrize(
    ("module", "other"),
    [
        ("dataset.fields", "prepare.sources.base"),  # the circle that there was
        ("records.store", "serving.scorer"),
        ("stats.metrics", "dataset.layout"),
        ("console.output", "workspace.home"),
        ("methods.din", "model"),
        ("runs.loop", "score.evaluate"),
        ("commands.train", "prepare.options"),
        ("prepare.samples", "kernels"),
    ],
)
def test_an_import_the_wrong_way_is_seen(module: str, other: str) -> None:
    assert module in MODULES
    assert other in MODULES
    assert wrong_arrow(module, other) is not None


def test_the_bottom_stands_on_little() -> None:
    for module in ("errors", "ids", "int8", "native.library", "native.sources"):
        assert own_imports(MODULES[module]) == set(), module
    allowed = {
        "console": {"errors"},
        "workspace": {"errors", "console"},
        "recipe": {"errors", "workspace"},
        "stats": {"errors"},
        "kernels": {"recipe", "native"},
        "oracle": {"recipe"},
        "sequence": {"recipe"},  # the dtype of a cache
    }
    for module, path in MODULES.items():
        if package(module) in allowed:
            others = {package(other) for other in own_imports(path)} - {package(module), ""}
            assert others <= allowed[package(module)], module


def test_methods_know_no_store_no_data_and_no_training() -> None:
    allowed = {"methods", "attention", "ids", "int8", "recipe", "sequence", "errors", "oracle", "kernels"}
    for module, path in MODULES.items():
        if package(module) == "methods":
            assert {package(other) for other in own_imports(path)} <= allowed, module


def test_there_is_no_cycle() -> None:
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail, module])
        if module not in done:
            for other in own_imports(MODULES[module]) - {module.rpartition(".")[0]}:
                walk(other, (*trail, module))
            done.add(module)

    for module in MODULES:
        walk(module, ())


def test_only_preparing_needs_a_database() -> None:
    for module, path in MODULES.items():
        if package(module) != BESIDE:
            assert "duckdb" not in {name.partition(".")[0] for name in imports_of(path)}, module


LIGHT = [m for m in MODULES if package(m) in ("cli", "commands", "console", "recipe")]


@pytest.mark.parametrize("module", LIGHT)
def test_the_command_line_loads_nothing_heavy_by_itself(module: str) -> None:
    names = {name.partition(".")[0] for name in imports_of(MODULES[module], at_load=True)}
    assert not names & {*HEAVY, "numpy", "rich", "safetensors", "xxhash"}, module


def python(program: str) -> str:
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_workers_set_their_threads_before_torch_is_loaded() -> None:
    assert python("import sys, lrea_cli.sweep.workers; print('torch' in sys.modules)") == "False"


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    heavy = {*HEAVY, "numpy", "pydantic", "safetensors", "xxhash"}
    assert python(f"import sys, lrea_cli.cli; print(sorted({heavy!r} & set(sys.modules)))") == "[]"


def test_serving_needs_no_database_and_no_command_line() -> None:
    tops = ("runs", "records", "serving", "score", "model", "features", "methods", "attention", "kernels", "oracle")
    wanted = [f"lrea_cli.{m}" for m in MODULES if m.split(".")[0] in tops]
    assert {"lrea_cli.records.cache", "lrea_cli.runs.loop", "lrea_cli.score.evaluate"} <= set(wanted)
    program = (
        "import importlib, sys\n"
        "sys.modules.update(dict.fromkeys(['duckdb', 'pyarrow', 'typer', 'rich']))\n"
        f"for name in {wanted!r}: importlib.import_module(name)\n"
        "print('done')"
    )
    assert python(program) == "done"
