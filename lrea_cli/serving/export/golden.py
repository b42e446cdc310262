"""Golden requests: what a server of another language replays, with the logits of float64."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lrea_cli.dataset.samples import read_samples
from lrea_cli.ids import UNKNOWN_ID
from lrea_cli.kernels import naive
from lrea_cli.model import CTRModel
from lrea_cli.records.past import UserRecords
from lrea_cli.records.store import Records, RecordWriter
from lrea_cli.sequence import CandidateIds
from lrea_cli.serving.native.abi import DTYPES
from lrea_cli.serving.scorer import CandidatePool, Request, RequestScorer, Served, Visitor

CANDIDATES = 8
UNKNOWN_EVERY = 50
"""Each so many-th request is of a user without a record."""
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
            ids = _known(pool.draw(CANDIDATES), served.run.model, number)
            request = replace(user.request(histories, data, ids), newer=newer)
            if number % UNKNOWN_EVERY == UNKNOWN_EVERY - 1:
                request = replace(request, key=NO_USER)
            requests.append(request)
            logits.append(exact(request))
        return cls(requests, np.array(logits))

    def write(self, folder: Path, model: CTRModel, short: int, dtype: str) -> None:
        """`golden/`: a .npy file for each field of the requests, their names and roles in `fields.txt`."""
        folder.mkdir()
        items, profile = model.features.item_fields, model.features.profile_fields
        columns: dict[str, np.ndarray] = {}
        for field in items:
            columns[f"candidate_{field.name}"] = np.stack([r.candidates.ids[field.name][0] for r in self.requests])
            rows = [r.short.ids[field.name][0].numpy() for r in self.requests]
            columns[f"short_{field.name}"] = np.stack([np.pad(row, (0, short - len(row))) for row in rows])
        for field in profile:
            columns[f"profile_{field.name}"] = np.array(
                [int(r.candidates.profile[field.name][0, 0]) for r in self.requests]
            )
        columns["short_behaviors"] = np.array([int(r.short.mask.sum()) for r in self.requests])
        columns["newer"] = np.array([r.newer for r in self.requests])
        columns["record_dtype"] = np.array([DTYPES[dtype]])
        for name, column in columns.items():
            np.save(folder / f"{name}.npy", np.ascontiguousarray(column, "<i4"))
        np.save(folder / "key.npy", np.array([r.key for r in self.requests], "<i8"))
        np.save(folder / "time.npy", np.array([int(r.candidates.time) for r in self.requests], "<i8"))
        np.save(folder / "logits.npy", self.logits.astype("<f8"))
        names = [f"{role} {f.name}" for role in ("candidate", "short") for f in items]
        names += [f"profile {f.name}" for f in profile]
        (folder / "fields.txt").write_text("\n".join(names) + "\n", encoding="utf-8")

    def write_records(self, folder: Path, served: Served) -> None:
        """`records/`: the records of these users, as a cache has them."""
        folder.mkdir()
        keys = sorted({request.key for request in self.requests} - {NO_USER})
        with RecordWriter(folder, served.records.layout) as writer:
            for key in keys:
                writer.add([key], served.records.fetch([key]))

    def write_raw(self, path: Path, users: dict[int, str], items: dict[int, str]) -> None:
        """For each request a line: the raw user and items, with tabs between; `-` is an unknown one."""
        lines = []
        for request in self.requests:
            ids = request.candidates.ids["item"][0].tolist()
            lines.append("\t".join([users.get(request.key, "-"), *(items.get(i, "-") for i in ids)]))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


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


def _known(ids: CandidateIds, model: CTRModel, number: int) -> CandidateIds:
    """The candidates; in each tenth request the first one is an item that training has not seen."""
    if number % 10:
        return ids
    changed = {name: column.clone() for name, column in ids.ids.items()}
    for column in changed.values():
        column[0, 0] = UNKNOWN_ID
    return replace(ids, ids=changed)
