"""A replayer ends with 1 or 2 where a golden logit, a record or a vocabulary is not as it was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.serving.export.bundles import COMPILER, Export
from tests.serving.native.drawn import PATHS

pytest.importorskip("onnx", reason="pip install 'lrea[export]'")
pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
needs_native = pytest.mark.skipif(not (COMPILER and PATHS), reason="there is no C++ compiler, or no native library")


def one_logit(folder: Path) -> None:
    """One logit of the last request is off by ten times the limit."""
    logits = np.load(folder / "golden" / "logits.npy")
    logits[-1, -1] += 1e-5
    np.save(folder / "golden" / "logits.npy", logits)


def no_logit(folder: Path) -> None:
    """The first logit is no number; all that follow are right."""
    logits = np.load(folder / "golden" / "logits.npy")
    logits[0, 0] = np.nan
    np.save(folder / "golden" / "logits.npy", logits)


def length(folder: Path) -> None:
    """The history's length in the first request's record is another one."""
    flip(folder, 9)


def rows(folder: Path) -> None:
    """The number of rows in the first request's record is negative."""
    flip(folder, 15)


def value(folder: Path) -> None:
    """The sign and exponent of one number in the first request's record are others."""
    flip(folder, 24 + 4 * 50 + 3)


def flip(folder: Path, place: int) -> None:
    index, keys = np.load(folder / "records" / "index.npy"), np.load(folder / "golden" / "key.npy")
    (entry,) = index[index["key"] == keys[0]]
    path = folder / "records" / "records-00000.bin"
    shard = bytearray(path.read_bytes())
    shard[int(entry["offset"]) + place] ^= 0xC1
    path.write_bytes(shard)


def cut_off(folder: Path) -> None:
    """The records end too early."""
    path = folder / "records" / "records-00000.bin"
    path.write_bytes(path.read_bytes()[:-100])


DAMAGE = [one_logit, no_logit, length, rows, value, cut_off]
damages = pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)


@damages
def test_the_python_replayer_notices(export: Export, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    bundle = export("lrea").copy(tmp_path / "served")
    damage(bundle.folder)
    assert bundle.python().returncode in (1, 2)


@pytest.mark.each_once
@needs_native
@damages
@pytest.mark.parametrize("program", ["replay", "replay_raw"])
def test_the_native_replayers_notice(
    export: Export, programs: Path, tmp_path: Path, damage: Callable[[Path], None], program: str
) -> None:
    bundle = export("lrea").copy(tmp_path / "served")
    damage(bundle.folder)
    assert bundle.replay(str(programs / program), str(bundle.folder)).returncode in (1, 2)


@needs_native
@pytest.mark.parametrize(("name", "words"), [("user", "has another key"), ("item", "has another id")])
def test_a_wrong_vocabulary_is_noticed(export: Export, programs: Path, tmp_path: Path, name: str, words: str) -> None:
    bundle = export("lrea").copy(tmp_path / "served")
    path = bundle.folder / "vocab" / f"{name}.parquet"
    table = pq.read_table(path)
    swapped = table.set_column(1, table.schema.field(1), [table["value"].to_pylist()[::-1]])
    pq.write_table(swapped, path, compression="none", use_dictionary=False)
    done = bundle.replay(str(programs / "replay_raw"), str(bundle.folder))
    assert done.returncode == 2
    assert words in done.stderr
