"""Damage to files of every kind: no other result in silence, no traceback (`benchmarks/damage.py` does more of it)."""

from __future__ import annotations

from pathlib import Path

import pytest
from damage import READERS, Outcome, make_home, mutated, try_all


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("damage") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LREA_HOME", str(home))
        make_home(home)
    return home


def faults(home: Path, mutations: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was silently wrong, or ended with a traceback; every file is whole again."""
    monkeypatch.setenv("LREA_HOME", str(home))
    before = {path: path.read_bytes() for path in home.rglob("*.parquet")}
    found = list(try_all(home, mutations, seed, list(READERS)))
    assert {kind for kind, *_ in found} == set(READERS)
    assert len(found) > 0.9 * mutations
    assert sum(outcome == "caught" for _, _, outcome, _ in found) > 0.9 * len(found)
    assert {path: path.read_bytes() for path in before} == before
    fine: tuple[Outcome, ...] = ("caught", "harmless")
    return [each for each in found if each[2] not in fine]


def test_no_damage_is_read_in_silence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(home, 60, 11, monkeypatch) == []


@pytest.mark.slow
def test_no_damage_of_many_is_read_in_silence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(home, 1500, 12, monkeypatch) == []


def test_every_kind_has_files_and_its_mutations_differ(home: Path) -> None:
    import random

    for kind, reader in READERS.items():
        assert list(home.glob(reader.files)), kind
    data = bytes(range(1, 201))
    made = [mutated(data, random.Random(seed)) for seed in range(300)]
    assert all(one != data and len(one) <= len(data) for one in made)
    cut = sum(len(one) < len(data) for one in made)
    flipped = sum(len(one) == len(data) and sum(a != b for a, b in zip(one, data, strict=True)) == 1 for one in made)
    assert 20 < cut < 75
    assert 200 < flipped < 265
