"""In a real journal: an entry for each line, with its fields; none twice, and none lost while the journal restarts."""

from __future__ import annotations

import json
from typing import Any

from tests.boot.app import App
from tests.boot.machine import Machine

_PROCFILE = "web: sh say.sh\n"
_SAY = r"""printf 'hello\n\ngr\303\274\303\237e\n\377\n\033[31mred\033[0m\n'
echo oh >&2
head -c 50000 /dev/zero | tr '\0' x
printf '\nlast words'
exec sleep 64400
"""
_COUNT = r"""echo ready
n=0
while ! test -e stop; do
    echo line $n
    echo err $n >&2
    n=$((n+1))
    sleep 0.001
done
echo $n lines
exec sleep 64401
"""
_COLOURFUL = "Environment=FORCE_COLOR=1"
_UNLIMITED = "LogRateLimitIntervalSec=0"  # else the journal itself drops lines of one that says many


def _entries(app: App, *match: str) -> list[dict[str, Any]]:
    said = app.machine.ok("journalctl", "--unit", app.unit, "--output=json", "--all", "--no-pager", *match)
    return [json.loads(line) for line in said.splitlines()]


def _text(entry: dict[str, Any]) -> bytes:
    message = entry["MESSAGE"]
    return bytes(message) if isinstance(message, list) else message.encode()  # what is no text comes as numbers


def _said(app: App, *match: str) -> list[bytes]:
    return [_text(entry) for entry in _entries(app, *match)]


def test_each_line_is_an_entry_that_is_found_by_its_instance(machine: Machine) -> None:
    app = App(machine, _PROCFILE, _COLOURFUL, name="shop")
    machine.write(f"{app.folder}/say.sh", _SAY)
    machine.boot()
    app.until_running("web.1")
    app.until(lambda: len(_said(app, "PROCSUP_INSTANCE=web.1")) >= 7)
    app.procsup("stop", "web")
    app.until(lambda: b"last words" in _said(app, "PROCSUP_INSTANCE=web.1"))
    entries = _entries(app, "PROCSUP_TYPE=web", "PROCSUP_INSTANCE=web.1")
    texts = [_text(entry) for entry in entries]
    lines = [b"hello", b"", "grüße".encode(), b"\xff", b"\x1b[31mred\x1b[0m", b"oh", b"x" * 50_000, b"last words"]
    assert sorted(texts) == sorted(lines)
    hello, oh = entries[texts.index(b"hello")], entries[texts.index(b"oh")]
    assert (hello["PRIORITY"], hello["PROCSUP_STREAM"]) == ("6", "stdout")
    assert (oh["PRIORITY"], oh["PROCSUP_STREAM"]) == ("4", "stderr")
    assert hello["SYSLOG_IDENTIFIER"] == "shop/web.1"
    assert (hello["_TRANSPORT"], hello["_SYSTEMD_UNIT"]) == ("journal", "shop.service")
    own = _entries(app, "SYSLOG_IDENTIFIER=shop/procsup")
    assert f"web.1 started, pid {hello['OBJECT_PID']}".encode() in map(_text, own)
    assert {entry["PRIORITY"] for entry in own} == {"5"}
    # None is there a second time, as a line of the stream that standard output is.
    assert [entry for entry in _entries(app) if entry["_TRANSPORT"] == "stdout" and entry["_COMM"] != "systemd"] == []
    machine.power_off()


def test_no_line_is_lost_while_the_journal_restarts(machine: Machine) -> None:
    app = App(machine, _PROCFILE, _UNLIMITED)
    machine.write(f"{app.folder}/say.sh", _COUNT)
    machine.boot()
    app.until(lambda: b"ready" in _said(app, "PROCSUP_INSTANCE=web.1"))
    pids = app.main_pid(), app.instances()["web.1"]["pid"]
    for _ in range(2):
        before = len(_said(app))
        machine.ok("systemctl", "restart", "systemd-journald")
        app.until(lambda before=before: len(_said(app)) > before)
    machine.write(f"{app.folder}/stop", "")
    app.until(lambda: any(text.endswith(b" lines") for text in _said(app)))
    number = int(_said(app, "PROCSUP_STREAM=stdout")[-1].split()[0])
    app.until(lambda: len(_said(app, "PROCSUP_STREAM=stderr")) >= number)  # another pipe: its last may come later
    assert _said(app, "PROCSUP_STREAM=stdout")[1:-1] == [b"line %d" % each for each in range(number)]
    assert _said(app, "PROCSUP_STREAM=stderr") == [b"err %d" % each for each in range(number)]
    assert (app.main_pid(), app.instances()["web.1"]["pid"]) == pids
    machine.power_off()


def test_where_its_socket_is_hidden_the_stream_takes_lines_with_their_priorities(machine: Machine) -> None:
    app = App(machine, _PROCFILE, _COLOURFUL, "InaccessiblePaths=/run/systemd/journal/socket")
    machine.write(f"{app.folder}/say.sh", "echo hello; echo oh >&2; exec sleep 64402\n")
    machine.boot()
    app.until(lambda: {b"web.1   | hello", b"web.1   | oh"} <= set(_said(app)))
    said = {_text(entry): entry for entry in _entries(app, "_TRANSPORT=stdout")}
    priorities = {text: said[text]["PRIORITY"] for text in (b"web.1   | hello", b"web.1   | oh")}
    assert priorities == {b"web.1   | hello": "6", b"web.1   | oh": "4"}
    assert {entry["PRIORITY"] for text, entry in said.items() if text.startswith(b"procsup |")} == {"5"}
    assert all(text.startswith((b"web.1   | ", b"procsup | ")) for text in said)
    machine.power_off()
