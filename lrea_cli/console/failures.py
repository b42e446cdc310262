"""What the command line says of an exception: a sentence, a remedy, an exit code; for what nobody foresaw, a log."""

from __future__ import annotations

import errno
import os
import platform
import re
import shlex
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lrea_cli import __version__
from lrea_cli.errors import LreaError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NUMBERS = (*FULL, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE)
"""Of what an operating system refuses: looked for in the text of errors of libraries that keep no number."""

OUT_OF_MEMORY = ("can't allocate memory", "Cannot allocate memory", "out of memory", "bad_alloc", "bad allocation")
LONG = 300
"""Characters of a path, beyond which its start is shown."""

FSYNC_FAILED = "fsync failed"
"""All that DuckDB says of it, when it does not say more."""

WRITTEN_IN_PART = re.compile(r"\d+ requested and \d+ written")
"""How numpy says that a file could not be written whole."""

WANTED = {
    "int_parsing": "it takes a whole number",
    "int_parsing_size": "the number has too many digits",
    "float_parsing": "it takes a number",
}
"""In place of what pydantic, which newer versions of typer check with, says of a kind of mistake."""


@dataclass(frozen=True)
class Failure:
    """What is shown of an exception; `foreseen` is False where only a log says what happened."""

    message: str
    remedy: str = ""
    exit_code: int = 1
    foreseen: bool = True


def failure_of(error: BaseException, arguments: Sequence[str] = ()) -> Failure:
    """The sentence of an exception of this package, of the command line's parser, the system, or of a library.

    Args:
        arguments: of the command line, to name the value that its parser refused.
    """
    if isinstance(error, LreaError):
        return Failure(error.message, error.remedy, error.exit_code)
    of_parser = getattr(error, "format_message", None)
    if of_parser is not None:  # no class of it is named: typer vendors click in some versions, and imports it in others
        context = getattr(error, "ctx", None)
        remedy = f"See: {context.command_path} --help" if context else "See: lrea --help"
        said = of_parser().replace(str(error), _refusal_of(error.__cause__ or error, str(error)))
        value = _value_of(error, arguments)
        return Failure(said if value in said else f"{said} (given: {value})", remedy, 2)
    if is_out_of_memory(error):
        return Failure(
            f"There was not enough memory: {_first_line(error) or type(error).__name__}",
            "Take less at once, by --batch-size, --long, --candidates or --memory, or run on a larger machine.",
        )
    number = errno_of(error)
    if number is None and not isinstance(error, OSError):
        return Failure(f"{type(error).__name__}: {_first_line(error)}".rstrip(": "), foreseen=False)
    if number == errno.ENAMETOOLONG:
        return Failure(_os_sentence(error), "Use a shorter name.", 2)
    full = number in FULL or WRITTEN_IN_PART.search(str(error))
    remedy = "Free space, or set LREA_HOME to a folder on a larger disk; then give the command again." if full else ""
    return Failure(_os_sentence(error), remedy)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was refused, by Python, torch, DuckDB or Arrow."""
    named = type(error).__name__.startswith(("OutOfMemory", "ArrowMemory"))
    said = isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY)
    return isinstance(error, MemoryError) or named or said


def errno_of(error: BaseException) -> int | None:
    """The system's number; of errors of C++ and Rust it is found in their text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if number := re.search(r"\b(?:code: |errno:? |os error )(\d+)", text, re.IGNORECASE):
        return int(number[1])
    if FSYNC_FAILED in text:
        return errno.EIO
    return next((number for number in NUMBERS if os.strerror(number) in text), None)


def write_log(home: Path, arguments: Sequence[str], error: BaseException) -> Path | None:
    """Keep the traceback in `<home>/logs`, or in a temporary file where that cannot be; None where neither can."""
    now = datetime.now(UTC)
    lines = [
        f"lrea {__version__}, Python {platform.python_version()}, {platform.platform()}, {now.isoformat()}\n",
        f"{shlex.join(['lrea', *arguments])}\n\n",
        *traceback.format_exception(error),
    ]
    prefix = f"lrea-{now:%Y%m%dT%H%M%S}-"
    for folder in (home / "logs", None):  # None: where temporary files lie
        with suppress(OSError):
            if folder and home.is_dir():
                folder.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile("wb", dir=folder, prefix=prefix, suffix=".log", delete=False) as file:
                file.write("".join(lines).encode(errors="backslashreplace"))
            return Path(file.name)
    return None


def _refusal_of(check: BaseException, said: str) -> str:
    """Why a value was refused.

    Args:
        check: the exception; one of pydantic holds, for each value, that of a check or a kind of mistake.
        said: what stands, where it is none of pydantic.
    """
    details = getattr(check, "errors", None)
    if details is None:
        return said
    first: dict[str, Any] = details()[0]
    inner = first.get("ctx", {}).get("error")
    return WANTED.get(first["type"]) or str(first["msg"]) if inner is None else _refusal_of(inner, str(inner))


def _value_of(error: BaseException, arguments: Sequence[str]) -> str:
    """The value of an option that was refused, in quotes, or nothing."""
    options = getattr(getattr(error, "param", None), "opts", [])
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        option, joined, value = argument.partition("=")
        if option in options:
            return f"'{value if joined else following}'"
    return ""


def _os_sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        files = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([error.strerror, *(f if len(f) < LONG else f"{f[:LONG]}..." for f in files)])
    return _first_line(error)


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), "")
