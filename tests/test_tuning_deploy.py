"""What tuning finds is what is compiled: the whole model with tuned functions against ONNX Runtime."""

import math

import pytest
from tvm import tirx

from ago_core.artifacts.verify import verify
from ago_core.graph.model import load_model
from ago_core.lowering.executable import compile_model, lower
from ago_core.partition.heuristic import heuristic_partition
from ago_core.tuning.backend import make_backend
from ago_core.tuning.interfaces import SearchTask
from ago_core.tuning.settings import LocalDevice, TuningSettings
from ago_core.tuning.tasks import tasks_of

SETTINGS = TuningSettings(100, LocalDevice(1), seed=1)


@pytest.fixture(scope="module")
def model():
    return load_model("squeezenet@56")


@pytest.fixture(scope="module")
def partition(model):
    return heuristic_partition(model)


@pytest.fixture(scope="module")
def tuned(model, partition):
    """By subgraph, a measured candidate of two tasks that is not the analytic schedule."""
    backend = make_backend(SETTINGS)
    found = {}
    with backend.measurer(lambda _: None) as measurer:
        for task in sorted(tasks_of(model, partition), key=lambda task: task.weight)[-2:]:
            _, candidate = backend.search(SearchTask(task.function, (), 1)).propose(2)
            ((_, measurement),) = measurer.measure(task.function, [candidate], math.inf)
            assert measurement.correct
            found |= dict.fromkeys(task.subgraphs, candidate.function)
        whole, plain = measurer.end_to_end(model, [(partition, found), (partition, {})])
    assert plain.correct and len(plain.seconds) == len(whole.seconds)
    assert whole.correct and whole.latency > 0 and len(whole.seconds) > 1
    return found


def test_the_model_with_tuned_functions_is_right(model, partition, tuned):
    compiled = compile_model(model, partition, make_backend(SETTINGS)._target, functions=tuned)
    report, _, _ = verify(compiled, threads=1, runs=1)
    assert report.correct


def test_the_tuned_functions_are_in_it(model, partition, tuned):
    target = make_backend(SETTINGS)._target
    plain, module = lower(model, partition, target), lower(model, partition, target, tuned)
    bodies = {gvar.name_hint: f.script() for gvar, f in module.functions_items() if isinstance(f, tirx.PrimFunc)}
    changed = {
        gvar.name_hint
        for gvar, f in plain.functions_items()
        if isinstance(f, tirx.PrimFunc) and f.script() != bodies[gvar.name_hint]
    }
    assert changed and changed <= {f"subgraph_{index}" for index in tuned}


def test_a_wrong_function_is_seen_in_the_whole_model(model, partition, tuned):
    index, function = next(iter(tuned.items()))
    backend = make_backend(SETTINGS)
    with backend.measurer(lambda _: None) as measurer:
        nothing = function.with_body(tirx.Evaluate(0))
        (run,) = measurer.end_to_end(model, [(partition, tuned | {index: nothing})])
    assert run.latency is None and run.error
