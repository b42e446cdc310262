"""The whole request of one user: torch, natively, by other runtimes, and of an older tree; in one run of short turns.

    git worktree add ../older 34139e8
    python benchmarks/request.py --base ../older --peers onnxruntime,openvino

All make the same model, records and candidates, on one core and one thread. Their logits are compared first with
float64: where one is off by more than `LIMITS` allows, no time is printed and the exit code is 3. Other runtimes are
timed on the graph alone: reading the record, the ids and the counters is not charged to them. The floor is the time of
the products of a request at the FMA peak of this core, which is measured between the turns. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from native import Peaks, request_flops

from lrea_cli.bench.machine import cpu_name
from lrea_cli.stats.latencies import median_interval

HERE = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("request_worker.py")
LIMITS = {"x3": 1e-5}
LIMIT = 2e-6
"""Of the largest error of a logit; the logits here are of about 3."""
WARM_UP = 5
BASE, THIS = "base", "this"


class Worker:
    """A process that serves from one tree, and waits while the other one works."""

    def __init__(self, tree: Path, asked: argparse.Namespace, peers: str = "") -> None:
        names = ("core", "candidates", "rank", "short", "seed")
        settings = [f"--{name}={getattr(asked, name)}" for name in names]
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), f"--tree={tree}", f"--peers={peers}", *settings],
            env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, **order: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"A worker ended with exit code {self._process.wait()}.")
        return json.loads(answer)

    def end(self) -> None:
        """Close its input, at which it ends."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


Contender = tuple[str, str]
"""The side that serves, and what it serves."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=Path, help="a checkout of 34139e8, or of a commit after it was left")
    parser.add_argument("--peers", default="", help="onnxruntime,openvino: what is installed of them")
    parser.add_argument("--turns", type=int, default=60, help="of each contender")
    parser.add_argument("--per-turn", type=int, default=4, help="requests in a turn")
    parser.add_argument("--core", type=int, default=max(cores()), help="that all run on")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--rank", type=int, default=128)
    parser.add_argument("--short", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {asked.core})
    trees = {THIS: HERE, **({BASE: asked.base.resolve()} if asked.base else {})}
    workers = {side: Worker(tree, asked, asked.peers if side == THIS else "") for side, tree in trees.items()}
    try:
        contenders = [(side, what) for side in reversed(trees) for what in workers[side](do="names")]
        gate = compare({c: workers[c[0]](do="logits", what=c[1], count=8) for c in contenders if c[1] != "full"})
        print("largest error of a logit: " + ", ".join(f"{name} {error:.1e}" for name, error in gate.items()))
        wrong = [name for name, error in gate.items() if not error <= LIMITS.get(name.split()[-1], LIMIT)]
        if wrong:
            print(f"The gate failed ({', '.join(wrong)}): no time is taken.", file=sys.stderr)
            sys.exit(3)
        peaks = Peaks()
        turns = in_turns(workers, contenders, asked, peaks)
    finally:
        for worker in workers.values():
            worker.end()
    floor = request_flops(asked.candidates, asked.rank + asked.short) / peaks.fma * 1e-6
    result = {
        "cpu": cpu_name(),
        "load": os.getloadavg(),
        "threads": 1,
        **{name: getattr(asked, name) for name in ("core", "candidates", "rank", "short", "seed", "turns", "per_turn")},
        "commits": {side: commit_of(tree) for side, tree in trees.items()},
        "gate": gate,
        "peak_gflops": {"fma": peaks.fma, "amx": peaks.amx},
        "floor_ms": floor,
        "times": {named(c): summary(own, turns[contenders[0]], floor) for c, own in turns.items()},
    }
    show(result, named(contenders[0]))
    print(json.dumps(result))


def named(contender: Contender) -> str:
    """`x6`, `base torch`."""
    side, what = contender
    return what if side == THIS else f"{side} {what}"


def cores() -> list[int]:
    """Those that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def compare(answers: dict[Contender, dict[str, Any]]) -> dict[str, float]:
    """Largest error of a logit of each contender against float64; NaN is never small."""
    return {named(contender): max(answer["errors"], key=lambda e: (e != e, e)) for contender, answer in answers.items()}


Turns = dict[str, list[float]]
"""By clock: the median of each turn, ms; and `page_faults` of a request."""


def in_turns(
    workers: dict[str, Worker], contenders: list[Contender], asked: argparse.Namespace, peaks: Peaks
) -> dict[Contender, Turns]:
    """Every contender in every round, the first one of the round in turn; the peak is measured in each round."""
    for side, what in contenders:
        workers[side](do="turn", what=what, first=0, count=WARM_UP)
    found: dict[Contender, Turns] = {c: {"cpu_ms": [], "wall_ms": [], "page_faults": []} for c in contenders}
    for turn in range(asked.turns):
        peaks.measure()
        for n in range(len(contenders)):
            contender = side, what = contenders[(n + turn) % len(contenders)]
            times = workers[side](do="turn", what=what, first=turn * asked.per_turn, count=asked.per_turn)
            for clock, values in times.items():
                found[contender][clock].append(statistics.median(values))
    return found


def summary(own: Turns, first: Turns, floor: float) -> dict[str, Any]:
    """Least and median time, the share of the FMA peak, and how many times the first contender's time is as long.

    The ratio is the median of the rounds' ratios, with its 95% interval: both sides of one are of neighboring turns.
    """
    result: dict[str, Any] = {"page_faults": statistics.median(own["page_faults"])}
    for clock in ("cpu_ms", "wall_ms"):
        ratios = [b / t for b, t in zip(first[clock], own[clock], strict=True)]
        result[clock] = {
            "least": min(own[clock]),
            "median": statistics.median(own[clock]),
            "ratio": statistics.median(ratios),
            "ratio_ci": median_interval(ratios),
        }
    result["share_of_peak"] = floor / result["cpu_ms"]["least"]
    return result


def commit_of(tree: Path) -> str:
    """Short hash of what is checked out there, with + where files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(tree), *arguments], capture_output=True, text=True).stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "--porcelain", "-uno") else "")


def show(result: dict[str, Any], first: str) -> None:
    print(f"{result['cpu']}, load {result['load'][0]:.1f}, 1 thread on core {result['core']}")
    print(
        f"N = {result['candidates']}, R = {result['rank']}, S = {result['short']}; {result['commits']}; "
        f"{result['turns']} turns of {result['per_turn']} requests each"
    )
    peaks = result["peak_gflops"]
    print(
        f"peak {peaks['fma']:.0f} GFLOP/s of float32 FMA, {peaks['amx']:.0f} of AMX bfloat16; "
        f"floor of a request {result['floor_ms']:.2f} ms"
    )
    for name, row in result["times"].items():
        times, interval = row["cpu_ms"], row["cpu_ms"]["ratio_ci"]
        reach = f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
        share = "" if name.endswith("full") else f", {row['share_of_peak']:.0%} of the FMA peak"
        print(
            f"{name}: {times['least']:.2f} ms of CPU time (median {times['median']:.2f}){share}; "
            f"{first} takes {times['ratio']:.2f}{reach} times as long"
        )


if __name__ == "__main__":
    main()
