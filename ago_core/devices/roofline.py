"""What this machine can do at most: multiply-adds in registers, and bytes copied at every size of working set.

    python -m ago_core.devices.roofline THREADS    measure this machine; JSON on stdout

A kernel cannot take less than max(FLOPs / peak, bytes / bandwidth): the roofline (Williams, Waterman, Patterson,
CACM 52(4), 2009). Peak is measured with independent vector multiply-adds that never leave the registers; bandwidth
with a copy loop, both compiled by TVM for this processor. A copied byte counts twice, read and written; what a cache
line costs to be fetched before it is overwritten is not counted.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

import numpy as np
import tvm
from tvm.script import tirx as T  # noqa: N812 - its name in every TVMScript

from ago_core.devices.cores import cores_for
from ago_core.devices.local import host_target
from ago_core.devices.threads import use_cores
from ago_core.errors import UserError
from ago_core.schedules.machine import machine_of

ACCUMULATORS = 16
"""Independent chains of multiply-adds: above latency × issue width (4 cycles × 2 today), below the vector registers."""
STEPS = 1 << 12
FOOTPRINTS = tuple(1 << k for k in (14, 16, 18, 20, 22, 24, 26, 28))
"""Bytes read and written by a copy: 16 KiB, in the first cache, to 256 MiB, in memory."""
REPEATS = 100
REPEAT_MS = 1
"""Shorter than a slice of the operating system's scheduler: some repeats run undisturbed on a busy machine too."""


@dataclass(frozen=True)
class Roofline:
    """A machine's upper limits with `threads` threads.

    Attributes:
        threads: how many ran.
        peak: float32 operations per second; a multiply-add is two.
        footprints: bytes of working set, ascending.
        bandwidths: for each footprint the bytes per second, read and written together.
    """

    threads: int
    peak: float
    footprints: tuple[int, ...]
    bandwidths: tuple[float, ...]

    def bandwidth(self, footprint: float) -> float:
        """Bytes per second for a working set of so many bytes, interpolated over its logarithm."""
        return float(np.interp(np.log2(max(footprint, 1)), np.log2(self.footprints), self.bandwidths))

    def seconds(self, flops: float, nbytes: float) -> float:
        """The least time for so many operations on so many bytes, each moved once."""
        return max(flops / self.peak, nbytes / self.bandwidth(nbytes))

    def or_better(self, other: Roofline) -> Roofline:
        """Of two measurements of one machine the better figures: what disturbs a measurement makes it worse."""
        bandwidths = tuple(map(max, self.bandwidths, other.bandwidths))
        return Roofline(self.threads, max(self.peak, other.peak), self.footprints, bandwidths)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> Roofline:
        return cls(data["threads"], data["peak"], tuple(data["footprints"]), tuple(data["bandwidths"]))


def measure_roofline(threads: int) -> Roofline:
    """Measures this machine, some seconds. The best of several repeats counts: it is a limit that is looked for.

    TVM must run as many threads: see `threads.use_cores`.
    """
    bandwidths = tuple(_copy_bandwidth(footprint, threads) for footprint in FOOTPRINTS)
    return Roofline(threads, _peak(threads), FOOTPRINTS, bandwidths)


def _peak(threads: int) -> float:
    target = host_target(threads)
    lanes = machine_of(target).lanes
    seconds = _best(_multiply_adds(threads, lanes), target, [np.ones((threads, ACCUMULATORS * lanes), np.float32)])
    return 2 * threads * ACCUMULATORS * lanes * STEPS / seconds


def _copy_bandwidth(footprint: int, threads: int) -> float:
    values = footprint // 2 // 4 // threads
    arrays = [np.zeros((threads, values), np.float32) for _ in range(2)]
    return footprint / _best(_copy(threads, values), host_target(threads), arrays)


def _best(function: tvm.tirx.PrimFunc, target: tvm.target.Target, arrays: list[np.ndarray]) -> float:
    """Least seconds of a call."""
    library = tvm.tirx.build(tvm.IRModule({"main": function}), target)
    timer = library.time_evaluator("main", tvm.cpu(), number=1, repeat=REPEATS, min_repeat_ms=REPEAT_MS)
    return min(timer(*map(tvm.runtime.tensor, arrays)).results)


def _multiply_adds(threads: int, lanes: int) -> tvm.tirx.PrimFunc:
    """Each thread: STEPS times x ← x · 0.5 + 1 on ACCUMULATORS vectors, which a compiler keeps in registers."""
    width = ACCUMULATORS * lanes

    @T.prim_func
    def main(data: T.Buffer((threads, width), "float32")):
        T.func_attr({"tirx.noalias": True})
        for t in T.parallel(threads):
            x = T.alloc_buffer((width,), "float32", scope="local")
            for a in T.unroll(ACCUMULATORS):
                for lane in T.vectorized(lanes):
                    x[a * lanes + lane] = data[t, a * lanes + lane]
            for _ in T.serial(STEPS):
                for a in T.unroll(ACCUMULATORS):
                    for lane in T.vectorized(lanes):
                        x[a * lanes + lane] = x[a * lanes + lane] * T.float32(0.5) + T.float32(1)
            for a in T.unroll(ACCUMULATORS):
                for lane in T.vectorized(lanes):
                    data[t, a * lanes + lane] = x[a * lanes + lane]

    return main.with_attr("global_symbol", "main")


def _copy(threads: int, values: int) -> tvm.tirx.PrimFunc:
    """Each thread copies `values` values."""

    @T.prim_func
    def main(data: T.Buffer((threads, values), "float32"), result: T.Buffer((threads, values), "float32")):
        T.func_attr({"tirx.noalias": True})
        for t in T.parallel(threads):
            for block in T.serial(values // 64):
                for part in T.unroll(4):
                    for lane in T.vectorized(16):
                        result[t, block * 64 + part * 16 + lane] = data[t, block * 64 + part * 16 + lane]

    return main.with_attr("global_symbol", "main")


def main() -> int:
    threads = int(sys.argv[1])
    try:
        use_cores(cores_for(threads))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(measure_roofline(threads).to_json()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
