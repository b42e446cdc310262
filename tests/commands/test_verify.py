"""`lrea verify`: all is read; every damaged file is named with the command that mends it, and the exit code is 1."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lrea_cli.cli import main
from lrea_cli.records.store import INDEX
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.sealed import write_json


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def damaged(self) -> dict[str, str]:
        """File -> remedy."""
        return {d["file"]: d["remedy"] for one in self.json["artifacts"] for d in one["damage"]}


@pytest.fixture(scope="module")
def filled(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one of each kind; for reading only."""
    home = tmp_path_factory.mktemp("filled") / "home"
    shutil.copytree(tiny.home, home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LREA_HOME", str(home))
        for line in ("compress --cache few", "eval", "eval --cache few"):
            with pytest.raises(SystemExit):
                main([*line.split(), "--run", "tiny-lrea"])
    write_json(home / "bench" / "one.json", {"rows": []})
    return home


@pytest.fixture
def home(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be damaged."""
    shutil.copytree(filled, tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LREA_HOME", "home")
    return Path("home")


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(["verify", *arguments])
        return Done(int(stop.value.code or 0), *capsys.readouterr())

    return run


def flip(path: Path, place: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_what_is_intact_is_counted(home: Path, verify: Any) -> None:
    found = verify("--json")
    assert found.code == 0
    kinds = {one["artifact"]: one["kind"] for one in found.json["artifacts"]}
    assert kinds == {
        "data/synthetic": "dataset",
        "runs/tiny-din": "run",
        "runs/tiny-lrea": "run",
        "caches/few": "cache",
        "bench/one.json": "results",
    }
    assert found.json["damaged"] == 0
    assert not found.damaged
    for one in found.json["artifacts"]:
        place = home / one["artifact"]
        files = [p for p in place.rglob("*") if p.is_file()] if place.is_dir() else [place]
        assert (one["files"], one["bytes"]) == (len(files), sum(p.stat().st_size for p in files))


LOST = "Its options stood in that file; give the same ones again: "
DATASET = "Make it anew with: lrea prepare synthetic --users 150 --seed 7 --replace"
ON = "--threads 1 --device cpu"
RUN = f"Make it anew with: lrea train --recipe home/runs/tiny-din/run.json {ON} --run tiny-din --replace"
CACHE = f"Make it anew with: lrea compress --run tiny-lrea {ON} --cache few --replace"
FILES = {
    "data/synthetic/data.json": f"{LOST}lrea prepare SOURCE --dataset synthetic --replace",
    "data/synthetic/blocks.xxh3": DATASET,
    "data/synthetic/histories/time.npy": DATASET,
    "data/synthetic/events/part-00000.parquet": DATASET,
    "data/synthetic/rejected.parquet": DATASET,
    "data/synthetic/vocab/item.parquet": DATASET,
    "data/synthetic/train.parquet": DATASET,
    "runs/tiny-din/run.json": f"{LOST}lrea train --run tiny-din --replace",
    "runs/tiny-din/metrics.jsonl": RUN,
    "runs/tiny-din/checkpoint/model.safetensors": RUN,
    "runs/tiny-lrea/scores-test.parquet": "lrea eval --run tiny-lrea --split test",
    "caches/few/scores-test.parquet": "lrea eval --run tiny-lrea --cache few --split test",
    "caches/few/cache.json": f"{LOST}lrea compress --cache few --replace",
    f"caches/few/{INDEX}": CACHE,
    "caches/few/records-00000.bin": CACHE,
    "bench/one.json": "lrea serve-bench",
}


DAMAGE = ("flip", "cut", "lose")
NOT_MISSED = ("bench/one.json", "caches/few/scores-test.parquet", "runs/tiny-lrea/scores-test.parquet")
"""Results that may be removed, and are then not there."""


def by_default(name: str) -> str:
    """Files take turns, in the damage that the default run tries."""
    return "flip" if name in NOT_MISSED else DAMAGE[list(FILES).index(name) % len(DAMAGE)]


@pytest.mark.parametrize(
    ("how", "name"),
    [
        pytest.param(how, name, marks=[] if how == by_default(name) else [pytest.mark.slow])
        for name in FILES
        for how in DAMAGE
        if how != "lose" or name not in NOT_MISSED
    ],
)
def test_each_damaged_file_is_named_with_the_command_that_mends_it(
    home: Path, verify: Any, name: str, how: str
) -> None:
    path = home / name
    if how == "flip":
        flip(path, path.stat().st_size // 2)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.unlink()
    found = verify("--json")
    assert found.code == 1
    assert found.json["damaged"] == 1
    assert list(found.damaged) == [str(path)]
    assert FILES[name] in found.damaged[str(path)]
    shown = verify()
    assert shown.code == 1
    (line,) = [line for line in shown.out.splitlines() if line.startswith(f"{path}: ")]
    assert line.count(str(path)) == 1
    assert FILES[name] in shown.out
    assert shown.out.count("DAMAGED") == 1
    if how == "cut" and path.suffix != ".json" and "scores" not in name:
        assert f"has {path.stat().st_size:,} bytes, {path.stat().st_size + 3:,} were written" in shown.out
    assert "Damage was found in 1 of" in shown.err


def test_numbers_of_another_evaluation_are_damage(home: Path, verify: Any) -> None:
    for file in ("eval-test.json", "scores-test.parquet"):
        (home / "runs" / "tiny-din" / file).write_bytes((home / "runs" / "tiny-lrea" / file).read_bytes())
    assert verify().code == 0  # a pair, though of another run: `compare` looks at the names
    flip(home / "runs" / "tiny-lrea" / "eval-test.json", 20)
    assert verify("tiny-din").code == 0
    assert list(verify("--json").damaged) == [str(home / "runs" / "tiny-lrea" / "scores-test.parquet")]


def test_every_damaged_file_is_named(home: Path, verify: Any) -> None:
    names = ["data/synthetic/test.parquet", "data/synthetic/valid.parquet", "caches/few/records-00000.bin"]
    for name in names:
        flip(home / name)
    assert list(verify("--json").damaged) == [str(home / name) for name in names]


@pytest.mark.parametrize("wanted", ["few", "caches/few", "home/caches/few", "home/caches/few/"])
def test_one_artifact_by_name_or_path(home: Path, verify: Any, wanted: str) -> None:
    flip(home / "data" / "synthetic" / "test.parquet")
    found = verify(wanted, "--json")
    assert (found.code, [one["kind"] for one in found.json["artifacts"]]) == (0, ["cache"])
    assert verify("synthetic").code == verify("home").code == verify().code == 1


def test_a_file_of_results_by_name_or_path(home: Path, verify: Any) -> None:
    for wanted in ("one.json", "home/bench/one.json"):
        assert verify(wanted).code == 0
    flip(home / "bench" / "one.json", 3)
    for wanted in ("one.json", "home/bench/one.json"):
        assert verify(wanted).code == 1


def test_what_a_sweep_left_is_read_too(home: Path, verify: Any) -> None:
    sweep = home / "sweeps" / "all"
    shutil.copytree(home / "runs", sweep / "runs")
    write_json(sweep / "results.json", {"a": 1})
    write_json(sweep / "runs" / "tiny-din" / "sweep-test.json", {"a": 1})
    assert len(verify("--json").json["artifacts"]) == 8
    for name in ("results.json", "runs/tiny-din/sweep-test.json", "runs/tiny-din/metrics.jsonl"):
        flip(sweep / name, 3)
    found = verify("--json")
    assert set(found.damaged) == {
        str(sweep / name) for name in ("results.json", "runs/tiny-din/sweep-test.json", "runs/tiny-din/metrics.jsonl")
    }
    assert "lrea sweep" in found.damaged[str(sweep / "runs/tiny-din/sweep-test.json")]


def test_mistakes_have_a_remedy(home: Path, verify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = verify("tiny-dim")
    assert found.code == 2
    assert "did you mean 'tiny-din'?" in found.err
    monkeypatch.setenv("LREA_HOME", "nowhere")
    empty = verify()
    assert empty.code == 2
    assert "There is nothing in nowhere yet." in empty.err
