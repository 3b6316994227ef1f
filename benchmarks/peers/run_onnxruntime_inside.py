"""ONNX Runtime on a subgraph as inside a network: images lie as its operators like them best, see onnx_operators.py."""

from __future__ import annotations

import os
import statistics

import onnx
import onnxruntime

from benchmarks.onnx_operators import OnnxOperator, sessions
from benchmarks.peers.worker import Loaded, inputs_of, turn

REORDERED = "nchwc with reorders"


def load(request: dict) -> Loaded:
    """The fastest of its ways but for the one that reorders images, which the network's other operators spare.

    The request's model has images NCHW (`inside`), its inputs and what is compared are NHWC.
    """
    os.sched_setaffinity(0, request["cores"][:1])  # the caller does a share of the work
    inputs, model = inputs_of(request), onnx.load(request["inside"])
    images = any(array.ndim == 4 for array in inputs.values())
    given = {name: array.transpose(0, 3, 1, 2).copy() if images else array for name, array in inputs.items()}
    peer = OnnxOperator(model, given, images)
    ways = sessions(peer, len(request["cores"]))
    inside = [session for name, session in ways.items() if name != REORDERED]
    fastest = min(inside, key=lambda session: statistics.median(turn(session.run)))
    return Loaded(onnxruntime.__version__, fastest.run, lambda: peer.ours(ways["nchw"].outputs()))
