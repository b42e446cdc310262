"""The training loop: Eq. 11, early stopping on validation AUC, the best checkpoint kept."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Adagrad
from torch.sparse import check_sparse_tensor_invariants

from lrea_cli.console.progress import Progress, Reporter
from lrea_cli.console.stopping import undisturbed
from lrea_cli.dataset.batches import BatchReader
from lrea_cli.dataset.histories import open_histories
from lrea_cli.dataset.layout import DatasetInfo, Split
from lrea_cli.dataset.samples import read_samples, require_both_labels
from lrea_cli.errors import LreaError, UserError
from lrea_cli.model import CTRModel
from lrea_cli.recipe.recipe import Recipe
from lrea_cli.recipe.settings import DataSettings, TrainSettings
from lrea_cli.runs.checkpoint import CHECKPOINT, build_model, save_checkpoint
from lrea_cli.sequence import Batch
from lrea_cli.stats.metrics.auc import auc
from lrea_cli.stats.metrics.log_loss import log_loss


@dataclass(frozen=True)
class Epoch:
    """One line of `metrics.jsonl`.

    Args:
        loss: mean binary cross-entropy (Eq. 2). penalty: mean of each term of Eq. 10, not multiplied by lambda.
        column_entropy: see `LongInterest.column_entropy`; None for a method without learned weights of behaviors.
    """

    epoch: int
    loss: float
    penalty: dict[str, float]
    valid_auc: float
    valid_log_loss: float
    samples_per_second: float
    column_entropy: float | None


@dataclass(frozen=True)
class Trained:
    """A training that has ended; the best epoch's model is kept.

    Args:
        rows: training samples of an epoch.
        stopped: what stopped it before its end, or None.
    """

    epochs: list[Epoch]
    seconds: float
    rows: int
    stopped: BaseException | None = None

    @property
    def best(self) -> Epoch:
        return max(self.epochs, key=lambda e: e.valid_auc)


def reader_of(dataset: DatasetInfo, split: Split, settings: DataSettings, batch_size: int) -> BatchReader:
    """Batches of one split of a prepared dataset."""
    return BatchReader(read_samples(dataset, split), open_histories(dataset), settings, batch_size)


def train(recipe: Recipe, dataset: DatasetInfo, folder: Path, device: torch.device, reporter: Reporter) -> Trained:
    """Train one model and leave `checkpoint/` in `folder`.

    What stops it after its first epoch (a signal, a full disk, a loss that is not finite) is returned, not raised.

    Raises:
        UserError: the samples of train or of valid all have one label, or there is one training sample only.
        LreaError: the loss is not finite in the first epoch.
    """
    require_both_labels(dataset, ("train", "valid"))
    started = time.perf_counter()
    model = build_model(recipe, dataset).to(device)
    optimizer = Optimizer(model, recipe.train)
    whole, valid_reader = (
        reader_of(dataset, split, recipe.data, recipe.train.batch_size) for split in ("train", "valid")
    )
    train_reader = replace(whole, samples=whole.samples.of_share(recipe.train.share, recipe.train.seed))
    if train_reader.samples.rows < 2:
        raise UserError("The train split has one sample: there is nothing to learn from.", "Prepare more data.")
    epochs: list[Epoch] = []
    stopped = None
    try:
        for number in range(1, recipe.train.epochs + 1):
            epoch = _epoch(number, model, optimizer, (train_reader, valid_reader), recipe, reporter)
            with undisturbed():  # the checkpoint and the list of epochs belong together
                if all(epoch.valid_auc > e.valid_auc for e in epochs):
                    save_checkpoint(model, folder / CHECKPOINT)
                epochs.append(epoch)
            _report(epoch, reporter)
            best = max(epochs, key=lambda e: e.valid_auc)
            if number - best.epoch >= recipe.train.patience > 0:
                break
    except (Exception, KeyboardInterrupt) as error:
        if not epochs:
            raise
        stopped = error
    return Trained(epochs, time.perf_counter() - started, train_reader.samples.rows, stopped)


def score_split(model: CTRModel, reader: BatchReader, progress: Progress) -> np.ndarray:
    """(rows,) float64 logits of `model.forward` with training's kernel, in the order of the split's rows."""
    logits = np.full(reader.samples.rows, np.nan)
    model.eval()
    with torch.inference_mode():
        for batch in reader.batches():
            scores, _ = model(batch.to(model.device))
            logits[batch.row[batch.candidates.mask].numpy()] = scores.double().cpu().numpy()
            progress(int(batch.candidates.mask.sum()))
    return logits


def training_steps(
    model: CTRModel, optimizer: Optimizer, batches: Iterator[Batch], lam: float
) -> Iterator[tuple[float, dict[str, float], int]]:
    """One step a batch: L + lambda L_non-neg (Eq. 11); yields the batch's mean loss, penalty terms, samples."""
    model.train()
    for batch in batches:
        logits, penalty = model(batch)
        loss = binary_cross_entropy_with_logits(logits, batch.label[batch.candidates.mask])
        total = loss + lam * sum(penalty.values(), start=torch.zeros((), device=loss.device))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise LreaError(f"The loss became {value}.", "Use a smaller --lr.")
        yield value, {name: float(term.detach()) for name, term in penalty.items()}, len(logits)


class Optimizer:
    """Embeddings, position matrices and all else apart: sparse steps, slow steps, and steps taken together."""

    def __init__(self, model: CTRModel, settings: TrainSettings) -> None:
        sparse = [p for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()]
        slow = list(model.long.position_matrices())
        apart = {id(p) for p in (*sparse, *slow)}
        rest = [p for p in model.parameters() if id(p) not in apart]
        groups = [{"params": rest}, {"params": slow, "lr": model.long.settings.step * settings.lr}]
        self._embeddings, self._decay = sparse, settings.weight_decay
        self._steps = [
            Adagrad(sparse, settings.lr, initial_accumulator_value=settings.initial_accumulator),
            Adagrad([g for g in groups if g["params"]], settings.lr, foreach=True),
        ]

    def zero_grad(self) -> None:
        for optimizer in self._steps:
            optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        with check_sparse_tensor_invariants(enable=False):  # torch warns where the choice is not made
            for optimizer in self._steps:
                optimizer.step()
            if self._decay:
                self._shrink()

    def _shrink(self) -> None:
        """Decoupled weight decay (Loshchilov and Hutter 2019) of the rows that the batch read."""
        with torch.no_grad():
            for table in self._embeddings:
                if table.grad is not None:
                    read = table.grad.coalesce().indices()[0]
                    table[read] *= 1 - self._decay


def _epoch(
    number: int,
    model: CTRModel,
    optimizer: Optimizer,
    readers: tuple[BatchReader, BatchReader],
    recipe: Recipe,
    reporter: Reporter,
) -> Epoch:
    train_reader, valid_reader = readers
    started, rows, loss_sum = time.perf_counter(), 0, 0.0
    penalty_sum: dict[str, float] = {}
    batches = (b.to(model.device) for b in train_reader.batches([recipe.train.seed, number]))
    with reporter.task(f"epoch {number}", train_reader.samples.rows, "samples") as progress:
        for loss, penalty, size in training_steps(model, optimizer, batches, recipe.model.lam):
            rows, loss_sum = rows + size, loss_sum + loss * size
            for name, term in penalty.items():
                penalty_sum[name] = penalty_sum.get(name, 0.0) + term * size
            progress(size)
    seconds = time.perf_counter() - started
    with reporter.task(f"epoch {number} valid", valid_reader.samples.rows, "samples") as progress:
        logits = score_split(model, valid_reader, progress)
    labels = valid_reader.samples.label
    valid_auc = auc(logits, labels)
    assert valid_auc is not None  # both labels are there: `require_both_labels`
    entropy = model.long.column_entropy()
    means = {name: total / rows for name, total in penalty_sum.items()}
    return Epoch(number, loss_sum / rows, means, valid_auc, log_loss(logits, labels), rows / seconds, entropy)


def _report(epoch: Epoch, reporter: Reporter) -> None:
    speed = f"{epoch.samples_per_second:,.0f} samples/s"
    reporter.say(f"epoch {epoch.epoch}: loss {epoch.loss:.4f}  valid AUC {epoch.valid_auc:.4f}  {speed}")
    notes = []
    if epoch.penalty:
        notes.append("non-negativity loss: " + ", ".join(f"{name} {term:.4g}" for name, term in epoch.penalty.items()))
    if epoch.column_entropy is not None:
        notes.append(f"column entropy {epoch.column_entropy:.3f}")
    if notes:
        reporter.say(f"  {'; '.join(notes)}")
