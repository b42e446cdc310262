"""Recipes: TOML into frozen dataclasses, flag over recipe over default; an unknown key is an error."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import lrea_cli
from lrea_cli.errors import UserError, nearest
from lrea_cli.recipe.limits import BUCKETS, HIDDEN, RECIPE, check_range
from lrea_cli.recipe.method_options import foreign_options, require_own_options
from lrea_cli.workspace.sealed import read_json

MOST_BYTES = 100_000
"""Of a file of settings; some texts take their parser a time that grows with the square of their length."""

RUN_FILE = "run.json"
"""The manifest of a run, which holds the recipe that it was trained by."""

SWEEP_FILE = "sweep.toml"
"""Lies among the recipes of a folder and is none: see `sweep.reading`."""

MethodName = Literal["din-short", "mean", "sim", "eta", "sdim", "twin", "lrea", "din"]
"""All methods, each a file in `methods/`: a new one is that file and its name here."""
METHOD_NAMES: tuple[str, ...] = get_args(MethodName)
SearchName = Literal["hard", "soft"]
CompressorName = Literal["recent", "mean", "random", "clusters"]
COMPRESSOR_NAMES: tuple[str, ...] = get_args(CompressorName)
CHOICES: dict[str, tuple[str, ...]] = {
    "method": METHOD_NAMES,
    "form": ("decomposed", "absorbed"),
    "decomp_columns": ("unit", "free"),
    "short_histories": ("mix", "exact"),
    "penalty": ("mean", "sum"),
    "search": get_args(SearchName),
    "target_attention": ("multi-head", "din"),
}


@dataclass(frozen=True)
class DataSettings:
    """[data]: the dataset and how much of a history is read.

    Args:
        dataset: a prepared dataset; None = the latest.
        short: S, the newest behaviors. long: L, the behaviors before those.
        fields: names of the fields that are inputs; empty = all of the dataset's.
        match_counters: item fields of which log(1 + behaviors with the candidate's value) is an input, too; `category`
            is left out where the dataset has none. `item` betrays the label where negatives were drawn: a user never
            clicked them.
    """

    dataset: str | None = None
    short: int = 64
    long: int = 500
    fields: tuple[str, ...] = ()
    match_counters: tuple[str, ...] = ("category",)


@dataclass(frozen=True)
class ModelSettings:
    """[model]: the long-interest method and its hyperparameters, named as in the papers.

    Args:
        method: one of `METHOD_NAMES`.
        embedding_dim: d of one field. embedding_std: of their start.
        hidden: widths of the MLP. dropout: after each of its hidden layers, in training.
        rank, lam: r and lambda of LREA (Table 3).
        form, decomp_columns, short_histories, penalty: see `methods.lrea.LREA`.
        k: behaviors that the search of SIM, ETA and TWIN keeps. search: of SIM, by category (`hard`) or by inner
            product (`soft`). heads: of their attention. target_attention: of SIM and ETA, see `methods.searched`.
        m: hashes of ETA and SDIM. tau: those of them that make one group of SDIM.
    """

    method: str = "lrea"
    embedding_dim: int = 16
    embedding_std: float = 0.15
    hidden: tuple[int, ...] = (512, 256, 128)
    dropout: float = 0.3
    rank: int = 128
    lam: float = 0.3
    form: str = "decomposed"
    decomp_columns: str = "unit"
    short_histories: str = "mix"
    penalty: str = "mean"
    k: int = 64
    search: str = "hard"
    heads: int = 4
    target_attention: str = "multi-head"
    m: int = 48
    tau: int = 3


@dataclass(frozen=True)
class TrainSettings:
    """[train]: optimizer and stopping.

    Args:
        epochs: at most. patience: epochs without a better validation AUC before training stops.
        batch_size: samples a batch.
        lr: Adagrad's. The paper tuned .01, .005, .001 and names no start of the accumulators; here higher ones were
            better (docs/results/defaults.md).
        initial_accumulator: what the sums of squares of embeddings start from; above 0, a rarely seen value moves
            little, so a small log is not learnt by heart.
        weight_decay: share by which the embeddings that a batch read shrink in its step (decoupled from the gradient).
        seed: of start, shuffling.
    """

    epochs: int = 10
    patience: int = 2
    batch_size: int = 1024
    lr: float = 0.05
    initial_accumulator: float = 0.025
    weight_decay: float = 0.0
    seed: int = 2025


@dataclass(frozen=True)
class Compression:
    """How the records of a din run are made smaller, after training.

    Args:
        compressor: one of `COMPRESSOR_NAMES`. rank: most rows of a record. seed: of what is drawn.
    """

    __pydantic_config__: ClassVar = {"strict": True, "extra": "forbid"}  # as a manifest has it

    compressor: CompressorName
    rank: int
    seed: int = 2025


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

        Raises:
            UserError: unknown section or key, wrong type, impossible value; names `origin`.
        """
        sections = {f.name: f.default_factory for f in fields(cls)}
        for name, section in content.items():
            if name not in sections:
                raise UserError(
                    f"{origin}: unknown section [{name}]{nearest(name, sections)}.",
                    f"Known: {', '.join(sections)}",
                )
            if not isinstance(section, Mapping):
                raise UserError(f"{origin}: '{name}' stands outside a section.", "Put it under [model] or [train].")
        recipe = cls(
            **{name: read_section(make, content.get(name, {}), f"{origin} [{name}]") for name, make in sections.items()}
        )
        _check(recipe, origin)
        return recipe

    def with_flags(self, flags: Mapping[str, Mapping[str, Any]]) -> Recipe:
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

    def with_values(self, flags: Mapping[str, Mapping[str, Any]]) -> Recipe:
        """Replace what is not None, whatever the method; raises `UserError` for an impossible value."""
        given = {s: {k: v for k, v in values.items() if v is not None} for s, values in flags.items()}
        changed = replace(self, **{s: replace(getattr(self, s), **values) for s, values in given.items()})
        _check(changed, "command line")
        return changed


def load_recipe(name: str | None, *, every_method: bool = False) -> Recipe:
    """Load a recipe from a path, or by the name of one that comes with lrea, or that of a run; None = all defaults.

    Args:
        every_method: it is read for all methods, so that it may have the options of any.

    Raises:
        UserError: no such file, not TOML, a key that is not known, or an option that the recipe's method has not.
    """
    if name is None:
        return Recipe()
    path = _find(name)
    if path.name == RUN_FILE:
        return _recipe_of_run(path)
    content = read_toml(path)
    recipe = Recipe.from_dict(content, str(path))
    if not every_method:
        plain = ModelSettings()
        changed = [key for key in content.get("model", {}) if getattr(recipe.model, key) != getattr(plain, key)]
        require_own_options(recipe.model.method, changed, str(path))
    return recipe


def _recipe_of_run(path: Path) -> Recipe:
    """The recipe in the manifest of a run; it may have options of other methods, as recipes of a sweep do."""
    content = read_json(path, "Name another recipe.").get("recipe")
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no recipe: it is not the manifest of a run.", "Name another recipe.")
    return Recipe.from_dict(content, str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        UserError: it is not TOML, or larger or deeper than any recipe.
    """
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
    package = Path(lrea_cli.__file__).parent
    installed = package / "recipes"
    return installed if installed.exists() else package.parent / "recipes"


def _find(name: str) -> Path:
    for path in (Path(name), shipped_recipes() / f"{name.removesuffix('.toml')}.toml"):
        if path.is_file():
            return path
    files = (p for p in shipped_recipes().rglob("*.toml") if p.name != SWEEP_FILE)
    known = sorted(str(p.relative_to(shipped_recipes()).with_suffix("")) for p in files)
    raise UserError(
        f"There is no recipe '{name}'{nearest(name, known)}.",
        f"Give a path, or one of: {', '.join(known)}",
    )


def read_section(make: Any, content: Mapping[str, Any], origin: str) -> Any:
    """A frozen dataclass from plain values.

    Raises:
        UserError: a key that is no attribute of `make`, or a value of another type; names `origin`.
    """
    types = get_type_hints(make)
    hints = {f.name: types[f.name] for f in fields(make)}
    values = {}
    for key, value in content.items():
        if key not in hints:
            raise UserError(f"{origin}: unknown key '{key}'{nearest(key, hints)}.", f"Known: {', '.join(hints)}")
        values[key] = read_value(value, hints[key], f"{origin} {key}")
    return make(**values)


def read_value(value: Any, hint: Any, origin: str) -> Any:
    """The value as its type hint wants it (whole numbers are floats, lists are tuples).

    Raises:
        UserError: it is of another type.
    """
    kind = get_origin(hint)
    if kind in (tuple, list):
        if isinstance(value, (list, tuple)):
            return kind(read_value(v, get_args(hint)[0], origin) for v in value)
    elif kind is Literal:
        known = get_args(hint)
        if value not in known:
            raise UserError(
                f"{origin}: '{value}' is not known{nearest(str(value), known)}.", f"Known: {', '.join(known)}"
            )
        return value
    elif hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**63 else math.inf
    elif isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool):
        return value
    expected = hint.__name__ if isinstance(hint, type) else str(hint)
    raise UserError(f"{origin}: {value!r} is not {expected}.")


def _check(recipe: Recipe, origin: str) -> None:
    """Refuse impossible values before any work starts."""
    for section in (recipe.data, recipe.model, recipe.train):
        for key, value in asdict(section).items():
            if key in CHOICES and value not in CHOICES[key]:
                raise UserError(
                    f"{origin}: {key} = '{value}' is not known{nearest(value, CHOICES[key])}.",
                    f"Known: {', '.join(CHOICES[key])}",
                )
            if key in RECIPE:
                check_range(f"{origin}: {key}", value, *RECIPE[key])
    for name, share in (("dropout", recipe.model.dropout), ("weight_decay", recipe.train.weight_decay)):
        if not 0 <= share < 1:
            raise UserError(f"{origin}: {name} is {share}.", "Use 0 or more, below 1.")
    for width in recipe.model.hidden:
        check_range(f"{origin}: a width of hidden", width, *HIDDEN)
    if not 0 < recipe.train.lr < 100:
        raise UserError(f"{origin}: lr = {recipe.train.lr} is not a learning rate.", f"Try: {TrainSettings.lr}")
    model, data = recipe.model, recipe.data
    if not model.hidden:
        raise UserError(f"{origin}: hidden has no width.", "Use one or more, such as [128, 64].")
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
