"""Assembly of one function, generated in a process of its own.

    python -m ago_core.lowering.machine_code    {"function": …, "target": …} as JSON on stdin → assembly on stdout

LLVM may take long over a large function, and a fault in it ends its process: neither may reach a server.
"""

from __future__ import annotations

import json
import subprocess
import sys

import tvm
from tvm import tirx

from ago_core.errors import UserError

SECONDS = 120
"""A function that takes longer is given up."""


def assembly_of(function: tirx.PrimFunc, target: tvm.target.Target, seconds: float = SECONDS) -> str:
    """Assembly of a scheduled function, as LLVM prints it for a target.

    Raises:
        UserError: the compiler failed on it, or took longer than `seconds`.
    """
    order = json.dumps({"function": tvm.ir.save_json(function), "target": str(target)})
    command = [sys.executable, "-m", "ago_core.lowering.machine_code"]
    try:
        done = subprocess.run(command, input=order, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"LLVM took more than {seconds:.0f} s over this function, so it was stopped.") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise UserError(f"LLVM generated no code for this function: {last[0][:200]}")
    return done.stdout


def main() -> int:
    from ago_core.lowering.build import build_functions
    from ago_core.schedules import stack, vector_math  # noqa: F401  register how exp, tanh and the like are computed

    order = json.loads(sys.stdin.read())
    function = tvm.ir.load_json(order["function"]).with_attr("global_symbol", "main")
    built = build_functions(tvm.IRModule({"main": function}), tvm.target.Target(json.loads(order["target"])))
    sys.stdout.write(built.inspect_source("asm"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
