"""What other terminals may ask of a running supervisor: each method of the socket becomes an event and an answer."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from procsup import __version__
from procsup.config.project import Project
from procsup.core.events import (
    RestartRequested,
    ScaleChange,
    ScaleRequested,
    ShutdownRequested,
    StartRequested,
    StopRequested,
)
from procsup.core.model import NotNow, RequestRefused, UnknownName
from procsup.errors import ProcsupError, UsageError, unknown_name
from procsup.output.history import History
from procsup.runtime.daemon import Daemon
from procsup.runtime.reload import Reloader
from procsup.runtime.status import status
from procsup.runtime.telling import tell
from procsup.runtime.trees.usage import UsageMeter
from procsup.runtime.visits import Visits
from procsup.runtime.waiting import Waiting

Params = Mapping[str, Any]


class Requests:
    def __init__(
        self, daemon: Daemon, reloader: Reloader, history: History, upgrade: Callable[[str | None], Awaitable[None]]
    ) -> None:
        self._daemon = daemon
        self._supervisor = daemon.supervisor
        self._reloader = reloader
        self._history = history
        self._become = upgrade
        self._meter = UsageMeter()
        self._waiting = Waiting(daemon, history)
        self._methods: Mapping[str, Callable[[Params], Awaitable[object]]] = {
            "info": self._info,
            "status": self._status,
            "formation": self._formation,
            "scale": self._scale,
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "reload": self._reload,
            "wait": self._waiting.wait,
            "logs": self._logs,
            **Visits(daemon).methods,
            "upgrade": self._upgrade,
            "shutdown": self._shutdown,
        }

    async def answer(self, method: str, params: Params) -> object:
        """Raises ProcsupError for what makes no sense here."""
        try:
            return await self._methods[method](params)
        except UnknownName as error:
            raise self._unknown(error.name) from error
        except NotNow as error:
            raise ProcsupError(str(error)) from error
        except RequestRefused as error:
            raise UsageError(str(error)) from error

    async def _info(self, _params: Params) -> object:
        project = self._daemon.project
        own = {
            "app": project.app,
            "root": project.root,
            "pid": os.getpid(),
            "version": __version__,
            "upgrades": self._daemon.upgrades,
        }
        return {**own, "state": self._daemon.keeper.folder}

    async def _status(self, params: Params) -> object:
        return await status(self._daemon, self._meter if params["usage"] else None)

    async def _formation(self, _params: Params) -> object:
        return self._supervisor.formation

    async def _scale(self, params: Params) -> object:
        changes = tuple(
            ScaleChange(name, change["count"], change["relative"])
            for change in params["changes"]
            for name in (scaled_by_all(self._daemon.project) if change["type"] == "all" else (change["type"],))
        )
        wanted = await self._daemon.ask(ScaleRequested(changes))
        before, after = wanted.before, wanted.after
        answer: dict[str, object] = {
            "formation": self._supervisor.formation,
            "started": [str(name) for name in sorted(after - before)],
            "stopped": [str(name) for name in sorted(before - after)],
        }
        if params["wait"]:
            answer["failed"] = await self._waiting.settled(before ^ after)
        await self._daemon.keeper.kept()
        if self._daemon.keeper.trouble is not None:
            answer["warning"] = self._daemon.keeper.trouble
        return answer

    async def _start(self, params: Params) -> object:
        await self._daemon.ask(StartRequested(tuple(params["names"])))
        names = {each.name for each in self._supervisor.resolve(params["names"])}
        return {"started": [str(name) for name in sorted(names)], "failed": await self._waiting.settled(names, up=True)}

    async def _stop(self, params: Params) -> object:
        names = [each.name for each in self._supervisor.resolve(params["names"])]
        await self._daemon.ask(StopRequested(tuple(params["names"])))
        return {"stopped": [str(name) for name in names], "failed": await self._waiting.settled(names)}

    async def _restart(self, params: Params) -> object:
        wanted = params["names"] or tuple(self._supervisor.formation)
        before = {each.name: each.edition for each in self._supervisor.resolve(wanted)}
        await self._daemon.ask(RestartRequested(tuple(params["names"]), params["rolling"]))
        stumbled = await self._waiting.rolled() if params["rolling"] else []
        # A rolling restart that was halted has not come to all of them; and some may be gone by now.
        names = [each.name for each in self._waiting.present(before) if each.edition != before[each.name]]
        if stumbled:
            over = {each["name"] for each in stumbled}
            return {"restarted": [str(name) for name in names if str(name) not in over], "failed": stumbled}
        return {"restarted": [str(name) for name in names], "failed": await self._waiting.settled(names, up=True)}

    async def _reload(self, params: Params) -> object:
        if params["plan"]:
            return {"plan": self._reloader.plan(self._reloader.read()), "applied": False}
        plan = await self._reloader.reload()
        restarted = {step["instance"] for step in plan if step["action"] == "restart"}
        # Only for what it replaces one by one itself: another's rolling restart may go on for long.
        gradually = any(each.type.surge for each in self._supervisor.instances() if str(each.name) in restarted)
        return {"plan": plan, "applied": True, "failed": await self._waiting.rolled() if gradually else []}

    async def _logs(self, params: Params) -> object:
        wanted = frozenset(params["names"])
        known = {*self._history.names(), *(str(each.name) for each in self._supervisor.instances())}
        types = {*self._supervisor.formation, *(name.partition(".")[0] for name in known)}
        for name in wanted - known - types:
            raise self._unknown(name)

        def chosen(name: str) -> bool:
            return not wanted or name in wanted or name.partition(".")[0] in wanted

        if (place := params["after"]) is not None:
            until = None if params["follow"] else self._history.end()
            return tell([], self._history.follow(chosen, place, until), place, params["raw"])
        names, end = filter(chosen, self._history.names()), self._history.end()
        entries = self._history.tail(names, params["lines"], params["since"])
        more = self._history.follow(chosen, end) if params["follow"] else None
        return tell(entries, more, end, params["raw"])

    async def _upgrade(self, params: Params) -> object:
        """The answer comes from the version that takes over."""
        await self._become(params["python"])
        return None

    async def _shutdown(self, _params: Params) -> object:
        await self._daemon.ask(ShutdownRequested(0))
        return {"pid": os.getpid()}

    def _unknown(self, name: str) -> UsageError:
        instances = [str(each.name) for each in self._supervisor.instances()]
        if of_its_type := [each for each in instances if each.partition(".")[0] == name.partition(".")[0]]:
            return unknown_name(name, of_its_type, self._daemon.project.procfile)
        return unknown_name(name, [*self._supervisor.formation, *instances], self._daemon.project.procfile)


def scaled_by_all(project: Project) -> tuple[str, ...]:
    """The types that "all" means, as in `start -m`: every one but releases, which are asked for by their names."""
    return tuple(each.name for each in project.types if each.name not in project.releases)
