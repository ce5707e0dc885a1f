"""A process of its own that sleeps until the supervisor is gone, and ends what it left if it went without a word.

It waits on a pipe whose other end only the supervisor holds: the kernel closes that however the supervisor ends. It
has a session of its own and is deaf to the signals that a whole group or cgroup may get at once. While it sleeps it is
a shell, a tenth of a Python's memory; only if it is needed does it run this module's `main`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress

from procsup.core.rules import StopPlan, StopStep
from procsup.runtime.child import SHELL, SpawnCall, Stdio
from procsup.runtime.limits.cgroups import Cgroups

_GOODBYE = b".\n"
# Where our Python has gone meanwhile (a virtual environment that somebody removed), the shell has to do: it goes by the
# cookie alone. Its arguments are those of `main`, behind the four words that lead to it.
_SLEEP = """trap '' TERM INT QUIT HUP USR1 USR2 TSTP PIPE
read -r goodbye && exit
"$@" && exit || [ $? -lt 126 ] && exit
marked() {
  for each in /proc/[0-9]*; do
    tr '\\0' '\\n' < $each/environ | grep -q "^PROCSUP_COOKIE=$1" && echo ${each#/proc/}
  done 2> /dev/null
}
for step in $(echo $6 | tr , ' '); do
  found=$(marked $5)
  [ "$found" ] || exit
  seconds=${step#*:}
  seconds=$((${seconds%.*} + 1))
  kill -${step%:*} $found 2> /dev/null
  while [ $seconds -gt 0 ] && [ "$(marked $5)" ]; do sleep 1; seconds=$((seconds - 1)); done
done
"""


class Guardian:
    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self.pipe = pipe

    def give_way_to(self, other: Guardian) -> None:
        """Be the other from now on; who has watched so far may go."""
        earlier = Guardian(self.pid, self.pipe)
        self.pid, self.pipe = other.pid, other.pipe
        earlier.dismiss()

    def dismiss(self) -> None:
        """All is down: it has nothing to do any more."""
        with suppress(BrokenPipeError):
            os.write(self.pipe, _GOODBYE)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # it may be stopped, and would never hear the goodbye
        self.alarm()

    def alarm(self) -> None:
        """Without a goodbye before: it shall see to what is left, as if we had been killed. Waits until it has."""
        os.close(self.pipe)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def post_guardian(
    spawn: SpawnCall, cookie: str, cgroups: Cgroups, plan: StopPlan, environ: Mapping[str, str]
) -> Guardian:
    """One that will end, by the plan, all processes whose cookie begins so. Raises OSError if there can be none."""
    steps = ",".join(f"{step.signal}:{step.wait}" for step in plan)
    # -P: the project's own folder, where we are, may have modules by the same names as ours.
    rescue = (sys.executable, "-P", "-m", "procsup.runtime.guardian", cookie, steps, cgroups.folder or "")
    theirs, ours = os.pipe()
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        pid = spawn((SHELL, "-c", _SLEEP, "procsup-guardian", *rescue), SHELL, environ, Stdio(theirs, nothing, 2))
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
        os.close(nothing)
    return Guardian(pid, ours)


def main(cookie: str, steps: str, folder: str) -> None:
    """The supervisor is gone, and has not said that all is down."""
    from procsup.runtime.trees.leftovers import end_leftovers

    plan = tuple(StopStep(int(number), float(wait)) for number, wait in (step.split(":") for step in steps.split(",")))
    found, left = end_leftovers(cookie, plan, Cgroups(folder or None))
    if found:
        print(f"procsup: the supervisor was killed; {_stopped(len(found), len(left))}", file=sys.stderr)


def _stopped(found: int, left: int) -> str:
    if found == 1:
        return "the process it left outlives SIGKILL" if left else "stopped the process it left"
    deaf = f", {left} of them outlive{'s' if left == 1 else ''} SIGKILL" if left else ""
    return f"stopped the {found} processes it left{deaf}"


if __name__ == "__main__":
    main(*sys.argv[1:])
