"""What another terminal shows of a supervisor's output: what is missing is told between two lines, in its place."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import termios
from typing import IO

import pytest

from tests.e2e.app import PATIENCE
from tests.faults.watching import until

# Shows what is told to it on standard input, a notification a line, up to the end of that.
FOLLOWER = """\
import json, sys
from procsup.output.replay import replay
from procsup.output.style import Style

class Told:
    ended = False
    def fileno(self):
        return 0
    def receive(self):
        line = sys.stdin.buffer.raw.readline()  # no further, for the descriptor must be readable

        self.ended = not line
        if self.ended:
            return []
        method, params = json.loads(line)
        return [(method, {**params, "raw": params.get("raw", "").encode()})]

replay(Told(), Style(prefix=False), ["web.1", "web.2"], ["web"])
"""
LOST = "lost", {"instance": "web.1", "bytes": 3}


def _said(text: str, name: str = "web.1") -> tuple[str, dict[str, object]]:
    return "output", {"instance": name, "type": "web", "stream": "stdout", "pid": 1, "time": 0.0, "raw": text}


def _waiting(pipe: IO[bytes] | None) -> bool:
    """Whether something that was written to it was not read yet."""
    assert pipe is not None
    return fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)) != bytes(4)


def _shown(*told: tuple[str, dict[str, object]], first: str, stderr: int = subprocess.STDOUT) -> tuple[str, str]:
    """What stands on standard output, and on standard error. What follows the first is told when that is shown."""
    arguments = [sys.executable, "-c", FOLLOWER]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr) as follower:
        assert follower.stdin is not None
        assert follower.stdout is not None
        begun, *others = [json.dumps(each).encode() + b"\n" for each in told]
        os.write(follower.stdin.fileno(), begun)
        seen = b""
        while seen != first.encode():
            seen += (more := os.read(follower.stdout.fileno(), 1))
            assert more, seen
        follower.stdin.write(b"".join(others))
        follower.stdin.flush()
        until(lambda: not _waiting(follower.stdin))  # all of it is heard before more is read
        rest, errors = follower.communicate(timeout=PATIENCE)
    return (seen + rest).decode(), (errors or b"").decode()


@pytest.mark.parametrize("whose", ["web.1", "web.2"])
def test_what_is_missing_is_told_on_a_line_of_its_own(whose: str) -> None:
    """Whoever's line is unfinished: nobody knows whether its rest is still to come."""
    shown, _ = _shown(_said("begun", whose), LOST, _said("its end\n"), first="begun")
    assert shown == "begun\nprocsup: 3 bytes of web.1 are missing here\nits end\n"


def test_a_line_that_something_is_missing_in_is_not_put_together_from_its_ends() -> None:
    shown, errors = _shown(_said("12"), _said("3\n45"), LOST, _said("9\n"), first="12", stderr=subprocess.PIPE)
    assert shown == "123\n45\n9\n"
    assert errors == "procsup: 3 bytes of web.1 are missing here\n"


def test_what_is_missing_is_told_behind_what_waits_to_be_shown() -> None:
    """Where both go the same way: it must not come before what was said before it, nor in the middle of that."""
    much = "".join(f"{number:09}\n" for number in range(5_000))
    waiting = [_said(much) for _ in range(6)]  # more than a pipe holds, and not so much that nothing more is heard
    shown, _ = _shown(_said("first\n"), *waiting, LOST, _said("last\n"), first="first\n")
    assert shown == f"first\n{6 * much}procsup: 3 bytes of web.1 are missing here\nlast\n"
