"""Writes an ONNX graph operator by operator: every value has a name, every constant is stored once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from lrea_cli.console.show import size
from lrea_cli.errors import UserError

if TYPE_CHECKING:
    import onnx

OPSET = 18
PRODUCER = "lrea"
MOST_BYTES = 2_000_000_000
"""Of constants: a file of ONNX ends at 2^31 bytes, nodes and names included."""


class Builder:
    """A graph that grows; `op` and `const` return the names of values.

    Raises:
        UserError: the package `onnx` is not installed.
    """

    def __init__(self) -> None:
        self._onnx = onnx_package()
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._inputs: list[Any] = []
        self._count = self._bytes = 0

    def input(self, name: str, dtype: type[np.generic], shape: Sequence[int | str]) -> str:
        """A named input; words in its shape are sizes that may differ from call to call."""
        self._inputs.append(self._value(name, dtype, shape))
        return name

    def const(self, value: np.ndarray | float | int, dtype: type[np.generic] = np.float32) -> str:
        """A constant; numbers that are equal in dtype, shape and bytes are stored once."""
        array = np.ascontiguousarray(np.asarray(value, dtype)).reshape(np.shape(value))
        key = array.dtype.str, array.shape, xxhash.xxh3_128_digest(array.tobytes())
        if key not in self._known:
            self._known[key] = self._name("constant")
            self._bytes += array.nbytes
            self._constants.append(self._onnx.numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def whole(self, *values: int) -> str:
        """A constant list of int64, as shapes and axes are."""
        return self.const(np.array(values), np.int64)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """An operator with one result."""
        return self.ops(kind, inputs, 1, **attributes)[0]

    def ops(self, kind: str, inputs: Sequence[str], results: int, **attributes: Any) -> list[str]:
        """An operator with several results."""
        names = [self._name(kind) for _ in range(results)]
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def loop(self, trips: str, state: str, width: int, body: Callable[[str, str], str]) -> str:
        """Apply `body` (number of the trip, state) -> state so many times; returns the last state.

        Args:
            trips: a value, int64 scalar; 0 is allowed.
            state: the first state, float32 (rows, width).
        """
        helper, outer = self._onnx.helper, self._nodes
        trip, condition, inner = self._name("trip"), self._name("condition"), self._name("state")
        self._nodes = []
        last = body(trip, inner)
        kept = self.op("Identity", condition)
        nodes, self._nodes = self._nodes, outer
        graph = helper.make_graph(
            nodes,
            self._name("body"),
            [
                self._value(trip, np.int64, []),
                self._value(condition, np.bool_, []),
                self._value(inner, np.float32, ["rows", width]),
            ],
            [self._value(kept, np.bool_, []), self._value(last, np.float32, ["rows", width])],
        )
        return self.op("Loop", trips, "", state, body=graph)

    def model(self, output: str, name: str, shape: Sequence[int | str], description: str) -> onnx.ModelProto:
        """The whole model, checked; `name` is that of its only output, float32.

        Raises:
            UserError: its weights do not fit a file of ONNX.
        """
        if self._bytes > MOST_BYTES:
            raise UserError(
                f"The model has {size(self._bytes)} of weights; one file of ONNX holds 2 GB.",
                "Set a smaller embedding_dim in the recipe, or fewer fields, and train again.",
            )
        helper = self._onnx.helper
        self._nodes.append(helper.make_node("Identity", [output], [name]))
        results = [self._value(name, np.float32, shape)]
        graph = helper.make_graph(self._nodes, "request", self._inputs, results, self._constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name=PRODUCER, doc_string=description)
        model.ir_version = 9
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _value(self, name: str, dtype: type[np.generic], shape: Sequence[int | str]) -> Any:
        element = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._onnx.helper.make_tensor_value_info(name, element, list(shape))

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind.lower()}_{self._count}"


def onnx_package() -> Any:
    """The package `onnx`, imported when a graph is written."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise UserError("The package 'onnx' is not installed.", "Install it: pip install 'lrea[export]'") from error
    return onnx
