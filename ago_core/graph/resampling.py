"""Resize: along each axis, every output point is a weighted sum of a few input points (onnx.ai, Resize-19).

Which points and with which weights is known before anything runs, so it is computed here, and the code that is
generated only looks it up. TVM's own resize2d derives the scale from the rounded sizes, and is off where ONNX's scale
is not their ratio; it has no half_pixel_symmetric, and breaks ties by floating-point accident.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add, mul

import numpy as np
from tvm import te, tirx


@dataclass(frozen=True, eq=False)
class Taps:
    """One axis of a resize.

    Attributes:
        index: (size out, taps) input points.
        weight: (size out, taps) their weights; all ones where there is one tap.
    """

    index: np.ndarray
    weight: np.ndarray

    @property
    def count(self) -> int:
        return self.index.shape[1]

    @property
    def repeats(self) -> int | None:
        """k where output i is input i // k, which needs no look-up."""
        size = len(self.index)
        k = size // (int(self.index.max()) + 1)
        return k if self.count == 1 and k > 0 and np.array_equal(self.index[:, 0], np.arange(size) // k) else None


def make_taps(before: int, after: int, scale: float, attrs: dict) -> Taps:
    """The taps of one axis.

    Args:
        before, after: sizes of the axis.
        scale: ONNX's factor; after / before where sizes were given.
        attrs: ONNX's attributes.

    Raises:
        ValueError: a mode that is not supported.
    """
    mode = attrs.get("mode", b"nearest").decode()
    at = _coordinates(before, after, np.float32(scale), attrs["coordinate_transformation_mode"])
    if mode == "nearest":
        index = np.clip(_round(at, scale, attrs["nearest_mode"]), 0, before - 1).astype(np.int64)[:, None]
        return Taps(index, np.ones(index.shape))
    if attrs.get("antialias", 0) and scale < 1:
        raise ValueError("antialias is not supported")
    if mode == "linear":
        at = np.clip(at, 0, before - 1)
        first = np.floor(at)
        index, weight = first[:, None] + [0, 1], np.stack([1 - (at - first), at - first], axis=1)
    elif mode == "cubic":
        first = np.floor(at)
        index = first[:, None] + [-1, 0, 1, 2]
        weight = _cubic(np.abs(at[:, None] - index), attrs.get("cubic_coeff_a", -0.75))
        if attrs.get("exclude_outside", 0):
            weight = weight * ((index >= 0) & (index < before))
            weight = weight / weight.sum(axis=1, keepdims=True)
    else:
        raise ValueError(f"the mode {mode} is not known")
    return Taps(np.clip(index, 0, before - 1).astype(np.int64), weight)


def _coordinates(before: int, after: int, scale: np.float32, mode: str) -> np.ndarray:
    """Where each output point lies in the input, in float32 as ONNX Runtime computes it, which decides ties."""
    x, half = np.arange(after, dtype=np.float32), np.float32(0.5)
    if mode == "asymmetric":
        return x / scale
    if mode == "tf_half_pixel_for_nn":
        return (x + half) / scale
    if mode == "align_corners":
        if abs(scale * before - after) > 1e-3:
            raise ValueError("align_corners with a scale that does not give a whole size has no agreed meaning")
        return x * np.float32(before - 1) / np.float32(after - 1) if after > 1 else np.zeros_like(x)
    if mode == "pytorch_half_pixel" and after == 1:
        return np.zeros_like(x)
    if mode in ("half_pixel", "pytorch_half_pixel"):
        return (x + half) / scale - half
    if mode == "half_pixel_symmetric":
        offset = np.float32(before / 2) * (1 - np.float32(after) / (scale * np.float32(before)))
        return offset + (x + half) / scale - half
    raise ValueError(f"the coordinate transformation {mode} is not supported")


def _round(at: np.ndarray, scale: float, mode: str) -> np.ndarray:
    if mode == "simple":  # before opset 11
        mode = "ceil" if scale < 1 else "floor"
    if mode == "round_prefer_floor":
        return np.ceil(at - np.float32(0.5))
    if mode == "round_prefer_ceil":
        return np.floor(at + np.float32(0.5))
    return np.ceil(at) if mode == "ceil" else np.floor(at)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' kernel (Cubic convolution interpolation for digital image processing, 1981)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def resize_te(axes: list[int], taps: list[Taps]) -> Callable[..., te.Tensor]:
    """The computation, for a tensor and the tables that its axes need.

    Args:
        axes: the axes resized.
        taps: theirs. Each without `repeats` needs its indices as a table, and with two taps or more its weights too.
    """

    def resize(data: te.Tensor, *tables: te.Tensor) -> te.Tensor:
        given = iter(tables)
        lookups = [(None if t.repeats else next(given), next(given) if t.count > 1 else None) for t in taps]
        size = {axis: tirx.const(len(t.index), "int64") for axis, t in zip(axes, taps)}
        shape = [size.get(axis, data.shape[axis]) for axis in range(data.ndim)]

        def value(*point):
            terms = []
            for choice in itertools.product(*(range(t.count) for t in taps)):
                where, weights = list(point), []
                for axis, t, (index, weight), k in zip(axes, taps, lookups, choice):
                    where[axis] = point[axis] // t.repeats if index is None else index[point[axis], k]
                    weights += [] if weight is None else [weight[point[axis], k]]
                terms.append(reduce(mul, weights, data[tuple(where)]))
            return reduce(add, terms)

        return te.compute(shape, value, name="resize")

    return resize
