"""A loaded model: its legalised Relax module beside the `OpGraph` that describes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from tvm import IRModule, relax

from ago_core.errors import UserError
from ago_core.graph.importer import import_onnx
from ago_core.graph.onnx_graph import OnnxGraph
from ago_core.graph.operators import extract_operators
from ago_core.graph.opgraph import OpGraph, Tensor, Totals
from ago_core.graph.simplify import count_parameters, simplify
from ago_core.graph.source import Source, open_source

Progress = Callable[[str], None]


LOWERING_ERRORS = (RuntimeError, ValueError, TypeError, AssertionError)
"""What TVM's checks and its Python loops (TOPI) raise for operators they cannot express; TVMError is no more."""


@dataclass(frozen=True, eq=False)
class Model:
    """One model, ready to be partitioned and compiled.

    Attributes:
        source: the ONNX model, kept as the reference for verification.
        graph: its operators.
        module: the legalised Relax module; `main` holds one dataflow block.
        bindings: for each operator, the name of its binding in `main`.
    """

    source: Source
    graph: OpGraph
    module: IRModule
    bindings: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def onnx(self) -> onnx.ModelProto:
        return self.source.model


def load_model(spec: str | Path, dims: Mapping[str, int] | None = None, progress: Progress = lambda _: None) -> Model:
    """Reads, imports and legalises a model.

    Args:
        spec: path of an ONNX file, or a sample such as "mobilenet_v2@224".
        dims: values for symbolic dimensions.
        progress: told what is being done, in a few words.

    Raises:
        UserError: the model cannot be read or imported; the sentence says why.
    """
    progress("Reading the model")
    source = open_source(spec, dims)
    return import_source(source, progress)


def import_source(source: Source, progress: Progress = lambda _: None) -> Model:
    """`load_model` for a model that has been opened."""
    graph = OnnxGraph.of(source.model)
    progress("Folding constants and batch norms")
    parameters = count_parameters(graph)
    simplify(graph)
    if not graph.nodes:
        raise UserError(f"{source.name} computes nothing: all its outputs are constants.")
    progress("Importing operators")
    module, origin = import_onnx(graph)
    progress("Lowering operators to loops")
    try:
        module = legalise(module)
    except LOWERING_ERRORS as error:
        raise UserError(f"{source.name} cannot be lowered to loops: {str(error).strip().splitlines()[-1]}") from error
    progress("Reading the operator graph")
    extracted = extract_operators(module, origin)
    operators = extracted.operators
    totals = Totals(
        parameters=parameters,
        multiply_adds=sum(op.multiply_adds for op in operators),
        flops=sum(op.flops for op in operators),
        activation_bytes=sum(op.bytes_written for op in operators),
    )
    inputs = tuple((name, _input_tensor(graph, name)) for name in graph.inputs)
    op_graph = OpGraph(source.name, source.sha256, operators, extracted.edges, extracted.results, inputs, totals)
    return Model(source, op_graph, module, extracted.bindings)


def legalise(module: IRModule) -> IRModule:
    """One `call_tir` for each operator, each PrimFunc with TVM's pattern kind."""
    for step in (
        relax.transform.CanonicalizeBindings(),
        relax.transform.LegalizeOps(),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.DeadCodeElimination(),
    ):
        module = step(module)
    return module


def _input_tensor(graph: OnnxGraph, name: str) -> Tensor:
    shape, kind = graph.shapes[name]
    return Tensor(shape, str(onnx.helper.tensor_dtype_to_np_dtype(kind)))
