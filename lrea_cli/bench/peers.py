"""Other runtimes that serve the same request from one ONNX graph: timed in the same turns, after a gate like ours."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrea_cli.bench.compared import TOLERANCE
from lrea_cli.bench.gate import Score, error_of_logits
from lrea_cli.bench.load.choices import PeerName
from lrea_cli.errors import UserError
from lrea_cli.kernels import gemm
from lrea_cli.model import CTRModel
from lrea_cli.records.past import UserRecords
from lrea_cli.serving.export.onnx_graph import LOGITS, request_feed, request_graph
from lrea_cli.serving.scorer import CandidatePool, Request, RequestScorer, Served, Visitor

Feed = Mapping[str, np.ndarray]
RunGraph = Callable[[Feed], np.ndarray]
"""(inputs of one request) -> logits (N,), from any thread."""


@dataclass(frozen=True)
class PeerGate:
    """What was compared of a peer with the float64 loops.

    Args:
        max_relative_error: of a logit, relative to max(1, the user's largest logit).
        where: the comparison that had it.
    """

    passed: bool
    max_relative_error: float
    where: str


def require_installed(names: Sequence[PeerName]) -> None:
    """Refuse a peer that is not installed, before any work starts."""
    missing = [package for package in ("onnx", *names) if names and importlib.util.find_spec(package) is None]
    if missing:
        raise UserError(
            f"--peer {names[0]} needs {' and '.join(missing)}, not installed here.",
            f"Install with: pip install {' '.join(missing)}",
        )


@dataclass(frozen=True)
class Peer:
    """A runtime with the graph of a model.

    Args:
        name: such as `openvino`.
        run: the graph, compiled.
        version: of the runtime.
    """

    name: PeerName
    run: RunGraph
    version: str

    @classmethod
    def open(cls, name: PeerName, served: Served, threads: tuple[int, int]) -> Peer:
        """Compile the graph of a model.

        Args:
            threads: CPU threads of one request; requests that are served side by side.
        """
        graph = request_graph(served.run.model).SerializeToString()
        return cls(name, OPENERS[name](graph, *threads), _version(name))

    def score(self, scorer: RequestScorer) -> Score:
        """The whole request: the record is read as the scorer does, its counters looked up; the graph does the rest."""

        def score(request: Request) -> Tensor:
            return torch.from_numpy(self.run(feed_of(scorer.model, scorer.fetch(request), request)))

        return score

    def gate(self, served: Served, visitors: Sequence[Visitor], pool: CandidatePool) -> PeerGate:
        """Compare logits of the gate's users with the float64 loops."""
        error, where = error_of_logits(served, visitors, pool, lambda of: self.score(of.scorer(gemm)))
        return PeerGate(bool(error <= TOLERANCE), error, where)


def feed_of(model: CTRModel, known: UserRecords, request: Request) -> dict[str, np.ndarray]:
    """What the graph reads: the same record and request that ours reads."""
    newer = torch.tensor([request.newer])
    matches = known.past.matches(request.candidates.ids, request.short, newer)
    length = int(known.past.length[0]) + request.newer
    return request_feed(model, known.summary, request.short, replace(request.candidates, matches=matches), length)


def _onnxruntime(graph: bytes, threads: int, streams: int) -> RunGraph:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda feed: np.asarray(session.run([LOGITS], dict(feed))[0])


def _openvino(graph: bytes, threads: int, streams: int) -> RunGraph:
    openvino: Any = import_module("openvino")  # of no extra, so a checker of types need not find it
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads * streams,
        "NUM_STREAMS": streams,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    compiled = core.compile_model(core.read_model(graph, b""), "CPU", settings)
    output, own = compiled.output(0), threading.local()

    def run(feed: Feed) -> np.ndarray:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return own.request.infer(dict(feed))[output].copy()

    return run


OPENERS: dict[PeerName, Callable[[bytes, int, int], RunGraph]] = {"onnxruntime": _onnxruntime, "openvino": _openvino}


def _version(name: PeerName) -> str:
    module: Any = import_module(name)
    return str(module.__version__).split("-")[0]
