"""What a device is: asked over RPC, and compared with the preset that code for it is compiled for.

TVM's RPC tells nothing of the processor, and files such as /proc/cpuinfo show the host under an emulator. So a small
function is compiled for the device, which calls the C library there: `getauxval` for the features (arch/arm64
include/uapi/asm/hwcap.h in Linux) and `get_nprocs`, `get_phys_pages` and `getpagesize`, which glibc and Android share.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm
from tvm import tirx
from tvm.target.codegen import target_has_features

from ago_core.artifacts.linker import linker_for
from ago_core.devices.presets import Preset
from ago_core.devices.remote import CodeFault, Session
from ago_core.errors import UserError
from ago_core.lowering.build import build_functions

HWCAP = {"neon": 1, "lse": 8, "fullfp16": 10, "dotprod": 20, "sve": 22}
"""LLVM's names of features, and their bits in getauxval(AT_HWCAP)."""
HWCAP2 = {"sve2": 1, "i8mm": 13, "bf16": 14}
"""Likewise in getauxval(AT_HWCAP2)."""
THREADS = "runtime.NumThreads"
PROCESSOR = "target.llvm_get_system_cpu"


@dataclass(frozen=True)
class Probe:
    """What a device says of itself.

    Attributes:
        address: of its server.
        cores: that the system has switched on; None where it could not be asked.
        memory: bytes in all; None likewise.
        threads: that TVM runs there.
        features: of HWCAP and HWCAP2; None on processors other than aarch64.
        processor: LLVM's name for it, where the device's TVM has a compiler.
    """

    address: str
    cores: int | None
    memory: int | None
    threads: int
    features: frozenset[str] | None
    processor: str | None

    def to_json(self) -> dict:
        features = None if self.features is None else sorted(self.features)
        return {
            "address": self.address,
            "cores": self.cores,
            "memory": self.memory,
            "threads": self.threads,
            "features": features,
            "processor": self.processor,
        }


def probe(session: Session, preset: Preset) -> Probe:
    """Asks a device that code for the preset can run on.

    Raises:
        UserError: there is no linker, or the device cannot even load code for the preset.
        DeviceLost: it does not answer.
    """
    try:
        features, more, cores, pages, page_bytes = _answers(session, preset.target)
    except CodeFault as fault:
        raise UserError(f"Code for {preset.title} does not load on the device at {session.device}: {fault}") from fault
    known = {name for bits, word in ((HWCAP, features), (HWCAP2, more)) for name in bits if word >> bits[name] & 1}
    processor = session.ask(PROCESSOR)
    return Probe(
        address=str(session.device),
        cores=cores,
        memory=pages * page_bytes,
        threads=int(session.ask(THREADS)),
        features=frozenset(known) if _is_aarch64(preset.target) else None,
        processor=None if processor is None else str(processor),
    )


def mismatches(found: Probe, preset: Preset) -> list[str]:
    """Sentences about what the preset says and the device does not have, the grave ones first; empty if it fits."""
    sentences = []
    expected = int(preset.target.attrs["num-cores"])
    if found.features is not None:
        asked = {name for name in (*HWCAP, *HWCAP2) if target_has_features(name, preset.target)}
        for name in sorted(asked - found.features):
            sentences.append(f"{preset.title} has {name}, the device has not: code that uses it ends the session.")
        for name in sorted(found.features - asked):
            sentences.append(f"The device has {name}, which code for {preset.title} does not use.")
    elif found.processor and found.processor != (named := str(preset.target.attrs.get("mcpu", ""))):
        sentences.append(f"The device is a {found.processor}, {preset.title} is compiled for {named}.")
    if found.cores is not None and found.cores < expected:
        sentences.append(f"{preset.title} is compiled for {expected} cores, the device has {found.cores}.")
    elif found.threads != expected:
        sentences.append(f"{preset.title} is compiled for {expected} cores, the device runs {found.threads} threads.")
    return sentences


def _answers(session: Session, target: tvm.target.Target) -> list[int]:
    """AT_HWCAP, AT_HWCAP2, cores, pages of memory, bytes of a page."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.so"
        build_functions(tvm.IRModule({"main": _questions()}), target).export_library(
            str(path), fcompile=linker_for(target)
        )
        library = session.load(path)
        (answers,) = session.run(library, "main", [np.zeros(5, "int64")])
    return [int(answer) for answer in answers]


def _is_aarch64(target: tvm.target.Target) -> bool:
    return target_has_features("neon", target)


def _questions() -> tirx.PrimFunc:
    """Writes the answers into an array of five int64."""
    answers = tirx.decl_buffer((5,), "int64", "answers")
    values = [
        tirx.call_extern("int64", "getauxval", tirx.const(16, "int64")),
        tirx.call_extern("int64", "getauxval", tirx.const(26, "int64")),
        tirx.call_extern("int32", "get_nprocs").astype("int64"),
        tirx.call_extern("int64", "get_phys_pages"),
        tirx.call_extern("int32", "getpagesize").astype("int64"),
    ]
    body = tirx.SeqStmt([tirx.BufferStore(answers, value, [index]) for index, value in enumerate(values)])
    return tirx.PrimFunc([answers], body).with_attr("global_symbol", "main")
