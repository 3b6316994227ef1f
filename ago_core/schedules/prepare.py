"""What schedules start from: a function with fewer blocks, its odd widths in whole vectors.

Blocks that stay nests of their own are written anew along their rows (pointwise.py, rows.py), which no scheduling
primitive can do; those that are to be fused stay as they are. So each way to group the stages starts from a module of
its own, and a trace of one applies to it alone.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx
from tvm.s_tir import Schedule

from ago_core.schedules.apply import epilogue_of
from ago_core.schedules.groups import split_groups
from ago_core.schedules.machine import Machine
from ago_core.schedules.normalise import blocks_of, inline_blocks, is_plain_reduction, is_reduction
from ago_core.schedules.overlap import overlap_vectors
from ago_core.schedules.pieces import cut_concatenations
from ago_core.schedules.pointwise import cut_rows
from ago_core.schedules.rewrite import replace_nests
from ago_core.schedules.row_chains import join_rows
from ago_core.schedules.rows import cut_reduction
from ago_core.schedules.stages import Group
from ago_core.schedules.weave import weave_rows
from ago_core.schedules.write_through import write_through


def normalised(function: tirx.PrimFunc, machine: Machine) -> Schedule:
    """The function, as `main`: blocks computed where they are read, chains over rows joined, odd widths in vectors."""
    sch = Schedule(tvm.IRModule({"main": function}))
    inline_blocks(sch)
    joined = join_rows(write_through(sch), machine)
    return overlap_vectors(split_groups(cut_concatenations(joined)), machine)


def prepare(sch: Schedule, groups: list[Group], machine: Machine) -> tvm.IRModule:
    """A normalised function whose blocks outside the groups of several stages go along their rows."""
    kept = {name for group in groups if group.task is not None for name in group.blocks} | _epilogues(sch)
    others = [block for block in map(sch.get, blocks_of(sch)) if block.name_hint not in kept]
    nests = {block.name_hint: _along_rows(block, machine) for block in others}
    return replace_nests(sch, {name: nest for name, nest in nests.items() if nest is not None}).mod


def _along_rows(block: s_tir.SBlock, machine: Machine) -> tirx.Stmt | None:
    """The block's nest with its rows in vectors; None where it has none."""
    if is_reduction(block):
        return cut_reduction(block, machine)
    return weave_rows(block, machine) or cut_rows(block, machine)


def _epilogues(sch: Schedule) -> set[str]:
    """Names of the blocks that belong into the nest of a reduction before them."""
    reductions = [block for block in blocks_of(sch) if is_plain_reduction(sch.get(block))]
    found = [epilogue_of(sch, block) for block in reductions]
    return {sch.get(epilogue).name_hint for epilogue in found if epilogue is not None}
