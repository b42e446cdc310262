"""Columns of Parquet as single values that DuckDB reads alike: text is text in every physical type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrea_cli.console.terminal import clean
from lrea_cli.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

DECIMAL_DIGITS = 38
"""So many digits DuckDB's decimals have."""


def value_type(path: Path, column: str, kind: pa.DataType) -> pa.DataType:
    """The type in which a column's values are read.

    Raises:
        UserError: its values are lists, structs, maps or something else that is no single value.
    """
    import pyarrow as pa
    import pyarrow.types as is_

    if is_.is_dictionary(kind):
        return value_type(path, column, kind.value_type)
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        return value_type(path, column, kind.storage_type)
    if _is_text(kind) or is_.is_time(kind):
        return pa.large_string() if is_.is_large_string(kind) or is_.is_large_binary(kind) else pa.string()
    if is_.is_float16(kind):
        return pa.float32()
    if is_.is_decimal(kind):
        return pa.decimal128(DECIMAL_DIGITS, min(kind.scale, DECIMAL_DIGITS)) if is_.is_decimal256(kind) else kind
    single = (is_.is_boolean, is_.is_integer, is_.is_floating, is_.is_timestamp, is_.is_date, is_.is_null)
    if isinstance(kind, pa.UuidType) or any(test(kind) for test in single):
        return kind
    raise UserError(
        f"{clean(path)}: the column '{clean(column)}' is of type {kind}: a row has no single value there.",
        "Write a column of numbers, text or times instead (of a list, such as its first value).",
    )


def as_value(path: Path, column: str, values: pa.Array, line: int) -> pa.Array:
    """A column in its `value_type`.

    Args:
        line: number of the first value's row.

    Raises:
        UserError: a value does not fit, or bytes are not UTF-8; the message has the row.
    """
    import pyarrow as pa

    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    wanted = value_type(path, column, values.type)
    if isinstance(values, pa.ExtensionArray) and wanted != values.type:
        values = values.storage
    text = _is_text(values.type)
    try:
        if wanted != values.type:
            values = values.cast(wanted)
        if text:
            values.validate(full=True)
    except pa.ArrowInvalid as error:
        raise _misfit(path, column, values, wanted, line) from error
    return values


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as is_

    tests = (is_.is_string, is_.is_large_string, is_.is_string_view)
    binary = (is_.is_binary, is_.is_large_binary, is_.is_binary_view, is_.is_fixed_size_binary)
    return any(test(kind) for test in (*tests, *binary))


def _misfit(path: Path, column: str, values: pa.Array, wanted: pa.DataType, line: int) -> UserError:
    """What to say of the first value that cannot be read."""
    place, value = next((n, v) for n, v in enumerate(_as_stored(values)) if not _fits(v, wanted))
    where = f"{clean(path)}, row {line + place:,}: the column '{clean(column)}' holds {value!r}"
    if isinstance(value, bytes):
        return UserError(f"{where}, which is no text in UTF-8.", "Write the column as text (a Parquet string).")
    return UserError(f"{where}, which has more than {DECIMAL_DIGITS} digits.", "Write the column as text.")


def _as_stored(values: pa.Array) -> list[Any]:
    import pyarrow as pa

    return (values.cast(pa.large_binary()) if _is_text(values.type) else values).to_pylist()


def _fits(value: Any, wanted: pa.DataType) -> bool:
    import pyarrow as pa

    try:
        if isinstance(value, bytes):
            value.decode()
        else:
            pa.array([value], wanted)
    except (UnicodeDecodeError, pa.ArrowInvalid):
        return False
    return True
