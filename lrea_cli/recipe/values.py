"""Values that users wrote in a file or as flags: checked against type hints by pydantic, refused in one sentence.

Pydantic is imported inside functions: it takes longer to load than all of the command line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.settings import Limits

if TYPE_CHECKING:
    from pydantic import TypeAdapter

EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table of keys and values",
}
"""What pydantic's names of mistakes expect."""


def read_section(make: Any, content: Mapping[str, Any], origin: str) -> Any:
    """Make a frozen dataclass from plain values.

    Args:
        content: attribute -> value; an attribute that is left out has its default.
        origin: the file and section of the values, for a message.

    Raises:
        UserError: a key is no attribute of `make`, or a value has another type or breaks its limits.
    """
    types = get_type_hints(make, include_extras=True)
    hints = {f.name: types[f.name] for f in fields(make)}
    for key in content:
        if key not in hints:
            raise UserError(f"{origin}: unknown key '{key}'{nearest(key, hints)}.", f"Known: {', '.join(hints)}")
    return make(**{key: read_value(value, hints[key], f"{origin}: {key}") for key, value in content.items()})


def read_value(value: Any, hint: Any, origin: str) -> Any:
    """Return the value as its type hint wants it: whole numbers become floats, lists become tuples.

    Raises:
        UserError: it has another type, breaks its limits, or is none of the known words.
    """
    from pydantic import ValidationError

    if isinstance(value, (list, tuple)):
        value = tuple(value) if any(get_origin(part) is tuple for part in _parts(hint)) else list(value)
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        raise _refusal(error, hint, origin) from None


@cache
def _adapter(hint: Any) -> TypeAdapter:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(hint, config=ConfigDict(strict=True))


def _refusal(error: Any, hint: Any, origin: str) -> UserError:
    """The first mistake that pydantic names, as a sentence: where, what stands there, and what may stand there."""
    first = error.errors()[0]
    kind, value = first["type"], first["input"]
    entries = [f", entry {at + 1 if isinstance(at, int) else at}," for at in first["loc"][:1]]
    if kind == "float_type" and isinstance(value, int) and not isinstance(value, bool):
        kind, value = "less_than_equal", math.inf  # more digits than a float has
    said = f"{origin}{''.join(entries)} is {_as_written(value)}"
    if kind == "literal_error":
        known = [str(word) for part in _parts(hint) if get_origin(part) is Literal for word in get_args(part)]
        return UserError(f"{said}, which is not known{nearest(str(value), known)}.", f"Known: {', '.join(known)}")
    limits = next((part for part in _parts(hint) if isinstance(part, Limits)), None)
    if kind in EXPECTED or limits is None:
        return UserError(f"{said}, not {EXPECTED.get(kind) or first['msg']}.")
    if kind == "too_short":
        return UserError(f"{said}, without an entry.", "Give one entry or more.")
    return UserError(f"{said}.", f"Use {_range(limits)}.")


def _as_written(value: Any) -> str:
    """The value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(list(value) if isinstance(value, tuple) else value)


def _range(limits: Limits) -> str:
    """`1 to 4,096`, `0 or more, below 1`, `more than 0, below 100`, `more than 0, at most 1`."""
    if limits.gt is None and limits.le is not None:
        return f"{limits.ge:,} to {limits.le:,}"
    low = f"{limits.ge} or more" if limits.gt is None else f"more than {limits.gt}"
    return f"{low}, {f'below {limits.lt}' if limits.le is None else f'at most {limits.le:,}'}"


def _parts(hint: Any) -> Iterator[Any]:
    """The hint, and all hints and limits inside it."""
    yield hint
    for part in (*get_args(hint), *getattr(hint, "__metadata__", ())):
        yield from _parts(part)
