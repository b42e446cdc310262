"""`lrea cost`: what every method costs, counted and not timed, beside the paper's Table 1."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrea_cli.commands.options import Dataset, Json, Long, Rank, RecipeName, RecordDtype, Short, command, within
from lrea_cli.console.counts import counted
from lrea_cli.console.output import Console
from lrea_cli.console.show import number, short
from lrea_cli.recipe.recipe import Recipe, load_recipe
from lrea_cli.recipe.settings import COUNT, METHOD_NAMES, ModelSettings
from lrea_cli.workspace.home import Workspace

if TYPE_CHECKING:
    import numpy as np

    from lrea_cli.methods import HistoryShape
    from lrea_cli.serving.bills import Bill

COLUMNS = ["", "FLOPs\noffline", "FLOPs\nrequest", "FLOPs\nbehavior"]
COLUMNS += ["bytes\nrecord", "bytes\nas ids", "bytes\nread", "bytes\nwrite"]
PAPER_COLUMNS = ["", "paper:\ntraining", "paper:\nonline serving", "FLOPs\nrequest", "share\nof DIN's"]


@dataclass(frozen=True)
class Counted:
    """All bills: with every history padded to L, and at the real lengths of a dataset, if there is one.

    Args:
        lengths: (users,) long behaviors of each at the end of the dataset.
    """

    shape: HistoryShape
    padded: list[Bill]
    dataset: str | None = None
    lengths: np.ndarray | None = None
    real: list[Bill] | None = None


@dataclass(frozen=True)
class CostOptions:
    """Options of `lrea cost`."""

    candidates: Annotated[int, typer.Option(callback=within(*COUNT), help="Candidates of each request.")] = 1000
    rank: Rank = None
    short: Short = None
    long: Long = None
    recipe: RecipeName = None
    dtype: RecordDtype = "float32"
    dataset: Dataset = None
    json: Json = False


@command
def cost(options: CostOptions) -> None:
    """Count the FLOPs and bytes of every method, without training.

    Example: lrea cost --candidates 1000 --rank 128

    The work is that of making a record, of one request, and of one new behavior. All methods have the same settings,
    the defaults or those of --recipe; `lrea train` starts from others, which a search chose for each method.
    """
    data = {"dataset": options.dataset, "short": options.short, "long": options.long}
    recipe = load_recipe(options.recipe, every_method=True) if options.recipe else Recipe()
    settings = recipe.with_values({"data": data, "model": {"rank": options.rank}})
    for method in METHOD_NAMES:  # what is impossible for one of them is refused here
        settings.with_values({"model": {"method": method}})
    console, count = Console(options.json), _count(Workspace.from_environment(), settings, options)
    _show(console, count, settings.model, options)
    then = "lrea prepare synthetic, then lrea cost" if count.real is None else "lrea train"
    console.result(_content(count, settings, options), then=then)


def _count(workspace: Workspace, recipe: Recipe, options: CostOptions) -> Counted:
    """At the lengths of the dataset; where none is named and there is none, of item and category alone."""
    import numpy as np

    from lrea_cli.dataset.histories import open_histories
    from lrea_cli.dataset.layout import DatasetInfo
    from lrea_cli.dataset.manifest import DATASETS
    from lrea_cli.features import select_fields
    from lrea_cli.methods import HistoryShape
    from lrea_cli.serving.bills import Users, bills

    data, dim = recipe.data, recipe.model.embedding_dim
    artifact = workspace.open(DATASETS, data.dataset) if data.dataset else workspace.latest(DATASETS)
    names, lengths = ["item", "category"], None
    if artifact is not None:
        info = DatasetInfo.of(artifact)
        names = [f.name for f in select_fields(info.manifest.fields, data.fields) if f.role == "item"]
        lengths = np.clip(open_histories(info).lengths_before(info.manifest.splits.end) - data.short, 0, data.long)
    shape = HistoryShape(len(names) * dim, data.long, "category" in names)

    def bills_of(lengths: np.ndarray) -> list[Bill]:
        users = Users(lengths, options.candidates, len(names), options.dtype)
        return bills(recipe.model, shape, users)

    padded = bills_of(np.array([data.long]))
    if artifact is None or lengths is None:
        return Counted(shape, padded)
    return Counted(shape, padded, artifact.name, lengths, bills_of(lengths))


def _show(console: Console, count: Counted, model: ModelSettings, options: CostOptions) -> None:
    """The table padded to L, the one at real lengths, and the paper's."""
    candidates = counted(options.candidates, "candidate")
    console.say(f"N = {candidates} a request, D = {count.shape.width}, {options.dtype} records")
    console.say(
        f"r = {model.rank}, H = {model.scorer_hidden}, k = {model.k}, heads = {model.heads}, m = {model.m}, "
        f"tau = {model.tau}; sim and eta have {model.target_attention} attention. All methods have these settings; "
        "those that `lrea train` starts from differ by method (recipes/chosen)."
    )
    title = f"padded: every user has L = {counted(count.shape.long, 'long behavior')}"
    console.table(title, COLUMNS, list(map(_row, count.padded)))
    if count.real is None or count.lengths is None:
        console.say("There is no dataset, so no real lengths; D is that of item and category.")
    else:
        of_users = f"mean of {counted(len(count.lengths), 'user')} at the end of the data"
        title = f"{count.dataset}: {of_users}, {count.lengths.mean():,.1f} long behaviors"
        console.table(title, COLUMNS, list(map(_row, count.real)))
    console.say(
        "FLOPs behavior and bytes write: of one new behavior. bytes record: without the match counters, which are the "
        "same for every method. bytes as ids: of a record that holds ids in place of vectors. n/a: the work of a "
        "compressor is not counted. category is counted as if each behavior had a category of its own, "
        "twin-v2 as if each cluster were halved evenly."
    )
    title = "the paper's Table 1 (TWIN is not in it), and our count, padded"
    console.table(title, PAPER_COLUMNS, _paper_rows(count.padded))
    console.say(
        "B: candidates (our N). L: long behaviors. k: behaviors that a search finds. r: rank. m: hashes. d: width. "
        "M: size of SIM's index. O() hides the hidden units in the scorer of DIN and LREA."
    )


def _row(bill: Bill) -> list[str]:
    works = (bill.offline, bill.request, bill.behavior)
    flops = [short(work and work.flops) for work in works]
    as_ids = "" if bill.record_bytes_as_ids is None else short(bill.record_bytes_as_ids)
    written = short(bill.behavior and bill.behavior.bytes)
    return [bill.name, *flops, short(bill.record_bytes), as_ids, short(bill.request.bytes), written]


def _paper_rows(padded: list[Bill]) -> list[list[str]]:
    from lrea_cli.serving.bills import TABLE_1

    ours = {bill.method: bill.request.flops for bill in padded if bill.compressor is None}
    return [
        [paper, training, online, short(ours[method]), number(ours[method] / ours["din"], ".3f")]
        for method, (paper, training, online) in TABLE_1.items()
    ]


def _content(count: Counted, recipe: Recipe, options: CostOptions) -> dict[str, Any]:
    from lrea_cli.serving.bills import TABLE_1

    lengths = count.lengths
    return {
        "dataset": count.dataset,
        "candidates": options.candidates,
        "dtype": options.dtype,
        "width": count.shape.width,
        "long": recipe.data.long,
        "short": recipe.data.short,
        "model": asdict(recipe.model),
        "users": None if lengths is None else len(lengths),
        "mean_length": None if lengths is None else float(lengths.mean()),
        "padded": [_plain(bill) for bill in count.padded],
        "real": count.real and [_plain(bill) for bill in count.real],
        "paper": {method: {"training": t, "online": o} for method, (_, t, o) in TABLE_1.items()},
    }


def _plain(bill: Bill) -> dict[str, Any]:
    """With the FLOPs of each piece of work, as one number and by their kinds."""
    works = {"offline": bill.offline, "request": bill.request, "behavior": bill.behavior}
    return {**asdict(bill), **{name: work and {"flops": work.flops, **asdict(work)} for name, work in works.items()}}
