"""`lrea train`: samples to a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from lrea_cli.commands.command import command
from lrea_cli.commands.next_steps import after_train
from lrea_cli.commands.options import Dataset, Device, Json, Replace, Seed, Threads, require_name, start
from lrea_cli.recipe.reading import load_recipe
from lrea_cli.recipe.settings import METHOD_NAMES, DataSettings, MethodName, ModelSettings, SearchName, TrainSettings

FLAGS = {
    "data": ("dataset", "short", "long"),
    "model": ("method", "rank", "lam", "search"),
    "train": ("epochs", "batch_size", "lr", "seed"),
}
"""Options that replace settings of the recipe, by its sections."""


@dataclass(frozen=True)
class TrainOptions:
    """Options of `lrea train`; those of the recipe are None where not given."""

    recipe: Annotated[
        str | None, typer.Option(help="A recipe's path or name, such as taobao-lrea; or the run.json of a run.")
    ] = None
    method: Annotated[
        MethodName | None,
        typer.Option(
            metavar="<name>",
            help=f"Long-interest method: {', '.join(METHOD_NAMES)}. Default: {ModelSettings.method}.",
        ),
    ] = None
    rank: Annotated[int | None, typer.Option(help=f"Pseudo items of LREA. Default: {ModelSettings.rank}.")] = None
    lam: Annotated[
        float | None, typer.Option(help=f"Weight of the non-negativity loss, Eq. 11. Default: {ModelSettings.lam}.")
    ] = None
    search: Annotated[
        SearchName | None,
        typer.Option(help=f"How SIM searches: by category, or by inner product. Default: {ModelSettings.search}."),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(
            help=f"Most epochs. Default: {TrainSettings.epochs}. Training stops earlier after patience epochs in a row "
            f"without a better validation AUC: {TrainSettings.patience}, unless the recipe has another patience."
        ),
    ] = None
    batch_size: Annotated[int | None, typer.Option(help=f"Samples a batch. Default: {TrainSettings.batch_size}.")] = (
        None
    )
    lr: Annotated[float | None, typer.Option(help=f"Adagrad's learning rate. Default: {TrainSettings.lr}.")] = None
    short: Annotated[
        int | None, typer.Option(help=f"Behaviors of the short sequence. Default: {DataSettings.short}.")
    ] = None
    long: Annotated[int | None, typer.Option(help=f"Behaviors of the long sequence. Default: {DataSettings.long}.")] = (
        None
    )
    dataset: Dataset = None
    run: Annotated[str | None, typer.Option(help="Name of the new run; default: <dataset>-<method>-<number>.")] = None
    seed: Seed = None
    threads: Threads = None
    device: Device = "auto"
    replace: Replace = False
    json: Json = False


@command
def train(options: TrainOptions) -> None:
    """Train a model; keep the checkpoint of the epoch with the best validation AUC.

    Example: lrea train --rank 128 --lam 0.3

    LREA also shows its non-negativity loss (Eq. 10), and how even the columns of W_decomp are: entropy 0 to 1.
    """
    from lrea_cli.runs.train import train_run

    require_name(options.replace, options.run, "--run")
    recipe = load_recipe(options.recipe)
    flags = {name: {key: getattr(options, key) for key in keys} for name, keys in FLAGS.items()}
    settings = recipe.with_flags(flags)
    session = start(options.json, options.threads, options.device)
    if left := recipe.options_left_by(settings):
        session.console.say(
            f"left out, since {settings.model.method} has no such settings: {', '.join(left)} of the recipe"
        )
    name, trained = train_run(
        session.workspace, settings, options.run, session.device, session.console, replace=options.replace
    )
    best = trained.best
    session.console.result(
        {
            "run": name,
            "method": settings.model.method,
            "epochs": len(trained.epochs),
            "best_epoch": best.epoch,
            "best_valid_auc": best.valid_auc,
            "samples_per_second": best.samples_per_second,
            "seconds": trained.seconds,
            "penalty": best.penalty,
            "column_entropy": best.column_entropy,
        },
        then=after_train(session.workspace, name, settings.model.method),
    )
