"""Waits until what is wanted of some instances has come true; says of those that failed why, and their last words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from procsup.core.model import Instance, InstanceName, Wish
from procsup.errors import ProcsupError
from procsup.output.history import History, in_lines
from procsup.output.sanitize import Sanitizer
from procsup.runtime.daemon import Daemon
from procsup.runtime.readiness import COLOURS
from procsup.runtime.wording import ending, nobody, state_word

LAST_LINES = 8
_CULPRITS_WITH_LINES = 3

Failure = dict[str, object]


class Waiting:
    def __init__(self, daemon: Daemon, history: History) -> None:
        self._daemon = daemon
        self._supervisor = daemon.supervisor
        self._history = history

    async def settled(self, names: Iterable[InstanceName], *, up: bool = False) -> list[Failure]:
        """Wait until what is wanted of these is so, and return those for which it is not.

        `up`: they were asked to run; if somebody else has stopped them meanwhile, that has not come true.
        """
        chosen = tuple(names)
        await self._daemon.until(lambda: all(map(self._supervisor.settled, self.present(chosen))))
        return [
            self.failure(each)
            for each in self.present(chosen)
            if each.unkillable or ((up or each.wish is Wish.UP) and not _came_true(each))
        ]

    async def wait(self, params: Mapping[str, Any]) -> object:
        """For those named, or all that should run. Raises ProcsupError where there is nothing to wait for."""
        named, ready = params["names"], params["ready"]
        if named:
            chosen = [each.name for each in self._supervisor.resolve(named)]
        else:
            chosen = [each.name for each in self._supervisor.instances() if each.wish is Wish.UP]
        if not chosen:
            nobody_at_all = "no process type has an instance that should run", "procsup scale NAME=1 starts one"
            what, advice = nobody(named[0]) if named else nobody_at_all
            raise ProcsupError(f"{what}, so there is nothing to wait for; {advice}")

        def there(instance: Instance) -> bool:
            return _came_true(instance, once_done=True) if ready else instance.pid is not None or instance.done

        def over() -> bool:
            present = self.present(chosen)
            hopeless = any(self._hopeless(each) for each in present if not there(each))
            stopped = any(each.wish is not Wish.UP for each in present)
            return self._supervisor.shutting_down or hopeless or stopped or all(map(there, present))

        with suppress(TimeoutError):
            async with asyncio.timeout(params["timeout"]):
                await self._daemon.until(over)
        failed = [each for each in self.present(chosen) if not there(each)]
        # Who is in doubt because of another, or has only to wait for it, comes behind that one.
        failed.sort(
            key=lambda each: (each.wish is Wish.UP and not each.given_up, bool(self._supervisor.waits_for(each)))
        )
        return {
            "ready": [str(each.name) for each in self.present(chosen) if there(each)],
            "failed": [
                self.failure(each, with_lines=position < _CULPRITS_WITH_LINES) for position, each in enumerate(failed)
            ],
        }

    async def rolled(self) -> list[Failure]:
        """Wait for the end of the rolling restarts that are under way; whom they have stumbled over, if anyone.

        With them end those that were one more than there should be.
        """
        await self._daemon.until(lambda: not self._supervisor.rolling)
        extras = [each.name for each in self._supervisor.instances() if each.type.surge and each.wish is Wish.GONE]
        await self.settled(extras)
        halted = self._supervisor.halted
        if halted is None:
            return []
        name, exit_ = str(halted.name), self._supervisor.halted_by
        how = ending(exit_) if exit_ is not None else "it did not stay up"
        for instance in self.present([halted.name]):  # it tries on by itself, and nobody waits for that
            if instance.wish is Wish.UP:
                failure = self.failure(instance, with_lines=True)
                if halted.spared:
                    failure["why"] = "left as it was, because what it depends on is not up"
                elif instance.up:
                    failure["why"] = f"{how}; a later copy runs"
                return [failure]
        # It was one more than there should be.
        why = f"{how}; those that run are as they were"
        return [{"name": name, "state": "new, and gone", "why": why, "lines": self._last_lines(name)}]

    def failure(self, instance: Instance, *, with_lines: bool = False) -> Failure:
        words: Failure = {
            "name": str(instance.name),
            "state": state_word(instance),
            "why": self._daemon.why(instance) or ("not done yet" if instance.type.one_shot else None),
        }
        if with_lines:
            words["lines"] = self._last_lines(str(instance.name))
        return words

    def _hopeless(self, instance: Instance) -> bool:
        """Nothing but a person brings it back, or somebody that it waits for."""
        return instance.given_up or any(each.given_up for each in self._supervisor.behind(instance))

    def _last_lines(self, name: str) -> list[str]:
        said = in_lines(self._history.tail([name], LAST_LINES))
        plain = COLOURS.sub(b"", Sanitizer().feed(said))
        return plain.decode(errors="replace").rstrip("\n").split("\n")[-LAST_LINES:] if said else []

    def present(self, names: Iterable[InstanceName]) -> list[Instance]:
        found = (self._supervisor.instance(name) for name in names)
        return [each for each in found if each is not None]


def _came_true(instance: Instance, *, once_done: bool = False) -> bool:
    """`once_done`: a one-shot has not only to run, but to have done what it is for."""
    if instance.type.one_shot:
        return instance.done or (instance.up and not once_done)
    return instance.up
