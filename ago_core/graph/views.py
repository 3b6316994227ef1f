"""Views: chains of reshapes and transposes, held as algebra instead of being executed one by one.

The importer keeps images as NHWC while ONNX speaks of NCHW. Every tensor it holds is an expression seen through a
`View`. Reshapes and transposes only change the view; when a value is needed in memory, the whole chain costs at most
one transpose, and none at all when the axes are already in order. ShuffleNet's channel shuffle on an NHWC tensor, for
one, is five steps with ONNX's layout around it and one transpose of the innermost axis here.

The idea: split every axis into *atoms*, extents that no step of the chain cuts further. A chain is then one permutation
of atoms, between two reshapes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class View:
    """A tensor of shape `shape`, made from one of shape `base` by reshapes and transposes.

    Attributes:
        base: shape of the tensor in memory.
        shape: shape that the reader sees.
        atoms: extents in the order of memory, without ones; their product is the number of elements.
        order: `order[k]` is the memory position of the k-th atom that the reader sees.
    """

    base: Shape
    shape: Shape
    atoms: Shape
    order: Shape

    @classmethod
    def of(cls, shape: Shape) -> View:
        """The tensor as it is."""
        atoms = tuple(extent for extent in shape if extent != 1)
        return cls(tuple(shape), tuple(shape), atoms, tuple(range(len(atoms))))

    def transpose(self, axes: Shape) -> View:
        """Axis k of the result is axis `axes[k]` of this view."""
        runs = self._runs()
        order = tuple(atom for axis in axes for atom in runs[axis])
        return View(self.base, tuple(self.shape[axis] for axis in axes), self.atoms, order)

    def reshape(self, shape: Shape) -> View | None:
        """The same elements in row-major order under another shape; None where an axis would have to be cut unevenly.

        For example (6,) transposed out of order cannot become (4, ...): 4 does not divide 6. With no elements, None.
        """
        if math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"cannot reshape {self.shape} to {shape}")
        runs = self._contiguous()
        extents = [math.prod(self.atoms[i] for i in run) for run in runs]
        pieces = _split(extents, [extent for extent in shape if extent != 1])
        if pieces is None:
            return None
        in_memory = sorted(range(len(runs)), key=lambda k: runs[k])
        atoms = tuple(extent for k in in_memory for extent in pieces[k])
        starts, at = {}, 0
        for k in in_memory:
            starts[k] = at
            at += len(pieces[k])
        order = tuple(starts[k] + j for k in range(len(runs)) for j in range(len(pieces[k])))
        return View(self.base, tuple(shape), atoms, order)

    def steps(self) -> tuple[Shape, Shape, Shape] | None:
        """How to make the view from memory: reshape to A, transpose by P, reshape to B. None when it is a pure reshape.

        Atoms that stay neighbours are merged first, so that the transpose has the lowest rank that does the job.
        """
        if self.order == tuple(sorted(self.order)):
            return None
        runs = self._contiguous()
        in_memory = sorted(runs)
        merged = tuple(math.prod(self.atoms[i] for i in run) for run in in_memory)
        return merged, tuple(in_memory.index(run) for run in runs), self.shape

    def permutation(self) -> Shape | None:
        """Axes P such that the view is memory transposed by P, with no reshape; None where there is no such P.

        Axes of extent 1 are matched so that they keep their order.
        """
        if len(self.base) != len(self.shape):
            return None
        memory_runs, at = [], 0
        for extent in self.base:
            memory_runs.append((at,) if extent != 1 else ())
            at += extent != 1
        if tuple(extent for extent in self.base if extent != 1) != self.atoms:
            return None
        free = [axis for axis, run in enumerate(memory_runs) if not run]
        axes = []
        for run in self._runs():
            if len(run) > 1:
                return None
            axes.append(memory_runs.index(tuple(run)) if run else free.pop(0))
        return tuple(axes)

    def storage(self) -> Shape:
        """The order of the seen axes in memory, outermost first: (0, 2, 3, 1) for an image that lies as NHWC.

        An axis whose atoms are scattered (a channel shuffle) counts where its first atom lies.
        """
        axes = self.permutation()
        if axes is not None:
            return tuple(sorted(range(len(axes)), key=axes.__getitem__))
        runs = self._runs()
        return tuple(sorted(range(len(runs)), key=lambda axis: min(runs[axis], default=-1)))

    def _runs(self) -> list[tuple[int, ...]]:
        """For each axis that the reader sees, its atoms (memory positions)."""
        runs, at = [], 0
        for extent in self.shape:
            product, run = 1, []
            while product < extent:
                run.append(self.order[at])
                product *= self.atoms[self.order[at]]
                at += 1
            runs.append(tuple(run))
        return runs

    def _contiguous(self) -> list[list[int]]:
        """The atoms in the order seen, those that are neighbours in memory too put together."""
        runs: list[list[int]] = []
        for atom in self.order:
            if runs and atom == runs[-1][-1] + 1:
                runs[-1].append(atom)
            else:
                runs.append([atom])
        return runs


def _split(extents: list[int], targets: list[int]) -> list[list[int]] | None:
    """Cuts `extents` so that consecutive pieces multiply up to `targets`, in order; None where a cut is uneven."""
    pieces: list[list[int]] = [[] for _ in extents]
    at, left = 0, extents[0] if extents else 1
    for need in targets:
        while need > 1:
            step = min(need, left)
            if max(need, left) % step:
                return None
            pieces[at].append(step)
            need, left = need // step, left // step
            if left == 1 and at + 1 < len(extents):
                at += 1
                left = extents[at]
    return pieces
