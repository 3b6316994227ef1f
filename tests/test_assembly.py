"""Generated code on every target that schedules know: packed multiply-adds of full width, no spills, no C library."""

import functools
import re

import pytest
import tvm

from ago_core.lowering.assembly import hot_loop
from ago_core.schedules.analytic import schedule_function
from ago_core.schedules.machine import machine_of
from tests.schedule_cases import LAYOUT, fused, op

TARGETS = {
    "AVX-512": {"mtriple": "x86_64-linux-gnu", "mcpu": "znver4", "num-cores": 1},
    "AVX2": {"mtriple": "x86_64-linux-gnu", "mcpu": "haswell", "num-cores": 2},
    "SSE": {"mtriple": "x86_64-linux-gnu", "mcpu": "x86-64", "num-cores": 1},
    "NEON": {"mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a76", "mattr": ["+neon"], "num-cores": 4},
    "Apple": {"mtriple": "arm64-apple-macos", "mcpu": "apple-m1", "mattr": ["+neon"], "num-cores": 4},
}
PACKED = {
    "AVX-512": r"vfmadd\w+ps\s.*%zmm",
    "AVX2": r"vfmadd\w+ps\s.*%ymm",
    "SSE": r"mulps\s.*%xmm",
    "NEON": r"fmla\s+v\d+\.4s",
    "Apple": r"fmla\.4s\s",
}
SCALAR = r"v?f?n?m(?:add|ul)\w*ss\s|fn?m(?:add|ul)\s+s\d"
STACK = r"\(%rsp\b|\[sp\b"
STORE = r"\bv?movu?a?ps\s+%\w+, .*\(|\bst[rp1](?:\.4s)?\s"
LIBRARY_CALL = r"\b(?:call\w*|jmp|bl|b)\s+_?(?:exp|tanh|erf)f?\b"


def pointwise(_, x, w, b):
    return op.nn.relu(op.add(op.nn.conv2d(x, w, **LAYOUT), b))


def depthwise(_, x, w, b):
    return op.clip(op.add(op.nn.conv2d(x, w, padding=1, groups=96, **LAYOUT), b), 0.0, 6.0)


KERNELS = {
    "pointwise": (pointwise, (1, 14, 14, 64), (1, 1, 64, 96), (1, 1, 1, 96)),
    "depthwise": (depthwise, (1, 14, 14, 96), (3, 3, 1, 96), (1, 1, 1, 96)),
    "matmul": (lambda _, a, b: op.matmul(a, b), (64, 96), (96, 128)),
}


VALUES = {
    "softmax": lambda _, x: op.nn.softmax(x),
    "sigmoid": lambda _, x: op.sigmoid(x),
    "tanh": lambda _, x: op.tanh(x),
    "gelu": lambda _, x: op.nn.gelu(x),
}


def assembly(target: str, build, *shapes) -> str:
    processor = tvm.target.Target({"kind": "llvm", **TARGETS[target]})
    function = schedule_function(fused(build, *shapes), machine_of(processor))
    return tvm.tirx.build(function.with_attr("global_symbol", "main"), processor).inspect_source("asm")


@functools.cache
def kernel_loop(target: str, kernel: str) -> str:
    return hot_loop(assembly(target, *KERNELS[kernel]))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("target", TARGETS)
def test_full_vectors_in_the_hot_loop(target, kernel):
    loop = kernel_loop(target, kernel)
    assert len(re.findall(PACKED[target], loop)) >= 8, "fewer sums than hide the latency of an addition"
    assert not re.search(SCALAR, loop)


@pytest.mark.parametrize("kernel", ["pointwise", "matmul"])
@pytest.mark.parametrize("target", TARGETS)
def test_sums_stay_in_registers(target, kernel):
    """Neither spilled to the stack nor stored and loaded again in each step."""
    loop = kernel_loop(target, kernel)
    assert not re.search(STACK, loop)
    assert not re.search(STORE, loop)


@pytest.mark.parametrize("channels", [24, 58, 116])
@pytest.mark.parametrize("target", TARGETS)
def test_odd_channels_keep_full_vectors(target, channels):
    loop = hot_loop(assembly(target, pointwise, (1, 14, 14, 58), (1, 1, 58, channels), (1, 1, 1, channels)))
    assert re.search(PACKED[target], loop)
    assert not re.search(f"{SCALAR}|{STACK}|{STORE}", loop)


@pytest.mark.parametrize("function", VALUES)
@pytest.mark.parametrize("target", TARGETS)
def test_exponentials_in_vectors(target, function):
    text = assembly(target, VALUES[function], (30, 48))
    assert not re.search(LIBRARY_CALL, text)
    assert re.search(PACKED[target], hot_loop(text))


def test_what_the_patterns_of_this_file_find():
    """On code of the kinds that the tests above want absent."""
    for slot in ("\tvmovaps\t64(%rsp), %zmm1", "\tldr\tq1, [sp, #16]"):
        assert re.search(STACK, slot)
    for store in ("\tvmovups\t%zmm1, (%rax)", "\tmovaps\t%xmm1, 16(%rdx,%rcx)", "\tstp\tq1, q2, [x0]"):
        assert re.search(STORE, store)
    for load in ("\tvmovups\t(%rax), %zmm1", "\tmovaps\t%xmm1, %xmm2", "\tldp\tq1, q2, [x0]"):
        assert not re.search(STORE, load)
    for scalar in ("\tvfmadd231ss\t%xmm1, %xmm2, %xmm3", "\tmulss\t%xmm1, %xmm2", "\tfmadd\ts0, s1, s2, s3"):
        assert re.search(SCALAR, scalar)
    for call in ("\tcallq\texpf@PLT", "\tbl\ttanhf", "\tjmp\terff"):
        assert re.search(LIBRARY_CALL, call)


X86 = """
main:
	jne	.LBB0_9
.LBB0_1:
	vfmadd231ps	%zmm1, %zmm2, %zmm3
	vfmadd231ps	%zmm1, %zmm2, %zmm4
	vfmadd231ps	%zmm1, %zmm2, %zmm5
.LBB0_2:
	vfmadd231ps	%zmm1, %zmm2, %zmm3
	vfmadd231ps	%zmm1, %zmm2, %zmm4
	jne	.LBB0_2
	jb	.LBB0_1
.LBB0_3:
	vmulps	%zmm1, %zmm2, %zmm3
	vaddps	%zmm1, %zmm2, %zmm3
	vmaxps	%zmm1, %zmm2, %zmm3
	jne	.LBB0_3
.LBB0_9:
	retq
"""
ARM = """
main:
.LBB0_1:
	ld1r	{ v1.4s }, [x1], #4
	cbz	x2, .LBB0_2
	fmla	v0.4s, v1.4s, v2.s[0]
.LBB0_2:
	fmla	v3.4s, v1.4s, v2.s[0]
	subs	x3, x3, #1
	%s
	ret
"""


def test_the_hot_loop_is_the_innermost_with_the_most_multiply_adds():
    lines = hot_loop(X86).splitlines()
    assert lines[0] == ".LBB0_2:" and lines[-1] == "\tjne\t.LBB0_2" and len(lines) == 4


def test_without_multiply_adds_other_arithmetic_counts():
    assert hot_loop(X86.replace("vfmadd231ps", "vmovaps")).startswith(".LBB0_3:")


@pytest.mark.parametrize("branch", ["b.ne\t.LBB0_1", "b\t.LBB0_1", "cbnz\tx3, .LBB0_1", "tbnz\tw3, #0, .LBB0_1"])
def test_a_loop_of_aarch64_with_a_branch_forward(branch):
    loop = hot_loop(ARM % branch)
    assert loop.startswith(".LBB0_1:") and loop.endswith(branch) and loop.count("fmla") == 2


@pytest.mark.parametrize("text", ["", "main:\n\tretq\n", ".L1:\n\taddq\t$1, %rax\n\tjne\t.L1\n"])
def test_no_arithmetic_in_a_loop(text):
    assert hot_loop(text) == ""
