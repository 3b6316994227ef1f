"""What of devices needs none: pauses, mismatches, linkers."""

import shutil
import subprocess
import sys

import pytest
import tvm

from ago_core.artifacts.linker import AARCH64_VARIABLE, linker_for
from ago_core.devices import server
from ago_core.devices.presets import presets
from ago_core.devices.probe import Probe, mismatches
from ago_core.devices.quarantine import FIRST_PAUSE, HEALTHY, LONGEST_PAUSE
from ago_core.errors import UserError
from tests import devices

ARMV8 = frozenset({"neon"})
A76 = ARMV8 | {"lse", "fullfp16", "dotprod"}


def probed(features=A76, cores=4, threads=4, processor=None) -> Probe:
    return Probe("192.168.1.7:9090", cores, 2**32, threads, features, processor)


def test_pauses_double_up_to_a_limit():
    health, now, pauses = HEALTHY, 100.0, []
    for _ in range(12):
        health = health.failed(now, "it died")
        pauses.append(health.pause(now))
        now = health.until
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses == sorted(pauses) and pauses[-1] == LONGEST_PAUSE


def test_a_pause_ends_by_itself_and_success_forgets_it():
    health = HEALTHY.failed(10.0, "it hung")
    assert health.pause(10.2) == pytest.approx(0.3) and health.pause(11.0) == 0.0
    assert (health.failures, health.reason) == (1, "it hung") and HEALTHY.pause(0.0) == 0.0


def test_a_device_that_fits():
    assert mismatches(probed(), presets()["raspberry-pi-5"]) == []


def test_features_that_are_missing_come_first_and_those_not_used_are_named():
    missing = mismatches(probed(ARMV8), presets()["kirin-990"])
    assert len(missing) == 3 and all("the device has not" in sentence for sentence in missing)
    assert any("fullfp16" in sentence for sentence in missing)
    unused = mismatches(probed(A76), presets()["raspberry-pi-4"])
    assert unused and all("does not use" in sentence for sentence in unused)


def test_cores_and_threads_that_differ():
    (fewer,) = mismatches(probed(cores=2, threads=2), presets()["raspberry-pi-5"])
    assert "4 cores, the device has 2" in fewer
    (idle,) = mismatches(probed(cores=8, threads=2), presets()["raspberry-pi-5"])
    assert "runs 2 threads" in idle


def test_another_processor():
    host = presets()["host"]
    found = probed(None, host.to_json()["cores"], host.to_json()["cores"], "i486")
    (sentence,) = mismatches(found, host)
    assert "i486" in sentence


def test_without_a_linker_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(AARCH64_VARIABLE, raising=False)
    monkeypatch.setattr("ago_core.artifacts.linker._zig", lambda: [])
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name in ("raspberry-pi-5", "kirin-990", "apple-m1"):
        with pytest.raises(UserError, match=r"gcc-aarch64-linux-gnu.*ziglang"):
            linker_for(presets()[name].target)


def test_the_named_linker_is_called_with_the_objects(monkeypatch, tmp_path):
    script = tmp_path / "link"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n')
    script.chmod(0o755)
    monkeypatch.setenv(AARCH64_VARIABLE, str(script))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    path = devices.library(tmp_path, "matmul", devices.matmul(), presets()["kirin-990"].target)
    words = (tmp_path / "arguments").read_text().split()
    assert words[words.index("-o") + 1] == str(path)
    assert "-shared" in words and any(word.endswith(".o") for word in words)
    monkeypatch.setenv(AARCH64_VARIABLE, str(tmp_path / "missing"))
    with pytest.raises(UserError, match="no program"):
        linker_for(presets()["kirin-990"].target)


def test_a_linker_that_fails_says_why(monkeypatch, tmp_path):
    script = tmp_path / "link"
    script.write_text("#!/bin/sh\necho cannot find libnothing >&2; exit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv(AARCH64_VARIABLE, str(script))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(RuntimeError, match="libnothing"):
        linker_for(presets()["raspberry-pi-4"].target)(str(tmp_path / "out.so"), [])


def test_this_machine_links_for_itself(tmp_path):
    target = tvm.target.Target({"kind": "llvm", "num-cores": 1})
    path = devices.library(tmp_path, "matmul", devices.matmul(), target)
    assert tvm.runtime.load_module(str(path))["main"] is not None


def test_the_server_can_be_copied_to_a_device_by_itself(tmp_path):
    """It imports nothing of this project."""
    copy = shutil.copy(server.__file__, tmp_path / "alone.py")
    command = [sys.executable, "-I", "-S", str(copy), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--tracker" in done.stdout
