"""`lrea train`: samples to a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from lrea_cli.commands.next_steps import after_train
from lrea_cli.commands.options import (
    SEED,
    Dataset,
    Device,
    Json,
    Long,
    Rank,
    RecipeName,
    Replace,
    Short,
    Threads,
    command,
    require_name,
    start,
)
from lrea_cli.recipe.chosen import default_recipe
from lrea_cli.recipe.recipe import load_recipe
from lrea_cli.recipe.settings import METHOD_NAMES, MethodName, ModelSettings, SearchName, TrainSettings


@dataclass(frozen=True)
class TrainOptions:
    """Options of `lrea train`; one with the name of a setting replaces the recipe's, unless it is None."""

    recipe: RecipeName = None
    method: Annotated[
        MethodName | None,
        typer.Option(
            metavar="<name>",
            help=f"Long-interest method: {', '.join(METHOD_NAMES)}; default: {ModelSettings.method}.",
        ),
    ] = None
    rank: Rank = None
    lam: Annotated[
        float | None,
        typer.Option(help="Weight of LREA's non-negativity loss (Eq. 11)."),
    ] = None
    search: Annotated[
        SearchName | None,
        typer.Option(help=f"SIM searches by category (hard) or inner product (soft); default: {ModelSettings.search}."),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(
            help=f"Most epochs to train; default: {TrainSettings.epochs}. Training ends earlier when the validation "
            f"AUC has not risen for {TrainSettings.patience} epochs in a row (the recipe's patience)."
        ),
    ] = None
    batch_size: Annotated[
        int | None, typer.Option(help=f"Samples in a batch; default: {TrainSettings.batch_size}.")
    ] = None
    lr: Annotated[float | None, typer.Option(help="Learning rate of Adagrad.")] = None
    short: Short = None
    long: Long = None
    dataset: Dataset = None
    run: Annotated[str | None, typer.Option(help="Name for the new run; default: <dataset>-<method>-<number>.")] = None
    seed: Annotated[int | None, SEED] = None
    threads: Threads = None
    device: Device = "auto"
    replace: Replace = False
    json: Json = False


@command
def train(options: TrainOptions) -> None:
    """Train a model and keep its best checkpoint, by validation AUC.

    Example: lrea train --rank 128 --lam 0.3

    A setting that is not given is the recipe's. Without a recipe, one of the model is what `lrea search` chose for the
    method (recipes/chosen), all others are defaults. Of LREA the output also shows the non-negativity loss (Eq. 10), of
    LREA and sketch the entropy of the columns: 0 where a behavior goes to one pseudo item, 1 where it goes to all.
    """
    from lrea_cli.runs.train import train_run

    require_name(options.replace, options.run, "--run")
    recipe = load_recipe(options.recipe) if options.recipe else default_recipe(options.method or ModelSettings.method)
    given = vars(options)
    flags = {name: {key: given[key] for key in vars(part) if key in given} for name, part in vars(recipe).items()}
    settings = recipe.with_flags(flags)
    session = start(options.json, options.threads, options.device)
    console, workspace, method = session.console, session.workspace, settings.model.method
    if left := recipe.options_left_by(settings):
        console.say(f"left out, since {method} has no such settings: {', '.join(left)} of the recipe")
    name, trained = train_run(workspace, settings, options.run, session.device, console, replace=options.replace)
    best = trained.best
    content = {
        "run": name,
        "method": method,
        "epochs": len(trained.epochs),
        "best_epoch": best.epoch,
        "best_valid_auc": best.valid_auc,
        "samples_per_second": best.samples_per_second,
        "seconds": trained.seconds,
        "penalty": best.penalty,
        "column_entropy": best.column_entropy,
    }
    console.result(content, then=after_train(workspace, name, method))
