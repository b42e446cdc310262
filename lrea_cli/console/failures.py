"""What the command line says of an exception: a sentence, a remedy, an exit code; of an unforeseen one, a log."""

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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lrea_cli import __version__
from lrea_cli.errors import LreaError, UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NUMBERS = (*FULL, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE)
"""Refusals of an operating system, whose text is looked for in errors of libraries that keep no number."""

OUT_OF_MEMORY = ("can't allocate memory", "Cannot allocate memory", "out of memory", "bad_alloc", "bad allocation")
LONG = 300
"""Characters of a path, beyond which its start is shown."""

WANTED = {
    "int_parsing": "it takes a whole number",
    "int_parsing_size": "the number has too many digits",
    "float_parsing": "it takes a number",
}
"""In place of what pydantic, which newer versions of typer check with, says of a kind of mistake."""


def failure_of(error: BaseException, arguments: Sequence[str] = ()) -> LreaError | None:
    """What to say of an exception of this package, the command line's parser, the system or a library.

    Args:
        arguments: of the command line, to name the value that its parser refused.

    Returns:
        None for an exception that only a log can explain.
    """
    if isinstance(error, LreaError):
        return error
    if hasattr(error, "format_message"):  # typer vendors click in some versions, and imports it in others: no class
        return _refused(error, arguments)
    if is_out_of_memory(error):
        return LreaError(
            f"There was not enough memory: {first_line(error) or type(error).__name__}",
            "Take less at once, by --batch-size, --long, --candidates or --memory, or run on a larger machine.",
        )
    number = errno_of(error)
    if number is None and not isinstance(error, OSError):
        return None
    if number == errno.ENAMETOOLONG:
        return UserError(_os_sentence(error), "Use a shorter name.")
    written_in_part = re.search(r"\d+ requested and \d+ written", str(error))  # as numpy says it
    full = number in FULL or written_in_part
    remedy = "Free space, or set LREA_HOME to a folder on a larger disk; then give the command again." if full else ""
    return LreaError(_os_sentence(error), remedy)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was refused, by Python, torch, DuckDB or Arrow."""
    if isinstance(error, MemoryError) or type(error).__name__.startswith(("OutOfMemory", "ArrowMemory")):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY)


def errno_of(error: BaseException) -> int | None:
    """The system's number; of errors of C++ and Rust it is found in their text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if number := re.search(r"\b(?:code: |errno:? |os error )(\d+)", text, re.IGNORECASE):
        return int(number[1])
    if "fsync failed" in text:  # all that DuckDB says of it, when it does not say more
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


def _refused(error: Any, arguments: Sequence[str]) -> UserError:
    """The parser's own sentence, with why the value was refused, and the value where the sentence lacks it."""
    context = getattr(error, "ctx", None)
    said = error.format_message().replace(str(error), _reason(error.__cause__ or error, str(error)))
    value = ""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        option, joined, joined_value = argument.partition("=")
        if not value and option in getattr(getattr(error, "param", None), "opts", []):
            value = f"'{joined_value if joined else following}'"
    given = "" if value in said else f" (given: {value})"
    return UserError(f"{said}{given}", f"See: {context.command_path if context else 'lrea'} --help")


def _reason(check: BaseException, said: str) -> str:
    """Why a value was refused.

    Args:
        check: the exception; one of pydantic holds, for each value, that of a check or a kind of mistake.
        said: the reason, where the exception is none of pydantic.
    """
    if (details := getattr(check, "errors", None)) is None:
        return said
    first: dict[str, Any] = details()[0]
    inner = first.get("ctx", {}).get("error")
    return WANTED.get(first["type"]) or str(first["msg"]) if inner is None else _reason(inner, str(inner))


def _os_sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        files = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([error.strerror, *(f if len(f) < LONG else f"{f[:LONG]}..." for f in files)])
    return first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of its text that is not blank, else nothing."""
    return next((line for line in str(error).splitlines() if line.strip()), "")
