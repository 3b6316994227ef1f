"""Synthetic OpGraphs with the shapes of real networks, groupings of them, and a synthetic ONNX model."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ago_core.graph.opgraph import Loop, Operator, OpGraph, Pattern, Tensor, Term, Totals

SHAPE = (1, 32, 28, 28)


class _Builder:
    """Collects operators in topological order; each method returns the id of the operator that it added."""

    def __init__(self) -> None:
        self.operators: list[Operator] = []
        self.edges: list[tuple[int, int]] = []

    def add(self, kind: str, pattern: Pattern, *sources: int, complex_op: bool = False) -> int:
        op_id = len(self.operators)
        activation = Tensor(SHAPE, "float32")
        loops = [Loop(f"i{axis}", extent, "spatial") for axis, extent in enumerate(SHAPE)]
        access = tuple((Term(loop.name, 1),) for loop in loops)
        if complex_op:
            loops += [Loop("rc", 32, "reduction"), Loop("ry", 3, "reduction"), Loop("rx", 3, "reduction")]
            access = (
                (Term("i0", 1),),
                (Term("rc", 1),),
                (Term("i2", 1), Term("ry", 1)),
                (Term("i3", 1), Term("rx", 1)),
            )
        self.operators.append(
            Operator(
                id=op_id,
                name=f"{kind}_{op_id}",
                kind=kind,
                pattern=pattern,
                loops=tuple(loops),
                flops=activation.elements * (2 * 32 * 9 if complex_op else 1),
                inputs=(activation,) * max(1, len(sources)),
                weights=(Tensor((32, 32, 3, 3), "float32"),) if complex_op else (),
                outputs=(activation,),
                origin=(f"/{kind}/{op_id}<b>",),  # a name that would be HTML if it were shown as such
                multiply_adds=activation.elements * 32 * 9 if complex_op else 0,
                sources=sources or (None,),
                access=(access,) * max(1, len(sources)),
            )
        )
        self.edges += [(source, op_id) for source in dict.fromkeys(sources)]
        return op_id

    def conv(self, source: int | None, relu: bool = True) -> int:
        sources = () if source is None else (source,)
        out = self.add("conv2d", Pattern.OUT_ELEMENTWISE_FUSABLE, *sources, complex_op=True)
        out = self.add("add", Pattern.BROADCAST, out)
        return self.add("relu", Pattern.ELEMENTWISE, out) if relu else out

    def graph(self, name: str, size: int) -> OpGraph:
        """The first `size` operators; those that nobody reads are the results."""
        operators = tuple(self.operators[:size])
        edges = tuple(sorted((u, v) for u, v in self.edges if v < size))
        results = tuple(sorted({op.id for op in operators} - {u for u, _ in edges}))
        flops = sum(op.flops for op in operators)
        parameters = sum(t.elements for op in operators for t in op.weights)
        activations = sum(op.bytes_written for op in operators)
        multiply_adds = sum(op.multiply_adds for op in operators)
        totals = Totals(parameters, multiply_adds, flops, activations)
        inputs = (("input", Tensor(SHAPE, "float32")),)
        return OpGraph(name, f"{name}-{size}", operators, edges, results, inputs, totals)


def residual_graph(size: int) -> OpGraph:
    """A ResNet of exactly `size` operators: blocks of two convolutions and a skip connection."""
    builder = _Builder()
    trunk = builder.conv(None)
    while len(builder.operators) < size:
        branch = builder.conv(builder.conv(trunk), relu=False)
        trunk = builder.add("relu", Pattern.ELEMENTWISE, builder.add("add", Pattern.BROADCAST, branch, trunk))
    return builder.graph("residual", size)


def inception_graph(size: int) -> OpGraph:
    """An Inception of exactly `size` operators: modules of four branches of unequal depth, concatenated."""
    builder = _Builder()
    trunk = builder.conv(None)
    while len(builder.operators) < size:
        pooled = builder.add("max_pool2d", Pattern.REDUCTION, trunk)
        branches = [
            builder.conv(trunk),
            builder.conv(builder.conv(trunk)),
            builder.conv(builder.conv(builder.conv(trunk))),
            builder.conv(pooled),
        ]
        trunk = builder.add("concatenate", Pattern.INJECTIVE, *branches)
    return builder.graph("inception", size)


def attention_graph(size: int) -> OpGraph:
    """A transformer of exactly `size` operators. Every layer reads one mask: some edges are as long as the model."""
    builder = _Builder()
    mask = builder.add("cast", Pattern.ELEMENTWISE)
    trunk = builder.conv(None, relu=False)
    while len(builder.operators) < size:
        query, key, value = (builder.conv(trunk, relu=False) for _ in range(3))
        scores = builder.add("matmul", Pattern.OUT_ELEMENTWISE_FUSABLE, query, key, complex_op=True)
        masked = builder.add("add", Pattern.BROADCAST, scores, mask)
        softmax = builder.add("softmax", Pattern.OUT_ELEMENTWISE_FUSABLE, masked)
        mixed = builder.add("matmul", Pattern.OUT_ELEMENTWISE_FUSABLE, softmax, value, complex_op=True)
        attended = builder.add("add", Pattern.BROADCAST, builder.conv(mixed, relu=False), trunk)
        trunk = builder.add("add", Pattern.BROADCAST, builder.conv(builder.conv(attended), relu=False), attended)
    return builder.graph("attention", size)


def unet_graph(size: int) -> OpGraph:
    """A U-Net of exactly `size` operators: a long way down, and up again with a skip connection from each level."""
    builder = _Builder()
    trunk, skips = builder.conv(None), []
    while len(builder.operators) < size // 2:
        trunk = builder.conv(builder.conv(trunk))
        skips.append(trunk)
        trunk = builder.add("max_pool2d", Pattern.REDUCTION, trunk)
    while len(builder.operators) < size:
        joined = (trunk, skips.pop()) if skips else (trunk,)
        trunk = builder.conv(builder.conv(builder.add("concatenate", Pattern.INJECTIVE, *joined)))
    return builder.graph("unet", size)


FAMILIES = {
    "residual": residual_graph,
    "inception": inception_graph,
    "unet": unet_graph,
    "transformer": attention_graph,
}


def fused_groups(graph: OpGraph) -> list[tuple[int, ...]]:
    """Groups as a heuristic makes them: an operator and the chain of non-complex ones that alone read it.

    Only the last operator of a group is read from outside, so the groups never wait for each other.
    """
    owner: dict[int, int] = {}
    groups: list[list[int]] = []
    for op in graph.operators:
        last = max(graph.predecessors[op.id], default=None)
        if last is None or op.is_complex or len(graph.successors[last]) > 1:
            owner[op.id] = len(groups)
            groups.append([op.id])
        else:
            owner[op.id] = owner[last]
            groups[owner[last]].append(op.id)
    return [tuple(group) for group in groups]


def block_groups(graph: OpGraph, size: int) -> list[tuple[int, ...]]:
    """Groups of `size` operators that follow each other in topological order, so they never wait for each other."""
    return [tuple(range(start, min(start + size, len(graph)))) for start in range(0, len(graph), size)]


def residual_onnx(size: int, channels: int = 8, extent: int = 8) -> onnx.ModelProto:
    """A ResNet of at least `size` ONNX nodes, in whole blocks of five; input (1, channels, extent, extent)."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((channels, channels, 3, 3), dtype=np.float32) * np.float32(1e-3)
    shape = [1, channels, extent, extent]
    nodes, constants, value = [], [numpy_helper.from_array(weight, "weight")], "input"
    for block in range(math.ceil(size / 5)):
        steps = (
            ("Conv", [value, "weight"], {"pads": [1] * 4}),
            ("Relu", [f"{block}.0"], {}),
            ("Conv", [f"{block}.1", "weight"], {"pads": [1] * 4}),
            ("Add", [f"{block}.2", value], {}),
            ("Relu", [f"{block}.3"], {}),
        )
        for number, (kind, inputs, attributes) in enumerate(steps):
            nodes.append(
                helper.make_node(kind, inputs, [f"{block}.{number}"], f"{kind}_{block}_{number}", **attributes)
            )
        value = f"{block}.4"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("input", value)]
    graph = helper.make_graph(nodes, f"residual-{size}", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
