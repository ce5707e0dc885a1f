"""What is asked of one instance by who visits it: to watch its terminal and type there, or to have its environment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from procsup.control.protocol import Notification
from procsup.control.server import Stream
from procsup.core.model import Instance, InstanceName
from procsup.errors import UsageError
from procsup.runtime.child import Window
from procsup.runtime.daemon import Daemon
from procsup.runtime.terminals import Terminal
from procsup.runtime.wording import nobody, state_word

Params = Mapping[str, Any]


class Visits:
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._supervisor = daemon.supervisor
        self.methods: Mapping[str, Callable[[Params], Awaitable[object]]] = {
            "attach": self._attach,
            "type": self._type,
            "resize": self._resize,
            "environment": self._environment,
        }

    def _only(self, name: str) -> Instance:
        """The one instance that is meant; a type will do where it has only one."""
        found = self._supervisor.resolve((name,))
        if len(found) != 1:
            raise UsageError(
                f"{name} has {len(found)} instances; say which: {', '.join(str(each.name) for each in found[:5])}"
                if found
                else "; ".join(nobody(name))
            )
        return found[0]

    def _terminal(self, name: str) -> Terminal:
        instance = self._only(name)
        terminal = self._daemon.terminals.get(str(instance.name))
        if terminal is None:
            self._refuse_without(instance.name)
            raise UsageError(f"{instance.name} is {state_word(instance)}: nobody sits at its terminal")
        return terminal

    def _refuse_without(self, name: InstanceName) -> None:
        if not self._daemon.launcher.has_terminal(self._daemon.project, name):
            raise UsageError(f"{name} has no terminal; to give it one: procsup start --tty {name.type}")

    async def _attach(self, params: Params) -> object:
        instance = self._only(params["name"])
        self._refuse_without(instance.name)
        return self._screens(instance.name, params["after"])

    async def _screens(self, name: InstanceName, after: int | None) -> Stream:
        """One after the other, as its copies come and go; until it is gone from the formation, or we are."""
        while (instance := self._supervisor.instance(name)) is not None:
            terminal = self._daemon.terminals.get(str(name))
            if terminal is None:
                after = None
                why = self._daemon.why(instance)
                yield Notification("gone", {"number": 0, "state": state_word(instance), "why": why})
                await self._daemon.until(lambda: self._another(name))
                if self._daemon.finished.done():
                    return
                continue
            pid = instance.pid  # kept: the next copy's may be there before anybody looks again
            yield Notification("here", {"number": after or 0, "instance": str(name), "pid": pid})
            async with aclosing(terminal.watch(after)) as chunks:
                async for chunk, said in chunks:
                    text = chunk.decode(errors="surrogateescape")
                    yield Notification("screen", {"text": text, "number": said})
            after = None
            # The leader's end is news of its own, which comes after that of its terminal.
            await self._daemon.until(partial(self._copy_gone, name, pid))

    def _another(self, name: InstanceName) -> bool:
        known = self._supervisor.instance(name) is not None
        return not known or self._daemon.finished.done() or self._daemon.terminals.get(str(name)) is not None

    def _copy_gone(self, name: InstanceName, pid: int | None) -> bool:
        instance = self._supervisor.instance(name)
        return instance is None or instance.pid != pid or pid is None or self._daemon.finished.done()

    async def _type(self, params: Params) -> object:
        await self._terminal(params["name"]).type(params["text"].encode(errors="surrogateescape"))
        return None

    async def _resize(self, params: Params) -> object:
        self._terminal(params["name"]).resize(Window(params["rows"], params["columns"]))
        return None

    async def _environment(self, params: Params) -> object:
        """Not its cookie: what is started with it does not belong to the instance, and is not stopped with it."""
        instance = self._only(params["name"])
        project, ports = self._daemon.project, self._supervisor.type_ports
        numbers = instance.port, instance.unique_int
        return {
            "folder": project.folder_of(instance.name.type),
            "environment": self._daemon.launcher.environment(project, instance.name, *numbers, ports),
            "user": project.settings.of(instance.name.type).user,
        }
