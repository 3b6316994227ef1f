"""What this machine can do at most, printed: see ago_core/devices/roofline.py.

python -m benchmarks.roofline [--threads N]    measure and print
"""

from __future__ import annotations

import argparse
import sys

import tvm

from ago_core.devices.cores import cores_for
from ago_core.devices.roofline import measure_roofline
from ago_core.devices.threads import use_cores
from ago_core.errors import UserError


def use_threads(threads: int) -> None:
    """Makes TVM run its parallel loops on so many threads, each on its core. Call it before the first one runs.

    Raises:
        SystemExit: this process may not use so many cores, or TVM's threads run already.
    """
    try:
        use_cores(cores_for(threads))
    except UserError as error:
        sys.exit(str(error))
    if tvm.get_global_func("runtime.NumThreads")() != threads:
        sys.exit(f"TVM does not run {threads} threads: choose them before the first parallel loop.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args().threads
    use_threads(threads)
    roofline = measure_roofline(threads)
    print(f"{threads} thread(s): {roofline.peak / 1e9:.0f} GFLOP/s")
    for footprint, bandwidth in zip(roofline.footprints, roofline.bandwidths):
        print(f"copy of {footprint >> 10:7d} KiB: {bandwidth / 1e9:6.1f} GB/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
