"""Presets: LLVM takes them, schedules understand them, and the code for them is in vectors."""

import functools
import re

import pytest
import tvm
from tvm.target.codegen import target_has_features

from ago_core.devices.presets import preset_named, presets
from ago_core.errors import UserError
from ago_core.lowering.assembly import hot_loop
from ago_core.lowering.build import build_functions
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import machine_of
from tests.schedule_cases import fused, op

ARM = [name for name in presets() if name != "host"]
VECTOR_FMA = r"^\s+(?:fmla\s+v\d+\.4s|fmla\.4s\s|fmla\s+z\d+\.s|vfmadd\w+ps\s)"
NO_FEATURE = r"not a recognized feature|not a recognized processor"


@functools.cache
def assembly(name: str) -> str:
    target = presets()[name].target
    function = schedule_function(fused(lambda _, a, b: op.matmul(a, b), (32, 48), (48, 64)), machine_of(target))
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    return build_functions(module, target).inspect_source("asm")


@pytest.mark.parametrize("name", presets())
def test_a_matmul_compiles_to_vector_multiply_adds(name, capfd):
    loop = hot_loop(assembly(name)) or assembly(name)
    assert len(re.findall(VECTOR_FMA, loop, re.MULTILINE)) >= 8
    assert not re.search(NO_FEATURE, capfd.readouterr().err)


@pytest.mark.parametrize("name", ARM)
def test_schedules_see_an_arm_processor_with_all_its_cores(name):
    machine = machine_of(presets()[name].target)
    assert (machine.lanes, machine.registers) == (4, 32)
    assert machine.cores == presets()[name].to_json()["cores"] > 1


@pytest.mark.parametrize(
    ("name", "there", "absent"),
    [
        ("snapdragon-810", ["neon"], ["fullfp16", "dotprod"]),
        ("raspberry-pi-4", ["neon"], ["fullfp16", "dotprod"]),
        ("kirin-990", ["fullfp16", "dotprod"], ["sve", "i8mm"]),
        ("snapdragon-8-gen-2", ["fullfp16", "i8mm", "bf16"], ["sve", "sve2"]),
        ("graviton-3", ["sve", "bf16"], ["sve2"]),
    ],
)
def test_features_are_those_of_the_processor(name, there, absent):
    target = presets()[name].target
    assert all(target_has_features(feature, target) for feature in there)
    assert not any(target_has_features(feature, target) for feature in absent)


def test_an_unknown_name_is_answered_with_those_that_exist():
    with pytest.raises(UserError, match=r"pi-6.*raspberry-pi-5"):
        preset_named("pi-6")
