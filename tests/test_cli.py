"""How a command ends: a sentence and a code, a log for what nobody foresaw, no control signs on a terminal."""

from __future__ import annotations

import errno
import os
import re
import signal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import torch

from lrea_cli import cli
from lrea_cli.console.failures import errno_of, failure_of, write_log
from lrea_cli.console.stopping import Stopped, stoppable, undisturbed
from lrea_cli.console.terminal import clean
from lrea_cli.errors import GateFailed, LreaError, UserError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LREA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def ending(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, *arguments: str
) -> tuple[int, str]:
    """Exit code and standard error of a command line whose command ends by this exception."""

    def fail(command: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(cli, "get_command", fail)
        return run(capsys, *(arguments or ("train",)))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments))
    assert isinstance(stop.value.code, int)
    return stop.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("What it was.", "What to do."), 2, "error: What it was.\n  What to do.\n"),
        (LreaError("It failed."), 1, "error: It failed.\n"),
        (GateFailed("No.", "Then."), 3, "error: No.\n  Then.\n"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1, "error: Permission denied: /x\n"),
        (MemoryError(), 1, "error: There was not enough memory: MemoryError\n  Take less"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            1,
            "error: There was not enough memory",
        ),
        (torch.OutOfMemoryError("CUDA out of memory."), 1, "error: There was not enough memory: CUDA out"),
        (duckdb.OutOfMemoryException("failed to pin block"), 1, "error: There was not enough memory: failed to pin"),
        (pa.ArrowMemoryError("malloc of size 9"), 1, "error: There was not enough memory: malloc"),
        (KeyboardInterrupt(), 130, "Stopped by Ctrl-C: what was finished before is kept\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_each_way_to_end_has_its_sentence_and_its_code(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    found = ending(monkeypatch, capsys, error)
    assert found[0] == code
    assert found[1].startswith(said)
    assert found[1].count("\n") <= 2
    assert not (home / "logs").exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError("1000 requested and 10 written"),
        duckdb.IOException('Could not write file "x": No space left on device'),
        RuntimeError('Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "full" })'),
        pa.ArrowInvalid("Error writing bytes: [errno 28] No space left on device"),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_full_disk_is_one_sentence_whichever_library_met_it(error: Exception) -> None:
    failure = failure_of(error)
    assert failure is not None
    assert "\n" not in failure.message
    assert "Free space, or set LREA_HOME to a folder on a larger disk" in failure.remedy


def test_a_number_is_read_from_a_text_only_where_it_is_one() -> None:
    assert errno_of(RuntimeError("Input/output error")) == errno.EIO
    assert failure_of(duckdb.FatalException("FATAL Error: fsync failed!")) is not None
    assert errno_of(ValueError("28 rows, code 28")) is None
    broken = failure_of(OSError(errno.EIO, "Input/output error"))
    assert broken is not None
    assert "Free space" not in broken.remedy


def test_what_nobody_foresaw_is_a_line_and_a_log(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ending(monkeypatch, capsys, KeyError("\x1b[31m"), "train", "--run", "a b")
    assert code == 1
    assert said.startswith(r"error: KeyError: '\x1b[31m'")
    log = Path(re.findall(r"The traceback is in (.*); --debug shows it\.\n", said)[0])
    assert log.parent == home / "logs"
    text = log.read_text()
    assert "lrea train --run 'a b'" in text
    assert "Traceback (most recent call last)" in text
    assert said.count("\n") == 2


def test_a_log_that_cannot_lie_at_home_lies_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "logs").write_text("in the way")
    log = write_log(home, ["train"], KeyError("x"))
    assert log is not None
    assert home not in log.parents
    log.unlink()
    log = write_log(home / "none", ["train"], KeyError("x"))
    assert log is not None
    assert not (home / "none").exists()
    log.unlink()
    monkeypatch.setattr("tempfile.tempdir", str(home / "none"))
    assert write_log(home, ["train"], KeyError("x")) is None


@pytest.mark.parametrize("arguments", [("--debug", "train"), ("train", "--debug"), ("train", "--run", "x", "--debug")])
@pytest.mark.parametrize(("error", "code"), [(KeyError("x"), 1), (UserError("x"), 2)])
def test_debug_shows_the_traceback_wherever_it_stands(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    error: Exception,
    code: int,
) -> None:
    found = ending(monkeypatch, capsys, error, *arguments)
    assert found[0] == code
    assert "Traceback (most recent call last)" in found[1]
    assert not (home / "logs").exists()


def test_debug_is_an_option_of_every_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "compress", "--run", "none", "--debug")
    assert code == 2
    assert "Traceback" in said
    assert said.splitlines()[-2].startswith("error: There is no run 'none'")


def test_mistakes_in_options_are_a_line_and_where_to_look(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "train", "--rnak", "3\x1b[31m")
    assert code == 2
    assert said.splitlines()[0].startswith("error: No such option: --rnak")
    assert said.splitlines()[1] == "  See: lrea train --help"
    code, said = run(capsys, "train", "--rank", "3\x1b[31m")
    assert code == 2
    assert said.startswith("error: Invalid value for '--rank': ")
    assert said.splitlines()[0].endswith(r"(given: '3\x1b[31m')")
    assert "'--rank': it takes a whole number (given: 'x')" in run(capsys, "train", "--rank=x")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["prepare", "table", "--time-unit", "h"], "'h' is not one of 's', 'ms', 'us', 'ns'."),
        (
            ["prepare", "synthetic", "--preset=q"],
            "'q' is not one of 'drift', 'exchangeable', 'exact-item', 'category-count'.",
        ),
        (["prepare", "table", "--label-threshold", "x"], "it takes a number (given: 'x')"),
        (["sweep", "table3", "--seeds", "1.5"], "it takes a whole number (given: '1.5')"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused_values_are_told_of_in_our_words(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    """Pydantic, which typer checks with, says `Value error, ..` and `Input should be a valid integer, ..`."""
    code, shown = run(capsys, *arguments)
    option = arguments[2].partition("=")[0]
    assert (code, shown.splitlines()[0]) == (2, f"error: Invalid value for '{option}': {said}")


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["prepare"], 2), (["--help"], 0), (["--version"], 0)])
def test_help_and_version(home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    found = capsys.readouterr()
    assert stop.value.code == code
    assert found.err == ""
    assert "lrea" in found.out


@pytest.mark.parametrize(
    "arguments",
    [["prepare", "table", "--raw", "a.csv", "--raw=b.csv"], ["train", "--rank", "8", "--rank", "16"]],
    ids=" ".join,
)
def test_an_option_that_is_given_twice_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert f"{arguments[-1].partition('=')[0] if '=' in arguments[-1] else arguments[-2]} is given 2 times." in said


def test_control_signs_from_names_reach_no_terminal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "runs" / "x\x1b]0;title\x07").mkdir(parents=True)
    (home / "runs" / "x\x1b]0;title\x07" / "run.json").write_text("{}")
    for arguments in (
        ("compress", "--run", "a\x1b[31mb\r\nerror: not this line"),
        ("compare", "a\u202eb", "c"),
        ("train", "--recipe", "\x9b31m.toml"),
        ("prepare", "table", "--raw", "\x1b[2J"),
    ):
        code, said = run(capsys, *arguments)
        assert code == 2
        assert all(line.isprintable() for line in said.split("\n")), said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, é, 中文, 👩\u200d💻, क\u200cष, a\u00a0b", None),
        ("\x1b[31m\r\n\t\x07\x00\x7f", r"\x1b[31m\r\n\t\x07\x00\x7f"),
        ("\x9b31m\u2028\u202e\u2066\ufeff", r"\x9b31m\u2028\u202e\u2066\ufeff"),
        ("caf\udce9.csv", r"caf\udce9.csv"),
    ],
)
def test_text_is_shown_as_it_is_but_for_what_steers(text: str, shown: str | None) -> None:
    assert clean(text) == (text if shown is None else shown)
    clean(text).encode()


def test_a_signal_is_one_even_where_a_library_makes_another_exception_of_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(command: object) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            error = RuntimeError("Query interrupted")
            error.add_note("this is kept")
            raise error from None

    monkeypatch.setattr(cli, "get_command", fail)
    assert run(capsys, "train") == (143, "Stopped by SIGTERM: this is kept\n")


def test_a_signal_waits_for_steps_that_belong_together() -> None:
    done = []
    with stoppable():
        with pytest.raises(Stopped) as stop, undisturbed():  # noqa: PT012
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("first")
            done.append("second")
        assert stop.value.exit_code == 143
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)
    assert done == ["first", "second"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
