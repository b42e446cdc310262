"""`parquet.h`, by which a C++ server reads vocabularies without a library, reads what pyarrow wrote."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrea_cli.serving.export.bundle import REPLAY, write_plain
from lrea_cli.workspace.parquet import read_parquet
from tests.serving.export.bundles import COMPILER, Export

pytestmark = pytest.mark.skipif(not COMPILER, reason="there is no C++ compiler")

READ = r"""
#include "parquet.h"
#include <cstdio>
int main(int, char **words) {
    try {
        for (const auto &[text, id] : read_vocabulary(words[1])) {
            const uint32_t size = text.size();
            fwrite(&id, 4, 1, stdout), fwrite(&size, 4, 1, stdout), fwrite(text.data(), 1, size, stdout);
        }
    } catch (const std::exception &error) {
        fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that prints what `parquet.h` reads, and stops at a read past an array."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "read.cpp").write_text(READ)
    options = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    command = [str(COMPILER), *options, "-I", str(REPLAY), str(folder / "read.cpp"), "-o", str(folder / "read")]
    built = subprocess.run(command, capture_output=True, text=True)
    if "cannot find" in built.stderr:
        pytest.skip(f"the compiler has no sanitizers: {built.stderr[-200:]}")
    assert built.returncode == 0, built.stderr
    return folder / "read"


def read_by(reader: Path, path: Path) -> dict[str, int]:
    done = subprocess.run([str(reader), str(path)], capture_output=True, check=True)
    found, at = {}, 0
    while at < len(done.stdout):
        number, size = struct.unpack_from("<iI", done.stdout, at)
        found[done.stdout[at + 8 : at + 8 + size].decode()] = number
        at += 8 + size
    return found


@pytest.mark.parametrize("rows", [0, 1, 57, pytest.param(300_000, marks=pytest.mark.slow)])
def test_the_reader_equals_pyarrow(reader: Path, tmp_path: Path, rows: int) -> None:
    """300,000 ids are 1.2 MB, their texts 4 MB: both columns have several pages."""
    values = [f"item-{n * 7919 % 1_000_003}" if n % 3 else f"é{n}" for n in range(rows)]
    path = tmp_path / "v.parquet"
    write_plain(
        pa.table({"id": pa.array(range(2, rows + 2), pa.int64()), "value": pa.array(values, pa.string())}), path
    )
    assert read_by(reader, path) == {value: n + 2 for n, value in enumerate(values)}
    assert rows < 1000 or path.stat().st_size > 4_000_000


def test_several_row_groups_are_read(reader: Path, tmp_path: Path) -> None:
    """pyarrow begins another one after 2^26 rows."""
    schema = pa.schema([pa.field("id", pa.int32(), False), pa.field("value", pa.string(), False)])
    table = pa.table([range(2, 52), [f"v{n}" for n in range(50)]], schema=schema)
    pq.write_table(table, tmp_path / "v.parquet", compression="none", use_dictionary=False, row_group_size=20)
    assert read_by(reader, tmp_path / "v.parquet") == {f"v{n}": n + 2 for n in range(50)}


def test_the_vocabularies_of_a_bundle_equal_the_datasets(export: Export, reader: Path) -> None:
    pytest.importorskip("onnx", reason="pip install 'lrea[export]'")
    bundle = export("din")
    names = {path.stem for path in (bundle.folder / "vocab").iterdir()}
    assert names == {"user", "item", "category", "city", "hour", "price"}
    for name in names:
        table = read_parquet(bundle.run.dataset.files.blocks(f"vocab/{name}.parquet"))
        ids = table["user" if name == "user" else "id"].to_pylist()
        expected = dict(zip(table["value"].to_pylist(), ids, strict=True))
        assert len(expected) == len(ids) > 1
        assert read_by(reader, bundle.folder / "vocab" / f"{name}.parquet") == expected


def test_no_bytes_are_read_past_the_end_of_a_file(reader: Path, tmp_path: Path) -> None:
    path = tmp_path / "v.parquet"
    table = pa.table({"id": pa.array(range(50), pa.int32()), "value": [f"v{n}" for n in range(50)]})
    write_plain(table, path)
    whole = path.read_bytes()
    for size in range(0, len(whole) - 8, 41):
        path.write_bytes(whole[:size] + whole[-8:])
        assert subprocess.run([str(reader), str(path)], capture_output=True).returncode == 2, size
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for place in [*range(0, 40, 3), *range(footer, footer + 90, 3)]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        done = subprocess.run([str(reader), str(path)], capture_output=True)
        assert done.returncode in (0, 2), (place, done.stderr[-2000:])


def test_a_compressed_file_is_refused(reader: Path, tmp_path: Path) -> None:
    table = pa.table({"id": pa.array(range(50), pa.int32()), "value": [f"v{n}" for n in range(50)]})
    pq.write_table(table, tmp_path / "v.parquet", compression="snappy", use_dictionary=False)
    done = subprocess.run([str(reader), str(tmp_path / "v.parquet")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "a vocabulary is compressed\n")
