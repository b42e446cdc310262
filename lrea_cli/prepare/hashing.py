"""The hash behind every draw, the same in any engine: only multiplications and remainders below 2^62."""

from __future__ import annotations

PRIME = 2**31 - 1


def mix(number: int) -> int:
    """One step (multiply, fold, multiply; modulo 2^31 - 1); `mix_sql` is the same."""
    h = number % PRIME * 1_103_515_245 % PRIME
    return (h ^ (h >> 15)) * 48_271 % PRIME


def mix_sql(number: str) -> str:
    """`mix` as SQL, for a BIGINT expression that is not negative."""
    h = f"(({number}) % {PRIME} * 1103515245 % {PRIME})"
    return f"(xor({h}, {h} >> 15) * 48271 % {PRIME})"


def wide(number: int) -> int:
    """Two steps side by side, below 2^62: enough to choose evenly among billions; `wide_sql` is the same."""
    h = mix(number)
    return h * PRIME + mix(h + 1)


def wide_sql(mixed: str) -> str:
    """`wide` as SQL, for a column that is mixed once already."""
    return f"({mixed} * {PRIME} + {mix_sql(f'{mixed} + 1')})"


def residue_sql(column: str, kind: str) -> str:
    """A raw value as 0 .. PRIME - 1, so that no sum overflows; text by the first 15 hex digits of its md5."""
    number = f"CAST('0x' || substr(md5({column}), 1, 15) AS BIGINT)" if kind == "VARCHAR" else column
    return f"(({number}) % {PRIME} + {PRIME}) % {PRIME}"
