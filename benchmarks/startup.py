"""Time of `lrea --help`, which must stay under 0.3 s, and whether it loads torch, duckdb or pyarrow."""

import json
import platform
import statistics
import subprocess
import sys
import time

from lrea_cli.bench.machine import cpu_name

HEAVY = ("torch", "duckdb", "pyarrow")
RUNS = 7
LIMIT = 0.3


def main() -> None:
    seconds = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "lrea_cli", "--help"], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    code = f"import sys, lrea_cli.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    median = statistics.median(seconds[1:])
    print(f"{cpu_name()}, Python {platform.python_version()}; {RUNS} runs")
    print(f"lrea --help: {median:.3f} s (median of {RUNS}), heavy modules loaded: {loaded}")
    settings = {"cpu": cpu_name(), "python": platform.python_version(), "runs": RUNS}
    result = {"help_seconds": median, "limit_seconds": LIMIT, "loaded": loaded}
    print(json.dumps({**settings, **result, "ok": median < LIMIT and loaded == "[]"}))


if __name__ == "__main__":
    main()
