"""One training step of the product's own loop: din and lrea, float32 and bfloat16, sparse and dense embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import torch
from torch import Tensor

from lrea_cli.dataset.fields import EncodedField
from lrea_cli.kernels import KERNELS, Kernel, KernelName
from lrea_cli.model import CTRModel
from lrea_cli.recipe.settings import DataSettings, ModelSettings, TrainSettings
from lrea_cli.runs.loop import Optimizer, training_steps
from lrea_cli.sequence import Batch
from on_gpu.made import generator_of, model_of, training_batch
from on_gpu.rows import Report, Row, Setting, Timed, cell
from on_gpu.sizes import Sizes
from on_gpu.timing import Contender, NotTimed, in_turns, is_card, release, synchronize

WIDTH = 32
BATCHES = 4


@dataclass(frozen=True)
class Case:
    """One way to train; `form` is of lrea."""

    method: str
    form: str = "decomposed"
    kernel: KernelName = "folded"
    dtype: str = "float32"
    embeddings: str = "sparse"

    @property
    def path(self) -> str:
        """Of the gate that this must have passed."""
        name = f"{self.method} {self.form}" if self.form == "absorbed" else self.method
        return f"training {name} {self.dtype}"

    def settings(self) -> dict[str, Setting]:
        """For its row."""
        form: dict[str, Setting] = {"form": self.form} if self.method == "lrea" else {}
        return {
            "what": "training", "method": self.method, **form, "kernel": self.kernel, "dtype": self.dtype,
            "embeddings": self.embeddings,
        }  # fmt: skip


CASES = (
    Case("din", kernel="naive"),
    Case("din"),
    Case("din", dtype="bfloat16"),
    Case("din", embeddings="dense"),
    Case("lrea"),
    Case("lrea", dtype="bfloat16"),
    Case("lrea", form="absorbed"),
    Case("lrea", form="absorbed", dtype="bfloat16"),
)


class CaseModel(CTRModel):
    """The model with the kernel of a case, in bfloat16 under autocast; weights, gradients and loss stay float32."""

    def __init__(self, case: Case, fields: Sequence[EncodedField], settings: ModelSettings, data: DataSettings) -> None:
        super().__init__(fields, settings, data)
        self.kernel, self.bf16 = KERNELS[case.kernel], case.dtype == "bfloat16"

    def forward(self, batch: Batch, kernel: Kernel | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """As `CTRModel`; logits in float32."""
        with torch.autocast(batch.label.device.type, torch.bfloat16, enabled=self.bf16):
            logits, penalty = super().forward(batch, kernel or self.kernel)
        return logits.float(), penalty


def measure_training(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Each case's memory first, by itself; then steps in turns."""
    generator = generator_of(device, 15)
    batches = [training_batch(sizes, generator) for _ in range(BATCHES)]
    contenders, cases, peaks = [], {}, {}
    for case in CASES:
        name = " ".join(str(value) for value in case.settings().values())
        if case.path in report.failed:
            report.add(Row("training", case.settings(), "skipped", "its gate failed"))
            continue
        with cell(report, "training", case.settings()):
            steps = _steps(case, sizes, batches, device)
            peaks[name] = _peak_mb(steps, device)
            contenders.append(Contender(name, [partial(next, steps)]))
            cases[name] = case
        release(device)
    found = in_turns(contenders, device, report.seconds_left("training"), wall=True)
    for name, timed in found.items():
        _keep(report, sizes, cases[name], timed, peaks[name])


def _steps(case: Case, sizes: Sizes, batches: list[Batch], device: torch.device) -> Iterator[object]:
    """The product's loop over the same few batches, for ever."""
    model = model_of(case.method, sizes, device, WIDTH, form=case.form, make=partial(CaseModel, case))
    for table in model.features.tables.values():
        assert isinstance(table, torch.nn.Embedding)
        table.sparse = case.embeddings == "sparse"
    return training_steps(model, Optimizer(model, TrainSettings()), cycle(batches))


def _peak_mb(steps: Iterator[object], device: torch.device) -> float | None:
    """What the second step takes at most beyond what lay there before it; None where it cannot be told."""
    next(steps)
    synchronize(device)
    if not is_card(device):
        next(steps)
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    next(steps)
    synchronize(device)
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def _keep(report: Report, sizes: Sizes, case: Case, timed: Timed | NotTimed, peak_mb: float | None) -> None:
    settings = {**case.settings(), "D": WIDTH, "L": sizes.long, "samples": 2 * sizes.requests}
    if case.method == "lrea":
        settings["R"] = sizes.rank
    if isinstance(timed, NotTimed):
        report.add(Row("training", settings, "skipped" if timed.status == "skipped" else "error", timed.note))
        return
    values = {
        "step_ms": timed.median_us / 1e3,
        "samples_per_s": 2e6 * sizes.requests / timed.median_us,
        "peak_mb": peak_mb,
    }
    report.add(Row("training", settings, timed=timed, values=values))
