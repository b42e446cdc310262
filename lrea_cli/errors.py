"""The errors that a command reports in a sentence: a user's mistake exits with 2, a failed check with its own code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LreaError(Exception):
    """An error that a command reports without a traceback.

    Args:
        message: what is wrong, with the value, the file and the line.
        remedy: what the user can type or edit.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UserError(LreaError):
    """The input or an option is wrong."""

    exit_code = 2


class DamagedArtifact(UserError):
    """A file of an artifact is missing or was changed; the remedy makes the artifact anew."""


class GateFailed(LreaError):
    """Fast code disagrees with its reference, so no speed is reported."""

    exit_code = 3


def check_choice(option: str, value: str, known: Iterable[str]) -> None:
    """Refuse an unknown value of an option.

    Raises:
        UserError: names the nearest known value.
    """
    if value not in (known := list(known)):
        raise UserError(f"--{option} is '{value}'{nearest(value, known)}.", f"Choose one of: {', '.join(known)}.")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""
