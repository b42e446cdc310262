"""Every option of every command, given what no option takes: a line that names it and what to do, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from lrea_cli import cli
from lrea_cli.cli import app, main
from lrea_cli.commands import prepare
from lrea_cli.errors import UserError
from tests.selection import one_by_default

VALUES = ("", "-1", "0", "9" * 20, "1" + "0" * 400, "nan", "--5", "\x1b[31m\r\n\u202e", "x" * 5000, "caf\udce9", "../x")
NEEDED = {"sweep": ["table3"], "compare": ["a", "b"]}
"""Arguments that a command needs."""


COMMAND = get_command(app)


def options(command: Any = COMMAND, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every option that takes a value: its command and its name."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from options(inner, (*path, name))
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.is_flag:
            yield path, parameter.opts[-1]


OPTIONS = list(options())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no work: what is asked for ends where a dataset or a run is opened or made."""

    def stop(*arguments: object, **options: object) -> None:
        raise UserError("All options were taken.", "Nothing is to be done.")

    monkeypatch.setattr(cli, "get_command", lambda app: COMMAND)
    monkeypatch.setenv("LREA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "20000")  # an error that quotes the longest value twice is one line
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lrea_cli.prepare.prepare.prepare", stop)
    monkeypatch.setattr(prepare, "find_files", lambda source, raw, home, tell: [])
    return tmp_path / "home"


def check_ending(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """Run a command line; it works, or ends with 2 and a line of error and of remedy."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    said = capsys.readouterr().err
    assert stop.value.code in (0, 2), (arguments, said)
    if stop.value.code == 2:
        lines = said.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1, (arguments, said)
        assert lines[-2] == errors[0], (arguments, said)
        assert lines[-1].startswith("  "), (arguments, said)
    assert "Traceback" not in said
    assert all(line.isprintable() for line in said.split("\n")), (arguments, said)
    return said


def test_the_commands_have_options() -> None:
    assert {path[0] for path, _ in OPTIONS} >= {"prepare", "train", "compress", "eval", "serve-bench", "cost", "sweep"}
    assert len(OPTIONS) > 60


@pytest.mark.parametrize("step", one_by_default(4, 1), ids=["some values", "all values"])
@pytest.mark.parametrize(("path", "option"), OPTIONS, ids=[" ".join([*path, option]) for path, option in OPTIONS])
def test_no_value_of_an_option_ends_in_a_traceback(
    home: Path, capsys: pytest.CaptureFixture[str], path: tuple[str, ...], option: str, step: int
) -> None:
    """Neighboring options get other ones of the values."""
    for value in VALUES[OPTIONS.index((path, option)) % step :: step]:
        check_ending(capsys, [*path, *NEEDED.get(path[0], []), f"{option}={value}"])
    assert not list(home.glob("**/.partial-*"))


@pytest.mark.parametrize(("path", "option"), OPTIONS, ids=[" ".join([*path, option]) for path, option in OPTIONS])
def test_an_empty_value_is_no_default(
    home: Path, capsys: pytest.CaptureFixture[str], path: tuple[str, ...], option: str
) -> None:
    """As `--dataset "$NAME"` gives it where NAME was never set."""
    for given in ([f"{option}="], [option, ""]):
        said = check_ending(capsys, [*path, *given, *NEEDED.get(path[0], [])])
        assert (f"error: The value of {option} is empty." in said) == (option not in cli.MAY_BE_EMPTY)


@pytest.mark.parametrize(
    "arguments", [["verify", ""], ["compare", "a", ""], ["sweep", "--", ""], ["train", "--rank", "4", ""]]
)
def test_an_empty_argument_is_refused(home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert "error: An argument is empty." in check_ending(capsys, arguments)


@pytest.mark.parametrize(
    ("idle", "other"),
    [
        (["--negatives", "same-day"], ["--label-column", "y"]),  # typed, though it is the default
        (["--positives", "first-time"], ["--label-column", "y"]),
        (["--min-history", "5"], ["--label-column", "y"]),
        (["--negatives-per-positive", "2"], ["--label-column", "y"]),
        (["--train-days", "2"], ["--label-column", "y"]),
        (["--seed", "1"], ["--label-column", "y"]),
        (["--time-unit", "s"], ["--time-format", "%Y"]),
    ],
)
def test_an_option_that_another_one_makes_idle_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], idle: list[str], other: list[str]
) -> None:
    said = check_ending(capsys, ["prepare", "table", *other, *idle])
    assert f"error: {idle[0]} has no effect beside {other[0]}." in said
    assert f"  Leave {idle[0]} out." in said
    for alone in (idle, other):
        assert "All options were taken." in check_ending(capsys, ["prepare", "table", *alone])


def test_a_source_that_reads_no_file_takes_none(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such option" in check_ending(capsys, ["prepare", "synthetic", "--raw", "log.csv"])


@pytest.mark.parametrize("command", ["sweep", "compare"])
def test_no_argument_ends_in_a_traceback(home: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    for value in VALUES:
        check_ending(capsys, [command, "--", value, *(["b"] if command == "compare" else [])])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--seed", "-1"], ["--seed is -1", "Use 0 to 9,223,372,036,854,775,807"]),
        (["compress", "--seed", str(2**63)], ["--seed is 9223372036854775808"]),
        (["serve-bench", "--seed", "-1"], ["--seed is -1"]),
        (["demo", "--seed", "-1"], ["--seed is -1"]),
        (["prepare", "synthetic", "--seed", "-1"], ["--seed is -1"]),
        (["prepare", "taobao", "--seed", str(2**63)], ["--seed is"]),
        (["train", "--long", "99999999999"], ["long is 99999999999", "Use 0 to 1,000,000"]),
        (["cost", "--long", "99999999999"], ["long is 99999999999"]),
        (["train", "--lam", "1e300"], ["lam is 1e+300"]),
        (["train", "--lam", "nan"], ["lam is nan"]),
        (["train", "--batch-size", "1"], ["batch_size is 1", "Use 2 to"]),
        (["train", "--threads", "100000"], ["--threads is 100000", "cores"]),
        (["eval", "--threads", "100000"], ["--threads is 100000"]),
        (["prepare", "synthetic", "--threads", "100000"], ["--threads is 100000"]),
        (["sweep", "table3", "--jobs", "100000"], ["--jobs is 100000"]),
        (["serve-bench", "--seconds", "nan"], ["--seconds is nan"]),
        (["serve-bench", "--candidates", "9999999999"], ["--candidates is 9999999999"]),
        (["compress", "--compressor", "mean", "--target", "nan"], ["--target is nan", "Use 0 to 1,000"]),
        (["eval", "--cache-age", "99999999999999999999d"], ["'99999999999999999999d' is too old", "36,500d"]),
        (["eval", "--cache-age", "36501d"], ["'36501d' is too old"]),
        (["eval", "--cache-age", "²d"], ["'²d' is no age"]),
        (["compress", "--as-of=--5"], ["--as-of '--5' is no time", "epoch seconds"]),
        (["compress", "--as-of", "²"], ["--as-of '²' is no time"]),
        (["compress", "--as-of", "1511600000000"], ["is not between 1970 and 2200", "such as 1511600000,"]),
        (["compress", "--as-of=-1"], ["'-1' is not between 1970 and 2200"]),
        (["compress", "--as-of", "0001-01-01"], ["is not between 1970 and 2200"]),
        (["compress", "--as-of", "9" * 30], ["is no time"]),
        (["compress", "--as-of", "20171203"], ["looks like a date", "2017-12-03"]),
        (["prepare", "table", "--since", "2017"], ["--since is '2017'", "the first one that counts"]),
        (["prepare", "synthetic", "--preset", "exact-item", "--sharpness", "8"], ["--sharpness has no effect"]),
    ],
    ids=lambda value: " ".join(value)[:40].encode("unicode_escape").decode() if isinstance(value, list) else None,
)
def test_what_is_refused_names_the_value_and_the_remedy(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    said = check_ending(capsys, arguments)
    for word in words:
        assert word in said
