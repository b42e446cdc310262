"""Jobs in worker processes with one thread each, so that no number depends on how many run at a time.

Loads nothing heavy: a worker sets its threads before torch is loaded.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Protocol

from lrea_cli.console.progress import Reporter
from lrea_cli.console.stopping import undisturbed
from lrea_cli.errors import LreaError


class Job(Protocol):
    """What a worker calls; it returns a line to say. A job is pickled on its way there."""

    @property
    def name(self) -> str: ...

    def __call__(self) -> str: ...


@dataclass(frozen=True)
class Failure:
    """A job that ended badly."""

    job: str
    message: str
    error: BaseException


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that end with the block: at once where it ends badly, and where this process is killed."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        while children := multiprocessing.active_children():  # again: a job just submitted was still starting one
            for child in children:
                child.kill()
                child.join()
        raise
    pool.shutdown()


def run_jobs(
    pool: ProcessPoolExecutor,
    title: str,
    jobs: Sequence[Job],
    unit: str,
    reporter: Reporter,
    may_start: Callable[[], bool] = lambda: True,
) -> list[Failure]:
    """Run all jobs, and return those that failed: one that fails does not keep the others from running.

    Args:
        may_start: asked before the first job and after each one; once it says no, jobs that wait are not started.

    Raises:
        LreaError: a worker process was killed.
    """
    failures: list[Failure] = []
    if not jobs or not may_start():
        return failures
    with reporter.task(title, len(jobs), unit) as progress:
        with undisturbed():  # a worker that is half started would say so
            job_of: dict[Future[str], Job] = {pool.submit(job): job for job in jobs}
        for future in as_completed(job_of):
            if future.cancelled():
                continue
            name, error = job_of[future].name, future.exception()
            if isinstance(error, BrokenProcessPool):
                raise LreaError(
                    "A worker process was killed, for want of memory as it seems.",
                    "What is finished is kept: give the same command again, with fewer --jobs.",
                ) from error
            if error is None:
                reporter.say(future.result())
            else:
                message = error.message if isinstance(error, LreaError) else f"{type(error).__name__}: {error}"
                failures.append(Failure(name, message, error))
                reporter.say(f"{name}: FAILED: {message}")
            progress(1)
            if not may_start():
                for waiting in job_of:
                    waiting.cancel()
    return failures


def _start_worker() -> None:
    """One thread; Ctrl-C is the parent's to handle; no worker outlives its parent, however that ends."""
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    import torch

    torch.set_num_threads(1)


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
