"""`benchmarks/gpu.py` without a GPU: on the CPU, on a device that is not there, and with nothing else installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from on_gpu.rows import SECTIONS, Content, Report, Row, Timed, cell
from on_gpu.summary import MOST_BYTES, MOST_LINES, headline, last_line, table
from on_gpu.timing import Contender, NotTimed, in_turns

from tests.selection import one_by_default

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
TRITON = find_spec("triton") is not None
NEEDED = ("torch", "numpy", "safetensors", "xxhash", *(("triton",) if TRITON else ()))

ALONE = """
import importlib, importlib.util, runpy, sys

class Only:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        spec = self.finder.find_spec(name, path, target)
        place = spec and f"{spec.origin} {spec.submodule_search_locations}"
        return None if place and "site-packages" in place and name.partition(".")[0] not in KNOWN else spec

sys.meta_path[:] = [Only(finder) for finder in sys.meta_path]
for name in ("duckdb", "pyarrow", "typer", "rich", "matplotlib"):
    assert importlib.util.find_spec(name) is None
for name in MODULES:
    importlib.import_module(name)
sys.argv = ["benchmarks/gpu.py", "--device", "cpu", "--smoke", "--out", OUT]
sys.path.insert(0, "benchmarks")  # as `python benchmarks/gpu.py` does
runpy.run_path("benchmarks/gpu.py", run_name="__main__")
"""


def requirements(names: tuple[str, ...]) -> set[str]:
    """Import names of packages and of all that they require."""
    found, waiting = set(names), list(names)
    while waiting:
        for line in metadata.requires(waiting.pop()) or ():
            name = line.split(";")[0].split("[")[0].strip(" <>=!~.0123456789,()").lower().replace("_", "-")
            if "extra ==" not in line and name not in found:
                try:
                    metadata.version(name)
                except metadata.PackageNotFoundError:
                    continue
                found.add(name)
                waiting.append(name)
    return {name.replace("-", "_") for name in found}


def conforms(value: Any, hint: Any, where: str = "") -> None:
    """A value read from JSON has the type of the dataclass that it was written from."""
    kind = get_origin(hint)
    if kind in (UnionType,) or (kind is not None and kind.__name__ == "Union"):
        options = get_args(hint)
        if value is None:
            assert NoneType in options, where
            return
        simple = [o for o in options if isinstance(o, type) and o is not NoneType]
        if all(o in (int, float, str, bool) for o in simple):
            assert isinstance(value, tuple(simple)), f"{where}: {value!r} is not {hint}"
            return
        conforms(value, simple[0], where)
    elif kind is Literal:
        assert value in get_args(hint), f"{where}: {value!r}"
    elif kind is dict:
        assert isinstance(value, dict), where
        for key, entry in value.items():
            assert isinstance(key, str)
            conforms(entry, get_args(hint)[1], f"{where}.{key}")
    elif kind is tuple:
        assert isinstance(value, list), where
        for number, entry in enumerate(value):
            conforms(entry, get_args(hint)[0], f"{where}[{number}]")
    elif is_dataclass(hint):
        hints = get_type_hints(hint)
        assert set(value) == {f.name for f in fields(hint)}, where
        for name, entry in value.items():
            conforms(entry, hints[name], f"{where}.{name}")
    else:
        assert isinstance(value, (int, float) if hint is float else hint), f"{where}: {value!r} is not {hint}"
        assert not (isinstance(value, bool) and hint is not bool), where


def run(command: list[str], code: int, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr[-3000:]
    return done


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """A smoke run where nothing but what a bare machine has can be imported, and the file that it left."""
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    known = sorted({*requirements(NEEDED), "torchgen", "functorch"})
    packages = (
        *("serving", "records", "runs", "dataset", "methods", "attention", "kernels", "model", "features"),
        *("compressors", "sequence", "oracle"),
    )
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for name in packages
        for path in (*(ROOT / "lrea_cli").glob(f"{name}.py"), *(ROOT / "lrea_cli" / name).rglob("*.py"))
        if path.parent.name != "replay" and (TRITON or path.parent.name != "programs")
    ]
    assert {"lrea_cli.records.store", "lrea_cli.methods.lrea", "lrea_cli.runs.loop", "lrea_cli.model"} <= {*modules}
    program = f"KNOWN, MODULES, OUT = {known!r}, {modules!r}, {str(out)!r}\n{ALONE}"
    return run([sys.executable, "-c", program], 0), json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_it_runs_with_torch_numpy_safetensors_and_xxhash_alone(smoke) -> None:
    assert "Traceback" not in smoke[0].stderr


@pytest.mark.slow
def test_its_file_has_the_form_that_is_written_down(smoke) -> None:
    content = smoke[1]
    conforms(content, Content)
    assert content["sections"] == list(SECTIONS)
    assert {row["section"] for row in content["rows"]} == set(SECTIONS)
    assert TRITON or [row["note"] for row in content["rows"] if row["section"] == "fused"] == [
        "it runs on a CUDA device"
    ]


@pytest.mark.slow
def test_every_path_equals_float64_and_has_a_time(smoke) -> None:
    rows = smoke[1]["rows"]
    gates = [row for row in rows if row["section"] == "gate"]
    assert len(gates) >= 26
    assert all(row["status"] == "ok" and row["values"]["compared"] > 0 for row in gates)
    assert not [row for row in rows if row["status"] == "skipped" and (TRITON or row["section"] != "fused")]
    wrong = [row for row in rows if row["status"] == "error"]
    assert all("no CUDA graphs" in row["note"] for row in wrong), wrong
    timed = [row for row in rows if row["timed"]]
    assert all(row["timed"]["samples"] >= (4 if row["section"] == "fused" else 20) for row in timed)
    names = {" ".join(str(v) for v in row["settings"].values()) for row in timed}
    for dtype in ("float32", "bfloat16", "float16"):
        for kernel in ("naive", "gemm"):
            assert any(f"{kernel} {dtype} eager" in name for name in names)
    for part in ("compiled", "request, lrea cached", "random users", "clusters", "din naive", "din folded bfloat16"):
        assert any(part in name for name in names), part
    assert any("absorbed folded bfloat16" in name for name in names)
    assert any("dense" in name for name in names)


@pytest.mark.slow
@pytest.mark.skipif(not TRITON, reason="triton is not installed: pip install 'lrea[triton]'")
def test_the_triton_kernel_is_gated_and_timed(smoke) -> None:
    rows = smoke[1]["rows"]
    gates = {row["settings"]["what"] for row in rows if row["section"] == "gate"}
    assert {"fused at", "fused users"} <= gates
    interests = {
        r["settings"]["dtype"] for r in rows if r["section"] == "gate" and r["settings"].get("kernel") == "fused"
    }
    assert interests == {"float32", "float16", "bfloat16"}
    timed = {row["settings"]["what"]: row for row in rows if row["section"] == "fused" and row["timed"]}
    assert set(timed) == {"tiles", "fused", "store"}
    assert {"us_a_user", "users_per_s", "matmul_share", "error"} <= set(timed["fused"]["values"])


@pytest.mark.slow
def test_it_prints_a_table_and_one_line_of_json(smoke) -> None:
    *lines, last = smoke[0].stdout.splitlines()
    assert len(lines) <= MOST_LINES
    assert len(last.encode()) <= MOST_BYTES
    assert json.loads(last)["headline"] == {
        k: None if v is None else float(f"{v:.4g}") for k, v in smoke[1]["headline"].items()
    }


@pytest.mark.slow
def test_it_runs_on_a_device_that_is_not_there(tmp_path: Path) -> None:
    """Nothing meets a tensor that stayed on the CPU. A graph that replays nothing is caught: it has no time."""
    out = tmp_path / "gpu.json"
    path = f"{ROOT}{os.pathsep}{ROOT / 'benchmarks'}"
    run([sys.executable, "-m", "tests.benchmarks.gpu_on_pretend_device", "--out", str(out)], 3, PYTHONPATH=path)
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    gates = [row for row in rows if row["section"] == "gate"]
    assert len(gates) >= 26
    assert all(row["status"] == "ok" for row in gates)
    (fused,) = [row for row in rows if row["section"] == "fused"]
    assert (fused["status"], fused["note"]) == ("skipped", "it runs on a CUDA device")
    rows.remove(fused)
    strange = [row for row in rows if row["status"] != "ok" and row["settings"].get("launch") != "compiled"]
    assert {row["settings"]["launch"] for row in strange} == {"graph"}
    assert all(row["status"] == "gate" and "off by" in row["note"] and not row["timed"] for row in strange)
    training = [row for row in rows if row["section"] == "training"]
    assert len(training) == 8
    assert all(row["values"]["peak_mb"] == 2.0 for row in training)


def report(tmp_path: Path, budget: float = 100.0) -> Report:
    return Report(tmp_path / "gpu.json", {"budget": budget, "device": "cpu"}, budget, headline)


def test_an_error_in_a_cell_is_a_row_and_the_next_one_runs(tmp_path: Path) -> None:
    book = report(tmp_path)
    settings = {
        "what": "interest",
        "D": 16,
        "R": 9,
        "users": 8,
        "kernel": "naive",
        "dtype": "float32",
        "launch": "eager",
    }
    with cell(book, "serving", settings):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 262 GB")
    book.add(Row("serving", {"what": "request"}, timed=Timed(1.0, 1.0, float("2"), 24), values={"x": float("nan")}))
    written = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    conforms(written, Content)
    assert [row["status"] for row in written["rows"]] == ["error", "ok"]
    assert written["rows"][0]["note"].startswith("OutOfMemoryError: CUDA out of memory. Tried")
    assert written["rows"][1]["values"] == {"x": None}
    assert written["exit_code"] == 0
    assert any(line.startswith("D 16 R 9 users 8") and " memory " in line for line in table(book.content()))


def test_a_failed_gate_ends_in_3(tmp_path: Path) -> None:
    book = report(tmp_path)
    book.fail("gate", "gather", {"what": "gather"}, "inf of 1e+00 at keys of 7 users")
    assert book.content().exit_code == 3
    assert book.failed == {"gather"}
    assert "gather: GATE inf" in str(last_line(book.content(), tmp_path / "gpu.json")["failed_gates"])


def test_contenders_take_turns_and_a_failing_one_leaves_the_others() -> None:
    seen: list[str] = []

    def fails() -> None:
        seen.append("c")
        if seen.count("c") > 5:
            raise RuntimeError("no kernel")

    contenders = [Contender(n, [lambda n=n: seen.append(n)]) for n in "ab"] + [Contender("c", [fails])]
    found = in_turns(contenders, CPU, 5.0)
    assert "".join(seen).startswith("aaabbbccc" + "aaaabbbb" + "ccc" + "aaaabbbb" * 2)
    assert isinstance(found["c"], NotTimed)
    assert found["c"].note == "RuntimeError: no kernel"
    assert all(isinstance(found[n], Timed) for n in "ab")


def test_a_contender_that_would_take_too_long_is_skipped_and_says_so() -> None:
    from time import sleep

    contenders = [Contender("slow", [lambda: sleep(0.1)]), Contender("quick", [lambda: None])]
    found = in_turns(contenders, CPU, 1.5)
    assert isinstance(found["slow"], NotTimed)
    assert found["slow"].status == "skipped"
    assert isinstance(found["quick"], Timed)


def test_a_table_of_many_rows_ends_with_how_many_are_left_out(tmp_path: Path) -> None:
    book = report(tmp_path)
    book.rows = [Row("training", {"what": "training", "case": i}, timed=Timed(1, 1, 1, 24)) for i in range(100)]
    lines = table(book.content())
    assert len(lines) == MOST_LINES
    assert lines[-1].startswith("and ")


@pytest.mark.parametrize("wrong", one_by_default(float("nan"), 0.1))
def test_a_wrong_kernel_fails_the_gate_and_is_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    from on_gpu.gate import run_gate
    from on_gpu.serving import measure_serving
    from on_gpu.sizes import sizes_of

    from lrea_cli.kernels import KERNELS

    monkeypatch.delenv("TRITON_INTERPRET")
    right = KERNELS["gemm"]

    def off(candidates, keys, *rest):
        result = right(candidates, keys, *rest)
        return result.index_fill(-1, torch.tensor([result.shape[-1] - 1]), wrong) if keys.shape[1] > 60 else result

    monkeypatch.setitem(KERNELS, "gemm", off)
    book, sizes = report(tmp_path), sizes_of(False, True)
    run_gate(book, sizes, CPU)
    assert {"interest gemm float32", "interest gemm float16", "interest gemm bfloat16"} <= book.failed
    assert not {"interest naive float32", "training din float32", "gather"} & book.failed
    measure_serving(book, sizes, CPU)
    gemm = [r for r in book.rows if r.section == "serving" and r.settings.get("kernel") == "gemm"]
    assert gemm
    assert all(r.timed is None and r.status == "skipped" for r in gemm)
    assert book.content().exit_code == 3


def test_the_table_of_all_goals_has_room_for_every_line(tmp_path: Path) -> None:
    """As many rows as a run on a card leaves: each cell of `attend`, requests, records, compress, training."""
    from on_gpu.sizes import sizes_of
    from on_gpu.training import CASES

    book, sizes = report(tmp_path), sizes_of(full=False, smoke=False)
    some = Timed(10.0, 9.0, 11.0, 24)
    for number in range(7):
        book.rows.append(Row("card", {"what": "matmul", "number": number}, timed=some))
    for asked in sizes.cells:
        length: dict[str, str | int] = {"L": asked.rows} if asked.full else {"R": asked.rows}
        settings = {"what": "interest", "D": asked.width, **length, "users": asked.users}
        for kernel in ("naive", "gemm"):
            one = {**settings, "kernel": kernel, "dtype": "float16", "launch": "eager"}
            us = {"us_a_user": 2.0 * asked.rows / asked.users, "matmul_share": 0.25}
            book.rows.append(Row("serving", one, timed=some, values=us))
    for case in range(8):
        book.rows.append(Row("serving", {"what": ("request", "gather")[case % 2], "case": case}, timed=some))
    for users in (256, 4096, 256, 4096):
        book.rows.append(Row("compress", {"what": "compress", "by": "lrea", "users": users}, timed=some))
    for case in CASES:
        rate = {"samples_per_s": 3e5 if case.kernel == "folded" else 1e5}
        book.rows.append(Row("training", case.settings(), timed=some, values=rate))
    content = book.content()
    lines = table(content)
    assert len(lines) <= MOST_LINES
    assert not lines[-1].startswith("and ")
    goals = content.headline
    assert goals["us_a_user"] == 2.0 * 128 / 512
    assert goals["full_L2000_over_R128"] == 2000 / 128
    assert goals["R128_over_R16"] == 8
    assert goals["din_over_naive"] == 3
    assert goals["matmul_share_float16_D64"] == 0.25
    assert goals["times_naive_float32"] is None
