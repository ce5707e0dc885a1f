"""The first children, started before the event loop is even imported: they run while we go on loading.

asyncio and the control socket take longer to load than all that is needed to start a child. The signals that could
end us are held until the loop can act on them, so nothing is left behind if one comes in between.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from procsup.config.project import Project
from procsup.config.settings import Limits
from procsup.core.actions import Action, Spawn
from procsup.core.model import Exit, InstanceName, RequestRefused
from procsup.core.numbers import PORTS_PER_TYPE
from procsup.core.supervisor import Supervisor
from procsup.errors import UsageError
from procsup.runtime.child import Child, Spawner, choose_spawn
from procsup.runtime.launch import Launcher, failure
from procsup.runtime.limits.cgroups import Cgroups
from procsup.runtime.listening import taken_ports
from procsup.runtime.options import RunOptions
from procsup.runtime.rules import project_read
from procsup.runtime.rundir import Claim
from procsup.value import Value

if TYPE_CHECKING:
    from procsup.runtime.limits.confinement import Confinement


class Beginning(Value):
    """What the loop takes over: the children that were born, and the orders that still wait to be carried out.

    `kept` is the formation as it was kept over the last stop, `confinement` is there where a type has limits.
    """

    supervisor: Supervisor
    launcher: Launcher
    claim: Claim
    cgroups: Cgroups
    confinement: Confinement | None
    kept: Mapping[str, int]
    born: list[tuple[InstanceName, Child | Exit]]
    orders: list[Action]
    warnings: list[str]

    def abandon(self) -> None:
        """There will be no loop: nothing that was started may stay. Nobody has reaped them: their pids are theirs."""
        for _, child in self.born:
            if isinstance(child, Child):
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.pid, signal.SIGKILL)
        for cgroup in self.cgroups.every():
            cgroup.kill()


def begin(project: Project, options: RunOptions, claim: Claim, cgroups: Cgroups, kept: Mapping[str, int]) -> Beginning:
    """Start the first of the formation. Raises UsageError for one that is not possible."""
    counts, policy = _counts(project, options, kept), options.policy
    if options.release:
        from procsup.runtime.release_order import policy_in_release

        policy = policy_in_release(project, policy)
        counts |= dict.fromkeys(policy.once, 1)
    warnings = [*project.warnings, *_nobody_to_wait_for(project, counts), *_trouble_with_ports(project, counts)]
    now = time.monotonic()
    # The seed is only so that two supervisors do not restart in step.
    supervisor = Supervisor(base_port=project.base_port, keep_going=options.keep_going, seed=int(now * 1e6))
    try:
        orders = supervisor.handle(project_read(project, policy, counts, kept), now)
    except RequestRefused as error:
        raise UsageError(str(error)) from error
    confinement: Confinement | None = None
    if any(project.settings.limits(each.name) != Limits() for each in project.types):
        from procsup.runtime.limits.confinement import Confinement

        confinement = Confinement(cgroups)
        warnings += confinement.read(project)  # before anybody starts
    launcher = Launcher(
        Spawner(choose_spawn(options.portable)), claim.cookie, options.tty, options.window, claim.folder
    )
    launcher.adapt(project)
    born: list[tuple[InstanceName, Child | Exit]] = []
    waiting: list[Action] = []
    for order in orders:
        # The portable way hands our signal mask to the child, and just now that holds signals back.
        if not isinstance(order, Spawn) or options.portable or launcher.forks(project, order.name):
            waiting.append(order)
            continue
        try:
            child = launcher.launch(project, order, supervisor.type_ports)
        except OSError as error:
            born.append((order.name, failure(error)))
        else:
            cgroups.hold(child.pid)
            born.append((order.name, child))
    cgroups.enter([(name, child.pid) for name, child in born if isinstance(child, Child)])
    return Beginning(supervisor, launcher, claim, cgroups, confinement, kept, born, waiting, warnings)


def _counts(project: Project, options: RunOptions, kept: Mapping[str, int]) -> dict[str, int]:
    """`-m` over what was scaled earlier over the default; a type that is asked for by name has at least one."""
    counts = {name: options.counts.get(name, kept.get(name, count)) for name, count in project.default_counts().items()}
    if options.only:
        counts = {name: options.counts.get(name, count or 1) * (name in options.only) for name, count in counts.items()}
    return counts


def _nobody_to_wait_for(project: Project, counts: Mapping[str, int]) -> list[str]:
    return [
        f"{name} does not wait for {other}, which has no instance"
        for name, count in counts.items()
        for other in project.settings.depends_on(name)
        if count and not counts[other]
    ]


def _trouble_with_ports(project: Project, counts: Mapping[str, int]) -> list[str]:
    names = {
        project.port_of(name) + number: f"{name}.{number + 1}"
        for name, count in counts.items()
        for number in range(min(count, PORTS_PER_TYPE))
    }
    return [f"{names[port]}: port {port} is in use by {who}" for port, who in sorted(taken_ports(names).items())]
