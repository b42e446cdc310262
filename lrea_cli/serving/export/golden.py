"""Golden requests: what a server of another language replays, with the logits of float64."""

from __future__ import annotations

import copy
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lrea_cli.dataset.samples import read_samples
from lrea_cli.ids import UNKNOWN_ID
from lrea_cli.kernels import naive
from lrea_cli.model import CTRModel
from lrea_cli.records.past import UserRecords
from lrea_cli.records.store import Records, RecordStore, RecordWriter
from lrea_cli.serving.native.abi import DTYPES
from lrea_cli.serving.scorer import CandidatePool, Request, RequestScorer, Served, Visitor

CANDIDATES = 8
UNKNOWN_EVERY = 50
"""Each so many-th request is of a user without a record."""
PARTLY_UNKNOWN_EVERY = 10
"""Each so many-th request has a candidate and a behavior without a value."""
NO_USER = -1


@dataclass(frozen=True)
class GoldenRequests:
    """Requests of one user each, and their logits (N,) in float64, computed from the records as they are stored."""

    requests: Sequence[Request]
    logits: np.ndarray

    @classmethod
    def of(cls, served: Served, count: int, seed: int) -> GoldenRequests:
        """Users of the cache in turn, short and long histories alike; some behaviors are newer than the record."""
        histories, data = served.histories, served.run.recipe.data
        pool = CandidatePool(histories, read_samples(served.run.dataset, "test"), seed)
        lengths = np.diff(histories.offsets)
        exact, requests, logits = Exact(served.run.model, served.records), [], []
        for number, key in enumerate(np.resize(np.random.default_rng(seed).permutation(served.records.keys), count)):
            user = Visitor(int(key), int(lengths[key]))
            newer = min(number % 4, user.length, data.short)
            request = replace(user.request(histories, data, pool.draw(CANDIDATES)), newer=newer)
            if number % PARTLY_UNKNOWN_EVERY == PARTLY_UNKNOWN_EVERY - 1:
                request = _partly_unknown(request)
            if number % UNKNOWN_EVERY == UNKNOWN_EVERY - 1:
                request = replace(request, key=NO_USER)
            requests.append(request)
            logits.append(exact(request))
        return cls(requests, np.array(logits))

    def write(self, folder: Path, model: CTRModel, short: int, dtype: str) -> None:
        """`golden/`: a .npy file for each field of the requests, their names and roles in `fields.txt`."""
        folder.mkdir()
        embedded = [field.name for field in model.features.item_fields]
        profile = [field.name for field in model.features.profile_fields]
        columns: dict[str, np.ndarray] = {}
        for name in dict.fromkeys([*embedded, *model.match_counters]):
            columns[f"candidate_{name}"] = np.stack([r.candidates.ids[name][0] for r in self.requests])
            rows = [r.short.ids[name][0, :short].numpy() for r in self.requests]
            columns[f"short_{name}"] = np.stack([np.pad(row, (0, short - len(row))) for row in rows])
        for name in profile:
            columns[f"profile_{name}"] = np.array([int(r.candidates.profile[name][0, 0]) for r in self.requests])
        columns["behaviors"] = np.array([int(r.short.mask.sum()) for r in self.requests])
        columns["newer"] = np.array([r.newer for r in self.requests])
        columns["record_dtype"] = np.array([DTYPES[dtype]])
        for name, column in columns.items():
            np.save(folder / f"{name}.npy", np.ascontiguousarray(column, "<i4"))
        np.save(folder / "key.npy", np.array([r.key for r in self.requests], "<i8"))
        np.save(folder / "time.npy", np.array([int(r.candidates.time) for r in self.requests], "<i8"))
        np.save(folder / "logits.npy", self.logits.astype("<f8"))
        names = [f"{role} {name}" for role in ("candidate", "short") for name in embedded]
        names += [f"profile {name}" for name in profile]
        (folder / "fields.txt").write_text("\n".join(names) + "\n", encoding="utf-8")

    def write_records(self, folder: Path, store: RecordStore) -> None:
        """`records/`: the records of these users, byte for byte, in files like those of a cache."""
        folder.mkdir()
        keys = sorted({request.key for request in self.requests} - {NO_USER})
        with RecordWriter(folder, store.layout) as writer:
            for key in keys:
                writer.append(key, store.verified(key)[0])

    def write_raw(self, path: Path, users: dict[int, str], items: dict[int, str]) -> None:
        """For each request the raw user and items, each as uint32 size and UTF-8; an unknown one is empty."""
        with path.open("wb") as file:
            for request in self.requests:
                ids = request.candidates.ids["item"][0].tolist()
                for text in (users.get(request.key, ""), *(items.get(i, "") for i in ids)):
                    blob = text.encode()
                    file.write(struct.pack("<I", len(blob)) + blob)


class Exact:
    """Logits of requests in float64: attention as it is usually written, and the MLP as it was trained."""

    def __init__(self, model: CTRModel, records: Records) -> None:
        self._model = copy.deepcopy(model).double().eval()
        self._stored = RequestScorer(model, records, naive)

    @torch.inference_mode()
    def __call__(self, request: Request) -> np.ndarray:
        """(N,)."""
        model = self._model
        records: UserRecords = self._stored.fetch(request)
        newer = torch.tensor([request.newer])
        matches = records.past.matches(request.candidates.ids, request.short, newer)
        candidates = model.candidates(replace(request.candidates, matches=matches))
        interest = model.long.attend(records.summary, candidates, naive)
        inputs = model.mlp_inputs(candidates, interest, request.short, records.past.length + newer, naive)
        return model.mlp(inputs.joined()[0]).numpy()


def _partly_unknown(request: Request) -> Request:
    """The request with a first candidate and a newest behavior that have no value, which match nothing."""
    candidates = {name: _first_unknown(column) for name, column in request.candidates.ids.items()}
    short = {name: torch.where(request.short.mask, _first_unknown(c), c) for name, c in request.short.ids.items()}
    return replace(
        request, candidates=replace(request.candidates, ids=candidates), short=replace(request.short, ids=short)
    )


def _first_unknown(ids: Tensor) -> Tensor:
    ids = ids.clone()
    ids[0, 0] = UNKNOWN_ID
    return ids
