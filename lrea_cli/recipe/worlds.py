"""Worlds: planted logs by name, each for development or for tables (`recipes/worlds.toml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.recipe import WORLDS_FILE, read_toml, shipped_recipes
from lrea_cli.recipe.values import read_section

PLANTED = "synthetic"
"""The source of every world."""


@dataclass(frozen=True)
class World:
    """A planted log.

    Args:
        role: settings are chosen on `development` worlds alone; results are of worlds of a `table`.
        preset, lengths, users, drift, sharpness, field_effect, seed: see `lrea prepare synthetic --help`.
    """

    name: str
    role: Literal["development", "table"]
    preset: str
    lengths: str
    users: int
    drift: float
    sharpness: float
    field_effect: float
    seed: int

    @property
    def options(self) -> dict[str, Any]:
        """What decides the log, as the manifest of its dataset has it."""
        return {name: value for name, value in vars(self).items() if name not in ("name", "role")}


def read_worlds() -> dict[str, World]:
    """All worlds by name, in the order of the file; a UserError names what is wrong with it."""
    path = shipped_recipes() / WORLDS_FILE
    return {name: _read(name, content, f"{path} [{name}]") for name, content in read_toml(path).items()}


def world_names() -> list[str]:
    """The names of all worlds."""
    return list(read_worlds())


def find_world(name: str, origin: str = "") -> World:
    """The world of this name; a UserError names the nearest one, and the file and section that ask for it."""
    worlds = read_worlds()
    if name not in worlds:
        where = f"{origin}: there" if origin else "There"
        raise UserError(f"{where} is no world '{name}'{nearest(name, worlds)}.", f"Known: {', '.join(worlds)}")
    return worlds[name]


def world_of(source: str, options: Mapping[str, Any]) -> World | None:
    """The world that a dataset is, whatever its name; None where it is none.

    Args:
        source, options: of its manifest.
    """
    if source != PLANTED:
        return None
    return next((world for world in read_worlds().values() if world.options == options), None)


def _read(name: str, content: Any, origin: str) -> World:
    if not isinstance(content, Mapping):
        raise UserError(f"{origin} is no section.", "Put its keys under [NAME].")
    if missing := [key for key in World.__dataclass_fields__ if key not in {"name", *content}]:
        raise UserError(f"{origin} has no {missing[0]}.", "A world names everything that decides its log.")
    return read_section(World, {**content, "name": name}, origin)
