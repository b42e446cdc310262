"""A command's options: the dataclass of which typer makes them, those that several commands share, and the session."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_type_hints

import typer

from lrea_cli.console.output import Console
from lrea_cli.dataset.manifest import DATASETS
from lrea_cli.errors import UserError
from lrea_cli.recipe.recipe import shipped_names
from lrea_cli.recipe.settings import (
    HIGHEST_SEED,
    CacheDtype,
    DataSettings,
    TrainSettings,
    check_range,
    check_threads,
)
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.home import Workspace
from lrea_cli.workspace.kinds import Kind, home_of_environment

if TYPE_CHECKING:
    import torch


Options = TypeVar("Options")


def command(run: Callable[[Options], None]) -> Callable[..., None]:
    """Make of a function that takes one dataclass of options a command for `app.command`.

    Each attribute of the dataclass becomes a parameter. The docstring is the help; lines within a paragraph are joined.

    Example:
        >>> @dataclass(frozen=True)
        ... class GreetOptions:
        ...     name: Annotated[str, typer.Option(help="Who is greeted.")] = "you"
        >>> @command
        ... def greet(options: GreetOptions) -> None:
        ...     print(f"Hello, {options.name}.")
    """
    options_type = get_type_hints(run)["options"]

    def with_parameters(**values: Any) -> None:
        run(options_type(**values))

    paragraphs = (inspect.getdoc(run) or "").split("\n\n")
    with_parameters.__doc__ = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return shaped(with_parameters, parameters_of(options_type))


def parameters_of(options_type: type) -> list[inspect.Parameter]:
    """The attributes of a dataclass as keyword parameters; of a default factory the default is what it makes."""
    hints = get_type_hints(options_type, include_extras=True)
    defaults = {f.name: inspect.Parameter.empty if f.default is MISSING else f.default for f in fields(options_type)}
    defaults |= {f.name: f.default_factory() for f in fields(options_type) if f.default_factory is not MISSING}
    keyword = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(n, keyword, default=default, annotation=hints[n]) for n, default in defaults.items()]


def shaped(function: Callable[..., None], parameters: Sequence[inspect.Parameter]) -> Callable[..., None]:
    """Give a function of `**values` the signature that typer reads."""
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {p.name: p.annotation for p in parameters}
    return function


def names_of(*kinds: Kind[Any]) -> Callable[[], list[str]]:
    """Complete an option with the names of finished artifacts; it reads no manifest, and never raises."""

    def complete() -> list[str]:
        with suppress(UserError, OSError):
            home = home_of_environment()
            folders = [file.parent.name for kind in kinds for file in (home / kind.folder).glob(f"*/{kind.file}")]
            return sorted(name for name in folders if not name.startswith("."))
        return []

    return complete


def existing(kind: Kind[Any], help: str) -> Any:
    """An option that names an artifact of the home."""
    return typer.Option(help=help, autocompletion=names_of(kind))


def within(low: float, high: float) -> Callable[[typer.CallbackParam, float | None], float | None]:
    """A callback of an option: its number lies within these limits, ends included; nan does not."""

    def check(param: typer.CallbackParam, value: float | None) -> float | None:
        if value is not None:
            check_range(param.opts[-1], value, low, high)
        return value

    return check


def as_threads(param: typer.CallbackParam, value: int | None) -> int | None:
    """A callback of an option: the machine can start so many threads or processes."""
    if value is not None:
        check_threads(param.opts[-1], value)
    return value


def require_name(replace: bool, name: str | None, option: str) -> None:
    """Refuse `--replace` without a name: a new name would be chosen, and nothing replaced."""
    if replace and name is None:
        raise UserError(f"--replace needs {option}.", f"Name what is to be replaced: {option} NAME --replace")


SEED = typer.Option(
    callback=within(0, HIGHEST_SEED),
    help=f"Seed of all random draws; default: {TrainSettings.seed}.",
    show_default=False,
)
Dataset = Annotated[str | None, existing(DATASETS, "Which dataset to read; default: the recipe's, else the latest.")]
RunDataset = Annotated[str | None, existing(DATASETS, "Read the latest run of this dataset; default: of any.")]
RunName = Annotated[str | None, existing(RUNS, "Which run to read; default: the latest.")]
RecipeName = Annotated[
    str | None,
    typer.Option(
        help="Name of a recipe, such as taobao-lrea, or its path; or the run.json of a run.",
        autocompletion=shipped_names,
    ),
]
Short = Annotated[
    int | None, typer.Option(help=f"Newest behaviors, the short sequence; default: {DataSettings.short}.")
]
Long = Annotated[
    int | None, typer.Option(help=f"Behaviors before those, the long sequence; default: {DataSettings.long}.")
]
Rank = Annotated[int | None, typer.Option(help="Pseudo items that a history is compressed to.")]
RecordDtype = Annotated[CacheDtype, typer.Option(help="Number format of the records; int8 has one scale a row.")]
Threads = Annotated[int | None, typer.Option(callback=as_threads, help="How many CPU threads; default: all cores.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute; auto: cuda where there is a CUDA device.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace the dataset, run, cache or folder of this name.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, all else on stderr.")]


@dataclass(frozen=True)
class JsonAlone:
    """Options of a command that has no others."""

    json: Json = False


@dataclass(frozen=True)
class Session:
    """What every command works with."""

    console: Console
    workspace: Workspace
    device: torch.device


def start(as_json: bool, threads: int | None, device: str) -> Session:
    """Set torch's threads and choose the device; cuda where there is none is refused."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("There is no CUDA device that this torch can use.", "Use --device cpu.")
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return Session(Console(as_json), Workspace.from_environment(), torch.device(name))
