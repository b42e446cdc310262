"""The arrows between modules, and what an import may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lrea_cli

PACKAGE = Path(lrea_cli.__file__).parent

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "counts", "ids", "limits", "sequence", "method_options", "progress", "terminal", "stopping"),
    ("kinds", "locks", "places", "claims", "failures", "sealed", "remake", "manifests", "blocks", "parquet"),
    ("recipe", "workspace", "console", "reference"),
    ("reference_compressors", "reference_searches"),
    (
        *("data.schema", "data.layout", "data.column", "data.histories", "data.matches"),
        *("data.batches", "data.tallies", "data.spelling", "kernels"),
    ),
    ("attention", "mlp"),
    ("methods", "features"),
    ("model", "compressors"),
    ("training", "evaluation", "serving"),
    ("data",),  # prepare, sources and what they are made of; commands and a sweep use it
    ("sweep", "reporting", "verify"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
"""From the bottom up: a module imports from its own layer or from one below. The longest name counts."""

HEAVY = ("torch", "duckdb", "pyarrow", "matplotlib", "pandas")


def module_name(path: Path) -> str:
    """`lrea_cli/records/cache.py` -> `serving.cache`, a package's `__init__.py` -> the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(path: Path, at_load: bool = False) -> set[str]:
    """Absolute names that a file imports but under `TYPE_CHECKING`; `at_load`: not those in functions.

    `from a import b` is both `a` and `a.b`, as b may be a module.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
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


def layer(module: str) -> int:
    def covers(name: str) -> bool:
        return module == name or module.startswith(f"{name}.")

    exact = [(len(name), level) for level, names in enumerate(LAYERS) for name in names if covers(name)]
    assert exact, f"{module} has no layer: add it to LAYERS"
    return max(exact)[1]


@pytest.mark.parametrize("module", [m for m in MODULES if m])
def test_no_module_imports_from_a_higher_layer(module: str) -> None:
    higher = {other for other in own_imports(MODULES[module]) if layer(other) > layer(module)}
    assert not higher, f"{module} (layer {layer(module)}) imports {sorted(higher)}"


def test_the_bottom_imports_only_errors_and_progress() -> None:
    for module in ("errors", "counts", "ids", "sequence", "progress", "terminal", "stopping"):
        assert own_imports(MODULES[module]) == set(), module
    for module in ("sealed", "kinds", "limits", "method_options"):
        assert own_imports(MODULES[module]) == {"errors"}, module
    assert own_imports(MODULES["recipe"]) == {"errors", "limits", "method_options", "sealed"}


def test_the_workspace_and_what_it_stands_on_know_nothing_of_what_is_in_it() -> None:
    below = {"errors", "counts", "terminal", "stopping"}
    for module in ("kinds", "locks", "places", "claims", "sealed", "remake", "manifests", "blocks", "workspace"):
        assert own_imports(MODULES[module]) <= below, module
        below.add(module)


def test_the_loops_share_nothing_with_what_they_check() -> None:
    assert own_imports(MODULES["reference"]) == {"recipe"}
    for module in ("reference_compressors", "reference_searches"):
        assert own_imports(MODULES[module]) == {"reference"}, module


def test_kernels_know_only_tensors() -> None:
    for module, path in MODULES.items():
        if module.startswith("kernels"):
            assert all(other.startswith("kernels") for other in own_imports(path)), module


def test_methods_know_no_store_no_data_and_no_training() -> None:
    allowed = ("methods", "attention", "ids", "recipe", "sequence", "errors", "reference")
    for module, path in MODULES.items():
        if module.startswith("methods"):
            assert all(other.startswith(allowed) for other in own_imports(path)), module


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


def test_only_data_two_commands_and_sweeps_prepare() -> None:
    readers = ("data.schema", "data.layout", "data.column", "data.histories", "data.matches")
    readers += ("data.batches", "data.tallies", "data.spelling")
    may = ("commands.prepare", "commands.demo", "sweep.datasets")
    for module, path in MODULES.items():
        if module in may or (module.startswith("data") and module not in readers):
            continue
        names = imports_of(path)
        assert "duckdb" not in {name.partition(".")[0] for name in names}, module
        used = {n.removeprefix("lrea_cli.") for n in names if n.startswith("lrea_cli.data.")} & set(MODULES)
        assert used <= set(readers), f"{module} imports {sorted(used - set(readers))}"


LIGHT = [m for m in MODULES if m.split(".")[0] in ("cli", "commands", "console", "workspace", "recipe", "progress")]


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
    assert python(f"import sys, lrea_cli.cli; print(sorted({set(HEAVY)!r} & set(sys.modules)))") == "[]"


def test_serving_needs_no_database_and_no_command_line() -> None:
    tops = (
        "serving",
        "evaluation",
        "training",
        "model",
        "features",
        "methods",
        "attention",
        "kernels",
        "reference",
    )
    wanted = [f"lrea_cli.{m}" for m in MODULES if m.split(".")[0] in tops]
    assert {"lrea_cli.records.cache", "lrea_cli.runs.loop", "lrea_cli.score.evaluate"} <= set(wanted)
    program = (
        "import importlib, sys\n"
        "sys.modules.update(dict.fromkeys(['duckdb', 'pyarrow', 'typer', 'rich']))\n"
        f"for name in {wanted!r}: importlib.import_module(name)\n"
        "print('done')"
    )
    assert python(program) == "done"
