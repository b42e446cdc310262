"""The page docs/gpu.md, from the files that `benchmarks/gpu.py` left: docs/results/gpu/."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path.append(str(DOCS.parent / "benchmarks"))

from on_gpu.goals import GOALS  # noqa: E402

FOLDER = DOCS / "results" / "gpu"
DATE = "2026-11-27"
COLUMNS = ((512, "eager"), (64, "eager"), (8, "eager"), (8, "graph"), (1, "eager"), (1, "graph"))
HEAD = """\
# On a GPU

`PYTHONPATH=. python benchmarks/gpu.py --budget 190` on one {name} ({sms} multiprocessors, {memory_gb:.0f} GB), {date},
torch {torch}, CUDA {cuda}, Triton {triton}, driver {driver_version}. All rows: [gpu.json](results/gpu/gpu.json). The
card reached {fp16:.0f} TFLOP/s in a float16 matrix product of 8192 x 8192 and {copy:.2f} TB/s in a copy. Before any
time is taken, every path is compared with float64 on the CPU: {passed} of {gates} passed. N = 1,000 candidates, H = 64;
users and candidates change with each call and exceed the L2 cache. Times are medians by CUDA events. `docs/generate.py`
writes this page.
"""


def gpu_page() -> str:
    """What came out in words, then the tables."""
    content, torch_forms = (json.loads((FOLDER / f"{name}.json").read_text("utf-8")) for name in ("gpu", "torch"))
    sections = [
        _head(content),
        "## What came out",
        (FOLDER / "findings.md").read_text("utf-8").strip(),
        "## Microseconds a user, float16",
        "`fused` over resident records. Users in one call; *graph*: the call replayed as a CUDA graph.",
        "\n".join(_times(content["rows"])),
        "## Forms in torch, 512 users",
        "Of an earlier run that day on such a card ([torch.json](results/gpu/torch.json)), in microseconds a user.",
        "\n".join(_torch(torch_forms["rows"])),
        "## The goals",
        "They were set for an H100 before anything had run.",
        "\n".join(_goals(content["headline"])),
        "## Cuts of the kernel that were tried",
        "Candidates x hidden units of a tile, *w* warps, *h*: scores summed in float16, *r*: rows in one tile.\n"
        "512 users, R = 128. The error is the largest, relative to the largest entry.",
        "\n".join(_cuts(content["rows"])),
    ]
    return "\n\n".join(section.rstrip("\n") for section in sections) + "\n"


def _head(content: dict[str, Any]) -> str:
    rows, machine = content["rows"], content["machine"]
    card = {(r["settings"]["what"], r["settings"].get("dtype")): r["values"] for r in rows if r["section"] == "card"}
    gates = [r for r in rows if r["section"] == "gate"]
    return HEAD.format(
        **{name: machine[name] for name in ("name", "sms", "memory_gb", "torch", "cuda", "triton", "driver_version")},
        date=DATE,
        fp16=card["matmul", "float16"]["tflop_per_s"],
        copy=card["copy", None]["tb_per_s"],
        passed=sum(r["status"] == "ok" for r in gates),
        gates=len(gates),
    )


def _times(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each D and length."""
    cells: dict[tuple[int, int, str], dict[tuple[int, str], float]] = {}
    for row in rows:
        s, us = row["settings"], row["values"].get("us_a_user")
        if row["section"] == "fused" and s["what"] == "fused" and s.get("dtype") == "float16" and us is not None:
            length = s.get("R", s.get("L"))
            cells.setdefault((s["D"], length, "R" if "R" in s else "L"), {})[s["users"], s["launch"]] = us
    yield "| D | rows | " + " | ".join(f"{users}, {launch}" for users, launch in COLUMNS) + " |"
    yield "|---:|---:|" + "---:|" * len(COLUMNS)
    for (width, length, name), found in sorted(cells.items()):
        values = [_short(found.get(column)) for column in COLUMNS]
        yield f"| {width} | {name} = {length:,} | {' | '.join(values)} |"


def _torch(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each kernel, dtype and way to launch."""
    widths = (16, 32, 64)
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        s = row["settings"]
        if s.get("R") == 128 and row["timed"]:
            name = f"{s['kernel']} | {s['dtype']} | {s['launch']}"
            found.setdefault(name, {})[s["D"]] = row["values"]["us_a_user"]
    yield "| kernel | dtype | launch | " + " | ".join(f"D = {width}" for width in widths) + " |"
    yield "|---|---|---|" + "---:|" * len(widths)
    for name, values in found.items():
        yield f"| {name} | {' | '.join(_short(values.get(width)) for width in widths)} |"


def _goals(headline: dict[str, float | None]) -> Iterator[str]:
    yield "| what | found | goal | |"
    yield "|---|---:|---:|---|"
    for name, (kind, goal) in GOALS.items():
        value = headline[name]
        if value is not None:
            reached = value <= goal if kind == "at most" else value >= goal
            yield f"| `{name}` | {_short(value)} | {kind} {goal:.3g} | {'reached' if reached else 'missed'} |"


def _cuts(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| D | cut | us a user | error |"
    yield "|---:|---|---:|---:|"
    for row in rows:
        s, values = row["settings"], row["values"]
        if row["section"] == "fused" and s["what"] == "tiles" and "tiles" in s:
            fault = "an illegal access" if row["status"] == "error" else row["note"]
            error = f"{values['error']:.1e}" if row["timed"] else fault
            yield f"| {s['D']} | `{s['tiles']}` | {_short(values.get('us_a_user'))} | {error} |"


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
