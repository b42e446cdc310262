"""The two ways in which a command may end badly: the user's mistake (exit 2), or a failed check (its own code)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LreaError(Exception):
    """Something that a command reports in a sentence, without a traceback."""

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UserError(LreaError):
    """The input or an option is wrong: the message says what was found, the remedy what to type or edit."""

    exit_code = 2


class DamagedArtifact(UserError):
    """A file of an artifact is missing, or its bytes are not those that were written; the remedy makes it anew."""


class GateFailed(LreaError):
    """A fast path disagrees with its reference: no speed is reported."""

    exit_code = 3


def check_choice(option: str, value: str, known: Iterable[str]) -> None:
    """Refuse a value of an option that is none of the known ones.

    Raises:
        UserError: with the nearest known one.
    """
    if value not in (known := list(known)):
        raise UserError(f"--{option} is '{value}'{nearest(value, known)}.", f"Choose one of: {', '.join(known)}.")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""
