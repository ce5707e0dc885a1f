"""What comes back when it ends by itself, and how it is stopped."""

from __future__ import annotations

import signal
from enum import Enum

from procsup.value import Value

# Between SIGKILL and the words "cannot be killed": a process in uninterruptible sleep, or out of our reach. With a last
# look at what is left, a supervisor is out five seconds after its grace.
UNKILLABLE_AFTER = 4.0


class RestartPolicy(Enum):
    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class RestartRule(Value):
    """When an instance that ended unasked comes back. Without `max_restarts` it is tried for ever.

    `alone`: where it never comes back, its failure is its own matter, and does not stop the others.
    """

    policy: RestartPolicy = RestartPolicy.ALWAYS
    max_restarts: int | None = None
    window: float = 60.0
    alone: bool = False

    @property
    def fails_all(self) -> bool:
        return self.policy is RestartPolicy.NEVER and not self.alone


class StopStep(Value):
    """One step of a stop: send `signal`, then wait so many seconds before the next step."""

    signal: int
    wait: float


StopPlan = tuple[StopStep, ...]


def stop_plan(*steps: StopStep) -> StopPlan:
    """The steps given, and SIGKILL after them."""
    return (*steps, StopStep(signal.SIGKILL, UNKILLABLE_AFTER))


DEFAULT_STOP = stop_plan(StopStep(signal.SIGTERM, 15.0))


class ProcessType(Value):
    """One line of the Procfile as far as decisions go.

    `version` changes when a running instance would have to be started anew to match (command, environment); the
    rest applies to running instances at once. `ready_within`: seconds in which a copy has to become ready; None where
    nobody checks that. A type starts when those that it `depends_on` are up (and a `one_shot` of them is done).
    A rolling restart may have `surge` more than there should be, and a new version is then brought in by one.
    """

    name: str
    version: str = ""
    restart: RestartRule = RestartRule()
    stop: StopPlan = DEFAULT_STOP
    ready_within: float | None = None
    depends_on: tuple[str, ...] = ()
    one_shot: bool = False
    surge: int = 0
