"""Models as TVM's own importer has them, images as NCHW, for a session with MetaSchedule's own spaces.

    python -m benchmarks.peers.nchw FOLDER LOCK    the process of such a session, started by `control.start`

Constants and batch norms are folded first as for all other peers (ago_core/graph/simplify.py): TVM's importer leaves
four operators of each batch norm, and its constant folding takes minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import helper, numpy_helper
from tvm.relax import transform
from tvm.relax.frontend.onnx import from_onnx

from ago_core.graph.model import Model, legalise
from ago_core.graph.onnx_graph import OnnxGraph
from ago_core.graph.operators import extract_operators
from ago_core.graph.opgraph import OpGraph, Tensor, Totals
from ago_core.graph.simplify import simplify
from ago_core.graph.source import open_source
from ago_core.tuning import session
from ago_core.tuning.backend import make_backend


def load_nchw(spec: str | Path, dims: Mapping[str, int] | None = None) -> Model:
    """As `load_model`, but imported by TVM's ONNX front end.

    Raises:
        UserError: the model cannot be read.
    """
    source = open_source(spec, dims)
    graph = OnnxGraph.of(source.model)
    simplify(graph)
    module = transform.CanonicalizeBindings()(from_onnx(_as_onnx(graph), keep_params_in_input=False))
    module = legalise(transform.FoldConstant()(legalise(transform.DecomposeOpsForInference()(module))))
    found = extract_operators(module, {})
    sums = (sum(getattr(op, name) for op in found.operators) for name in ("multiply_adds", "flops", "bytes_written"))
    totals = Totals(sum(array.size for array in graph.constants.values()), *sums)
    inputs = tuple((name, _tensor(graph, name)) for name in graph.inputs)
    operators = OpGraph(source.name, source.sha256, found.operators, found.edges, found.results, inputs, totals)
    return Model(source, operators, module, found.bindings)


def _as_onnx(graph: OnnxGraph) -> onnx.ModelProto:
    values = [
        [helper.make_tensor_value_info(name, graph.shapes[name][1], graph.shapes[name][0]) for name in names]
        for names in (graph.inputs, graph.outputs)
    ]
    constants = [numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    return helper.make_model(
        helper.make_graph(graph.nodes, graph.name or "main", *values, constants),
        opset_imports=[helper.make_opsetid("", graph.opset)],
    )


def _tensor(graph: OnnxGraph, name: str) -> Tensor:
    shape, kind = graph.shapes[name]
    return Tensor(shape, str(helper.tensor_dtype_to_np_dtype(kind)))


def main() -> int:
    session.load_model = load_nchw  # the same process but for the importer
    return session.main(sys.argv[1:], make_backend)


if __name__ == "__main__":
    sys.exit(main())
