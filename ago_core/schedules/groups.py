"""Grouped convolutions with an axis for the groups, so that their channels go into vectors.

The channels that an output reads begin at `f // K · C`, which no step of f moves evenly: a vector of f would be
gathered. With an axis for the group, which walks data and weights alike as a batch does, all strides are known:

    before: for f in G·K:            sums[f] += x[f // K · C + c] · w[c, f]              y[f] = relu(sums[f])
    after:  for g in G: for k in K:  sums[g, k] += x[g · C + c] · w[c, g · K + k]        y[g · K + k] = relu(sums[g, k])
"""

from __future__ import annotations

from tvm import s_tir, tirx
from tvm.s_tir import Schedule
from tvm_ffi import structural_walk

from ago_core.schedules.cut import Cut, cut_axis
from ago_core.schedules.nest import read_nest
from ago_core.schedules.normalise import blocks_of, is_plain_reduction
from ago_core.schedules.tile import vector_axis

GROUPED = "ago.grouped"
"""Annotation of a block whose channels are an axis of groups and one of channels of a group: how many of these."""

LEAST = 4
"""Channels of a group that make a vector."""


def is_grouped(block: s_tir.SBlock) -> bool:
    """Whether the block has an axis for groups."""
    return GROUPED in block.annotations


def split_groups(sch: Schedule) -> Schedule:
    """A schedule of the function in which each grouped convolution has an axis for its groups."""
    for name in [sch.get(block).name_hint for block in blocks_of(sch)]:
        block = sch.get_sblock(name)
        channels = _group(sch.get(block)) if is_plain_reduction(sch.get(block)) else None
        if channels is not None:
            axis = read_nest(sch.get(block)).spatial[-1]
            extent = int(sch.get(block).iter_vars[axis].dom.extent)
            sch = cut_axis(sch, block, axis, _groups(extent // channels, channels))
    return sch


def _group(block: s_tir.SBlock) -> int | None:
    """Channels of a group: what the last spatial axis is divided by in the index of a load; None where it is not."""
    nest = read_nest(block)
    if not nest.spatial or vector_axis(nest) is not None:
        return None
    last = block.iter_vars[nest.spatial[-1]]
    found: list[tirx.FloorDiv] = []
    structural_walk(block.body.value, (tirx.FloorDiv, found.append))
    divisors = {int(each.b) for each in found if each.a.same_as(last.var) and isinstance(each.b, tirx.IntImm)}
    if len(divisors) != 1 or len(block.body.indices) != len(nest.spatial):
        return None
    (channels,) = divisors
    return channels if channels >= LEAST and int(last.dom.extent) % channels == 0 else None


def _groups(groups: int, channels: int) -> Cut:
    return Cut(groups, channels, lambda group, channel: group * channels + channel, (GROUPED, channels), overlaps=False)
