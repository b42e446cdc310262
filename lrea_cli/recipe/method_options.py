"""Which settings of [model] belong to which method: one that a method has not is refused, not ignored."""

from __future__ import annotations

from collections.abc import Collection

from lrea_cli.errors import UserError

METHOD_OPTIONS: dict[str, tuple[str, ...]] = {
    "sim": ("k", "search", "heads", "target_attention"),
    "eta": ("k", "m", "heads", "target_attention"),
    "sdim": ("m", "tau"),
    "twin": ("k", "heads"),
    "lrea": ("rank", "lam", "form", "decomp_columns", "short_histories", "penalty"),
}
"""Attributes of `settings.ModelSettings` that are a method's own; a method that is not named has none.

The attributes that stand nowhere here are those of every method.
"""


def foreign_options(method: str) -> frozenset[str]:
    """Options of other methods that this one has not."""
    every = {option for options in METHOD_OPTIONS.values() for option in options}
    return frozenset(every.difference(METHOD_OPTIONS.get(method, ())))


def require_own_options(method: str, given: Collection[str], origin: str) -> None:
    """Refuse options that the method has not.

    Args:
        given: names of what was set. origin: where, for the message.

    Raises:
        UserError: naming the option, what the method takes, and the methods that have the option.
    """
    for option in given:
        if option in foreign_options(method):
            own = ", ".join(METHOD_OPTIONS.get(method, ())) or "none"
            having = [name for name, options in METHOD_OPTIONS.items() if option in options]
            raise UserError(
                f"{origin}: {option} is no option of method '{method}'; its own are: {own}.",
                f"Leave {option} out, or choose a method that has it: {', '.join(having)}.",
            )
