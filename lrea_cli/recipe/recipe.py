"""A recipe: everything that decides a run; flag over recipe file over default, and nothing impossible."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.settings import DataSettings, ModelSettings, TrainSettings
from lrea_cli.recipe.values import read_section

BUCKETS = 16_384
"""Most rows of an SDIM record, m / tau groups of 2^tau."""

METHOD_OPTIONS: dict[str, tuple[str, ...]] = {
    "sim": ("k", "search", "heads", "target_attention"),
    "eta": ("k", "m", "heads", "target_attention"),
    "sdim": ("m", "tau"),
    "twin": ("k", "heads"),
    "lrea": ("rank", "lam", "form", "decomp_columns", "short_histories", "penalty"),
}
"""Attributes of `ModelSettings` that belong to some methods only; a method that is not named has none of them."""

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
        """Read sections of plain values.

        Args:
            origin: where they stand, for the message.

        Raises:
            UserError: unknown section or key, wrong type, impossible value.
        """
        sections = [f.name for f in fields(cls)]
        for name, section in content.items():
            if name not in sections:
                raise UserError(
                    f"{origin}: unknown section [{name}]{nearest(name, sections)}.",
                    f"Known: {', '.join(sections)}",
                )
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
        plain = {option: getattr(ModelSettings(), option) for option in foreign}
        return replace(self, model=replace(self.model, **plain)).with_values(flags)

    def options_left_by(self, other: Recipe) -> list[str]:
        """Options of this recipe's method that another recipe's method has not, where they are not at their default."""
        plain = ModelSettings()
        return sorted(k for k in foreign_options(other.model.method) if getattr(self.model, k) != getattr(plain, k))

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


def foreign_options(method: str) -> frozenset[str]:
    """Options of other methods that this one does not have."""
    every = {option for options in METHOD_OPTIONS.values() for option in options}
    return frozenset(every.difference(METHOD_OPTIONS.get(method, ())))


def require_own_options(method: str, given: Collection[str], origin: str) -> None:
    """Raise a `UserError` for the first option that the method does not have.

    Args:
        given: names of the options that were set.
        origin: where they were set, for the message.
    """
    for option in given:
        if option in foreign_options(method):
            own = ", ".join(METHOD_OPTIONS.get(method, ())) or "none"
            having = ", ".join(name for name, options in METHOD_OPTIONS.items() if option in options)
            raise UserError(
                f"{origin}: {option} is no option of method '{method}'; its own are: {own}.",
                f"Leave {option} out, or choose a method that has it: {having}.",
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
