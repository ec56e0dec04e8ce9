"""Nodes of an ONNX graph, made one after the other."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto


class Nodes:
    """The nodes of a graph, and its initializers; `prefix` keeps names of a graph apart from those around it.

    made       the nodes, in the order in which they are computed
    constants  the initializers
    """

    def __init__(self, prefix: str = "") -> None:
        self.made: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._prefix = prefix
        self._integers: dict[int | tuple[int, ...], str] = {}

    def constant(self, array: NDArray[Any], name: str) -> str:
        """An initializer."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def integers(self, values: int | tuple[int, ...]) -> str:
        """An initializer of int64: a single one, or (n,)."""
        if values not in self._integers:
            name = f"{self._prefix}integers_{len(self._integers)}"
            self._integers[values] = self.constant(np.array(values, np.int64), name)
        return self._integers[values]

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """What a node with one output gives."""
        return self.nodes(kind, 1, *inputs, **attributes)[0]

    def nodes(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """What a node with `count` outputs gives."""
        outputs = [f"{self._prefix}{kind.lower()}_{len(self.made)}_{place}" for place in range(count)]
        self._add(kind, inputs, outputs, attributes)
        return outputs

    def output(self, value: str, name: str) -> None:
        """Give a value the name of one of the graph's outputs."""
        self._add("Identity", [value], [name], {})

    def _add(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        from onnx import helper

        self.made.append(helper.make_node(kind, inputs, outputs, **attributes))
