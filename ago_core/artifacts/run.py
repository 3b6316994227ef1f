"""Runs an exported model. Needs only TVM's runtime and numpy.

python run.py                 check the outputs against the recorded ones and measure the latency
python run.py --json          the same, as JSON
python run.py INPUTS.npz OUTPUTS.npz    run on inputs by name, write the outputs by name
"""

import argparse
import ctypes
import json
import math
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import tvm
from tvm.runtime.vm import VirtualMachine

HERE = Path(__file__).resolve().parent


def load(manifest):
    for extra in Path(tvm.__file__).parent.glob("lib/libtvm_runtime_extra.*"):  # sorting and the like
        ctypes.CDLL(str(extra))  # TVM without its compiler does not load it by itself
    library = tvm.runtime.load_module(str(HERE / manifest["library"]))
    return VirtualMachine(library, tvm.cpu())


def use_threads(count):
    """A core for each thread. Left alone, TVM takes half of an x86-64 machine's logical cores and pins only some."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count()))
    cores = cores[:count]
    tvm.get_global_func("runtime.config_threadpool")(-2, len(cores), [str(core) for core in cores])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores[:1])


def run(machine, manifest, inputs):
    """Outputs by name; raises SystemExit with one sentence where an input is missing or has another shape."""
    for spec in manifest["inputs"]:
        array = inputs.get(spec["name"])
        if array is None or list(array.shape) != spec["shape"] or str(array.dtype) != spec["dtype"]:
            got = "nothing" if array is None else f"{array.dtype} {list(array.shape)}"
            sys.exit(f"Input {spec['name']!r} must be {spec['dtype']} {spec['shape']}, got {got}.")
    machine.set_input("main", *(tvm.runtime.tensor(inputs[spec["name"]]) for spec in manifest["inputs"]))
    machine.invoke_stateful("main")
    result = machine.get_outputs("main")
    results = [result] if isinstance(result, tvm.runtime.Tensor) else list(result)
    return {spec["name"]: value.numpy() for spec, value in zip(manifest["outputs"], results)}


def recorded(spec):
    return np.load(HERE / spec["file"], allow_pickle=False)


def check(machine, manifest, runs):
    """Compares with the recorded outputs and times `runs` inferences."""
    outputs = run(machine, manifest, {spec["name"]: recorded(spec) for spec in manifest["inputs"]})
    errors = []
    for spec in manifest["outputs"]:
        want = recorded(spec).astype("float64")
        scale = np.abs(want).max(initial=0.0)
        error = float(np.abs(outputs[spec["name"]] - want).max(initial=0.0) / (scale or 1.0))
        errors.append(error if math.isfinite(error) else math.inf)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        machine.invoke_stateful("main")
        times.append((time.perf_counter() - start) * 1e3)
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive") if runs > 1 else times * 3
    return {
        "max_rel_error": max(errors),
        "correct": max(errors) <= manifest["tolerance"],
        "latency_ms": {"median": middle, "q1": low, "q3": high, "runs": times},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("inputs", nargs="?", help="npz file with one array for each input")
    parser.add_argument("outputs", nargs="?", help="npz file to write")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--threads", type=int, help="as many as it was compiled and measured for, unless given")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    manifest = json.loads((HERE / "manifest.json").read_text())
    use_threads(args.threads or manifest["threads"])
    machine = load(manifest)
    if args.inputs:
        outputs = run(machine, manifest, dict(np.load(args.inputs)))
        np.savez(args.outputs or "outputs.npz", **outputs)
        return 0
    report = check(machine, manifest, args.runs)
    if args.json:
        print(json.dumps(report))
    else:
        verdict = "matches" if report["correct"] else "DOES NOT match"
        print(f"{manifest['model']}: {verdict} the recorded outputs (error {report['max_rel_error']:.1e}),")
        print(f"median latency {report['latency_ms']['median']:.2f} ms over {args.runs} runs")
    return 0 if report["correct"] else 1


if __name__ == "__main__":
    sys.exit(main())
