"""Transcendental functions that a vector can compute: polynomials in place of calls of the C library.

LLVM has vector instructions for a square root, none for exp, tanh, erf and sigmoid: it calls the C library for every
lane. Importing this module registers, for TVM's LLVM back end and float32 only,

* exp: 2^n · p(f) with x = n·ln 2 + f, |f| ≤ ln 2 / 2, p of degree 6 (Cephes, expf.c);
* sigmoid and tanh by exp, tanh below 0.625 by its odd polynomial (Cephes, tanhf.c);
* erf by the rational function of Eigen (unsupported/SpecialFunctions, erf_float), clamped at 4, as topi.fast_erf.

They err by at most 5 units in the last place (tests/test_vector_math.py). A value that is not a number does not survive
exp's clamping. Other types keep TVM's own lowering.
"""

from __future__ import annotations

import tvm
from tvm import tirx
from tvm.tirx import register_intrin_lowering

ABOVE_STOCK = 99
"""TVM takes the rule of the highest level; its own have 10."""

_EXP_RANGE = (-87.3365478515625, 88.72283172607422)
_LOG2_E = 1.44269504088896341
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_TANH = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
_ERF_TOP = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_BOTTOM = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


def exp(x: tirx.Expr) -> tirx.Expr:
    """e to the power x; infinity above 88.7, and not less than the smallest normal number, 1.2e-38."""
    width = f"x{x.ty.dtype.lanes}" if x.ty.dtype.lanes > 1 else ""

    def power(n, fraction):
        scale = tirx.reinterpret("float32" + width, (tirx.Cast("int32" + width, n) + 127) << 23)
        return scale * (_polynomial(fraction, _EXP) * fraction * fraction + fraction + 1.0)

    def split(x):
        n = tirx.floor(x * _LOG2_E + 0.5)
        return _let(n, lambda n: _let(x - n * _LN2_HIGH - n * _LN2_LOW, lambda fraction: power(n, fraction)))

    return _let(tirx.max(tirx.min(x, _EXP_RANGE[1]), _EXP_RANGE[0]), split)


def sigmoid(x: tirx.Expr) -> tirx.Expr:
    return 1.0 / (1.0 + exp(0.0 - x))


def tanh(x: tirx.Expr) -> tirx.Expr:
    small = _let(x * x, lambda square: _polynomial(square, _TANH) * square * x + x)
    large = 1.0 - 2.0 / (exp(x + x) + 1.0)
    return tirx.Select(tirx.abs(x) < 0.625, small, large)


def erf(x: tirx.Expr) -> tirx.Expr:

    def ratio(x):
        square = x * x
        return x * _let(square, lambda s: _polynomial(s, _ERF_TOP) / _polynomial(s, _ERF_BOTTOM))

    return _let(tirx.max(tirx.min(x, 4.0), -4.0), ratio)


def _let(value: tirx.Expr, body) -> tirx.Expr:
    """`body` of a name for the value: written once however often it is used, so that chains stay short."""
    name = tirx.Var("t", str(value.ty.dtype))
    return tirx.Let(name, value, body(name))


def _polynomial(x: tirx.Expr, coefficients: tuple[float, ...]) -> tirx.Expr:
    """Horner's rule, the highest power first."""
    value = coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def _rule(name: str, function):
    """float32 as above, narrower types through float32, float64 by LLVM."""

    def lower(call: tvm.ir.Call):
        argument, dtype = call.args[0], call.ty.dtype
        if dtype.bits == 64:
            return _double(name, argument, str(dtype))
        if dtype.bits == 32:
            return _let(argument, function)
        return tirx.Cast(str(dtype), _let(tirx.Cast(str(dtype).replace("float16", "float32"), argument), function))

    return lower


def _double(name: str, x: tirx.Expr, dtype: str) -> tirx.Expr:
    if name == "sigmoid":
        return 1.0 / (1.0 + tirx.call_llvm_pure_intrin(dtype, "llvm.exp", 0.0 - x))
    if name == "exp":
        return tirx.call_llvm_pure_intrin(dtype, "llvm.exp", x)
    return tirx.call_pure_extern(dtype, name, x)


for _name, _function in {"exp": exp, "sigmoid": sigmoid, "tanh": tanh, "erf": erf}.items():
    register_intrin_lowering(f"tirx.{_name}", target="llvm", f=_rule(_name, _function), level=ABOVE_STOCK)
