"""Hundreds of children, a container's PID 1, input of every size, and secrets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e import app as terminal
from tests.e2e.app import PATIENCE, App
from tests.faults.needs import needs, works
from tests.faults.watching import (
    NOISE,
    READY,
    Record,
    children,
    descriptors,
    in_words,
    ticks_in,
    until,
    within,
    zombies,
)

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

_CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
_CANARY = "xq7-canary-52"


@pytest.mark.timeout(300)
def test_f41_a_thousand_children_cost_nothing_and_end_together(app: App, record_property: Record) -> None:
    app.write("Procfile", "web: sleep 1000\n")
    supervisor = app.start("-m", "web=0")
    app.until_running()
    counts = [descriptors(supervisor.pid)]
    for count in (500, 1000):
        with within(5 * PATIENCE) as started:
            app.ask("scale", changes=[{"type": "web", "relative": False, "count": count}], wait=True)
        assert sum(each["state"] == "running" for each in app.instances().values()) == count
        counts.append(descriptors(supervisor.pid))
    none, half, all_of_them = counts
    assert half - none <= 500 * 4 + 5
    assert abs((all_of_them - none) - 2 * (half - none)) <= 10
    used = ticks_in(supervisor.pid, 2.0)
    assert used <= 4
    killed = {each["pid"] for each in list(app.instances().values())[:100]}
    with within(1 + NOISE) as replaced:
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not killed & children(supervisor.pid).keys())
        app.until(lambda found: all(each["pid"] and each["pid"] not in killed for each in found.values()))
    assert zombies(supervisor.pid) == []
    with within(5 + NOISE) as stopped:
        assert supervisor.stop() == 0
    assert "1000 stopped, 0 killed, 0 left" in supervisor.text
    record_property("the second 500 of 1,000 started in", str(started))
    record_property("idle CPU with 1,000", f"{used / 2:.1f} %")
    record_property("descriptors for each", f"{(all_of_them - none) / 1000:.2f}")
    record_property("100 killed at once: reaped and replaced after", str(replaced))
    record_property("stop of 1,000", str(stopped))


@needs(works(*_CONTAINER, "true"), "may not make a PID namespace here")
def test_f45_as_pid_1_it_reaps_what_it_adopts(
    app: App, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    monkeypatch.setattr(terminal, "COMMAND", (*_CONTAINER, *terminal.COMMAND))
    orphan = "until [ -e go ]; do sleep 0.05; done; exec sleep 0.$i"
    orphans = f'for i in 1 2 3 4 5 6 7 8 9 10; do (setsid sh -c "{orphan}" &); done'
    app.write("Procfile", f"web: sh -c '{orphans}; echo ready $$; exec sleep 1000'\n")
    supervisor = app.start()
    supervisor.wait_for("ready")
    [first] = children(supervisor.pid)
    assert Path(f"/proc/{first}/status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1] == "1"
    seen: dict[int, float] = {}
    oldest = 0.0
    until(lambda: len(children(first)) > 2)
    adopted = set(children(first))
    app.write("go", "")
    end = time.monotonic() + PATIENCE
    while len(now := children(first)) > 2:  # the instance and the guardian
        assert time.monotonic() < end
        adopted |= now.keys()
        seen = {pid: seen.get(pid, time.monotonic()) for pid, state in now.items() if state == "Z"}
        oldest = max((oldest, *(time.monotonic() - since for since in seen.values())))
        time.sleep(0.002)  # the pace of asking
    assert len(adopted) > 2
    assert oldest <= 1 + NOISE
    record_property("oldest zombie", in_words(oldest))
    os.kill(first, signal.SIGTERM)
    assert supervisor.end() == 0
    assert "1 stopped, 0 killed, 0 left" in supervisor.text


def test_f49_a_large_variable_arrives_whole_and_one_that_cannot_be_handed_over_is_named(
    app: App, record_property: Record
) -> None:
    # The kernel hands on 128 KiB at most, the name and the closing NUL included.
    most = 128 * 1024 - len("BIG=") - 1
    app.write("Procfile", "web: sh -c 'echo ready ${#BIG} $(printenv BIG | cksum); exec sleep 1000'\n")
    app.write(".env", f"BIG={'x' * most}\n")
    supervisor = app.start()
    told = supervisor.wait_for(rf"ready {most} (\d+ \d+)$")[1]
    checked = subprocess.run(["cksum"], input=b"x" * most + b"\n", capture_output=True, check=True)
    assert told == checked.stdout.decode().strip()
    assert supervisor.stop() == 0
    record_property("largest variable", f"{most} bytes arrive; one more is an error that names it")
    app.write(".env", f"BIG={'x' * (most + 1)}\n")
    supervisor = app.start("--restart", "never")
    assert supervisor.end() != 0
    assert "BIG" in supervisor.text
    assert "Traceback" not in supervisor.text
    assert len(supervisor.text) < 2000


def test_f49_a_huge_line_is_not_cut_neither_in_the_procfile_nor_in_the_output(
    app: App, record_property: Record
) -> None:
    app.write("Procfile", f"web: echo {'y' * 100_000} end; head -c 1000000 /dev/zero | tr '\\0' z; echo; sleep 1000\n")
    supervisor = app.start()
    supervisor.wait_for(r"\| y{100000} end$")
    supervisor.wait_for(r"\| z{1000000}$")
    record_property("longest lines", "100,000 bytes in the Procfile, 1,000,000 in the output")
    assert supervisor.stop() == 0


def test_f49_a_procfile_of_ten_thousand_lines_is_read_to_its_end(app: App, record_property: Record) -> None:
    app.write("Procfile", "".join("# a comment\n" * 19 + f"type-{n}: sleep {n}\n" for n in range(500)))
    with within(NOISE) as took:
        said = app.ok("check")
    record_property("10,000 lines checked in", str(took))
    assert "type-0" in said
    assert "type-499" in said
    with (app.folder / "Procfile").open("a") as procfile:
        procfile.write("nonsense\n")
    broken = app.run("check")
    assert broken.returncode == 2
    assert "Procfile:10001:" in broken.stderr


def test_f49_a_byte_order_mark_windows_lines_and_unicode_are_understood(app: App, record_property: Record) -> None:
    text = "web: sh -c 'echo ready \"Grüße ☃\"; exec sleep 1000'\r\n\r\nworker: sh -c 'echo ready; exec sleep 1000'\r\n"
    app.write("Procfile", "").write_bytes(b"\xef\xbb\xbf" + text.encode())
    supervisor = app.start()
    supervisor.wait_for(r"web\.1 +\| ready Grüße ☃$")
    supervisor.wait_for(r"worker\.1 +\| ready$")
    record_property("BOM, CRLF and unicode", "understood")
    assert supervisor.stop() == 0


def _argv_of_family(pid: int) -> bytes:
    """Of the supervisor and of its guardian, not of the instances: their commands are their own."""
    found = []
    for each in (pid, *children(pid)):
        with suppress(OSError):  # an instance that has just ended
            found.append(Path(f"/proc/{each}/cmdline").read_bytes())
    ours = [each for each in found if b"procsup" in each]
    assert len(ours) >= 2  # a child that is just being started still has the argv of its parent
    return b"".join(ours)


def _places_of_the_canary(told: dict[str, bytes]) -> list[str]:
    return [place for place, text in told.items() if _CANARY.encode() in text]


def test_f50_a_secret_of_the_env_file_is_told_nowhere(app: App, record_property: Record) -> None:
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
    told: dict[str, bytes] = {}
    for command in (
        ("status",),
        ("status", "--json"),
        ("check",),
        ("check", "--expand"),
        ("env", "web"),
        ("env", "web", "--explain", "CANARY_TOKEN"),
        ("env", "web", "--explain", "SITE"),
        ("scale", "web=2"),
        ("list",),
    ):
        told[" ".join(command)] = app.ok(*command).encode()
    app.write(".env", f"CANARY_TOKEN={_CANARY}-new\n")
    told["reload --plan"] = app.ok("reload", "--plan").encode()
    told["reload"] = app.ok("reload").encode()
    app.write(".env", f"CANARY_TOKEN='{_CANARY} is never closed\n{_CANARY} $$ nonsense = {_CANARY}\n")
    for command in ("check", "reload", "env"):
        broken = app.run(command)
        assert broken.returncode == 2
        told[f"{command} with a broken file"] = (broken.stdout + broken.stderr).encode()
    told["argv"] = _argv_of_family(supervisor.pid)
    supervisor.stop()
    told["output"] = supervisor.output
    state = [path for path in Path(os.environ["PROCSUP_STATE_DIR"]).rglob("*") if path.is_file()]
    assert state
    told |= {str(path): path.read_bytes() for path in state}
    assert _places_of_the_canary(told) == []
    record_property("places searched for a secret", f"{len(told)}: commands, errors, output, state files, argv")


# The end of any instance finds a bug, right where the environment of all of them is at hand.
_WITH_A_BUG = """\
import sys
from procsup.runtime import daemon
def fail(*arguments):
    raise RuntimeError("a bug")
daemon.Daemon._handle = fail
from procsup.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("debug", ["", "1"], ids=["for people", "with all details"])
def test_f50_a_crash_of_procsup_itself_tells_no_secret(
    app: App, monkeypatch: pytest.MonkeyPatch, debug: str, record_property: Record
) -> None:
    monkeypatch.setattr(terminal, "COMMAND", (sys.executable, "-c", _WITH_A_BUG))
    app.environment |= {"PROCSUP_DEBUG": debug}
    app.write(".env", f"CANARY_TOKEN={_CANARY}\n")
    app.write("Procfile", "web: sh -c 'exit 3' $CANARY_TOKEN\n")
    supervisor = app.start()
    assert supervisor.end() == 1
    assert "RuntimeError: a bug" in supervisor.text
    assert ("Traceback" in supervisor.text) == bool(debug)
    assert _CANARY not in supervisor.text
    record_property("a secret in a crash text", "not there")
