"""`lrea doctor` on a machine that is well, and on ones that are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lrea_cli.cli import main
from lrea_cli.commands import doctor as module
from lrea_cli.kernels import KERNELS, naive
from lrea_cli.native.library import NO_LIBRARY
from lrea_cli.serving.native import abi
from lrea_cli.serving.native.model import NativeModel

Call = Callable[..., dict[str, Any]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LREA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def doctor(home: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """What it prints as JSON."""

    def run(code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(["doctor", "--json"])
        found = capsys.readouterr()
        assert (stop.value.code or 0) == code, found.err
        return json.loads(found.out)

    return run


def problem(found: dict[str, Any]) -> str:
    """The only one, with its remedy."""
    ((said, remedy),) = [each.values() for each in found["problems"]]
    assert remedy.endswith(".") or "pip install" in remedy
    return f"{said} {remedy}"


def test_a_machine_that_is_well(doctor: Call, home: Path) -> None:
    found = doctor()
    assert found["problems"] == []
    assert {"lrea", "python", "torch", "duckdb", "pyarrow", "numpy", "cpu", "cuda_devices"} <= set(found)
    assert set(found["kernel_errors_cpu"]) == set(KERNELS) - {"fused"}
    assert found["kernels_not_on_cpu"] == {"fused": "it runs on a CUDA device"}
    assert found["cores"] >= 1
    assert found["torch_threads"] >= 1
    assert found["memory_bytes"] > 1e8
    assert found["home"] == str(home)
    assert not home.exists()
    assert list(home.parent.iterdir()) == []


def test_the_table_is_for_readers(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["doctor"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["cuda", "devices"] in [line[:2] for line in lines]
    (disk,) = [line for line in lines if line[:2] == ["free", "disk"]]
    assert disk[-1] in ("GB", "MB")


def test_cpu_features_are_those_of_the_system(doctor: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(module, "CPU_INFO", info)
    info.write_text("flags : fpu avx2 avx512f avx512bw amx_tile\n")
    assert doctor()["cpu_features"] == ["AVX2", "AVX-512", "AMX"]
    info.unlink()
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert doctor()["cpu_features"] == ["NEON"]


def test_a_kernel_that_is_off_is_a_problem(doctor: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KERNELS, "gemm", lambda *inputs: 1.001 * naive(*inputs))
    found = doctor(code=1)
    assert "The kernel gemm fails on cpu: it is off by" in problem(found)
    assert set(found["kernel_errors_cpu"]) == set(KERNELS) - {"gemm", "fused"}


def test_the_native_request_and_its_errors_are_told(doctor: Call) -> None:
    found = doctor()
    modes = [mode for mode in ("fp32", "x6", "x3") if abi.path_of(mode)]
    assert found["native_request"] == (abi.path_of("auto") or "none: torch computes requests")
    assert found["why"] == abi.load().reason
    assert list(found["native_errors"]) == modes
    assert all(0 < error < 1e-5 for error in found["native_errors"].values())


def test_without_the_library_all_is_well(doctor: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NO_LIBRARY, "0")
    found = doctor()
    assert found["native_request"] == "none: torch computes requests"
    assert found["why"] == "LREA_NATIVE=0 turns it off."
    assert found["native_errors"] == {}


@pytest.mark.skipif(abi.path_of("fp32") is None, reason="there is no native library")
def test_a_native_request_that_is_off_is_a_problem(doctor: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    right = NativeModel.logits
    monkeypatch.setattr(NativeModel, "logits", lambda model, asked: right(model, asked) + 1e-3 * (asked.mode == "fp32"))
    found = doctor(code=1)
    assert "The native request fails in mode fp32: it is off by" in problem(found)
    assert "fp32" not in found["native_errors"]


def test_a_package_that_cannot_be_imported_is_a_problem(doctor: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("numpy", "torch_that_is_not_there"))
    found = doctor(code=1)
    assert "torch_that_is_not_there cannot be imported" in problem(found)
    assert "kernel_errors_cpu" not in found


def test_a_home_that_cannot_be_written_or_locked_is_a_problem(
    doctor: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.write_text("a file")
    assert "which is no folder" in problem(doctor(code=1))
    monkeypatch.setenv("LREA_HOME", str(home / "below"))
    assert "cannot be written to" in problem(doctor(code=1))
    home.unlink()
    monkeypatch.setattr("fcntl.flock", _no_locks)
    assert "has no file locks" in problem(doctor(code=1))


def _no_locks(descriptor: int, operation: int) -> None:
    raise OSError(95, "Operation not supported")


def test_a_full_disk_is_a_problem(doctor: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_FREE_BYTES", 1 << 62)
    assert "has only" in problem(doctor(code=1))
