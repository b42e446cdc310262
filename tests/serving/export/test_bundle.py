"""`lrea export RUN --to DIR`: what the folder says of itself is true, and its replayers find the logits of float64."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import open_histories
from lrea_cli.errors import UserError
from lrea_cli.kernels import naive
from lrea_cli.records.store import RecordStore
from lrea_cli.serving.export.bundle import BundleSettings, export_bundle
from lrea_cli.serving.export.golden import GoldenRequests
from lrea_cli.serving.native import abi
from lrea_cli.serving.scorer import Served
from tests.selection import one_by_default
from tests.serving.export.bundles import COMPILER, FEW, MAKE, MODES, NATIVE, RUNS, Export, check
from tests.serving.native.drawn import PATHS

onnx = pytest.importorskip("onnx", reason="pip install 'lrea[export]'")
pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
needs_native = pytest.mark.skipif(not (COMPILER and PATHS), reason="there is no C++ compiler, or no native library")


@pytest.mark.parametrize("name", one_by_default(*RUNS))
def test_the_python_replayer_needs_no_lrea(export: Export, name: str) -> None:
    check(export(name).python(), f"{FEW} requests, onnxruntime")


@needs_native
@pytest.mark.parametrize("name", one_by_default(*NATIVE))
def test_the_native_replayers_find_the_golden_logits(export: Export, programs: Path, name: str) -> None:
    folder = export(name).folder
    for mode in ("auto", *MODES):
        check(export(name).replay(str(programs / "replay"), str(folder), mode), str(abi.path_of(mode)))
    users, items = (pq.read_metadata(folder / "vocab" / f"{n}.parquet").num_rows for n in ("user", "item"))
    said = f"{FEW} requests from raw ids, {users} users and {items} items known"
    check(export(name).replay(str(programs / "replay_raw"), str(folder)), said)


@needs_native
def test_a_mode_that_there_is_not_is_refused(export: Export, programs: Path) -> None:
    done = export("lrea").replay(str(programs / "replay"), str(export("lrea").folder), "fp23")
    assert (done.returncode, done.stderr) == (2, "replay: there is no mode 'fp23': use auto, fp32, x6 or x3\n")


@pytest.mark.slow
@pytest.mark.skipif(not (COMPILER and MAKE), reason="there is no C++ compiler, or no make")
@pytest.mark.parametrize("name", NATIVE)
def test_a_thousand_requests_by_what_make_builds(export: Export, tmp_path: Path, name: str) -> None:
    bundle = export(name, 1000).copy(tmp_path / "served")
    built = subprocess.run(["make", "-C", str(bundle.folder)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "warning" not in built.stderr
    check(bundle.python(), "1000 requests, onnxruntime")
    for mode in MODES:
        check(bundle.replay(str(bundle.folder / "replay" / "replay"), str(bundle.folder), mode), "1000 requests, ")
    check(bundle.replay(str(bundle.folder / "replay" / "replay_raw"), str(bundle.folder)), "1000 requests from raw")


def test_golden_requests_are_of_every_kind(export: Export) -> None:
    """Users without a record, unknown items, newer behaviors, histories shorter than S and longer."""
    bundle = export("lrea")
    golden = {path.stem: np.load(path) for path in (bundle.folder / "golden").glob("*.npy")}
    assert (golden["key"] == -1).any()
    unknown = (golden["candidate_item"] == 1).any(1) & (golden["short_item"][:, 0] == 1) & (golden["newer"] > 0)
    assert unknown.sum() > 1
    assert set(golden["newer"]) == {0, 1, 2, 3}
    assert (golden["behaviors"] < bundle.run.recipe.data.short).sum() > 1
    assert len(np.unique(golden["logits"].round(4))) > 2 * FEW
    lengths = [bundle.cache.store.read(key).length for key in golden["key"].tolist() if key != -1]
    assert max(lengths) > bundle.run.recipe.data.short


@pytest.mark.parametrize("name", RUNS)
def test_golden_logits_are_those_of_float64(export: Export, name: str) -> None:
    """Another draw gives the same bytes; the request in float32 is as near as float32 allows, and not nearer."""
    bundle = export(name)
    served = Served.of(bundle.run, bundle.cache, open_histories(bundle.run.dataset))
    golden = GoldenRequests.of(served, FEW, BundleSettings().seed)
    assert golden.logits.dtype == np.float64
    assert golden.logits.tobytes() == np.load(bundle.folder / "golden" / "logits.npy").tobytes()
    scorer = served.scorer(naive)
    found = np.array([scorer(request).numpy() for request in golden.requests])
    assert 0 < np.abs(found - golden.logits).max() < 2e-6
    assert not (golden.logits == golden.logits.astype(np.float32)).any()


@pytest.mark.parametrize("name", RUNS)
def test_the_readme_names_every_input_and_every_file(export: Export, name: str) -> None:
    bundle = export(name)
    text = (bundle.folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\S+)` \| .+ \|$", text.partition("## A request")[0], re.MULTILINE)
    patterns = [f"{path}*" if path.endswith("/") else path for path in rows]
    files = [str(p.relative_to(bundle.folder)) for p in bundle.folder.rglob("*") if p.is_file()]
    assert [f for f in files if f != "README.md" and not any(fnmatch.fnmatch(f, p) for p in patterns)] == []
    assert [p for p in patterns if not fnmatch.filter(files, p)] == []
    graph = onnx.load(str(bundle.folder / "ranker.onnx")).graph
    request, _, record = text.partition("## A request")[2].partition("## A record")
    assert re.findall(r"^\| `(\w+)` \|", request, re.MULTILINE) == [i.name for i in graph.input]
    columns = re.findall(r"^\| `(\w+)` \| (\w+) \| [^|]+ \| [^| ][^|]* \|$", record, re.MULTILINE)
    assert columns == [(c.name, c.dtype) for c in bundle.cache.store.layout.columns]
    for path in (bundle.folder / "golden").glob("*.npy"):
        role, _, field = path.stem.partition("_")
        named = f"{role}_<field>" if role in ("candidate", "short", "profile") and field else path.stem
        assert f"`{named}`" in text, path


@pytest.mark.parametrize(
    ("name", "reason"),
    [("sim", "The method sim searches in its record"), ("softmax", "The method lrea reads its record with softmax")],
)
def test_a_method_without_a_cpp_request_says_so(export: Export, name: str, reason: str) -> None:
    bundle = export(name)
    assert not bundle.native
    assert reason in (bundle.folder / "README.md").read_text(encoding="utf-8")
    assert not any((bundle.folder / name).exists() for name in ("native", "Makefile", "model.bin"))
    assert [path.name for path in (bundle.folder / "replay").iterdir()] == ["replay.py"]


@pytest.mark.parametrize("name", RUNS)
def test_records_are_those_of_the_cache_byte_for_byte(export: Export, name: str) -> None:
    bundle, its = export(name), export(name).cache.store
    with RecordStore(bundle.folder / "records", its.layout, its.summary_type) as store:
        assert 20 < len(store.keys) <= FEW
        for key in store.keys.tolist():
            assert store.verified(key)[0] == its.verified(key)[0]


def test_without_onnx_one_sentence_has_the_remedy(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = export("lrea")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="The package 'onnx' is not installed") as refused:
        export_bundle(bundle.run, bundle.cache, tmp_path, BundleSettings(1), Silent())
    assert refused.value.remedy == "Install it: pip install 'lrea[export]'"
    assert list(tmp_path.iterdir()) == []
