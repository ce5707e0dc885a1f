"""The answer to `status`: the contract's table of the formation and its instances, as plain data."""

from __future__ import annotations

import os
from collections.abc import Mapping

from procsup.core.model import Exit, Instance, Running, Warming
from procsup.runtime.daemon import Daemon
from procsup.runtime.threads import in_thread
from procsup.runtime.trees.usage import Usage, UsageMeter
from procsup.runtime.wording import signal_name, state_word


async def status(daemon: Daemon, meter: UsageMeter | None) -> dict[str, object]:
    """`meter` measures CPU and memory, off the loop; without one they are null."""
    now = daemon.now()
    leaders = {each.pid: _uptime(each, now) for each in daemon.supervisor.instances() if each.pid is not None}
    used: Mapping[int, Usage] = {}
    unmeasured: str | None = None
    if meter is not None and leaders:
        try:
            used = await in_thread(meter.measure, leaders)
        except (OSError, RuntimeError):
            pass  # no descriptor is free for it just now, or no thread may be started: null, rather than no answer
        except Exception as error:  # whatever the files say by now that psutil is loaded from, by the first who asks
            unmeasured = (
                f"CPU and memory are not known: {error}; if procsup's own files were removed or replaced, "
                "procsup upgrade goes on with those that are there now"
            )
        now = daemon.now()
    answer: dict[str, object] = {
        "app": daemon.project.app,
        "root": daemon.project.root,
        "pid": os.getpid(),
        "formation": daemon.supervisor.formation,
        "instances": [
            _row(each, used, now, daemon.why(each), daemon.confinement.restarts[each.name])
            | {"limits": daemon.confinement.of(each.name)}
            for each in daemon.supervisor.instances()
        ],
    }
    troubles = [trouble for trouble in (daemon.keeper.trouble, daemon.console.trouble) if trouble is not None]
    troubles += daemon.troubles_elsewhere()
    if unmeasured is not None:
        troubles.append(unmeasured)
    if troubles:
        answer["trouble"] = "; ".join(troubles)
    return answer


def _row(
    instance: Instance, used: Mapping[int, Usage], now: float, reason: str | None, for_memory: int
) -> dict[str, object]:
    """`for_memory`: the restarts that were not the core's idea, but nobody else's either."""
    usage = used.get(instance.pid) if instance.pid is not None else None
    uptime = _uptime(instance, now)
    if reason is None and usage is not None and usage.suspended:
        reason = f"stopped by a signal; kill -CONT {instance.pid} lets it go on"
    if reason is None and isinstance(instance.state, Running) and instance.last_exit is not None:
        because = instance.last_exit.because
        reason = f"restarted: {because}" if because is not None else None
    return {
        "name": str(instance.name),
        "type": instance.name.type,
        "number": instance.name.number,
        "state": state_word(instance),
        "ready": None if instance.type.ready_within is None else isinstance(instance.state, Running),
        "pid": instance.pid,
        "port": instance.port,
        "unique_int": instance.unique_int,
        "uptime": round(uptime, 3) if uptime is not None else None,
        "restarts": instance.restarts + for_memory,
        "last_exit": _exit(instance.last_exit),
        "cpu": usage.cpu if usage is not None else None,
        "memory": usage.memory if usage is not None else None,
        "why": reason,
    }


def _uptime(instance: Instance, now: float) -> float | None:
    return now - instance.state.since if isinstance(instance.state, (Running, Warming)) else None


def _exit(exit_: Exit | None) -> dict[str, object] | None:
    if exit_ is None:
        return None
    name = signal_name(exit_.signal) if exit_.signal is not None else None
    return {
        "code": exit_.code,
        "signal": name,
        "error": exit_.error or (exit_.fault and exit_.fault.value),
        "because": exit_.because,
    }
