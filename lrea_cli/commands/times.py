"""What serve-bench and its trade-off say of times: the gate, the CPU, ratios, and when a record pays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console

if TYPE_CHECKING:
    from lrea_cli.bench.bench import Bench
    from lrea_cli.bench.gate import GateResult
    from lrea_cli.bench.machine import Load

REMEDY = "Stop what else runs here, or leave CPUs to it with --threads N, and run this again."


def show_gate(console: Console, gate: GateResult) -> None:
    """What was compared, and a warning where that was little."""
    from lrea_cli.bench.gate import GATE_USERS

    made = f", {gate.made:,} of them made up, of lengths that no user of the cache has" if gate.made else ""
    users = counted(gate.users, "user")
    console.say(f"gate passed: largest relative error {gate.max_relative_error:.1e} over {users}{made}")
    if gate.skipped:
        searches = counted(gate.candidates, "search", "searches")
        console.say(f"gate: {gate.skipped:,} of {searches} are too close to call and were not compared")
    if (of_cache := gate.users - gate.made) < GATE_USERS:
        console.warn(
            f"the gate compared {counted(of_cache, 'user')} only: the cache has no more; {GATE_USERS} is usual."
        )


def show_load(console: Console, load: Load) -> None:
    """What this process got of the CPU; and where ratios are withheld for it, why, and what to do."""
    console.say(str(load))
    if reason := load.reason_to_withhold:
        console.warn(f"no ratio is given: {reason}.")
        console.say(f"  {REMEDY}")


def show_speedup(console: Console, bench: Bench) -> None:
    """Ratios of the whole request and of its interest."""
    if bench.withheld:
        return
    names = {"request": "whole request", "interest": "interest alone"}
    rows = [[names[stage], str(row["real"]), str(row["padded"])] for stage, row in bench.speedup_vs_full.items()]
    title = f"time of full attention / time of the cache: totals of the same requests, {bench.speedup_kernel}"
    console.table(title, ["(95% interval)", "real lengths", "padded"], rows)


def when_it_pays(saved_ms: float | None, needed: float | None) -> str:
    """A sentence: how many requests save what making a record costs.

    Args:
        saved_ms: by one request; None = withheld.
        needed: requests that save as much; None where requests are not faster.
    """
    if saved_ms is None:
        return "whether that pays cannot be said: the times are not to be trusted"
    if needed is None:
        return "it never pays: requests are not faster with it"
    saved = f"one request saves {saved_ms:.3g} ms"
    if needed <= 1:
        return f"{saved}, so the first request after a refresh pays for it"
    return (
        f"{saved}, so it pays where a user sends {counted(math.ceil(needed), 'request')} or more between two refreshes"
    )
