"""Who serves the requests: lrea's kernel in torch, lrea's native request where it is there, and other runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lrea_cli.bench.load.choices import PEERS, PeerName
from lrea_cli.bench.load.requests import Scoring
from lrea_cli.bench.natively import NATIVE, native_gate, native_of, natively
from lrea_cli.bench.peers import Peer, PeerGate
from lrea_cli.kernels import KernelName, gemm
from lrea_cli.serving.native.model import UnsupportedError
from lrea_cli.serving.scorer import CandidatePool, Served, Visitor


class Runtime(NamedTuple):
    """One way to compute a request.

    Args:
        name: of the kernel, `native`, or of another runtime.
        scoring: what scores with the records that a scorer reads.
        gate: what was compared of it; None for the kernel, which `run_gate` compares.
    """

    name: str
    scoring: Scoring
    gate: PeerGate | None = None

    @property
    def passed(self) -> bool:
        return self.gate is None or self.gate.passed


class Gate(NamedTuple):
    """What a gate compares with: users of a cache, and candidates."""

    served: Served
    visitors: Sequence[Visitor]
    pool: CandidatePool


def runtimes(gate: Gate, kernel: KernelName, peers: Sequence[PeerName], clients: int) -> tuple[list[Runtime], str]:
    """The kernel, the native request and the peers, each gated; and the native path, or why there is none.

    Raises:
        GateFailed: of lrea's native request.
    """
    found = [Runtime(kernel, lambda scorer: scorer)]
    try:
        path = native_of(gate.served.scorer(gemm)).path
    except UnsupportedError as error:
        path = f"torch alone: {error}"
    else:
        found.append(Runtime(NATIVE, natively, native_gate(*gate)))
    for name in PEERS:
        if name not in peers:
            continue
        peer = Peer.open(name, gate.served, (1, clients))
        found.append(Runtime(name, peer.score, peer.gate(*gate)))
    return found, path
