"""docs/serving.md: its examples run, its bytes are those of records, its sizes those of the files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import open_histories
from lrea_cli.kernels import naive
from lrea_cli.recipe.settings import CACHE_DTYPES, METHOD_NAMES, CacheDtype
from lrea_cli.records.cache import Cache, CacheSettings, compress, open_cache
from lrea_cli.records.format import RecordFormat
from lrea_cli.records.maker import Known, RecordMaker
from lrea_cli.records.store import RecordStore
from lrea_cli.runs.checkpoint import Run
from lrea_cli.sequence import CandidateIds, HistoryIds
from lrea_cli.serving.native import abi
from lrea_cli.serving.scorer import Request, RequestScorer
from lrea_cli.workspace.home import Workspace
from tests.walkthrough import ROOT

PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[number]


def run_example(source: str, *arguments: object, **environment: str) -> str:
    """The standard output of a Python example of the page."""
    command = [sys.executable, "-c", source, *map(str, arguments)]
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def bytes_of_dump(lines: str) -> bytes:
    """Of a dump that lacks no byte."""
    found = b""
    for line in lines.splitlines():
        ((offset, hexadecimal),) = re.findall(r"^ *(\d+)  ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: .*)?$", line)
        assert int(offset) == len(found)
        found += bytes.fromhex(hexadecimal)
    return found


@dataclass(frozen=True)
class Folder:
    """A folder with records and their description, as `lrea export` makes it."""

    path: Path

    def write(self, layout: RecordFormat, blobs: Mapping[int, bytes]) -> None:
        (self.path / "records").mkdir(parents=True)
        columns = [{"name": c.name, "dtype": c.dtype, "shape": list(c.shape), "rows": c.rows} for c in layout.columns]
        (self.path / "records.json").write_text(json.dumps({"sizes": list(layout.sizes), "columns": columns}))
        offsets = np.cumsum([0, *map(len, blobs.values())]).tolist()
        entries = [
            (key, 0, len(blob), at, int.from_bytes(blob[-8:], "little"))
            for (key, blob), at in zip(blobs.items(), offsets, strict=False)
        ]
        types = [("key", "<i8"), ("shard", "<i4"), ("size", "<i4"), ("offset", "<i8"), ("checksum", "<u8")]
        np.save(self.path / "records" / "index.npy", np.array(entries, types))
        (self.path / "records" / "records-00000.bin").write_bytes(b"".join(blobs.values()))


def test_the_dump_is_what_the_page_s_program_prints_of_a_whole_record(make_run, tmp_path: Path) -> None:
    dump = block("text")
    blob = bytes_of_dump(dump)
    layout = RecordFormat(make_run(rank=2, embedding_dim=2).model.long.record, "int8", ("category",))
    record = layout.unpack(blob, 35, "the page")
    assert (record.rows, record.length) == (2, int(record.arrays["category_counts"].sum())) == (2, 14)
    said = re.findall(r"categories \(ids ([\d, ]+)\): ([\d +]+)\.", PAGE)
    (ids, counts) = ([int(n) for n in re.findall(r"\d+", text)] for text in said[0])
    assert (record.arrays["category_values"].tolist(), record.arrays["category_counts"].tolist()) == (ids, counts)
    folder = Folder(tmp_path / "page")
    folder.write(layout, {7: layout.pack(7, record), 35: blob, 40: layout.pack(40, record)})
    assert run_example(block("python"), folder.path, 35) == dump


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
def test_the_program_finds_every_byte_of_every_method_s_records(make_run, tmp_path: Path, dtype: CacheDtype) -> None:
    read = block("python").replace("main(Path(sys.argv[1]), int(sys.argv[2]))", "")
    lines = [read]
    expected = {}
    for method in METHOD_NAMES:
        run = make_run(method=method, match_counters=("category", "item"))
        histories = open_histories(run.dataset)
        users = np.argsort(np.diff(histories.offsets))[[0, 70, -1]]
        users.sort()
        with RecordMaker.of(run, dtype=dtype).store(
            users, Known(histories, users, np.diff(histories.offsets)[users])
        ) as store:
            expected[method] = {int(key): store.verified(int(key)) for key in users}
            Folder(tmp_path / method).write(store.layout, {k: blob for k, (blob, _) in expected[method].items()})
        for key in users:
            lines.append(f"main(Path({str(tmp_path / method)!r}), {key}); print('--')")
    dumps = iter(run_example("\n".join(lines)).split("--\n"))
    for records in expected.values():
        for blob, record in records.values():
            dump = next(dumps)
            assert bytes_of_dump(dump) == blob
            assert f"history length: {record.length}\n" in dump
            counts = record.arrays["item_counts"]
            assert f"item_counts: {' '.join(map(str, counts.tolist()))}\n" in dump or not len(counts)


@pytest.fixture
def served(workspace_copy: Workspace, lrea_run: Run) -> Cache:
    compress(workspace_copy, lrea_run, CacheSettings("int8"), Silent(), "served")
    return open_cache(workspace_copy, lrea_run, "served")


def test_the_python_example_scores_raw_ids(workspace_copy: Workspace, din_run: Run) -> None:
    compress(workspace_copy, din_run, CacheSettings(), Silent(), "latest")
    said = run_example(
        block("python", 1) + "\nimport json; print(json.dumps([logits.tolist(), live.tolist()]))",
        LREA_HOME=str(workspace_copy.home),
    )
    logits, live = json.loads(said.splitlines()[-1])
    assert (len(logits), len(live)) == (3, 2)
    assert np.isfinite(logits).all()
    assert np.abs(np.array(logits[:2]) - live).min() > 0


def test_the_c_program_has_the_logits_of_torch(served: Cache, lrea_run: Run, tmp_path: Path) -> None:
    compiler, library = shutil.which("cc"), Path(abi.__file__).with_name(abi.LIBRARY)
    if compiler is None or abi.load().library is None:
        pytest.skip("there is no C compiler, or the native library was not built")
    from lrea_cli.serving.native.model_file import write_model

    folder = tmp_path / "served"
    Folder(folder).write(served.store.layout, {int(k): served.store.verified(int(k))[0] for k in served.store.keys})
    (folder / "model.bin").write_bytes(write_model(lrea_run.model))
    (tmp_path / "score.c").write_text(block("c"))
    options = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", str(library.parent)]
    program = [str(tmp_path / "score.c"), str(library), f"-Wl,-rpath,{library.parent}", "-o", str(tmp_path / "score")]
    subprocess.run([compiler, *options, *program], check=True)
    assert served.store.read(int(served.store.keys[0])).rows
    for user in (int(served.store.keys[0]), int(served.store.keys[35]), 10**6):
        done = subprocess.run([str(tmp_path / "score"), str(folder), str(user)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found = [float(number) for number in done.stdout.partition(": ")[2].split()]
        np.testing.assert_allclose(found, logits_of_the_c_request(lrea_run, served.store, user), rtol=0, atol=2e-6)


def logits_of_the_c_request(run: Run, store: RecordStore, user: int) -> np.ndarray:
    """By torch, of the ids that stand in the C program."""

    def ids(name: str) -> torch.Tensor:
        (text,) = re.findall(rf"{name}(?:\[\d*\])+ = \{{(.*?)\}}(?:;|, \w)", block("c"))
        return torch.tensor([[int(n) for n in re.findall(r"\d+", row)] for row in text.split("}, {")]).int()

    candidates, newest, profile = ids("candidates"), ids("newest"), ids("profile")
    N, S = candidates.shape[1], newest.shape[1]
    fields = [f.name for f in run.model.features.item_fields]
    own = {f.name: profile[:, n : n + 1].expand(1, N) for n, f in enumerate(run.model.features.profile_fields)}
    mask = torch.ones(1, N, dtype=torch.bool)
    asked = CandidateIds(
        dict(zip(fields, candidates[:, None], strict=True)), own, mask, torch.zeros(1, dtype=torch.int64)
    )
    short = HistoryIds(
        dict(zip(fields, newest[:, None], strict=True)), torch.ones(1, S, dtype=torch.bool), torch.zeros(1, S)
    )
    return RequestScorer(run.model, store, naive)(Request(user, asked, short, 1)).numpy()


@pytest.mark.slow
def test_the_worked_example_and_the_c_library_by_the_page_s_commands(tmp_path: Path) -> None:
    if shutil.which("make") is None or shutil.which("c++") is None:
        pytest.skip("make or a C++ compiler is missing")
    pytest.importorskip("onnx")
    (section,) = re.findall(r"### A record, byte by byte\n(.*?)\n## 3", PAGE, re.DOTALL)
    for name, text in (("tiny.toml", block("toml")), ("read_record.py", block("python")), ("score.c", block("c"))):
        (tmp_path / name).write_text(text)
    build = re.findall(r"^    (cc .*)$", PAGE, re.MULTILINE)
    programs = {"lrea": f"{sys.executable} -m lrea_cli", "python": sys.executable}
    said, last = "", ""
    for line in [*re.findall(r"^    ((?:lrea|python) .*)$", section, re.MULTILINE), "make -C served", *build]:
        program, _, rest = line.partition(" ")
        done = subprocess.run(
            f"{programs.get(program, program)} {rest}",
            shell=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "LREA_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        last = done.stdout
        if program == "python":
            said = last
    assert len(last.partition(": ")[2].split()) == 3
    of_log = [line for line in block("text").splitlines() if re.search("key:|length:|rows:|category_|padding", line)]
    assert len(of_log) > 10
    assert set(of_log) <= set(said.splitlines())
