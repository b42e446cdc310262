"""The whole request of one user, of this tree and of an older one, in one run of short turns on one core.

    git worktree add ../older 34139e8 && python benchmarks/request.py --base ../older

Both sides make the same model, records and candidates. Their logits are compared first: where they differ by more than
1e-5, or one differs so from float64, no time is printed and the exit code is 3. The last line is one JSON object.
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

import numpy as np
import torch

from lrea_cli.bench.machine import cpu_name
from lrea_cli.stats.latencies import median_interval

HERE = Path(__file__).resolve().parents[1]
WORKER = Path(__file__).with_name("request_worker.py")
TOLERANCE = 1e-5
SIDES = ("base", "this")
TIMED = {"request": "whole request", "full": "full attention over 500 rows"}


class Worker:
    """A process that serves from one tree, and waits while the other one works."""

    def __init__(self, tree: Path, asked: argparse.Namespace) -> None:
        settings = [f"--{name}={getattr(asked, name)}" for name in ("core", "candidates", "rank", "short", "seed")]
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), f"--tree={tree}", *settings],
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=Path, required=True, help="a checkout of an older commit")
    parser.add_argument("--turns", type=int, default=100, help="of each side")
    parser.add_argument("--per-turn", type=int, default=4, help="requests in a turn")
    parser.add_argument("--core", type=int, default=max(cores()), help="that both sides run on")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--rank", type=int, default=128)
    parser.add_argument("--short", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    trees = {"base": asked.base.resolve(), "this": HERE}
    workers = {side: Worker(tree, asked) for side, tree in trees.items()}
    try:
        gate = compare({side: workers[side](do="logits", count=8) for side in SIDES})
        print("gate: " + ", ".join(f"{name} {error:.1e}" for name, error in gate.items()))
        if not all(error <= TOLERANCE for error in gate.values()):
            print(f"The gate failed (limit {TOLERANCE:.0e}): no time is taken.", file=sys.stderr)
            sys.exit(3)
        timed = {what: in_turns(workers, what, asked.turns, asked.per_turn) for what in TIMED}
        stages = stages_in_turns(workers, max(1, asked.turns // 5), asked.per_turn)
    finally:
        for worker in workers.values():
            worker.end()
    result = {
        "cpu": cpu_name(),
        "torch": torch.__version__,
        "threads": 1,
        **{name: getattr(asked, name) for name in ("core", "candidates", "rank", "short", "seed", "turns", "per_turn")},
        "commits": {side: commit_of(tree) for side, tree in trees.items()},
        "gate": gate,
        **{what: summary(turns) for what, turns in timed.items()},
        "stages_cpu_ms": stages,
    }
    show(result)
    print(json.dumps(result))


def cores() -> list[int]:
    """Those that this process may run on."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def compare(answers: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Largest relative error of each side against float64, and of one against the other; NaN is never small."""
    base, this = (np.array(answers[side]["logits"]) for side in SIDES)
    between = np.abs(this - base).max(1) / np.maximum(1.0, np.abs(base).max(1))
    of_sides = {f"{side} against float64": float(np.max(answers[side]["errors"])) for side in SIDES}
    return {"this against base": float(between.max()), **of_sides}


def in_turns(workers: dict[str, Worker], what: str, turns: int, per_turn: int) -> dict[str, list[dict[str, float]]]:
    """The median CPU and wall time of each turn, ms, and its page faults; the sides take turns at beginning, too."""
    for side in SIDES:
        workers[side](do="turn", what=what, first=0, count=10)
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for turn in range(turns):
        for side in SIDES if turn % 2 else reversed(SIDES):
            times = workers[side](do="turn", what=what, first=turn * per_turn, count=per_turn)
            found[side].append({clock: statistics.median(ms) for clock, ms in times.items()})
    return found


def stages_in_turns(workers: dict[str, Worker], turns: int, per_turn: int) -> dict[str, dict[str, float]]:
    """The median CPU time of each stage, ms."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for turn in range(turns):
        for side in SIDES:
            found[side].append(workers[side](do="stages", first=turn * per_turn, count=per_turn))
    return {
        side: {stage: statistics.median(t[stage] for t in all_) for stage in all_[0]} for side, all_ in found.items()
    }


def summary(turns: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Of each clock the median of each side, and the median ratio of neighboring turns with its 95% interval."""
    result = {}
    for clock in ("cpu_ms", "wall_ms"):
        base, this = ([turn[clock] for turn in turns[side]] for side in SIDES)
        ratios = [b / t for b, t in zip(base, this, strict=True)]
        result[clock] = {
            "base": statistics.median(base),
            "this": statistics.median(this),
            "ratio": statistics.median(ratios),
            "ratio_ci": median_interval(ratios),
        }
    result["page_faults"] = {side: statistics.median(turn["page_faults"] for turn in turns[side]) for side in SIDES}
    return result


def commit_of(tree: Path) -> str:
    """Short hash of what is checked out there, with + where files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(tree), *arguments], capture_output=True, text=True).stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if git("status", "--porcelain", "-uno") else "")


def show(result: dict[str, Any]) -> None:
    commits = result["commits"]
    print(
        f"{result['cpu']}, torch {result['torch']}, 1 thread on core {result['core']}; N = {result['candidates']}, "
        f"R = {result['rank']}, S = {result['short']}; base {commits['base']}, this {commits['this']}; "
        f"{result['turns']} turns of {result['per_turn']} requests a side"
    )
    for what, name in TIMED.items():
        faults = result[what]["page_faults"]
        print(f"{name}, page faults: base {faults['base']:,.0f}, this {faults['this']:,.0f}")
        for clock in ("cpu_ms", "wall_ms"):
            times = result[what][clock]
            interval = times["ratio_ci"]
            reach = f"[{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "(too few turns for an interval)"
            print(
                f"{name}, {clock.removesuffix('_ms')} time: base {times['base']:.2f} ms, this {times['this']:.2f} ms, "
                f"ratio {times['ratio']:.2f} {reach}"
            )
    for stage in result["stages_cpu_ms"]["base"]:
        base, this = (result["stages_cpu_ms"][side][stage] for side in SIDES)
        print(f"  {stage}: {base:.2f} -> {this:.2f} ms of CPU time")


if __name__ == "__main__":
    main()
