"""`lrea cost`: what every method costs, counted and not timed, beside the paper's Table 1."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lrea_cli.commands.command import command
from lrea_cli.commands.options import Dataset, Json, within
from lrea_cli.console import counts
from lrea_cli.console.output import Console
from lrea_cli.console.show import number, short
from lrea_cli.recipe.limits import COUNT
from lrea_cli.recipe.reading import load_recipe
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import METHOD_NAMES, DataSettings, ModelSettings
from lrea_cli.workspace.home import Workspace

if TYPE_CHECKING:
    import numpy as np

    from lrea_cli.methods import HistoryShape
    from lrea_cli.methods.bills import Bill
    from lrea_cli.methods.cost import Work
    from lrea_cli.records.format import CacheDtype

COLUMNS = ["", "FLOPs\noffline", "FLOPs\nrequest", "FLOPs\nbehavior"]
COLUMNS += ["bytes\nrecord", "bytes\nas ids", "bytes\nread", "bytes\nwrite"]
PAPER_COLUMNS = ["", "paper:\ntraining", "paper:\nonline serving", "FLOPs\nrequest", "share\nof DIN's"]
ASSUMED_FIELDS = 2
"""Item fields where there is no dataset: item and category."""


@dataclass(frozen=True)
class Histories:
    """What is counted for.

    Args:
        shape: width, L, categories. item_fields: ids of a behavior.
        dataset: its name, and lengths: (users,) long behaviors of each at its end; None where there is none.
    """

    shape: HistoryShape
    item_fields: int
    dataset: str | None = None
    lengths: np.ndarray | None = None


@dataclass(frozen=True)
class Counted:
    """All bills: with every history padded to L, and at real lengths, where they are known."""

    recipe: Recipe
    histories: Histories
    candidates: int
    dtype: CacheDtype
    padded: list[Bill]
    real: list[Bill] | None


@dataclass(frozen=True)
class CostOptions:
    """Options of `lrea cost`."""

    candidates: Annotated[int, typer.Option(callback=within(*COUNT), help="Candidates of one request.")] = 1000
    rank: Annotated[
        int | None, typer.Option(help=f"Rank of LREA and of compressors. Default: {ModelSettings.rank}.")
    ] = None
    short: Annotated[
        int | None, typer.Option(help=f"Behaviors of the short sequence. Default: {DataSettings.short}.")
    ] = None
    long: Annotated[int | None, typer.Option(help=f"Behaviors of the long sequence. Default: {DataSettings.long}.")] = (
        None
    )
    recipe: Annotated[str | None, typer.Option(help="A recipe's path or name, such as taobao-lrea.")] = None
    dtype: Annotated[Literal["float32", "float16"], typer.Option(help="Number format of the vectors in a record.")] = (
        "float32"
    )
    dataset: Dataset = None
    json: Json = False


@command
def cost(options: CostOptions) -> None:
    """Count the FLOPs and bytes of every method: offline, per request, per new behavior.

    Example: lrea cost --candidates 1000 --rank 128
    """
    data = {"dataset": options.dataset, "short": options.short, "long": options.long}
    recipe = load_recipe(options.recipe, every_method=True)
    settings = recipe.with_values({"data": data, "model": {"rank": options.rank}})
    for method in METHOD_NAMES:  # what is impossible for one of them is refused here
        settings.with_values({"model": {"method": method}})
    console = Console(options.json)
    counted = _count(settings, _histories(Workspace.from_environment(), settings), options.candidates, options.dtype)
    _show(console, counted)
    known = counted.real is not None
    console.result(_content(counted), then="lrea train" if known else "lrea prepare synthetic, then lrea cost")


def _histories(workspace: Workspace, recipe: Recipe) -> Histories:
    """Of the dataset; where none is named and there is none, of item and category alone."""
    import numpy as np

    from lrea_cli.dataset.histories import open_histories
    from lrea_cli.dataset.layout import DatasetInfo
    from lrea_cli.dataset.manifest import DATASETS
    from lrea_cli.features import select_fields
    from lrea_cli.methods import HistoryShape

    data, dim = recipe.data, recipe.model.embedding_dim
    artifact = workspace.open(DATASETS, data.dataset) if data.dataset else workspace.latest(DATASETS)
    if artifact is None:
        return Histories(HistoryShape(ASSUMED_FIELDS * dim, data.long), ASSUMED_FIELDS)
    info = DatasetInfo.of(artifact)
    names = [f.name for f in select_fields(info.fields, data.fields) if f.role == "item"]
    lengths = np.clip(open_histories(info).lengths_before(info.end) - data.short, 0, data.long)
    return Histories(HistoryShape(len(names) * dim, data.long, "category" in names), len(names), info.name, lengths)


def _count(recipe: Recipe, histories: Histories, candidates: int, dtype: CacheDtype) -> Counted:
    import numpy as np

    from lrea_cli.methods.bills import Users, bills

    def of(lengths: np.ndarray) -> list[Bill]:
        users = Users(lengths, candidates, histories.item_fields, np.dtype(dtype).itemsize)
        return bills(recipe.model, histories.shape, users)

    real = None if histories.lengths is None else of(histories.lengths)
    return Counted(recipe, histories, candidates, dtype, of(np.array([recipe.data.long])), real)


def _show(console: Console, counted: Counted) -> None:
    """The table padded to L, the one at real lengths, and the paper's."""
    model, histories = counted.recipe.model, counted.histories
    console.say(
        f"N = {counts.counted(counted.candidates, 'candidate')} a request, "
        f"D = {histories.shape.width}, {counted.dtype} records"
    )
    console.say(
        f"r = {model.rank}, k = {model.k}, heads = {model.heads}, m = {model.m}, tau = {model.tau}; "
        f"sim and eta have {model.target_attention} attention"
    )
    longest = counts.counted(histories.shape.long, "long behavior")
    console.table(f"padded: every user has L = {longest}", COLUMNS, _rows(counted.padded))
    if counted.real is None or histories.lengths is None:
        console.say("There is no dataset, so no real lengths; D is that of item and category.")
    else:
        users, mean = len(histories.lengths), histories.lengths.mean()
        of_users = f"mean of {counts.counted(users, 'user')} at the end of the data"
        title = f"{histories.dataset}: {of_users}, {mean:,.1f} long behaviors"
        console.table(title, COLUMNS, _rows(counted.real))
    console.say(
        "FLOPs behavior and bytes write: of one new behavior. bytes as ids: of a record that holds ids in place of "
        "vectors. "
        "n/a: the work of a compressor is not counted."
    )
    console.table(
        "the paper's Table 1 (TWIN is not in it), and our count, padded", PAPER_COLUMNS, _paper_rows(counted.padded)
    )
    console.say(
        "B: candidates (our N). L: long behaviors. k: behaviors that a search finds. r: rank. m: hashes. d: width. "
        "M: size of SIM's index. O() hides the hidden units in the scorer of DIN and LREA."
    )


def _rows(bills: list[Bill]) -> list[list[str]]:
    return [
        [
            bill.name,
            *(short(None if work is None else work.flops) for work in (bill.offline, bill.request, bill.behavior)),
            short(bill.record_bytes),
            "" if bill.record_bytes_as_ids is None else short(bill.record_bytes_as_ids),
            short(bill.request.bytes),
            short(None if bill.behavior is None else bill.behavior.bytes),
        ]
        for bill in bills
    ]


def _paper_rows(padded: list[Bill]) -> list[list[str]]:
    from lrea_cli.methods.bills import TABLE_1

    ours = {bill.method: bill.request.flops for bill in padded if bill.compressor is None}
    return [
        [paper, training, online, short(ours[method]), number(ours[method] / ours["din"], 3)]
        for method, (paper, training, online) in TABLE_1.items()
    ]


def _content(counted: Counted) -> dict[str, Any]:
    from lrea_cli.methods.bills import TABLE_1

    histories, lengths = counted.histories, counted.histories.lengths
    return {
        "dataset": histories.dataset,
        "candidates": counted.candidates,
        "dtype": counted.dtype,
        "width": histories.shape.width,
        "long": counted.recipe.data.long,
        "short": counted.recipe.data.short,
        "model": asdict(counted.recipe.model),
        "users": None if lengths is None else len(lengths),
        "mean_length": None if lengths is None else float(lengths.mean()),
        "padded": [_plain(bill) for bill in counted.padded],
        "real": None if counted.real is None else [_plain(bill) for bill in counted.real],
        "paper": {method: {"training": t, "online": o} for method, (_, t, o) in TABLE_1.items()},
    }


def _plain(bill: Bill) -> dict[str, Any]:
    works = {"offline": bill.offline, "request": bill.request, "behavior": bill.behavior}
    return {**asdict(bill), **{name: work and _plain_work(work) for name, work in works.items()}}


def _plain_work(work: Work) -> dict[str, float]:
    return {"flops": work.flops, **asdict(work)}
