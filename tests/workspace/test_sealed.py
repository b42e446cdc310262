"""JSON with its own hash: read as written, or refused with the file and the remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrea_cli.errors import DamagedArtifact
from lrea_cli.workspace.sealed import SEAL, read_json, seal, unseal, write_json

CONTENT = {"auc": 0.1 + 0.2, "run": "é", "rows": [1, None, True], "deep": {"b": -0.0, "a": 1e300}}
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(content=st.dictionaries(st.text().filter(lambda key: key != SEAL), PLAIN, max_size=4))
def test_what_is_sealed_is_read(content: dict[str, Any]) -> None:
    assert unseal(json.dumps(seal(content)).encode(), Path("file.json"), "") == content


def test_keys_that_are_no_text_and_tuples_are_sealed_as_json_gives_them_back(tmp_path: Path) -> None:
    content: Any = {"counts": {10: 1, 9: 2}, "ci": (0.1, 0.2)}
    write_json(tmp_path / "file.json", content)
    assert read_json(tmp_path / "file.json", "") == {"counts": {"10": 1, "9": 2}, "ci": [0.1, 0.2]}


def test_a_content_that_is_sealed_already_is_sealed_anew() -> None:
    assert seal({**seal({"a": 1}), "b": 2}) == seal({"a": 1, "b": 2})


def test_the_order_of_keys_and_blanks_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(dict(reversed(seal(CONTENT).items()))), encoding="utf-8")
    assert read_json(path, "") == CONTENT


def test_every_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, CONTENT)
    whole = path.read_bytes()
    refused = 0
    for bit in range(8 * len(whole)):
        changed = whole[: bit // 8] + bytes([whole[bit // 8] ^ 1 << bit % 8]) + whole[bit // 8 + 1 :]
        try:
            assert unseal(changed, path, "again") == CONTENT
        except DamagedArtifact:
            refused += 1
    assert refused > 6 * len(whole)


@pytest.mark.parametrize("size", [0, 1, 40, -1, -2])
def test_a_file_that_lost_its_end_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file.json"
    write_json(path, CONTENT)
    path.write_bytes(path.read_bytes().rstrip()[:size])
    with pytest.raises(DamagedArtifact):
        read_json(path, "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("\xff", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a": NaN, "sha256": ""}', "NaN is no number"),
        ("{}", "carries no hash of itself"),
        ("[]", "carries no hash of itself"),
        ('{"a": 1}', "carries no hash of itself"),
        ('{"a": 1, "sha256": 3}', "carries no hash of itself"),
        ('{"a": 1, "sha256": "0"}', "damaged or was changed after it was written"),
    ],
)
def test_foreign_files_are_refused_with_the_file_and_the_remedy(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedArtifact, match=words) as error:
        read_json(path, "Make it anew with: lrea x")
    assert str(path) in error.value.message
    assert error.value.remedy == "Make it anew with: lrea x"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedArtifact, match="cannot be read: No such file"):
        read_json(tmp_path / "none.json", "")
