"""Hundreds of children, a container's PID 1, input of every size, and secrets."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e import app as terminal
from tests.e2e.app import App
from tests.faults.watching import NOISE, READY, children, descriptors, ticks_in, until, within, zombies

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

_CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
_CANARY = "xq7-canary-52"


def test_f41_three_hundred_children_cost_nothing_and_end_together(app: App) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start("-m", "web=0")
    app.until_running()
    counts = [descriptors(supervisor.pid)]
    for count in (100, 300):
        app.ok("scale", f"web={count}", "--wait")
        app.until_running(*(f"web.{number}" for number in range(1, count + 1)))
        counts.append(descriptors(supervisor.pid))
    none, hundred, three_hundred = counts
    assert hundred - none <= 100 * 4 + 5
    assert abs((three_hundred - none) - 3 * (hundred - none)) <= 10
    assert ticks_in(supervisor.pid, 2.0) <= 4
    app.ok("scale", "web=200", "--wait")
    until(lambda: not zombies(supervisor.pid), 1 + NOISE)
    with within(5 + NOISE):
        assert supervisor.stop() == 0
    assert "200 stopped, 0 killed, 0 left" in supervisor.text


def _container_possible() -> bool:
    return (
        shutil.which("unshare") is not None
        and subprocess.run([*_CONTAINER, "true"], capture_output=True, timeout=20).returncode == 0
    )


@pytest.mark.skipif(not _container_possible(), reason="may not make a PID namespace here")
def test_f45_as_pid_1_it_reaps_what_it_adopts(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "COMMAND", (*_CONTAINER, *terminal.COMMAND))
    orphans = "for i in 1 2 3 4 5; do (setsid sleep 0.1 &); done"
    app.write("Procfile", f"web: sh -c '{orphans}; echo ready $$; exec sleep 1000'\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    [first] = children(supervisor.pid)
    assert Path(f"/proc/{first}/status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1] == "1"
    until(lambda: len(children(first)) == 2, 1 + NOISE)  # the instance and the guardian; no dead ones
    os.kill(first, signal.SIGTERM)
    assert supervisor.end() == 0
    assert "1 stopped, 0 killed, 0 left" in supervisor.text


def test_f49_a_large_variable_arrives_whole_and_one_that_cannot_be_handed_over_is_named(app: App) -> None:
    app.write("Procfile", "web: sh -c 'echo ready ${#BIG}; exec sleep 1000'\n")
    app.write(".env", f"BIG={'x' * 120_000}\n")
    supervisor = app.start()
    supervisor.wait_for(r"ready 120000$")
    assert supervisor.stop() == 0
    app.write(".env", f"BIG={'x' * 131_072}\n")
    supervisor = app.start("--restart", "never")
    assert supervisor.end() != 0
    assert "BIG" in supervisor.text
    assert "Traceback" not in supervisor.text
    assert len(supervisor.text) < 2000


def test_f49_a_huge_line_is_not_cut_neither_in_the_procfile_nor_in_the_output(app: App) -> None:
    app.write("Procfile", f"web: echo {'y' * 100_000} end; head -c 1000000 /dev/zero | tr '\\0' z; echo; sleep 1000\n")
    supervisor = app.start()
    supervisor.wait_for(r"\| y{100000} end$")
    supervisor.wait_for(r"\| z{1000000}$")
    assert supervisor.stop() == 0


def test_f49_a_procfile_of_ten_thousand_lines_is_read_to_its_end(app: App) -> None:
    app.write("Procfile", "".join("# a comment\n" * 19 + f"type-{n}: sleep {n}\n" for n in range(500)))
    said = app.ok("check")
    assert "type-0" in said
    assert "type-499" in said
    with (app.folder / "Procfile").open("a") as procfile:
        procfile.write("nonsense\n")
    broken = app.run("check")
    assert broken.returncode == 2
    assert "Procfile:10001:" in broken.stderr


def test_f49_a_byte_order_mark_windows_lines_and_unicode_are_understood(app: App) -> None:
    text = "web: sh -c 'echo ready \"Grüße ☃\"; exec sleep 1000'\r\n\r\nworker: sh -c 'echo ready; exec sleep 1000'\r\n"
    app.write("Procfile", "").write_bytes(b"\xef\xbb\xbf" + text.encode())
    supervisor = app.start()
    supervisor.wait_for(r"web\.1 +\| ready Grüße ☃$")
    supervisor.wait_for(r"worker\.1 +\| ready$")
    assert supervisor.stop() == 0


def _argv_of_family(pid: int) -> bytes:
    """Of the supervisor and of its guardian, not of the instances: their commands are their own."""
    found = [Path(f"/proc/{each}/cmdline").read_bytes() for each in (pid, *children(pid))]
    ours = [each for each in found if b"procsup" in each]
    assert len(ours) >= 2  # a child that is just being started still has the argv of its parent
    return b"".join(ours)


def test_f50_a_secret_of_the_env_file_is_told_nowhere(app: App) -> None:
    app.write(".env", f"CANARY_TOKEN={_CANARY}\nSITE=https://someone:{_CANARY}@example.org/\n")
    app.write(
        "Procfile",
        f"web: {READY}\nbad: no-such-program $CANARY_TOKEN $SITE\nfolder: ./state $CANARY_TOKEN\n"
        "dies: sh -c 'exit 3' $CANARY_TOKEN\n",
    )
    (app.folder / "state").mkdir()
    supervisor = app.start()
    supervisor.wait_for("ready")
    app.until(lambda found: all(found[f"{name}.1"]["state"] == "backoff" for name in ("bad", "folder", "dies")))
    told = [
        app.ok(*command)
        for command in (
            ("status",),
            ("status", "--json"),
            ("check", "--expand"),
            ("env", "web"),
            ("env", "web", "--explain", "CANARY_TOKEN"),
            ("env", "web", "--explain", "SITE"),
            ("scale", "web=2"),
            ("list",),
        )
    ]
    app.write(".env", f"CANARY_TOKEN={_CANARY}-new\n")
    told += [app.ok("reload", "--plan"), app.ok("reload")]
    argv = _argv_of_family(supervisor.pid)
    supervisor.stop()
    state = [path for path in Path(os.environ["PROCSUP_STATE_DIR"]).rglob("*") if path.is_file()]
    assert state
    assert _CANARY not in supervisor.text + "".join(told)
    assert _CANARY.encode() not in argv + b"".join(path.read_bytes() for path in state)
