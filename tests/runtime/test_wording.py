"""What happened, in words: one of something is not told like many."""

from __future__ import annotations

import pytest

from procsup.core.actions import EndedUnasked, FoundAtFault, RollingHalted, ShutdownBegun
from procsup.core.model import BackingOff, Exit, Fault, Instance, InstanceName
from procsup.core.rules import ProcessType
from procsup.output.lost import lost_bytes
from procsup.runtime.wording import tell, why

WEB = InstanceName("web", 1)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (0, "there was no other to replace"),
        (1, "1 left as it was"),
        (2, "2 left as they were"),
    ],
)
@pytest.mark.parametrize("spared", [False, True])
def test_a_rolling_restart_that_halts_says_how_many_it_left_alone(left: int, words: str, spared: bool) -> None:
    told = tell(RollingHalted(WEB, left, spared=spared))
    assert told.startswith("rolling restart halted: ")
    assert told.endswith(f"; {words}")


@pytest.mark.parametrize(("alive", "words"), [(1, "stopping 1 instance"), (2, "stopping 2 instances")])
def test_the_end_says_how_many_are_stopped(alive: int, words: str) -> None:
    assert tell(ShutdownBegun(alive, None)) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "nothing is lost"),
        (1, "1 byte of output is lost"),
        (2, "2 bytes of output are lost"),
        (None, "some bytes of output are lost"),
    ],
)
def test_what_is_lost_is_told_as_one_byte_or_as_many(count: int | None, words: str) -> None:
    assert lost_bytes(count) == words


def test_too_much_memory_is_told_with_what_it_is_the_limit_and_what_to_do() -> None:
    measured = "300 MiB, the limit is 256 MiB"
    exit_ = Exit(1, fault=Fault.TOO_LARGE, because=measured)
    found = tell(FoundAtFault(WEB, Fault.TOO_LARGE, 6.0, measured))
    assert found == f"web.1 has {measured}; stopping it (to give it more: memory or size in procsup.toml)"
    ended = tell(EndedUnasked(WEB, exit_, 7.0, 4.0))
    assert ended == f"web.1 ended: over its memory limit: {measured}; next try in 4 s"
    instance = Instance(WEB, ProcessType("web"), 5000, 1)
    instance.streak, instance.last_exit, instance.state = 3, exit_, BackingOff(104.0, exit_, 1)
    assert why(instance, 100.0) == f"over its memory limit: {measured}, 3 times in a row; next try in 4 s"
