"""The system calls that the sandbox refuses: the filter, run here for the machines that it knows."""

from __future__ import annotations

import pytest

from autograder.sandbox import seccomp as syscalls


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filters_jumps_all_land_on_a_step(machine: str) -> None:
    """The kernel checks the same, but only for its own machine."""
    steps = syscalls._steps(machine)
    assert steps[-1][0] == syscalls.RETURN
    for place, (_, yes, no, _) in enumerate(steps):
        assert place + 1 + max(yes, no) <= len(steps)


def verdict(machine: str, number: int, argument: int = 0) -> int:
    """What the filter says to a call: classic BPF, run here."""
    given = {syscalls.NUMBER: number, syscalls.MACHINE: syscalls.AUDIT[machine], syscalls.ARGUMENT: argument}
    steps, place, held = syscalls._steps(machine), 0, 0
    while True:
        code, yes, no, k = steps[place]
        place += 1
        if code == syscalls.RETURN:
            return k
        if code == syscalls.LOAD:
            held = given[k]
        else:
            test = {syscalls.EQUAL: held == k, syscalls.AT_LEAST: held >= k, syscalls.HAS: bool(held & k)}[code]
            place += yes if test else no


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_refuses_what_it_names_and_nothing_else(machine: str) -> None:
    refused = set(syscalls.REFUSED[machine].values())
    missing = {syscalls.CLONE3, *syscalls.UNLIMITED[machine]}
    special = {syscalls.SOCKET[machine], syscalls.CLONE[machine]}
    for number in range(500):
        if number not in special:
            assert (verdict(machine, number) == syscalls.ALLOW) == (number not in refused | missing), number
    families = [f for f in range(50) if verdict(machine, syscalls.SOCKET[machine], f) == syscalls.ALLOW]
    assert families == [1, 2, 10, 16]
    assert verdict(machine, syscalls.CLONE[machine], 17) == syscalls.ALLOW
    assert verdict(machine, syscalls.CLONE[machine], 0x10000000 | 17) != syscalls.ALLOW
