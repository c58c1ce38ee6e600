"""Tests of the seccomp filter: its program is interpreted here for every known architecture."""

from __future__ import annotations

import pytest

from autograder.sandbox import seccomp


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filters_jumps_all_land_on_a_step(machine: str) -> None:
    """The kernel checks the same, but only for its own machine."""
    steps = seccomp._steps(machine)
    assert steps[-1][0] == seccomp.RETURN
    for place, (_, yes, no, _) in enumerate(steps):
        assert place + 1 + max(yes, no) <= len(steps)


def verdict(machine: str, number: int, argument: int = 0, third: int = 0) -> int:
    """Return the filter's verdict on a call: classic BPF, run here."""
    given = {seccomp.NUMBER: number, seccomp.MACHINE: seccomp.AUDIT[machine], seccomp.ARGUMENT: argument}
    given[seccomp.ARGUMENT + 16] = third
    steps, place, held = seccomp._steps(machine), 0, 0
    while True:
        code, yes, no, k = steps[place]
        place += 1
        if code == seccomp.RETURN:
            return k
        if code == seccomp.LOAD:
            held = given[k]
        else:
            test = {seccomp.EQUAL: held == k, seccomp.AT_LEAST: held >= k, seccomp.HAS: bool(held & k)}[code]
            place += yes if test else no


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_refuses_what_it_names_and_nothing_else(machine: str) -> None:
    refused = set(seccomp.REFUSED[machine].values())
    missing = {seccomp.CLONE3, *seccomp.UNLIMITED[machine]}
    special = {seccomp.SOCKET[machine], seccomp.CLONE[machine]}
    for number in range(500):
        if number not in special:
            assert (verdict(machine, number) == seccomp.ALLOW) == (number not in refused | missing), number
    options = [o for o in range(50) if verdict(machine, seccomp.SETSOCKOPT[machine], third=o) != seccomp.ALLOW]
    assert options == [7, 8, 32, 33]  # the sizes of a socket's buffers, said to be set
    assert verdict(machine, seccomp.SETSOCKOPT[machine], third=7) == seccomp.ERROR
    families = [f for f in range(50) if verdict(machine, seccomp.SOCKET[machine], f) == seccomp.ALLOW]
    assert families == [1, 2, 10, 16]
    assert verdict(machine, seccomp.CLONE[machine], 17) == seccomp.ALLOW
    assert verdict(machine, seccomp.CLONE[machine], 0x10000000 | 17) != seccomp.ALLOW
