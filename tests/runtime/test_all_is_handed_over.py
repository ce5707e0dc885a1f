"""Whoever gives a part of the supervisor something to remember decides here what becomes of it in an upgrade."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import procsup

_PACKAGE = Path(procsup.__file__).parent

# Class by class: what is handed over (or follows from that), and what is made anew by the one who takes over.
_REMEMBERED = {
    "output/console.py:Console": (
        "_unfinished _format _writer style",
        "_aside _clock _foot _moment _on_notice _own on_drained",
    ),
    "output/writer.py:Writer": (
        "_failure _lost _queue waiting_bytes full",
        "_blocked _empty _loop _may_break _name _on_broken _on_drained _on_trouble _retry _sink _unwatch",
    ),
    "output/pump.py:Stream": ("cooked fd patient source speakers watch", "paused"),
    "output/pump.py:Pump": ("_streams", "_audiences _console _loop _paused _quiet _silence _taps"),
    "output/pump.py:PlainLines": ("_held", ""),
    "output/speaker.py:Speaker": ("_held _sanitizer _source", "_audience _deaf _heard _loop _silence _timer"),
    "output/sanitize.py:Sanitizer": ("_at_start _c2 _held _return coloured", ""),
    "output/source.py:Source": ("coloured cut name pid stream type", ""),
    "output/history.py:_Ring": ("dropped entries said size torn", ""),
    "output/history.py:History": ("_number _rings _size", "_clock _closed _limit _total _waiting"),
    "output/weave.py:Unfinished": ("_held", ""),
    "output/weave.py:Weave": ("_open _rests _unfinished _waiting _waiting_bytes", ""),
    "output/files.py:_Log": ("failure file waiting waiting_bytes weave", ""),
    "output/files.py:LogFiles": (
        "_failing _logs _lost",
        "_folder _held _highest _loop _open _patience _retry _tell",
    ),
    "output/log_file.py:LogFile": ("_at_line_start _written path", "_fd _keep _limit"),
    "output/journal.py:JournalFormat": ("held", "_app _fields"),
    "output/syslog.py:Syslog": (
        "_bytes _failure _link _lost _queue _sent _unfinished _unsure",
        "_address _burst _clock _connecting _counted _empty _full _hasty _loop _messages _pause _since _tell",
    ),
    "runtime/daemon.py:Daemon": (
        "_lost _processes announced confinement console keeper launcher policy project readiness supervisor upgrades "
        "others",
        "_alarm _alarm_at _awaited _inbox _loop _overview _working finished tally troubles_elsewhere",
    ),
    "runtime/processes.py:Processes": (
        "_adoption _leaders _names _remains _sent terminals",
        "_census _cgroups _cookie _explain _just_ended _loop _met _pipes _portable _report _watch others",
    ),
    "runtime/trees/remains.py:Remains": (
        "_group _killing",
        "_census _cgroup _chase _cookie _doubts _empty_looks _held _loop _on_gone _pause _portable _rounds _suspended "
        "_timer",
    ),
    "runtime/trees/adoption.py:Adoption": ("_escaped", "_children _known _loop _reaping _timer buried works"),
    "runtime/readiness.py:Readiness": (
        "_lines _missing _says",
        "_cookie _loop _notify _patterns _post _prober _settings _supervisor _tasks",
    ),
    "runtime/limits/confinement.py:Confinement": ("_before _told by_type hard reasons restarts", "_cgroups"),
    "runtime/limits/cgroups.py:Cgroups": ("folder", "prepare"),
    "runtime/launch.py:Launcher": ("_cookie _spawner _state _tty _window notify sockets", ""),
    "runtime/child.py:Spawner": ("_inherited_limit _stdin _stdin_writer", "_low _own_limit _spawn"),
    "runtime/sockets.py:Sockets": ("_addresses _opened", ""),
    "runtime/notify_socket.py:NotifySockets": ("_cookie _opened", "_loop"),
    "runtime/keeper.py:FormationKeeper": ("folder formation trouble", "_newest _retry _tell _writing"),
    "runtime/terminals.py:Terminal": ("_past said", "_loop _master _watchers ended listener"),
    "runtime/terminals.py:Terminals": ("_by_name", "_loop on_new"),
    "runtime/rundir.py:RootLock": ("_descriptor _folder _root _root_descriptor", "left_over"),
    "runtime/guardian.py:Guardian": ("pid pipe", ""),
    "runtime/signals.py:SignalDesk": (
        "_terminal",
        "_asked _daemon _handled _loop _once_more _reload _reloading _reopen _upgrader _upgrading",
    ),
    "control/server.py:ControlServer": (
        "_complained _connections _listener path",
        "_commands _handler _loop _may_go_on _poll _report _reserve _resume _watch",
    ),
    "control/connection.py:Connection": (
        "client peer request streaming unread unsent",
        "_loop _may_go_on _serve last_moved working",
    ),
    "config/reader.py:ProjectReader": ("cwd environ options stdin", ""),
}


@pytest.mark.parametrize("where", _REMEMBERED)
def test_what_is_remembered_is_handed_over_or_made_anew(where: str) -> None:
    path, name = where.split(":")
    [found] = [
        node
        for node in ast.walk(ast.parse((_PACKAGE / path).read_text()))
        if isinstance(node, ast.ClassDef) and node.name == name
    ]
    remembered = {
        node.attr
        for node in ast.walk(found)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    kept, anew = (set(each.split()) for each in _REMEMBERED[where])
    assert not kept & anew
    assert remembered == kept | anew
