"""Records as safetensors: arrays of many users, for a GPU or another framework."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from lrea_cli.console.counts import counted
from lrea_cli.console.progress import Progress
from lrea_cli.serving.export.destinations.source import Source

FILE_RECORDS = 1 << 18
"""Records of one file: what they hold is padded to the most rows of the file."""


def to_safetensors(source: Source, where: str, folder: Path | None, progress: Progress) -> str:
    """`records-00000.safetensors`, ..: each column of many users, padded; `key`, `rows` and `length` of each user."""
    from safetensors.numpy import save_file

    assert folder is not None
    store, names = source.store, []
    for number, start in enumerate(range(0, len(store.keys), FILE_RECORDS)):
        keys = store.keys[start : start + FILE_RECORDS]
        stacked = store.layout.stacked([store.read(int(key)) for key in keys])
        arrays = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in stacked.items()}
        names.append(f"records-{number:05d}.safetensors")
        path = folder / names[-1]
        path.touch()
        mode = path.stat().st_mode  # the umask's, as of all files; safetensors leaves its own
        save_file({"key": keys, **arrays}, path, {"columns": json.dumps(source.description())})
        path.chmod(mode)
        progress(len(keys))
    return counted(len(names), "file")
