"""A recipe: everything that decides a run; a flag goes before the recipe file, the file before the default."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import lrea_cli
from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.settings import DataSettings, ModelSettings, TrainSettings
from lrea_cli.recipe.values import read_section
from lrea_cli.workspace.sealed import read_json

BUCKETS = 16_384
"""Most rows of an SDIM record, m / tau groups of 2^tau."""

METHOD_OPTIONS: dict[str, tuple[str, ...]] = {
    "sim": ("k", "search", "heads", "target_attention"),
    "eta": ("k", "m", "heads", "target_attention"),
    "sdim": ("m", "tau"),
    "twin": ("k", "heads"),
    "twin-v2": ("k", "heads", "most_members"),
    "vq": ("codes", "beta", "heads"),
    "category": ("shared_rows", "half_life", "temperature"),
    "sketch": ("rank", "layers", "normalize", "temperature", "reader", "heads"),
    "lrea": ("rank", "lam", "form", "decomp_columns", "short_histories", "penalty", "start", "step", "reader", "heads"),
    "mean": ("reader", "heads"),
    "din": ("reader", "heads"),
}
"""Attributes of `ModelSettings` that belong to some methods only; a method that is not named has none of them."""

MOST_BYTES = 100_000
"""Of a file of settings; some texts take their parser a time that grows with the square of their length."""

RUN_FILE = "run.json"
"""The manifest of a run, which holds the recipe that it was trained by."""

SWEEP_FILE = "sweep.toml"
"""Lies among the recipes of a folder and is none (`sweep.settings`)."""

WORLDS_FILE = "worlds.toml"
"""Lies among the recipes that come with lrea and is none (`recipe.worlds`)."""

CHOSEN = "chosen"
"""The section of a recipe file that says how its settings were found (`recipe.chosen`); no part of the recipe."""

NO_RECIPES = frozenset({SWEEP_FILE, WORLDS_FILE})

Sections = Mapping[str, Mapping[str, Any]]
"""Values by their section and key: `{"model": {"rank": 64}}`."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run."""

    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    train: TrainSettings = field(default_factory=TrainSettings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `run.json` keeps them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], origin: str) -> Recipe:
        """Read sections of plain values; a message names their origin.

        Raises:
            UserError: unknown section or key, wrong type, impossible value.
        """
        sections = [f.name for f in fields(cls)]
        for name, section in content.items():
            if name not in sections:
                unknown = f"{origin}: unknown section [{name}]{nearest(name, sections)}."
                raise UserError(unknown, f"Known: {', '.join(sections)}")
            if not isinstance(section, Mapping):
                raise UserError(f"{origin}: '{name}' stands outside a section.", "Put it under [model] or [train].")
        return cls()._with(content, {name: f"{origin} [{name}]" for name in content}, origin)

    def with_flags(self, flags: Sections) -> Recipe:
        """Replace what a flag was given for: `{"model": {"rank": 64, "lam": None}}`; None = not given.

        Another method than the recipe's has that method's own options at their defaults.

        Raises:
            UserError: an impossible value, or an option that the method has not.
        """
        asked = {key for key, value in flags.get("model", {}).items() if value is not None}
        method = flags.get("model", {}).get("method") or self.model.method
        require_own_options(method, asked, "command line")
        foreign = foreign_options(method) if method != self.model.method else ()
        plain = {option: getattr(ModelSettings, option) for option in foreign}
        return replace(self, model=replace(self.model, **plain)).with_values(flags)

    def options_left_by(self, other: Recipe) -> list[str]:
        """Options of this recipe's method that another recipe's method has not, where they are not at their default."""
        foreign = foreign_options(other.model.method)
        return sorted(k for k in foreign if getattr(self.model, k) != getattr(ModelSettings, k))

    def with_values(self, flags: Sections) -> Recipe:
        """Replace what is not None, whatever the method; raises `UserError` for an impossible value."""
        given = {s: {k: v for k, v in values.items() if v is not None} for s, values in flags.items()}
        return self._with(given, dict.fromkeys(given, "command line"), "command line")

    def _with(self, content: Sections, origins: Mapping[str, str], origin: str) -> Recipe:
        """Replace values of some sections; each section is checked, then what goes together."""
        before = {name: getattr(self, name) for name in content}
        sections = {
            name: read_section(type(before[name]), {**vars(before[name]), **values}, origins[name])
            for name, values in content.items()
        }
        recipe = replace(self, **sections)
        _check_together(recipe, origin)
        return recipe


def load_recipe(name: str, *, every_method: bool = False) -> Recipe:
    """Load a recipe from a path, or by the name of one that comes with lrea, or the one in a run's manifest.

    Args:
        every_method: accept options of any method, as a run's manifest may have them, too.

    Raises:
        UserError: no such file, not TOML, a key that is not known, or an option that the recipe's method has not.
    """
    path = _find(name)
    of_run = path.name == RUN_FILE
    content = read_json(path, "Name another recipe.").get("recipe") if of_run else read_toml(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no recipe: it is not the manifest of a run.", "Name another recipe.")
    recipe = Recipe.from_dict({name: part for name, part in content.items() if name != CHOSEN}, str(path))
    if not (every_method or of_run):
        values = content.get("model", {})
        changed = [key for key in values if getattr(recipe.model, key) != getattr(ModelSettings, key)]
        require_own_options(recipe.model.method, changed, str(path))
    return recipe


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file; a `UserError` where it is not TOML, or larger or deeper than any recipe."""
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} is no recipe: it has more than {MOST_BYTES:,} bytes.", "Name a recipe.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    except (RecursionError, ValueError) as error:  # brackets in brackets; a number of thousands of digits
        raise UserError(f"{path} is no recipe: {type(error).__name__}: {error}") from error


def shipped_recipes() -> Path:
    """The folder of recipes that come with lrea: inside the installed package, or beside it in a checkout."""
    installed = Path(lrea_cli.__file__).parent / "recipes"
    return installed if installed.exists() else installed.parents[1] / "recipes"


def shipped_names() -> list[str]:
    """The names of the recipes that come with lrea, such as `taobao-lrea` and `table2/din`."""
    folder = shipped_recipes()
    files = (path for path in folder.rglob("*.toml") if path.name not in NO_RECIPES)
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in files)


def foreign_options(method: str) -> frozenset[str]:
    """Options of other methods that this one does not have."""
    every = {option for options in METHOD_OPTIONS.values() for option in options}
    return frozenset(every.difference(METHOD_OPTIONS.get(method, ())))


def require_own_options(method: str, given: Collection[str], origin: str) -> None:
    """Raise a `UserError` for the first of the given options that the method does not have."""
    if foreign := [option for option in given if option in foreign_options(method)]:
        option, own = foreign[0], ", ".join(METHOD_OPTIONS.get(method, ())) or "none"
        having = ", ".join(name for name, options in METHOD_OPTIONS.items() if option in options)
        raise UserError(
            f"{origin}: {option} is no option of method '{method}'; its own are: {own}.",
            f"Leave {option} out, or choose a method that has it: {having}.",
        )


def _find(name: str) -> Path:
    for path in (Path(name), shipped_recipes() / f"{name.removesuffix('.toml')}.toml"):
        if path.is_file():
            return path
    known = shipped_names()
    raise UserError(
        f"There is no recipe '{name}'{nearest(name, known)}.", f"Give a path, or one of: {', '.join(known)}"
    )


def _check_together(recipe: Recipe, origin: str) -> None:
    """Raise a `UserError` for values that are possible alone and not beside each other."""
    model, data = recipe.model, recipe.data
    if model.method != "din-short" and data.long < 1:
        raise UserError(f"{origin}: long = 0 leaves nothing for method '{model.method}'.", "Use --method din-short.")
    if model.method == "sdim" and model.m % model.tau:
        raise UserError(
            f"{origin}: m = {model.m} is no multiple of tau = {model.tau}: hashes come in groups of tau.",
            f"Use m = {model.m // model.tau * model.tau or model.tau}.",
        )
    if model.method == "sdim" and model.m // model.tau * 2**model.tau > BUCKETS:
        raise UserError(
            f"{origin}: m = {model.m} and tau = {model.tau} make records of {model.m // model.tau} times 2^{model.tau} "
            "rows.",
            f"Use a smaller tau: at most {BUCKETS:,} rows.",
        )
    if model.method == "lrea" and model.rank > data.long:
        raise UserError(
            f"{origin}: rank = {model.rank} is above long = {data.long}: nothing would be compressed.",
            "Use a smaller --rank, a longer --long, or --method din.",
        )
