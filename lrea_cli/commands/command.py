"""A command's options as a frozen dataclass: its attributes are the parameters from which typer makes options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

Options = TypeVar("Options")


def command(run: Callable[[Options], None]) -> Callable[..., None]:
    """Decorate the function of a command, which takes one dataclass of options, for `app.command`.

    Args:
        run: its docstring is the help of the command; lines within a paragraph are joined, to fit any terminal.

    Returns:
        a function with a parameter for each attribute of the dataclass.

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
