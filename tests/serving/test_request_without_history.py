"""A request is answered from the record alone: where the history cannot be read any more, the logits are the same."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lrea_cli.console.progress import Silent
from lrea_cli.dataset.histories import Histories, open_histories
from lrea_cli.dataset.samples import Samples
from lrea_cli.kernels import gemm
from lrea_cli.recipe.settings import CACHE_DTYPES, CacheDtype
from lrea_cli.records.cache import CacheSettings, compress, open_cache
from lrea_cli.records.store import RecordStore
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.scorer import CandidatePool, Request, RequestScorer, Visitor
from lrea_cli.workspace.home import Workspace
from tests.selection import one_by_default

USERS = 9


class Unreadable:
    """In place of a column: any use of it is an error."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"a request read the history: {name}")

    def __getitem__(self, part: object) -> object:
        raise AssertionError(f"a request read the history: {part}")

    def __len__(self) -> int:
        raise AssertionError("a request read the history")

    def __array__(self, *_: object) -> np.ndarray:
        raise AssertionError("a request read the history")


def close(histories: Histories) -> None:
    """Take the history away from all who still hold it."""
    for name in histories.columns:
        histories.columns[name] = Unreadable()  # pyright: ignore
    for name in ("offsets", "time"):
        object.__setattr__(histories, name, Unreadable())


def requests_of(run: Run, histories: Histories, samples: Samples, newer: int) -> list[Request]:
    pool, known = CandidatePool(histories, samples, 3), histories.lengths_before(run.dataset.manifest.splits.end)
    visitors = [Visitor(user, int(known[user]), min(newer, int(known[user]))) for user in range(USERS)]
    return [visitor.request(histories, run.recipe.data, pool.draw(5)) for visitor in visitors]


@pytest.mark.parametrize("dtype", CACHE_DTYPES)
@pytest.mark.parametrize(
    "settings",
    [
        {"method": "lrea"},
        {"method": "din"},
        {"method": "sim", "k": 6},
        {"method": "twin", "k": 6},
        {"method": "din-short"},
        {"method": "sketch"},
        {"method": "linear"},
    ],
    ids=lambda s: s["method"],
)
def test_a_request_reads_no_column_of_the_history(
    make_run, samples: Samples, tmp_path: Path, settings: dict, dtype: CacheDtype
) -> None:
    run = make_run(match_counters=("item", "category"), **settings)
    compress(Workspace(tmp_path), run, CacheSettings(dtype), Silent(), "cache")
    cache, histories = open_cache(Workspace(tmp_path), run, "cache"), open_histories(run.dataset)
    scorer = RequestScorer(run.model, cache.store, gemm)
    requests = requests_of(run, histories, samples, 0)
    expected = [scorer(request) for request in requests]
    close(histories)
    with pytest.raises(AssertionError, match="read the history"):
        Visitor(0, 3).newest(histories, 0, 2)
    assert all(torch.equal(scorer(request), logits) for request, logits in zip(requests, expected, strict=True))
    assert len({tuple(logits.tolist()) for logits in expected}) == USERS


def test_the_logits_change_with_the_record_and_not_with_the_log(
    make_run, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(match_counters=("category",))
    compress(Workspace(tmp_path), run, CacheSettings(), Silent(), "cache")
    store = open_cache(Workspace(tmp_path), run, "cache").store
    requests = requests_of(run, open_histories(run.dataset), samples, 0)
    scorer = RequestScorer(run.model, store, gemm)
    expected = [scorer(request) for request in requests]
    fetch = RecordStore.fetch
    monkeypatch.setattr(RecordStore, "fetch", lambda self, keys: fetch(self, [keys[0] + 20]))
    assert not any(torch.equal(scorer(request), logits) for request, logits in zip(requests, expected, strict=True))


PROTECTED = """
import ctypes, mmap, sys
from pathlib import Path
import numpy as np
import torch
from lrea_cli.dataset.histories import Histories
from lrea_cli.kernels import gemm
from lrea_cli.records.cache import open_cache
from lrea_cli.runs.checkpoint import open_run
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.samples import read_samples
from lrea_cli.serving.scorer import RequestScorer
from lrea_cli.workspace.home import Workspace
from tests.serving.test_request_without_history import requests_of

workspace = Workspace(Path(sys.argv[1]))
run = open_run(workspace, "tiny-lrea", None, torch.device("cpu"))
store = open_cache(workspace, run, "cache").store
stored = open_histories(run.dataset)
pages = []

def mapped(column):
    column = np.ascontiguousarray(column[:])
    page = mmap.mmap(-1, max(column.nbytes, 1))
    array = np.frombuffer(page, column.dtype, len(column))
    array[:] = column
    pages.append((page, array))
    return array

histories = Histories(mapped(stored.offsets), mapped(stored.time), {n: mapped(c) for n, c in stored.columns.items()})
scorer = RequestScorer(run.model, store, gemm)
requests = requests_of(run, histories, read_samples(run.dataset, "test"), 0)
expected = [scorer(request) for request in requests]
libc = ctypes.CDLL(None, use_errno=True)
for page, array in pages:
    address, size = array.ctypes.data, len(page)
    assert libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), 0) == 0, ctypes.get_errno()
print("closed", flush=True)
assert all(torch.equal(scorer(request), logits) for request, logits in zip(requests, expected, strict=True))
print("same", flush=True)
if len(sys.argv) > 2:
    histories.newest(np.array([0]), np.array([1]), 0, 1)
print("end", flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect; run it on Linux")
@pytest.mark.parametrize("read", one_by_default(False, True))
def test_pages_of_the_history_that_the_system_forbids_to_read_change_nothing(
    lrea_run: Run, workspace_copy: Workspace, read: bool
) -> None:
    """A process that reads one of them is ended by the system, as the second case shows."""
    compress(workspace_copy, lrea_run, CacheSettings(), Silent(), "cache")
    arguments = [sys.executable, "-c", PROTECTED, str(workspace_copy.home), *(["read"] if read else [])]
    no_core = lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # noqa: E731
    done = subprocess.run(
        arguments, capture_output=True, text=True, cwd=Path(__file__).parents[2], preexec_fn=no_core, check=False
    )
    assert done.stdout.split() == ["closed", "same"] + ["end"] * (not read), done.stderr
    assert (done.returncode == -11) == read
