"""A project on a booted machine that `procsup install` has made a service of, with everything in its way."""

from __future__ import annotations

from collections.abc import Sequence

from tests.boot.app import App
from tests.boot.machine import Machine
from tests.boot.rootfs import PROCSUP

USER, UID = "deploy", 1000
# Whatever a path may have that a unit, a shell or systemd's own specifiers would take for something else.
FOLDER = "/srv/50% of $HOME 'one' \"two\" \\back ☃"
VALUE = "50% $PATH 'one' \"two\" \\n `id` #x ; ü ☃"


class Service(App):
    """Call `installed` when the machine runs."""

    def __init__(self, machine: Machine, procfile: str, *, folder: str = FOLDER, name: str = "shop") -> None:
        self.machine = machine
        self.unit = f"procsup-{name}.service"
        self.folder = folder
        machine.write(f"{folder}/Procfile", procfile)

    def give_to_user(self) -> None:
        self.machine.ok("useradd", "--create-home", "--uid", str(UID), USER)
        self.machine.ok("chown", "-R", USER, self.folder)

    def as_user(self, *arguments: str, check: bool = True) -> str:
        return self.machine.run("/sbin/runuser", "-u", USER, "--", PROCSUP, *arguments, check=check).stdout

    def property(self, name: str) -> str:
        return self.machine.ok("systemctl", "show", "--value", f"--property={name}", self.unit).strip()

    def environment(self, pid: int) -> dict[str, str]:
        text = self.machine.ok("cat", f"/proc/{pid}/environ")
        return dict(line.split("=", 1) for line in text.rstrip("\0").split("\0"))

    def add_lines(self, *lines: str, reload: bool = True) -> None:
        """As `systemctl edit` would; for what is started from now on. Before a boot, without `reload`."""
        self.machine.write(f"/etc/systemd/system/{self.unit}.d/own.conf", "\n".join(lines) + "\n")
        if reload:
            self.machine.ok("systemctl", "daemon-reload")


def files(machine: Machine, *folders: Sequence[str]) -> set[str]:
    """All that is there of what install and uninstall have to do with."""
    return set(machine.ok("find", *map(str, folders)).splitlines())
