"""OpGraph: the graph of operators that a partition groups, as plain data.

One operator is one `call_tir` (or one library call) of the legalised Relax module, so that a partition maps one to one
to code. Operators are numbered in the order of the module, which is topological: every edge goes from a lower number
to a higher one. Nothing here imports TVM: an OpGraph can be printed, compared, written as JSON and read back without
it.
"""

from __future__ import annotations

import enum
import math
from dataclasses import asdict, dataclass
from functools import cached_property

import networkx as nx

SCHEMA = 2


class Pattern(enum.Enum):
    """How an operator's output relates to its inputs: TVM's OpPatternKind (include/tvm/relax/op_attr_types.h)."""

    ELEMENTWISE = "elementwise"
    BROADCAST = "broadcast"
    INJECTIVE = "injective"
    REDUCTION = "reduction"
    OUT_ELEMENTWISE_FUSABLE = "out-elementwise-fusable"
    TUPLE = "tuple"
    OPAQUE = "opaque"


@dataclass(frozen=True)
class Loop:
    """One loop of an operator's main nest. `kind` is "spatial" (indexes the output) or "reduction"."""

    name: str
    extent: int
    kind: str


@dataclass(frozen=True)
class Term:
    """A loop's part in an index: loop × stride. `stride` is None where the index is not linear in the loop."""

    loop: str
    stride: int | None


Access = tuple[tuple[Term, ...], ...]
"""For each axis of a tensor, the loops that its index is made of; none for an axis that is read at one place."""


@dataclass(frozen=True)
class Tensor:
    """A dense tensor's shape (in elements, outermost first) and element type, such as (1, 56, 56, 24) float32."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes in memory; booleans take one byte each."""
        bits = "".join(c for c in self.dtype if c.isdigit())
        return self.elements * max(1, int(bits or 8) // 8)

    def __str__(self) -> str:
        return f"{self.dtype}[{'×'.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        id: position in the graph's topological order, from 0.
        name: unique name, such as "conv2d_12".
        kind: what it computes, such as "conv2d", "depthwise_conv2d", "matmul", "add".
        pattern: TVM's pattern kind, as FuseOps sees it.
        loops: the main loop nest, outermost first: that of the block that does the most work.
        flops: floating-point operations of all blocks (a multiply-add is two).
        inputs: activations read, in the order of the call.
        weights: constants read (parameters and folded constants).
        outputs: tensors written.
        origin: names of the ONNX nodes it came from, in the model's order; empty for an operator the importer added.
        multiply_adds: of its reduction over products (convolution, matmul and their like), else 0.
        extern: a call into a library, or a PrimFunc that TVM cannot see inside (sort, scan, scatter); it can be in no
            subgraph but its own.
        sources: for each input the operator that computes it; None for an input of the model.
        access: for each input how the loops index it; None where that is not known.
    """

    id: int
    name: str
    kind: str
    pattern: Pattern
    loops: tuple[Loop, ...]
    flops: int
    inputs: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    origin: tuple[str, ...]
    multiply_adds: int = 0
    extern: bool = False
    sources: tuple[int | None, ...] = ()
    access: tuple[Access | None, ...] = ()

    @property
    def is_complex(self) -> bool:
        """A convolution, a matmul or their like. TVM's pattern kind would count pooling and softmax among them."""
        return self.multiply_adds > 0

    @property
    def bytes_read(self) -> int:
        return sum(t.nbytes for t in self.inputs + self.weights)

    @property
    def bytes_written(self) -> int:
        return sum(t.nbytes for t in self.outputs)


@dataclass(frozen=True)
class Totals:
    """Sums over a model.

    Attributes:
        parameters: learned numbers.
        multiply_adds: of all complex operators.
        flops: of all operators.
        activation_bytes: written by all operators, were each one run by itself.
    """

    parameters: int
    multiply_adds: int
    flops: int
    activation_bytes: int


@dataclass(frozen=True)
class OpGraph:
    """The operators of one model and who reads whom.

    Attributes:
        name: the model's name, for people.
        model_hash: SHA-256 of the model file, the bound dimensions and the importer's version (hexadecimal).
        operators: in topological order, `operators[i].id == i`.
        edges: (producer, consumer) pairs, sorted, each once.
        results: operators whose value the model returns.
        inputs: the model's inputs by name.
        totals: see `Totals`.
    """

    name: str
    model_hash: str
    operators: tuple[Operator, ...]
    edges: tuple[tuple[int, int], ...]
    results: tuple[int, ...]
    inputs: tuple[tuple[str, Tensor], ...]
    totals: Totals

    def __len__(self) -> int:
        return len(self.operators)

    @cached_property
    def digraph(self) -> nx.DiGraph:
        """The same graph for networkx; nodes are operator ids, each with its `Operator` as attribute `op`."""
        graph = nx.DiGraph()
        graph.add_nodes_from((op.id, {"op": op}) for op in self.operators)
        graph.add_edges_from(self.edges)
        return graph

    @cached_property
    def successors(self) -> tuple[tuple[int, ...], ...]:
        return _adjacency(len(self), self.edges)

    @cached_property
    def predecessors(self) -> tuple[tuple[int, ...], ...]:
        return _adjacency(len(self), tuple((v, u) for u, v in self.edges))

    def to_json(self) -> dict:
        """A JSON-able dictionary from which `from_json` makes an equal graph."""
        operators = [asdict(op) | {"pattern": op.pattern.value} for op in self.operators]
        return {
            "schema": SCHEMA,
            "name": self.name,
            "model_hash": self.model_hash,
            "operators": operators,
            "edges": [list(e) for e in self.edges],
            "results": list(self.results),
            "inputs": [[name, asdict(tensor)] for name, tensor in self.inputs],
            "totals": asdict(self.totals),
        }

    @classmethod
    def from_json(cls, data: dict) -> OpGraph:
        """The graph that `to_json` wrote. Raises ValueError for another schema."""
        if data.get("schema") != SCHEMA:
            raise ValueError(f"graph file has schema {data.get('schema')!r}, this version reads {SCHEMA}")
        return cls(
            name=data["name"],
            model_hash=data["model_hash"],
            operators=tuple(_operator(op) for op in data["operators"]),
            edges=tuple((u, v) for u, v in data["edges"]),
            results=tuple(data["results"]),
            inputs=tuple((name, _tensor(tensor)) for name, tensor in data["inputs"]),
            totals=Totals(**data["totals"]),
        )


def _adjacency(size: int, edges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, ...], ...]:
    rows: list[list[int]] = [[] for _ in range(size)]
    for u, v in edges:
        rows[u].append(v)
    return tuple(tuple(sorted(row)) for row in rows)


def _tensor(data: dict) -> Tensor:
    return Tensor(tuple(data["shape"]), data["dtype"])


def _operator(data: dict) -> Operator:
    tensors = {key: tuple(_tensor(t) for t in data[key]) for key in ("inputs", "weights", "outputs")}
    loops = tuple(Loop(**loop) for loop in data["loops"])
    fields = {"loops": loops, "pattern": Pattern(data["pattern"]), "access": tuple(map(_access, data["access"]))}
    fields |= {key: tuple(data[key]) for key in ("origin", "sources")}
    return Operator(**(data | tensors | fields))


def _access(data: list | None) -> Access | None:
    return None if data is None else tuple(tuple(Term(**term) for term in axis) for axis in data)
