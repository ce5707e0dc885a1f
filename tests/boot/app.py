"""A project on a booted machine, supervised by a plain unit that was written by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.boot.machine import PATIENCE, Machine
from tests.boot.rootfs import PROCSUP


class App:
    def __init__(self, machine: Machine, procfile: str, *service: str, arguments: str = "", name: str = "app") -> None:
        """`service` are lines for the unit; it is started at boot."""
        self.machine = machine
        self.unit = f"{name}.service"
        self.folder = f"/srv/{name}"
        machine.write(f"{self.folder}/Procfile", procfile)
        lines = (
            "[Service]",
            f"WorkingDirectory={self.folder}",
            f"ExecStart={PROCSUP} start {arguments}",
            *service,
            "[Install]",
            "WantedBy=multi-user.target",
        )
        machine.write(f"/etc/systemd/system/{self.unit}", "\n".join(lines) + "\n")
        wants = machine.root / "etc/systemd/system/multi-user.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / self.unit).symlink_to(f"/etc/systemd/system/{self.unit}")

    def procsup(self, *arguments: str) -> str:
        return self.machine.ok(PROCSUP, *arguments[:1], "--root", self.folder, *arguments[1:])

    def main_pid(self) -> int:
        return int(self.machine.ok("systemctl", "show", "--value", "--property=MainPID", self.unit))

    def journal(self) -> str:
        return self.machine.journal(self.unit)

    def groups(self) -> list[str]:
        """The control groups of its instances, with the folder that they are in."""
        return self.machine.ok("find", "/sys/fs/cgroup", "-path", f"*/{self.unit}/procsup-*", "-type", "d").split()

    def instances(self) -> dict[str, dict[str, Any]]:
        done = self.machine.run(PROCSUP, "status", "--root", self.folder, "--json", check=False)
        return {each["name"]: each for each in json.loads(done.stdout)["instances"]} if done.returncode == 0 else {}

    def until_running(self, *names: str, other_than: int = 0) -> dict[str, dict[str, Any]]:
        """Until exactly these run, under another supervisor than the one with that pid."""
        found: dict[str, dict[str, Any]] = {}

        def all_run() -> bool:
            found.clear()
            found.update(self.instances())
            states = {name: each["state"] for name, each in found.items()}
            return self.main_pid() != other_than and states == dict.fromkeys(names, "running")

        self.until(all_run)
        return found

    def has_copies(self, wanted: dict[str, int]) -> None:
        """So many sleep for so long, and no more. Who was started just now may be a shell yet."""

        def found() -> dict[str, int]:
            return {seconds: self.machine.processes("sleep", seconds) for seconds in wanted}

        self.until(lambda: all(count >= wanted[seconds] for seconds, count in found().items()))
        assert found() == wanted

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"not so within {PATIENCE} s:\n{self.journal()}"
            time.sleep(0.05)  # the pace of asking
