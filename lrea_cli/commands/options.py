"""Options that several commands share, and what they open: one place for their names, help and defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lrea_cli.console.output import Console
from lrea_cli.errors import UserError
from lrea_cli.recipe.settings import HIGHEST_SEED, check_range, check_threads
from lrea_cli.workspace.home import Workspace

if TYPE_CHECKING:
    import torch

Dataset = Annotated[str | None, typer.Option(help="A prepared dataset; default: the latest.")]
RunDataset = Annotated[
    str | None, typer.Option("--dataset", help="Take the latest run on this dataset; default: on any.")
]
ArtifactName = Annotated[
    str, typer.Argument(metavar="NAME", help="A dataset, run or cache, such as taobao-din-1, or runs/taobao-din-1.")
]
RunName = Annotated[str | None, typer.Option("--run", help="A run; default: the latest.")]


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
    """Refuse `--replace` without a name: a new name would be chosen, and nothing replaced.

    Raises:
        UserError: it says by which option to name the artifact.
    """
    if replace and name is None:
        raise UserError(f"--replace needs {option}.", f"Name what is to be replaced: {option} NAME --replace")


Seed = Annotated[int | None, typer.Option(callback=within(0, HIGHEST_SEED), help="Seed of everything that is drawn.")]
Threads = Annotated[int | None, typer.Option(callback=as_threads, help="CPU threads; default: all cores.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Device that computes; auto = cuda where there is one.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace what has the same name.")]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on stdout; all else on stderr.")]


@dataclass(frozen=True)
class Session:
    """What every command works with."""

    console: Console
    workspace: Workspace
    device: torch.device
    threads: int


def start(as_json: bool, threads: int | None, device: str) -> Session:
    """Set torch's threads and choose the device.

    Raises:
        UserError: cuda was asked for where there is none.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("There is no CUDA device that this torch can use.", "Use --device cpu.")
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    return Session(Console(as_json), Workspace.from_environment(), torch.device(name), torch.get_num_threads())
