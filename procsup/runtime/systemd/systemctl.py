"""What is asked of the systemd that runs here: of the system's, or of a user's own."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from procsup.errors import ProcsupError

_BOOTED = "/run/systemd/system"  # sd_booted(3)
_UNITS = "/etc/systemd/system"
_LINGERING = "/var/lib/systemd/linger"
_LAST_LINES = 10


class Systemd:
    """`user`: the own systemd of whom we are. Whatever fails raises ProcsupError with systemd's own words."""

    def __init__(self, environ: Mapping[str, str], *, user: bool) -> None:
        self.user = user
        self._environ = dict(environ)
        if user and not environ.get("XDG_RUNTIME_DIR"):  # as after `su`; it is there all the same, if it runs
            self._environ["XDG_RUNTIME_DIR"] = f"/run/user/{os.geteuid()}"
        config = environ.get("XDG_CONFIG_HOME", "")
        self._config = config if os.path.isabs(config) else os.path.expanduser("~/.config")

    @property
    def units(self) -> str:
        """The folder of the units that an administrator, or the user, has written."""
        return f"{self._config}/systemd/user" if self.user else _UNITS

    @property
    def secrets(self) -> str:
        """The folder of what is not for everybody's eyes."""
        return f"{self._config}/procsup" if self.user else "/etc/procsup"

    def refuse_unless_there(self) -> None:
        if not os.path.isdir(_BOOTED):
            raise ProcsupError(
                "there is no systemd that runs here; procsup start --detach runs the application until the next boot, "
                "and --print shows the unit for a machine that has one"
            )
        if self.user and self._run("show-environment").returncode:
            raise ProcsupError(
                "no systemd of yours can be reached; log in as this user (not with su or sudo), or let it run without "
                f"a login: sudo loginctl enable-linger {os.geteuid()}"
            )

    def do(self, *command: str) -> None:
        done = self._run(*command)
        if done.returncode:
            raise ProcsupError(f"systemctl {shlex.join(command)} failed: {_in_a_line(done.stderr)}")

    def start(self, verb: str, unit: str) -> None:
        """Start or restart it; where it does not come up, with its last words."""
        done = self._run(verb, unit)
        if done.returncode:
            of = "--user-unit" if self.user else "--unit"
            journal = ["journalctl", of, unit, "--lines", str(_LAST_LINES), "--output=cat", "--no-pager", "--quiet"]
            said = self._call(journal).stdout.rstrip()
            trying = ", and systemd keeps trying" if self.property(unit, "ActiveState") == "activating" else ""
            raise ProcsupError(
                f"{unit} does not start{trying}" + (f"; its last words:\n{said}" if said else _in_a_line(done.stderr))
            )

    def forget(self, unit: str) -> None:
        """That it has failed, if it has; systemd would show it on, with nothing left of it."""
        self._run("reset-failed", unit)

    def property(self, unit: str, name: str) -> str:
        return self._run("show", "--value", f"--property={name}", unit).stdout.strip()

    def linger(self) -> str | None:
        """Let the user's units run without a login; what is left to do for that, if it could not be done."""
        import pwd

        name = pwd.getpwuid(os.geteuid()).pw_name
        if os.path.exists(f"{_LINGERING}/{name}"):
            return None
        with suppress(ProcsupError):
            self._call(["loginctl", "--no-ask-password", "enable-linger", name])
        if os.path.exists(f"{_LINGERING}/{name}"):
            return None
        return f"sudo loginctl enable-linger {shlex.quote(name)}"

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self._call(["systemctl", *(["--user"] if self.user else []), "--no-ask-password", *command])

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=self._environ,
                check=False,
            )
        except OSError as error:
            raise ProcsupError(f"{command[0]} cannot be called: {error.strerror}; is systemd installed?") from error


def _in_a_line(text: str) -> str:
    return " ".join(text.split())
