"""Everything that runs on a GPU, gated and timed in one command: card, gate, serving, compress, training.

    PYTHONPATH=. python benchmarks/gpu.py

It needs torch, numpy, safetensors and xxhash alone, draws its data on the device from a seed, and ends within --budget
seconds. After each cell the JSON file is rewritten, so a killed run keeps what it has. A cell that fails is a row, a
path whose result is wrong has no time, and the exit code is then 3. `--device cpu --smoke` runs everything in tiny
sizes; its times mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of processes that outlives the run

import torch
from on_gpu import timing
from on_gpu.card import clocks, measure_card
from on_gpu.compress import measure_compress
from on_gpu.fused import measure_fused
from on_gpu.gate import run_gate
from on_gpu.rows import SECTIONS, SHARE_OF_BUDGET, Report, Row, Section, cell
from on_gpu.serving import measure_serving
from on_gpu.sizes import sizes_of
from on_gpu.summary import headline, last_line, table
from on_gpu.timing import is_card
from on_gpu.training import measure_training

MEASURE = {
    "card": measure_card,
    "gate": run_gate,
    "fused": measure_fused,
    "serving": measure_serving,
    "compress": measure_compress,
    "training": measure_training,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Gate and time everything that runs on a GPU.")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu")
    parser.add_argument("--budget", type=float, default=330.0, help="seconds for all of it")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"), help="the file that holds every row")
    parser.add_argument("--full", action="store_true", help="all combinations, as far as the budget goes")
    parser.add_argument("--only", choices=SECTIONS, help="one section, with its rows in --out")
    parser.add_argument("--after", type=Path, help="a file that has the rows of the card and of the gate")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: shows that it runs, not how fast")
    asked = parser.parse_args(arguments)
    device = torch.device(asked.device)
    if is_card(device):
        if not torch.cuda.is_available():
            print("There is no CUDA device here. Use: --device cpu --smoke", file=sys.stderr)
            return 2
        if device.index is not None:
            torch.cuda.set_device(device)
    torch.set_float32_matmul_precision("highest")
    if asked.smoke:
        timing.MOST_SAMPLES = timing.LEAST_SAMPLES
    sizes = sizes_of(asked.full, asked.smoke)
    settings = {"device": str(device), "budget": asked.budget, "full": asked.full, "smoke": asked.smoke}
    report = Report(asked.out, settings, asked.budget, headline)
    if asked.after:
        report.take(asked.after, ("card", "gate"))
    for section in SECTIONS if asked.only is None else (asked.only,):
        if section == "fused" and asked.only is None and device.type == "cuda":
            timing.release(device)
            _elsewhere(report, section, [*(arguments or sys.argv[1:])])
        else:
            with cell(report, section, {"what": "section"}):
                MEASURE[section](report, sizes, device)
        report.end(section)
        report.machine[f"clocks.sm after {section}"] = clocks(device).get("clocks.sm")
    if asked.only:
        return 0
    content = report.content()
    for line in table(content):
        print(line)
    print(json.dumps(last_line(content, asked.out), allow_nan=False))
    return content.exit_code


def _elsewhere(report: Report, section: Section, arguments: list[str]) -> None:
    """One section in a process of its own: what a wrong access leaves of a device ends with its process."""
    out = report.out.with_name(f"{report.out.stem}-{section}.json")
    left = report.seconds_left(section) / SHARE_OF_BUDGET[section]
    own = ["--only", section, "--after", str(report.out), "--out", str(out), "--budget", str(max(0.0, left))]
    done = subprocess.run([sys.executable, __file__, *arguments, *own], stdout=subprocess.DEVNULL)
    if out.exists():
        report.take(out, (section,))
        out.unlink()
    if done.returncode:
        report.add(Row(section, {"what": "section"}, "error", f"its process ended with {done.returncode}"))


if __name__ == "__main__":
    sys.exit(main())
