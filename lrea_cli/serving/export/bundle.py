"""Everything that a server outside of Python needs of a run and its cache, in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lrea_cli.console.progress import Reporter
from lrea_cli.dataset.fields import EncodedField
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.layout import DatasetInfo
from lrea_cli.native.sources import OPTIONS, X86, options_of
from lrea_cli.records.cache import Cache, raw_users
from lrea_cli.runs.checkpoint import Run
from lrea_cli.serving.export.builder import onnx_package
from lrea_cli.serving.export.destinations.source import DESCRIPTION, Source
from lrea_cli.serving.export.golden import GoldenRequests
from lrea_cli.serving.export.readme import readme_of
from lrea_cli.serving.native import model_file
from lrea_cli.serving.native.sources import headers
from lrea_cli.serving.native.sources import sources as native_sources
from lrea_cli.serving.scorer import Served
from lrea_cli.workspace.parquet import read_parquet
from lrea_cli.workspace.sealed import write_json

if TYPE_CHECKING:
    import pyarrow as pa

REPLAY = Path(__file__).parent / "replay"
STEPS = ("ranker.onnx", "model.bin", "vocabularies", "golden requests", "sources")


@dataclass(frozen=True)
class BundleSettings:
    """What is asked of a bundle: golden requests, and the seed of their draw."""

    golden: int = 1000
    seed: int = 2025


def export_bundle(run: Run, cache: Cache, folder: Path, settings: BundleSettings, reporter: Reporter) -> bool:
    """Fill a new folder; return whether the native request can score this run by itself.

    Raises:
        UserError: the package onnx is not installed.
    """
    from lrea_cli.serving.export.onnx_graph import request_graph

    onnx = onnx_package()
    served = Served.of(run, cache, open_histories(run.dataset))
    source, data = Source(cache, raw_users(run.dataset)), run.recipe.data
    native = model_file.reads_records(run.model)
    description = model_file.describe(run.model, data.short, data.long)
    with reporter.task(f"export {run.name}", len(STEPS), "steps") as progress:
        onnx.save(request_graph(run.model), str(folder / "ranker.onnx"))
        progress(1)
        if native:
            (folder / "model.bin").write_bytes(model_file.write_model(run.model))
        write_json(folder / "model.json", description)
        write_json(folder / DESCRIPTION, source.description())
        progress(1)
        _write_vocabularies(folder / "vocab", run.dataset, _fields(run))
        progress(1)
        golden = GoldenRequests.of(served, settings.golden, settings.seed)
        golden.write(folder / "golden", run.model, data.short, cache.manifest.dtype)
        golden.write_records(folder / "records", cache.store)
        items = _raw_values(run.dataset, "item")
        golden.write_raw(folder / "golden" / "raw.bin", source.users, items)
        progress(1)
        _copy_sources(folder, native)
        (folder / "README.md").write_text(readme_of(run, cache, native), encoding="utf-8")
        progress(1)
    return native


def _fields(run: Run) -> Sequence[EncodedField]:
    """What the model embeds or counts."""
    features = run.model.features
    wanted = {f.name for f in (*features.item_fields, *features.profile_fields)} | set(run.model.match_counters)
    return [field for field in run.dataset.manifest.fields if field.name in wanted]


def _write_vocabularies(folder: Path, dataset: DatasetInfo, fields: Sequence[EncodedField]) -> None:
    folder.mkdir()
    for name in ("user", *(field.name for field in fields)):
        write_plain(read_parquet(dataset.files.blocks(f"vocab/{name}.parquet")), folder / f"{name}.parquet")


def write_plain(vocabulary: pa.Table, path: Path) -> None:
    """A vocabulary as plain, uncompressed Parquet, which a reader needs no library for.

    Args:
        vocabulary: columns `id` or `user`, and `value`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = vocabulary.column_names[0]
    schema = pa.schema([pa.field(number, pa.int32(), False), pa.field("value", pa.string(), False)])
    plain = pa.table([vocabulary[number].cast(pa.int32()), vocabulary["value"].cast(pa.string())], schema=schema)
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(plain, path, row_group_size=max(1, len(plain)), **options)


def _raw_values(dataset: DatasetInfo, name: str) -> dict[int, str]:
    table = read_parquet(dataset.files.blocks(f"vocab/{name}.parquet"))
    return dict(zip(table["id"].to_pylist(), table["value"].to_pylist(), strict=True))


def _copy_sources(folder: Path, native: bool) -> None:
    """`native/` and `replay/`, with a Makefile that builds both; without the native request, the Python replayer."""
    (folder / "replay").mkdir()
    shutil.copy(REPLAY / "replay.py", folder / "replay")
    if not native:
        return
    (folder / "native").mkdir()
    for path in (*native_sources(), *headers()):
        shutil.copy(path, folder / "native")
    for path in (*REPLAY.glob("*.h"), *REPLAY.glob("*.cpp")):
        shutil.copy(path, folder / "replay")
    (folder / "Makefile").write_text(_makefile(), encoding="utf-8")


def _makefile() -> str:
    """Builds native/liblrea.a with the flags of the installed library, and the replayers with it."""
    sources = {path: options_of(path, X86[0])[len(OPTIONS) :] for path in native_sources()}
    tuned = [f"native/{path.stem}.o: TUNED = {' '.join(own)}" for path, own in sources.items() if own]
    return "\n".join(
        [
            "# Builds the native request and the replayers with GCC or Clang.",
            "ifeq ($(origin CXX),default)",
            "CXX = c++",
            "endif",
            f"FLAGS = {' '.join(OPTIONS)} -fPIC",
            f"OBJECTS = {' '.join(f'native/{path.stem}.o' for path in sources)}",
            "",
            ".PHONY: all clean",
            "all: replay/replay replay/replay_raw",
            "",
            "ifneq ($(filter x86_64 amd64,$(shell uname -m)),)",
            *tuned,
            "endif",
            "",
            "native/%.o: native/%.cpp $(wildcard native/*.h)",
            "\t$(CXX) $(FLAGS) $(TUNED) -c $< -o $@",
            "native/liblrea.a: $(OBJECTS)",
            "\t$(AR) rcs $@ $^",
            "replay/%: replay/%.cpp $(wildcard replay/*.h) native/liblrea.a",
            "\t$(CXX) -std=c++17 -O2 -Wall -Wextra $< native/liblrea.a -pthread -o $@",
            "clean:",
            "\trm -f native/*.o native/liblrea.a replay/replay replay/replay_raw",
            "",
        ]
    )
