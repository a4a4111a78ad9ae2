"""A check of `octavo doctor`: what this CPU has for integers, and what follows for INT8 models."""

from collections.abc import Iterator

from octavo.backends import latency
from octavo.backends.onnxruntime import exact_sums
from octavo.project.setting_up.examination.check_result import CheckResult

INTEGER_PRODUCTS = ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
"""Instruction sets that multiply INT8 and add in 32 bits in one step."""


def check() -> Iterator[CheckResult]:
    """The CPU, and two lines about INT8. All are in order, because nothing can be typed against them."""
    machine = latency.describe_machine()
    sets = machine["instruction_sets"]
    yield CheckResult(
        "CPU", f"{machine['cpu']}, {machine['cores']} cores; {', '.join(sets) or 'no known instruction sets'}"
    )
    fast = [name for name in INTEGER_PRODUCTS if name in sets]
    yield CheckResult(
        "INT8",
        f"{', '.join(fast)}: integer products in one step, so INT8 can be much faster than FP32"
        if fast
        else "no VNNI or its like: INT8 is often no faster than FP32 here. octavo compare shows what was measured",
    )
    yield CheckResult(
        "INT8 sums",
        "onnxruntime adds in 16 bits here, which can saturate: where a file needs it, Octavo asks for slower exact sums"
        if exact_sums.cut_off_here()
        else "onnxruntime's sums are exact here",
    )
