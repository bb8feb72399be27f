"""The text encoder that an ONNX graph computes.

Known are the graphs that ``lurcher export`` and ``lurcher compress`` write: BERT's layers (normalised after
each part, GELU, absolute positions), INT8 products, perhaps a linear head, mean or first-token pooling. The
order of operators tells a layer; what they are given is followed back along the graph. The caller has to test
against ONNX Runtime whether that is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lurcher.errors import ModelError
from lurcher.models.engines.native.description import Description, Layer, Matrix, Norm
from lurcher.models.engines.native.evaluation import Evaluator
from lurcher.models.engines.native.onnx_file import Array, Graph, Node, read_graph

_PRODUCT = "MatMulIntegerToFloat"
# Operators in the order of a layer: query, key, value, attention, output, normalisation, up, GELU, down,
# normalisation. After the embeddings' normalisation, and before a head and a sum of states by a product with
# the mask, if there are any.
_LETTERS = {_PRODUCT: "P", "MatMul": "M", "LayerNormalization": "N", "Softmax": "S", "Erf": "E"}
_SHAPE = re.compile("N(PPPMSMPNPEPN)*(P?)(M?)")
_LAYER = 12
_ENDS = {*_LETTERS, "Gather"}
# Texts whose words are put together at a time.
_CHUNK = 2048


def describe(path: Path) -> Description:
    """The encoder in the ONNX file ``path``. Raises ModelError for a graph of another form."""
    graph = read_graph(path)
    try:
        return _Reader(graph).description()
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ModelError(
            f"{path}: the native engine does not know such a graph: {error}"
        ) from error


class _Reader:
    """Follows one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.constants = Evaluator(graph)

    def description(self) -> Description:
        marks = self._marks()
        shape = "".join(_LETTERS[node.op] for node in marks)
        form = _SHAPE.fullmatch(shape)
        if form is None:
            raise ValueError(f"its operators come in another order ({shape[:40]})")
        layers = [
            self._layer(marks[i : i + _LAYER]) for i in range(1, len(marks) - _LAYER + 1, _LAYER)
        ]
        words, scales, type_row, positions = self._tables(marks[0].inputs[0])
        return Description(
            heads=self._heads(marks), words=words, word_scales=scales, positions=positions,
            type_row=type_row, first=self._norm(marks[0]), layers=layers,
            head=self._matrix(marks[form.start(2)]) if form[2] else None,
            **self._pooling(summed=bool(form[3])),
            lower_layer=self._lower([node for node in marks if node.op == "LayerNormalization"]),
        )  # fmt: skip

    def _marks(self) -> list[Node]:
        """The operators that tell the form, from the first normalisation on."""
        nodes = self.graph.nodes
        start = next(i for i, node in enumerate(nodes) if node.op == "LayerNormalization")
        return [node for node in nodes[start:] if node.op in _LETTERS]

    def _layer(self, marks: list[Node]) -> Layer:
        by_output = {node.outputs[0]: node for node in marks[:3]}
        scores, mixed = marks[3], marks[5]
        query, key, value = (
            by_output[self._source(name)] for name in (*scores.inputs, mixed.inputs[1])
        )
        parts = [self._matrix(node) for node in (query, key, value)]
        if any(part.step != parts[0].step or part.zero != parts[0].zero for part in parts):
            raise ValueError("query, key and value round their inputs in different ways")
        factors = [part.factor for part in parts if part.factor is not None]
        if len(factors) not in (0, 3) or any(np.any(one != factors[0]) for one in factors):
            raise ValueError("query, key and value scale their inputs in different ways")
        qkv = Matrix(
            np.concatenate([part.weights for part in parts], axis=1),
            np.concatenate([part.scale for part in parts]),
            np.concatenate([part.bias for part in parts]),
            parts[0].factor, parts[0].step, parts[0].zero,
        )  # fmt: skip
        return Layer(
            qkv, self._matrix(marks[6]), self._norm(marks[7]),
            self._matrix(marks[8]), self._matrix(marks[10]), self._norm(marks[11]),
        )  # fmt: skip

    def _source(self, name: str) -> str:
        """The output of the operator that tells the form and that ``name`` is made from."""
        while True:
            node = self.graph.producers[name]
            if node.op in _ENDS:
                return name
            name = next(i for i in node.inputs if self._depends(i))

    def _depends(self, name: str) -> bool:
        return self.constants.value(name) is None and name in self.graph.producers

    def _norm(self, node: Node) -> Norm:
        gain, bias = (self.constants.certain(name) for name in node.inputs[1:3])
        if node.attributes.get("axis", -1) != -1:
            raise ValueError("a normalisation along another axis")
        epsilon = float(node.attributes.get("epsilon", 1e-5))
        return Norm(_floats(gain), _floats(bias), epsilon)

    def _matrix(self, node: Node) -> Matrix:
        a, b, a_scale, b_scale, a_zero, b_zero = node.inputs[:6]
        weights = self.constants.certain(b)
        scale = np.broadcast_to(self.constants.certain(b_scale), weights.shape[1:]).astype(
            np.float32
        )
        if weights.dtype != np.int8 or weights.ndim != 2 or np.any(self.constants.certain(b_zero)):
            raise ValueError("weights that are not symmetric INT8")
        quantise = self.graph.producers[a]
        if quantise.op != "QuantizeLinear":
            raise ValueError(f"inputs rounded by {quantise.op}")
        step, zero = float(self.constants.certain(a_scale)), int(self.constants.certain(a_zero))
        scaled = self.graph.producers.get(quantise.inputs[0])
        factor, bias = None, np.zeros(weights.shape[1], np.float32)
        if scaled is not None and scaled.op == "Mul":
            constants = [self.constants.value(name) for name in scaled.inputs]
            # A single number is GELU's half.
            known = [one for one in constants if one is not None and one.size > 1]
            if known:
                factor = np.broadcast_to(known[0], weights.shape[:1]).astype(np.float32)
            elif self._is_dynamic(scaled):
                # Rounded to 127 / m, multiplied back by m.
                scale, step = scale * np.float32(127 * step), 0.0
        output = node.outputs[0]
        if step == 0:
            (after,) = self.graph.consumers[output]
            output = after.outputs[0]
        if len(node.inputs) > 6 and node.inputs[6]:
            bias = self.constants.certain(node.inputs[6])
        else:
            (after,) = self.graph.consumers[output]
            added = [self.constants.value(name) for name in after.inputs if name != output]
            if after.op == "Add" and added[0] is not None:
                bias = added[0]
        return Matrix(weights, scale, _floats(bias).reshape(weights.shape[1]), factor, step, zero)

    def _is_dynamic(self, scaled: Node) -> bool:
        """Whether one input is multiplied by 127 over its largest size."""
        divisions = [self.graph.producers.get(name) for name in scaled.inputs]
        for node in divisions:
            if node is not None and node.op == "Div":
                return float(self.constants.certain(node.inputs[0])) == 127
        return False

    def _ancestors(self, name: str) -> Iterator[Node]:
        """The nodes that ``name`` is made by, up to operators that tell the form."""
        waiting, met = [name], {name}
        while waiting:
            node = self.graph.producers.get(waiting.pop())
            if node is None or node.op in _LETTERS:
                continue
            yield node
            waiting += [one for one in node.inputs if one not in met]
            met.update(node.inputs)

    def _tables(self, name: str) -> tuple[Array, Array | None, Array, Array]:
        """Words, their scales, the row of the first type, and positions, from the sum of all."""
        add = self.graph.producers[name]
        if add.op != "Add":
            raise ValueError("embeddings are not added")
        has_words = [any(self._takes_words(node) for node in self._all(one)) for one in add.inputs]
        if has_words.count(True) != 1:
            raise ValueError("positions cannot be told from words")
        words, positions = sorted(add.inputs, key=lambda one: not has_words[add.inputs.index(one)])
        tables = [
            self.graph.constants[i]
            for node in self._all(positions)
            for i in node.inputs
            if i in self.graph.constants and self.graph.constants[i].ndim == 2
        ]
        count = max(len(table) for table in tables)
        rows = self._given(np.zeros((1, count), np.int64)).certain(positions)
        rows = np.ascontiguousarray(rows.reshape(count, -1), np.float32)
        return *self._words(words), rows

    def _all(self, name: str) -> Iterator[Node]:
        """The nodes that ``name`` is made by, embeddings' products included."""
        waiting, met = [name], {name}
        while waiting:
            node = self.graph.producers.get(waiting.pop())
            if node is not None:
                yield node
                waiting += [one for one in node.inputs if one not in met]
                met.update(node.inputs)

    def _takes_words(self, node: Node) -> bool:
        return node.op == "Gather" and node.inputs[1] == "input_ids"

    def _given(self, ids: Array) -> Evaluator:
        return Evaluator(self.graph, {"input_ids": ids, "attention_mask": np.ones_like(ids)})

    def _words(self, name: str) -> tuple[Array, Array | None, Array]:
        """Words as they are stored, if they are INT8 with a scale a row; else all of them put together."""
        add = self.graph.producers[name]
        if add.op == "Add":
            one = self._given(np.zeros((1, 1), np.int64))
            for word, other in (add.inputs, add.inputs[::-1]):
                plain = self._plain_words(word)
                if plain and not any(self._takes_words(node) for node in self._all(other)):
                    return *plain, one.certain(other).reshape(-1).astype(np.float32)
        count = max(
            len(self.graph.constants[node.inputs[0]])
            for node in self._all(name)
            if self._takes_words(node)
        )
        chunks = [
            self._given(np.arange(start, min(start + _CHUNK, count))[None]).certain(name)[0]
            for start in range(0, count, _CHUNK)
        ]
        table = np.concatenate(chunks).astype(np.float32)
        return table, None, np.zeros(table.shape[1], np.float32)

    def _plain_words(self, name: str) -> tuple[Array, Array] | None:
        """The table and its scales, where ``name`` is their product for the input's words."""
        multiply = self.graph.producers.get(name)
        if multiply is None or multiply.op != "Mul":
            return None
        cast, scales = (self.graph.producers.get(one) for one in multiply.inputs)
        words = self.graph.producers.get(cast.inputs[0]) if cast and cast.op == "Cast" else None
        if not words or not scales or not self._takes_words(words) or not self._takes_words(scales):
            return None
        table, scale = (self.graph.constants[node.inputs[0]] for node in (words, scales))
        if table.dtype != np.int8 or scale.shape != (len(table), 1):
            return None
        return table, np.ascontiguousarray(scale[:, 0], np.float32)

    def _heads(self, marks: list[Node]) -> int:
        """How many heads, by the shape that queries are given."""
        if len(marks) < _LAYER:
            return 1
        name = marks[4].inputs[0]
        given = self._given(np.zeros((1, 1), np.int64))
        while True:
            node = self.graph.producers[name]
            if node.op == "Reshape":
                # What a reshape takes from the input's shape is 0 or one; heads are not.
                target = self._target(given, node.inputs[1])
                return int(target[2])
            if node.op in _ENDS:
                raise ValueError("queries are not split into heads")
            name = next(i for i in node.inputs if self._depends(i))

    def _target(self, given: Evaluator, name: str) -> list[int]:
        """The shape ``name``, zeros for what depends on the input."""
        node = self.graph.producers.get(name)
        whole = given.value(name)
        if whole is not None:
            return [int(one) for one in whole]
        if node is None or node.op != "Concat":
            raise ValueError("queries get a shape that is not known")
        parts = [given.value(one) for one in node.inputs]
        return [0 if part is None else int(np.reshape(part, -1)[0]) for part in parts]

    def _pooling(self, summed: bool) -> dict[str, bool]:
        operators = {node.op for node in self._ancestors("vector")}
        mean, cls = summed or "ReduceSum" in operators, bool(operators & {"Gather", "Slice"})
        unit = "ReduceL2" in operators
        # Of norm 1, a sum is as good as a mean.
        if mean == cls or (summed and not unit):
            raise ValueError("vectors are neither means of states nor the first token's")
        return {"cls": cls, "unit": unit}

    def _lower(self, norms: list[Node]) -> int:
        if "lower_states" not in self.graph.outputs:
            return -1
        source = self._source("lower_states")
        place = next(i for i, node in enumerate(norms) if node.outputs[0] == source)
        if place % 2 or not place:
            raise ValueError("lower states are not those after a layer")
        return place // 2 - 1


def _floats(array: Array) -> Array:
    return np.ascontiguousarray(array, np.float32)
