"""What all tests share: a small planted dataset with two trained runs, made once, and copies to work on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Read when torch is imported: more threads spin where cores are shared.
os.environ["OMP_NUM_THREADS"] = "1"
# Read when triton is imported: numpy then stands for the card.
os.environ["TRITON_INTERPRET"] = "1"

import pytest

from lrea_cli.console.output import Console
from lrea_cli.console.progress import Progress, Silent, ignore
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import DataSettings, ModelSettings, TrainSettings
from lrea_cli.runs.manifest import RUNS
from lrea_cli.workspace.home import Workspace, write_manifest
from tests.manifests import manifest_of
from tests.selection import choose_examples, repeating

if TYPE_CHECKING:
    from lrea_cli.commands.options import Session
    from lrea_cli.dataset.histories import Histories
    from lrea_cli.dataset.samples import Samples
    from lrea_cli.runs.checkpoint import Run

DATASET = "synthetic"
TINY = Recipe(
    DataSettings(dataset=DATASET, short=8, long=40),
    ModelSettings(rank=6, hidden=(16, 8)),
    TrainSettings(epochs=1, batch_size=256),
)


def pytest_configure(config: pytest.Config) -> None:
    """Before any test of hypothesis is imported."""
    choose_examples(by_default=config.option.markexpr == "not slow")


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """See `each_once` and `every_third` in pyproject.toml."""
    made = yield
    cases = made if isinstance(made, list) else []
    once = [case for case in cases if case.get_closest_marker("each_once")]
    third = [] if once else [case for case in cases if case.get_closest_marker("every_third")]
    for case in (*repeating(once), *third[1::3], *third[2::3]):
        case.add_marker("slow")
    return made


class QuietConsole(Console):
    """A console that shows nothing and keeps the last result."""

    def __init__(self) -> None:
        super().__init__(as_json=False)
        self.last: dict[str, object] = {}

    def say(self, line: str) -> None:
        pass

    def warn(self, line: str) -> None:
        pass

    def table(self, title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        pass

    def result(self, content: Any, then: str | None = None) -> None:
        self.last = dict(content)

    @contextmanager
    def task(self, description: str, total: int, unit: str) -> Iterator[Progress]:
        yield ignore


@pytest.fixture(autouse=True)
def one_line_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences are compared as they are written; `tests/commands/test_width.py` sees them in lines that fit."""
    monkeypatch.setenv("COLUMNS", "10000")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the dataset `synthetic` and the runs `tiny-lrea` and `tiny-din`; for reading only."""
    import torch

    from lrea_cli.prepare.prepare import PrepareOptions, prepare
    from lrea_cli.prepare.sources.synthetic import Synthetic
    from lrea_cli.runs.train import train_run

    workspace = Workspace(tmp_path_factory.mktemp("tiny") / "home")
    prepare(Synthetic(users=150, seed=7), [], DATASET, workspace, PrepareOptions(threads=1))
    for method in ("lrea", "din"):
        recipe = replace(TINY, model=replace(TINY.model, method=method))
        train_run(workspace, recipe, f"tiny-{method}", torch.device("cpu"), Silent())
    return workspace


@pytest.fixture(scope="session")
def quiet_session(tiny: Workspace) -> Session:
    """A session in `tiny` that shows nothing; `replace(quiet_session, workspace=workspace_copy)` to write."""
    return _quiet_session(tiny)


@pytest.fixture(scope="session")
def lrea_run(tiny: Workspace) -> Run:
    """`tiny-lrea`, opened; nothing in it may be changed."""
    return _open(tiny, "tiny-lrea")


@pytest.fixture(scope="session")
def din_run(tiny: Workspace) -> Run:
    """`tiny-din`, opened; nothing in it may be changed."""
    return _open(tiny, "tiny-din")


@pytest.fixture(scope="session")
def histories(lrea_run: Run) -> Histories:
    """Of the dataset of `tiny`."""
    from lrea_cli.dataset.histories import open_histories

    return open_histories(lrea_run.dataset)


@pytest.fixture(scope="session")
def samples(lrea_run: Run) -> Samples:
    """The test split of `tiny`."""
    from lrea_cli.dataset.samples import read_samples

    return read_samples(lrea_run.dataset, "test")


@pytest.fixture
def workspace_copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    """A copy of `tiny` for tests that write to it or damage it."""
    shutil.copytree(tiny.home, tmp_path / "copy")
    return Workspace(tmp_path / "copy")


MakeRun = Callable[..., "Run"]


@pytest.fixture
def make_run(tiny: Workspace, tmp_path: Path) -> MakeRun:
    """`make_run(method=.., form=..)`: an untrained run on `tiny`'s dataset, weights and statistics random.

    Settings that are not given are those of `TINY`, but for fields of 4 dimensions.
    """

    def make(match_counters: tuple[str, ...] = (), **model: Any) -> Run:
        return untrained_run(tiny, Workspace(tmp_path / "made"), match_counters, {"embedding_dim": 4, **model})

    return make


def untrained_run(
    tiny: Workspace,
    workspace: Workspace,
    match_counters: tuple[str, ...],
    model_settings: dict[str, Any],
    dataset: str = DATASET,
) -> Run:
    """See `make_run`."""
    import torch

    from lrea_cli.runs.checkpoint import CHECKPOINT, Run, build_model, open_dataset, save_checkpoint

    data = replace(TINY.data, match_counters=match_counters, dataset=dataset)
    recipe = replace(TINY, data=data, model=replace(TINY.model, **model_settings))
    data, info = open_dataset(tiny, dataset)
    model = build_model(recipe, info)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif name.startswith("features"):
                tensor.normal_(std=0.5)[0].zero_()  # interests, and errors in them, are felt in the logits
            elif tensor.is_floating_point():
                tensor.add_((1.0 if name == "long.decomp" else 0.1) * torch.randn_like(tensor))
    with workspace.create(RUNS, stem=recipe.model.method) as (name, folder):
        save_checkpoint(model, folder / CHECKPOINT)
        known = {"method": recipe.model.method, "dataset": dataset, "made_from": data.identity}
        manifest = manifest_of(RUNS, run=name, recipe=recipe.to_dict(), **known)
        write_manifest(folder, RUNS, manifest)
    return Run(workspace.open(RUNS, name), recipe, info, model.eval())


def _quiet_session(workspace: Workspace) -> Session:
    import torch

    from lrea_cli.commands.options import Session

    return Session(QuietConsole(), workspace, torch.device("cpu"))


def _open(workspace: Workspace, name: str) -> Run:
    import torch

    from lrea_cli.runs.checkpoint import open_run

    return open_run(workspace, name, None, torch.device("cpu"))
