"""Targets by name: this machine, and the phones and boards that people compile for.

A preset holds what a schedule and LLVM need to know; `probe.py` asks the device itself. Features that a processor
of this kind always has come with its name (`mcpu`); `mattr` only says where a device differs. Cores are the fast ones:
a parallel loop waits for its slowest thread, so small cores would hold the others up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import tvm

from ago_core.devices.local import host_target
from ago_core.errors import UserError

LINUX = "aarch64-linux-gnu"
ANDROID = "aarch64-linux-android"
MACOS = "arm64-apple-macos"


@dataclass(frozen=True, eq=False)
class Preset:
    """A named target.

    Attributes:
        name: what the command line takes.
        title: the device and its processor, for a person.
        target: LLVM's triple, processor and features, with the number of cores.
    """

    name: str
    title: str
    target: tvm.target.Target

    def to_json(self) -> dict:
        attributes = self.target.attrs
        return {
            "name": self.name,
            "title": self.title,
            "triple": str(attributes.get("mtriple", "")),
            "processor": str(attributes.get("mcpu", "")),
            "features": [str(feature) for feature in attributes.get("mattr", [])],
            "cores": int(attributes["num-cores"]),
        }


@cache
def presets() -> Mapping[str, Preset]:
    """Every preset by name; `host` is detected, the others are published facts of the devices."""
    found = (
        Preset("host", "This machine", host_target()),
        _preset("raspberry-pi-4", "Raspberry Pi 4 (Cortex-A72)", LINUX, "cortex-a72", 4),
        _preset("raspberry-pi-5", "Raspberry Pi 5 (Cortex-A76)", LINUX, "cortex-a76", 4),
        _preset("kirin-990", "Kirin 990 (Cortex-A76)", ANDROID, "cortex-a76", 4),
        _preset("snapdragon-810", "Snapdragon 810 (Cortex-A57)", ANDROID, "cortex-a57", 4),
        # Its cores know SVE, but Android on it does not switch SVE on: an SVE instruction would end the program.
        _preset("snapdragon-8-gen-2", "Snapdragon 8 Gen 2 (Cortex-X3 and A715)", ANDROID, "cortex-a715", 5, "-sve"),
        _preset("apple-m1", "Apple M1 (performance cores)", MACOS, "apple-m1", 4),
        _preset("graviton-2", "AWS Graviton 2, 16 cores (Neoverse N1)", LINUX, "neoverse-n1", 16),
        _preset("graviton-3", "AWS Graviton 3, 16 cores (Neoverse V1)", LINUX, "neoverse-v1", 16),
    )
    return {preset.name: preset for preset in found}


def preset_named(name: str) -> Preset:
    """Raises UserError where there is none, with the names that there are."""
    try:
        return presets()[name]
    except KeyError:
        raise UserError(f"There is no preset {name!r}; choose one of {', '.join(presets())}.") from None


def _preset(name: str, title: str, triple: str, processor: str, cores: int, *features: str) -> Preset:
    attributes = {"kind": "llvm", "mtriple": triple, "mcpu": processor, "num-cores": cores}
    return Preset(name, title, tvm.target.Target(attributes | ({"mattr": list(features)} if features else {})))
