"""Polynomials for exp, sigmoid, tanh and erf against Python's own, and only for float32."""

import math

import numpy as np
import pytest
import tvm
from tvm import te, tirx

from ago_core.devices.local import host_target
from ago_core.schedules import vector_math  # noqa: F401  registers them

EXACT = {
    "exp": np.exp,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "erf": np.vectorize(math.erf),
}
UNITS = 5


def computed(name: str, values: np.ndarray, lanes: int) -> np.ndarray:
    data = te.placeholder(values.shape, str(values.dtype), name="data")
    result = te.compute(values.shape, lambda i: getattr(tirx, name)(data[i]), name="result")
    sch = tvm.s_tir.Schedule(te.create_prim_func([data, result]))
    (loop,) = sch.get_loops(sch.get_sblock("result"))
    if lanes > 1:
        sch.vectorize(sch.split(loop, [None, lanes])[1])
    out = tvm.runtime.tensor(np.full_like(values, np.nan))
    tvm.tirx.build(sch.mod, host_target())["main"](tvm.runtime.tensor(values), out)
    return out.numpy()


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("name", EXACT)
def test_last_places(name, lanes):
    values = np.concatenate([np.linspace(-86, 86, 4096), np.linspace(-1e-3, 1e-3, 1024), [0.0, -0.0, 0.625, -0.625]])
    values = np.resize(values, -(-len(values) // 16) * 16).astype("float32")
    exact = EXACT[name](values.astype("float64"))
    units = np.abs(computed(name, values, lanes) - exact) / np.spacing(np.abs(exact).astype("float32"))
    tiny = np.abs(exact) < np.finfo("float32").tiny
    assert units[~tiny].max() <= UNITS


@pytest.mark.parametrize("name", EXACT)
def test_the_ends_of_the_range(name):
    values = np.array([-np.inf, -1e30, -104.0, 89.0, 1e30, np.inf], "float32")
    with np.errstate(over="ignore"):
        exact = EXACT[name](values.astype("float64")).astype("float32")
    np.testing.assert_allclose(computed(name, values, 1), exact, rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-14), ("float16", 1e-3)])
@pytest.mark.parametrize("name", EXACT)
def test_other_types(name, dtype, rtol):
    values = np.linspace(-3, 3, 64, dtype=dtype)
    np.testing.assert_allclose(computed(name, values, 1), EXACT[name](values.astype("float64")), rtol=rtol)
