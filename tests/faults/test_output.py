"""Children that say too much, too fast, or what is no text: all of it arrives, and under the right name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.app import COMMAND, PATIENCE, App
from tests.e2e.screen import Screen
from tests.faults.reader import Ledger, Reader
from tests.faults.watching import NOISE, within

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks into /proc")

Record = Callable[[str, object], None]
PYTHON = f"{sys.executable} -IS"
MIB = 1024 * 1024


@pytest.mark.parametrize("before_the_end", ["", "if os.fork() == 0: time.sleep(1000)\n"], ids=["alone", "pipe held"])
def test_f11_a_burst_before_the_end_arrives_whole_and_in_order(app: App, before_the_end: str) -> None:
    burst = b"".join(b"line %d\n" % number for number in range(20_000)) + b"last words"
    app.write(
        "job.py",
        "import os, time\nb = b''.join(b'line %d\\n' % n for n in range(20_000)) + b'last words'\n"
        f"while b: b = b[os.write(1, b):]\n{before_the_end}os._exit(0)\n",
    )
    app.write("Procfile", f"job: {PYTHON} job.py\n")
    supervisor = app.start("--restart", "never", "--no-timestamps", "-m", "job=3")
    assert supervisor.end() == 0
    ledger = Ledger()
    ledger.take(supervisor.output)
    for name in ("job.1", "job.2", "job.3"):
        assert ledger.kept[name] == burst + b"\n"
        said, ended = (supervisor.text.index(each) for each in (f"{name}   | last words", f"{name} ended: exit 0"))
        assert said < ended


# Says when it said each line, by a clock that is the same for every process.
_CLOCK = "import time\nfor n in range(100_000):\n    print(n, time.monotonic_ns(), flush=True); time.sleep(0.01)\n"


def _numbers(lines: bytes) -> list[int]:
    return [int(line.split()[0]) for line in lines.splitlines()]


def _memory(pid: int, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def test_f12_a_gigabyte_without_a_newline_passes_in_bounded_memory(app: App, record_property: Record) -> None:
    block = hashlib.shake_128(b"any bytes").digest(65536).replace(b"\n", b"x")
    app.write("block", "").write_bytes(block)
    blocks = 1024 * MIB // len(block)
    app.write(
        "huge.py",
        "import os, time\nblock = open('block', 'rb').read()\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
        f"for _ in range({blocks}):\n    b = block\n    while b: b = b[os.write(1, b):]\ntime.sleep(1000)\n",
    )
    app.write("clock.py", _CLOCK)
    app.write("Procfile", f"huge: {PYTHON} huge.py\nclock: {PYTHON} clock.py\n")
    size, checksum = 0, 0

    def count(text: bytes) -> None:
        nonlocal size, checksum
        text = text.removesuffix(b"\n")  # which is procsup's own: it ends the part before another's line
        size += len(text)
        checksum = zlib.crc32(text, checksum)

    ledger = Ledger(huge=count)
    with closing(Reader(app, "--no-timestamps")) as reader:
        chunks = reader.chunks()
        while ledger.kept["clock.1"].count(b"\n") < 3:
            ledger.take(next(chunks))
        before = _memory(reader.process.pid, "VmRSS")
        app.write("go", "")
        begun = time.monotonic()
        while size <= blocks * len(block) - 4:  # the last may be the beginning of a character, and be waited with
            ledger.take(next(chunks))
        took = time.monotonic() - begun
        growth = _memory(reader.process.pid, "VmHWM") - before
        reader.process.terminate()
        for chunk in chunks:
            ledger.take(chunk)
        assert reader.process.wait(PATIENCE) == 0
    expected = 0
    for _ in range(blocks):
        expected = zlib.crc32(block, expected)
    assert (size, checksum) == (blocks * len(block), expected)
    told = _numbers(ledger.kept["clock.1"])
    assert told == list(range(len(told)))
    record_property("memory grew by", f"{growth / MIB:.1f} MiB")
    record_property("passed at", f"{size / MIB / took:.0f} MiB/s")
    assert growth <= 32 * MIB


# Every byte there is, lines that are no UTF-8, blank ones, and characters that are cut by the edge of a write.
_BYTES = """\
import os, random
random.seed(7)
everything = bytes(range(256)).replace(b"\\n", b"") + b"\\n"
euros = "\\u20ac\\U0001f600\\u00e9".encode() * 40_000 + b"\\n"
noise = random.randbytes(300_000).replace(b"\\n", b"")
lines = b"\\xff\\x00\\xfe\\n\\n" * 200
said = everything + euros + noise + b"\\n" + lines
if __name__ == "__main__":
    at = 0
    while at < len(said):
        at += os.write(1, said[at : at + random.choice((1, 2, 3, 4095, 65535, 65536))])
"""


@pytest.fixture
def said(app: App) -> bytes:
    """What each of the two will have said."""
    app.write("job.py", _BYTES)
    app.write("Procfile", f"a: {PYTHON} job.py\nb: {PYTHON} job.py\n")
    names: dict[str, Any] = {"__name__": "job"}
    exec(_BYTES, names)  # noqa: S102
    said: bytes = names["said"]
    return said


@pytest.mark.parametrize("into", ["file", "pipe"])
def test_f13_bytes_that_are_no_text_arrive_as_they_are(app: App, said: bytes, into: str) -> None:
    ledger = Ledger()
    arguments = ("--restart", "never", "--no-timestamps")
    if into == "pipe":
        supervisor = app.start(*arguments)
        assert supervisor.end() == 0
        ledger.take(supervisor.output)
    else:
        with open(app.folder / "log", "wb") as file:
            command = [*COMMAND, "start", *arguments]
            done = subprocess.run(command, cwd=app.folder, env=app.environment, stdout=file, timeout=PATIENCE)
        assert done.returncode == 0
        ledger.take((app.folder / "log").read_bytes())
    for name in ("a.1", "b.1"):
        assert _joined(ledger.kept[name], said) == said
    assert b"a.1 ended: exit 0" in ledger.kept["procsup"]


def _joined(heard: bytes, said: bytes) -> bytes:
    """A long line is cut where another's comes between: the same bytes, but with newlines that nobody said."""
    if heard == said:
        return heard
    assert heard.replace(b"\n", b"") == said.replace(b"\n", b"")
    rest = iter(heard.split(b"\n"))
    for line in said.split(b"\n"):
        whole = next(rest)
        while whole != line:
            assert line.startswith(whole), f"{whole[:80]!r}… is no part of {line[:80]!r}…"
            whole += next(rest)
    assert next(rest, None) is None
    return said


def test_f13_bytes_that_are_no_text_make_objects_that_every_parser_takes(app: App, said: bytes) -> None:
    supervisor = app.start("--restart", "never", "--format", "json")
    assert supervisor.end() == 0
    objects = [json.loads(line.decode()) for line in supervisor.output.splitlines()]
    for name in ("a.1", "b.1"):
        lines = [""]
        for each in (each for each in objects if each["instance"] == name):
            lines[-1] += each["text"]
            if "partial" not in each:
                lines.append("")
        # The noise is the one line whose parts cannot be decoded apart from each other: how many characters stand for
        # what is none depends on where it is cut.
        wanted = said.decode(errors="replace").split("\n")
        noise = max(range(len(wanted)), key=lambda at: wanted[at].count("\ufffd"))
        assert [*lines[:noise], *lines[noise + 1 :]] == [*wanted[:noise], *wanted[noise + 1 :]]


def test_f13_a_character_whose_second_half_comes_late_is_not_torn(app: App) -> None:
    app.write(
        "job.py",
        "import os, time\nos.write(1, b'price \\xe2\\x82')\nwhile not os.path.exists('go'): time.sleep(0.01)\n"
        "os.write(1, b'\\xac, all of it\\n')\ntime.sleep(1000)\n",
    )
    app.write("Procfile", f"job: {PYTHON} job.py\n")
    for look in ("text", "json"):
        supervisor = app.start("--no-timestamps", "--format", look)
        supervisor.wait_for("price ")
        assert "\ufffd" not in supervisor.text
        app.write("go", "").touch()
        supervisor.wait_for("all of it")
        assert supervisor.stop() == 0
        (app.folder / "go").unlink()
        assert "price €, all of it\n" in supervisor.text or '"text": "€, all of it"}' in supervisor.text


_CONTROLS = (
    rb"\033[2J\033[1;1H\033]0;title\007\033]8;;http://x\033\134\033[?1049h\033c\033(0\a\b"
    rb"\033[31mred\033[0m 10%%\r20%% [/red] [bold]plain\n"
).decode()
_SGR = re.compile(r"\x1b\[[\d;:]*m")


@pytest.mark.parametrize("arguments", [(), ("--raw",)])
def test_f14_only_colours_of_a_child_reach_a_terminal(app: App, arguments: tuple[str, ...]) -> None:
    app.write("Procfile", f"web: sh -c 'printf \"{_CONTROLS}\"; exec sleep 1000'\n")
    with closing(Screen(app, *COMMAND, "start", "--color", "never", *arguments)) as terminal:
        terminal.wait_for("bold.plain\r\n")
    assert "\x1b[31mred\x1b[0m 10%" in terminal.text
    assert "[/red] [bold]plain" in terminal.text
    if arguments:
        assert all(each in terminal.text for each in ("\x1b[2J", "\x1b]0;title\a", "\x1bc", "%\r20%"))
        return
    shown = _SGR.sub("", terminal.text.replace("\r\n", "\n"))
    assert not re.search(r"[^\n\x20-\x7e]", shown), repr(shown)
    assert all(re.match(r"\d\d:\d\d:\d\d (web\.1  |procsup) \| ", line) for line in shown.splitlines()), repr(shown)
    assert [line.partition("| ")[2] for line in shown.splitlines() if "web.1  " in line] == [
        "red 10%",
        "20% [/red] [bold]plain",
    ]


# A hundred bytes a line, 64 KiB at a time; it sleeps whenever it is ahead of its rate.
_LOUD = """\
import os, time
block = (b"x" * 99 + b"\\n") * 655
begun, sent = time.monotonic(), 0
while True:
    sent += os.write(1, block)
    ahead = sent / 100e6 - (time.monotonic() - begun)
    if ahead > 0:
        time.sleep(ahead)
"""


def test_f42_a_quiet_childs_lines_come_at_once_beside_one_that_writes_100_megabytes_a_second(
    app: App, record_property: Record
) -> None:
    app.write("loud.py", _LOUD)
    app.write("clock.py", _CLOCK)
    app.write("Procfile", f"loud: {PYTHON} loud.py\nclock: {PYTHON} clock.py\n")
    quiet = re.compile(rb"^clock\.1 +\| (\d+) (\d+)\n", re.MULTILINE)
    loud, delays, rest = 0, [], b""
    with closing(Reader(app, "--no-timestamps")) as reader, within(20 + NOISE):
        for chunk in reader.chunks():
            now = time.monotonic_ns()
            if not loud:
                begun = now
            loud += len(chunk)
            data = rest + chunk
            rest = data[data.rfind(b"\n") + 1 :]
            delays += [(int(number), (now - int(written)) / 1e6) for number, written in quiet.findall(data)]
            if len(delays) >= 200:
                break
        rate = loud / (now - begun) * 1e3
        reader.process.terminate()
        assert sum(map(len, reader.chunks())) > 0
        assert reader.process.wait(PATIENCE) == 0
    assert [number for number, _ in delays] == list(range(len(delays)))
    late = sorted(delay for _, delay in delays)
    p99 = statistics.quantiles(late, n=100)[98]
    record_property("beside", f"{rate:.0f} MB/s, prefixes included")
    record_property("half of the lines within", f"{statistics.median(late):.2f} ms")
    record_property("99 of 100 within", f"{p99:.2f} ms")
    assert p99 <= 500, late[-5:]
