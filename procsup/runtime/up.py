"""When a formation counts as up, and who has failed by then."""

from __future__ import annotations

import asyncio

from procsup.runtime.daemon import Daemon
from procsup.runtime.wording import ending

# Without a readiness check, a formation that has run so long counts as up, in seconds.
UP_AFTER = 1.0


async def until_up(daemon: Daemon, release: asyncio.Task[None] | None) -> None:
    """Until all run (are ready, where that is checked), or have tried to; after the release, if there is one."""
    if release is not None:
        await asyncio.wait([release])
    await until_settled(daemon)
    if not all(each.type.ready_within is not None for each in daemon.supervisor.instances() if each.up):
        await asyncio.sleep(UP_AFTER)


async def until_settled(daemon: Daemon) -> None:
    supervisor = daemon.supervisor
    await daemon.until(lambda: not supervisor.rolling and all(map(supervisor.settled, supervisor.instances())))


def failures(daemon: Daemon) -> list[str]:
    """The instances that have failed so far, and how; when all is over, not those that were only stopped with them."""
    over = daemon.finished.done()
    doubtful = [each for each in daemon.supervisor.instances() if not (each.done and each.type.one_shot)]
    ended = [(each.name, each.last_exit) for each in doubtful if each.last_exit is not None]
    return [
        f"{name}: {ending(exit_)}"
        for name, exit_ in ended
        if not over or (exit_.failed and not exit_.perhaps_our_own_stop)
    ]
