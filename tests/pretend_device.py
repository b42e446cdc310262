"""A device that is not there: tensors on it compute on the CPU, and refuse to meet tensors that are on the CPU.

It finds what would fail on a GPU, where none is at hand: a mask that stayed on the CPU, `numpy()` of a tensor that is
on the device, a tensor made without `device=`. It needs a process of its own, as torch keeps such a device for good.

    with pretending() as device:
        model.to(device)(batch.to(device))
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "pretend"
MOVES = ("aten::_to_copy", "aten::copy_")


class Mixed(RuntimeError):
    """An operation met tensors on the CPU and on the device."""


class OnDevice(torch.Tensor):
    """A tensor on the device; `inner` is what it computes with."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> OnDevice:
        with torch.inference_mode(False):  # an inference tensor could be no view of one that was made outside
            outer = torch.Tensor._make_wrapper_subclass(  # pyright: ignore[reportAttributeAccessIssue]
                cls,
                inner.size(),
                strides=inner.stride(),
                storage_offset=inner.storage_offset(),
                dtype=inner.dtype,
                device=torch.device(NAME, 0),
                requires_grad=False,
            )
        outer.inner = inner
        return outer

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})

    def tolist(self) -> Any:
        """As of any tensor: it waits for the device."""
        return self.inner.tolist()

    def __repr__(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return f"OnDevice({self.inner!r})"


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.is_inference_mode_enabled():  # operations made of others come as they are there, not as those others
            with self:
                result = func.decompose(*args, **(kwargs or {}))
            if result is not NotImplemented:
                return result
        return _computed(func, args, kwargs or {})


class _Backend:
    """What torch asks of a module for its device."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_CPUGenerator = torch.Generator


class _Generator(torch.Generator):
    """Says that it is on the device; its numbers are the CPU's."""

    def __new__(cls, device: torch.device | str = "cpu") -> torch.Generator:  # pyright: ignore
        there = torch.device(device).type == NAME
        return super().__new__(cls) if there else _CPUGenerator(device)

    @property
    def device(self) -> torch.device:
        return torch.device(NAME, 0)


@contextmanager
def pretending() -> Iterator[torch.device]:
    """The device, while the block runs."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
    for kernel in ("folded", "gemm"):
        sizes = getattr(import_module(f"lrea_cli.kernels.{kernel}"), "CHUNK_BYTES", {})
        sizes[NAME] = sizes.get("cpu", 0)
    autocast = torch.library.Library("_", "IMPL")
    autocast.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(.., device=) makes it on the CPU and moves it
    torch.Generator = _Generator
    try:
        with _Mode():
            yield torch.device(NAME, 0)
    finally:
        torch.Generator = _CPUGenerator
        torch._C._set_only_lift_cpu_tensors(False)


@contextmanager
def dense_embeddings() -> Iterator[None]:
    """Tables whose gradients are dense, whatever is asked for: there are no sparse tensors on this device."""
    tables = torch.nn.Embedding

    class Dense(tables):
        sparse = property(lambda self: False, lambda self, value: None)  # pyright: ignore

    torch.nn.Embedding = Dense  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        torch.nn.Embedding = tables


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run one operation on the CPU; its result is where a device would leave it."""
    name = func._schema.name
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [t for t in tensors if isinstance(t, OnDevice)]
    here = [t for t in tensors if not isinstance(t, OnDevice)]
    if there and name not in MOVES:
        strangers = [tuple(t.shape) for t in here if t.dim() or "index" in name]
        if strangers:
            raise Mixed(f"{name} met tensors of shapes {strangers} on the CPU and others on the device")
    device = kwargs.get("device")
    if name == "aten::copy_":
        stays = isinstance(args[0], OnDevice)
    else:
        stays = bool(there) if device is None else torch.device(device).type == NAME
    if name in MOVES and there and not stays and (kwargs.get("non_blocking") or True in args[2:]):
        raise Mixed(f"{name} comes back to the CPU without waiting: what is read there may not have arrived")
    out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if not stays:
        return out
    out = tree_map(lambda value: OnDevice(value) if isinstance(value, torch.Tensor) else value, out)
    return return_and_correct_aliasing(func, args, kwargs, out) if there else out


def _inner(value: Any) -> Any:
    if isinstance(value, OnDevice):
        return value.inner
    if isinstance(value, torch.device) and value.type == NAME:
        return torch.device("cpu")
    return value
