"""Weights laid out, when compiling, so that neighbouring rows do not compete for the same places in the caches.

A product's tile reads a few columns of every row of its weights. Rows that lie a power of two apart fall into few sets
of a cache: of 1×1×464×1024 floats, 256 rows fit into a second cache of 16 ways and 1024 sets, and the rest pushes them
out for every tile. One cache line more in each row spreads them over all sets. In turns with plain rows, on one core
with 1 MB of second cache: 464→1024 at 7×7 takes 0.81 times as long, 512→2048 0.70, 3×3 of 512 channels 0.90, of 256
channels 0.98, and 128→128, whose rows do fit, 0.99.
"""

from __future__ import annotations

import math

import numpy as np
from tvm import relax, te, tirx
from tvm.ir.expr import GenericConst

LINE = 16
"""Floats in a cache line of 64 bytes."""

APART = 256
"""Floats: rows that lie a multiple of 1 KB apart share so few sets that those of a large product do not fit."""

LEAST = 1 << 16
"""Floats: smaller weights stay in a second cache however they lie."""

REUSE = 8
"""Outputs for each weight from which a product reads its weights more than once."""


def is_spread(weights: relax.Expr, outputs: int) -> bool:
    """Whether a product's constant gets longer rows.

    Args:
        weights: an operand of the product, rows in its last axis.
        outputs: elements that the product has.
    """
    if not isinstance(weights, GenericConst) or str(weights.value.dtype) != "float32" or weights.value.ndim < 2:
        return False
    columns = weights.value.shape[-1]
    return columns % APART == 0 and math.prod(weights.value.shape) >= LEAST and outputs >= REUSE * columns


def spread(weights: GenericConst) -> GenericConst:
    """The weights with a line of zeros after each row: shape (…, columns + LINE)."""
    data = weights.value.numpy()
    return relax.const(np.pad(data, [*([(0, 0)] * (data.ndim - 1)), (0, LINE)]))


def without_padding(shape: tuple[int, ...]) -> tirx.PrimFunc:
    """Copies (…, columns + LINE) to `shape`, (…, columns); schedules compute it where it is read, as an index."""
    extents = [tirx.const(extent, "int64") for extent in shape]
    rows = te.placeholder((*extents[:-1], tirx.const(shape[-1] + LINE, "int64")), "float32", "rows")
    columns = te.compute(extents, lambda *place: rows[place], "columns")
    return te.create_prim_func([rows, columns]).without_attr("global_symbol").with_attr("tirx.noalias", True)
