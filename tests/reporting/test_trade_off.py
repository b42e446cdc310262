"""The picture of a trade-off: a whole PNG that shows every point, its interval, its name and its bytes."""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrea_cli.bench.machine import Load, Machine
from lrea_cli.bench.trade_off import FailedGate, Line, TradeOff
from lrea_cli.reporting import trade_off as trade_off_module
from lrea_cli.reporting.trade_off import draw
from lrea_cli.stats.methods import GIVEN_MODELS

NO_GATE = FailedGate("what is drawn asks for times alone", "")


def line(name: str, p50_ms: float | None, auc: float, ci: tuple[float, float] | None, size: float | None) -> Line:
    """A contender: its method and compressor are those of its name."""
    method, _, compressor = ("full" if name == "full attention" else name).partition(", ")
    shown: Any = {"p50_ms": p50_ms, "auc_by_seed": (auc,), "speedup_vs_full": {}, "gate": NO_GATE}
    none: Any = dict.fromkeys(("cache", "rank", "compress_ms_per_user", "rows_changed", "flops_changed"))
    named: Any = {"name": name, "method": method, "recipe": "", "run": "r", "compressor": compressor or None}
    return Line(**named, **none, **shown, auc=auc, auc_ci=ci, auc_interval=GIVEN_MODELS, bytes_per_user=size)


MARKS = [
    line("din-short", 2.9, 0.7192, (0.712, 0.727), 24),
    line("lrea", 6.9, 0.7474, (0.740, 0.755), 20_664),
    line("din, clusters 16", 4.05, 0.7474, None, 8_344),
    line("full attention", 25.0, 0.748, (0.741, 0.755), None),
]


def result(lines: list[Line], load: Load | None = None) -> TradeOff:
    return TradeOff("taobao", Machine("some CPU", 2, "cpu"), 1000, 9, lines, load, None)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are drawn."""
    made: list[Figure] = []

    def figure(*arguments: object, **options: object) -> Figure:
        made.append(Figure(*arguments, **options))  # pyright: ignore
        return made[-1]

    monkeypatch.setattr(trade_off_module, "Figure", figure)
    return made


def drawn(figures: list[Figure], path: Path, lines: list[Line]) -> Axes:
    assert draw(path, result(lines))
    return figures[-1].axes[0]


def test_it_is_a_png_of_sensible_size(tmp_path: Path) -> None:
    path = tmp_path / "bench" / "x.png"
    assert draw(path, result(MARKS))
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (1200, 810)
    assert 20_000 < len(content) < 300_000
    assert [p.name for p in path.parent.iterdir()] == ["x.png"]


def test_every_point_stands_at_its_p50_and_auc_with_its_interval(figures: list[Figure], tmp_path: Path) -> None:
    axes = drawn(figures, tmp_path / "x.png", MARKS)
    points, bars = set(), set()
    for container in axes.containers:
        line, _, (segments,) = container.lines  # pyright: ignore
        points |= set(zip(line.get_xdata(), line.get_ydata(), strict=True))
        bars |= {tuple(round(float(v), 6) for v in segment.ravel()) for segment in segments.get_segments()}
    assert points == {(m.p50_ms, m.auc) for m in MARKS}
    ends = [m.auc_ci or (m.auc, m.auc) for m in MARKS]
    assert bars == {(m.p50_ms, low, m.p50_ms, high) for m, (low, high) in zip(MARKS, ends, strict=True)}
    assert axes.get_xscale() == "log"
    assert axes.get_yscale() == "linear"
    low, high = axes.get_xlim()
    assert low < 2.9
    assert high > 25


def test_it_says_what_it_shows(figures: list[Figure], tmp_path: Path) -> None:
    axes = drawn(figures, tmp_path / "x.png", MARKS)
    labels = [text.get_text() for text in axes.texts if text.get_text()]
    assert labels == ["din-short, 24 B", "lrea, 20.7 kB", "din, clusters 16, 8.34 kB", "full attention"]
    assert axes.get_title(loc="left") == "taobao, 1,000 candidates a request"
    assert "ms" in axes.get_xlabel()
    assert "p50" in axes.get_xlabel()
    assert "AUC" in axes.get_ylabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [  # pyright: ignore
        meaning for _, _, meaning in trade_off_module.STYLES.values()
    ]
    caption = figures[-1].texts[0].get_text()
    assert "95%" in caption
    assert "some CPU, 2 threads, cpu" in caption


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ((1, 1), "interval of the AUC, given the trained models; one seed of training each"),
        ((3, 3), "mean AUC of 3 seeds, over seeds and users. Bytes"),
        ((3, 1, 2), "mean AUC of 1 to 3 seeds, over seeds and users (of one seed, given the trained models). Bytes"),
    ],
)
def test_it_says_how_many_seeds_an_auc_is_of(
    figures: list[Figure], tmp_path: Path, seeds: tuple[int, ...], words: str
) -> None:
    drawn(figures, tmp_path / "x.png", [replace(MARKS[0], auc_by_seed=(0.7,) * count) for count in seeds])
    caption = figures[-1].texts[0]
    assert words in " ".join(caption.get_text().split())
    assert caption.get_window_extent().x1 <= figures[-1].bbox.x1


def test_what_has_no_time_is_not_drawn_and_a_busy_machine_is_told_of(figures: list[Figure], tmp_path: Path) -> None:
    failed = line("lrea", None, 0.7, None, 1)
    assert not draw(tmp_path / "x.png", result([failed]))
    assert not (tmp_path / "x.png").exists()
    assert draw(tmp_path / "x.png", result([failed, *MARKS], Load(0.6, 0.2, 0.9, 2, 2)))
    caption = " ".join(figures[-1].texts[0].get_text().split())
    assert "others needed the CPU: do not compare times" in caption


@pytest.mark.parametrize(
    "times", [(4.0, 4.0), (4.0, 4.1), (4.0, 7.0), (4.0, 15.0), (4.0, 17.0), (0.8, 90.0), (30.0, 700.0)]
)
def test_the_time_axis_has_numbers_whatever_its_range(
    figures: list[Figure], tmp_path: Path, times: tuple[float, float]
) -> None:
    axes = drawn(figures, tmp_path / "x.png", [line("m", ms, 0.7, (0.6, 0.8), 1) for ms in times])
    low, high = axes.get_xlim()
    shown = [t.get_text() for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
    assert 3 <= len(shown) <= 12
    assert all(float(text) for text in shown)


@pytest.mark.slow
def test_the_global_state_of_pyplot_is_not_used(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from lrea_cli.reporting.trade_off import draw\n"
        "from tests.reporting.test_trade_off import MARKS, result\n"
        f"draw(Path({str(tmp_path / 'x.png')!r}), result(MARKS[:1]))\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"
