"""RPC servers on loopback on which every timing takes a fixed time: devices that need none of this machine's cores.

    python -m benchmarks.simulated_devices --tracker HOST:PORT --key KEY --count N --seconds S

Everything but the timing is real: connections, uploads, loading, checks. A timing sleeps for S seconds and answers
that each call took CALL_SECONDS. The processes end with the one that started them.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import struct
import sys
import time

import tvm

from ago_core.devices import server

CALL_SECONDS = 1e-3
EVALUATOR = "runtime.RPCTimeEvaluator"
"""What a client asks a device for before it times anything (src/runtime/rpc/rpc_module.cc)."""
REPEAT = 5
"""Place of that argument."""
PARENT_DEATH = 1
"""PR_SET_PDEATHSIG."""


def simulate(seconds: float) -> None:
    """From now on a timing in this process, and those forked from it, takes so long."""

    def evaluator(*arguments):
        repeat = int(arguments[REPEAT])

        def timed(*_):
            time.sleep(seconds)
            return bytearray(struct.pack(f"@{repeat}d", *[CALL_SECONDS] * repeat))

        return timed

    tvm.register_global_func(EVALUATOR, evaluator, override=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, kind in (("tracker", str), ("key", str), ("count", int), ("seconds", float)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    args = parser.parse_args()
    simulate(args.seconds)
    for _ in range(args.count - 1):
        if os.fork() == 0:
            end_with_parent()
            break
    return server.main(["--tracker", args.tracker, "--key", args.key])


def end_with_parent() -> None:
    """Linux only."""
    ctypes.CDLL(None).prctl(PARENT_DEATH, int(signal.SIGTERM), 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
