"""systemd: a target for the application, a template unit for each process type, and what differs by instance beside it.

Numbers come from a drop-in of each instance, since units cannot add: an instance that was not exported does not start,
rather than start with a PORT that is another's. Files are found from where the units lie (`%Y`), wherever that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from procsup.export import shell
from procsup.export import systemd_words as put
from procsup.export.model import PRIVATE, PUBLIC, App, Export, File, Instance, Socket, Type
from procsup.export.stopping import ending_signal, for_kill, seconds, signal_name
from procsup.export.systemd_words import Unsayable
from procsup.export.unsaid import unsaid

_CANNOT = {"live": "it does not look whether a process still answers"}
_BACKLOG = 2048
_UNITS = "/etc/systemd/system"
_INSTANCE = "instance.conf"


def write(app: App) -> Export:
    lost: list[str] = []
    sockets = _sockets(app)
    files = {f"{app.slug}.target": _file(_target(app, sockets))}
    files |= {f"{name}.socket": _file(_socket_unit(app, *found)) for name, found in sockets.items()}
    for of in app.types:
        unit = _unit(app, of)
        plain, secret = _variables(app, of, lost)
        command_mode = PRIVATE if of.command.secret else PUBLIC
        text = _service(app, of, plain, sockets, bool(secret), lost)
        files[f"{unit}@.service"] = _file(text, command_mode)
        if secret:
            files[f"{unit}.env"] = File(put.environment_file(secret).encode(), PRIVATE)
        for each in app.with_spare(of):
            files[f"{unit}@{each.number}.service.d/{_INSTANCE}"] = _file(_drop_in(of, each), command_mode)
    names = [f"{{}}/{name}" for name in files if "/" not in name]
    for of in app.types:
        names += shell.named(app, of, f"{_unit(app, of)}@", ".service.d")
    enable = f"systemctl daemon-reload && systemctl enable --now {app.slug}.target"
    return Export(
        files,
        (*unsaid(app, "systemd", _CANNOT), *_unseen(app), *lost),
        f"cp -r {{}}/. {_UNITS}/ && {enable}",
        f"cp -r {' '.join(names)} {_UNITS}/ && {enable}",
        {_UNITS: enable},
    )


def _file(text: str, mode: int = PUBLIC) -> File:
    return File(shell.encoded(text), mode)


def _unit(app: App, of: Type) -> str:
    return f"{app.slug}-{of.name}"


def _instances(app: App, of: Type) -> list[str]:
    return [f"{_unit(app, of)}@{each.number}.service" for each in of.instances]


def _target(app: App, sockets: Mapping[str, tuple[Socket, Type]]) -> str:
    wanted = [f"{name}.socket" for name in sockets] + [unit for of in app.types for unit in _instances(app, of)]
    lines = ["# written by procsup export systemd", "[Unit]", f"Description={put.sentence(app.name)}"]
    lines += [f"Wants={unit}" for unit in wanted]
    return "\n".join([*lines, "", "[Install]", "WantedBy=multi-user.target", ""])


def _service(
    app: App,
    of: Type,
    plain: Mapping[str, str],
    sockets: Mapping[str, tuple[Socket, Type]],
    with_secrets: bool,
    lost: list[str],
) -> str:
    unit = _unit(app, of)
    lines = [
        "# written by procsup export systemd",
        "[Unit]",
        f"Description={put.sentence(f'{of.name}.%i of {app.name}').replace('%%i', '%i', 1)}",
        f"PartOf={app.slug}.target",
        "After=network.target",
        # Without the numbers of its own it would share a PORT.
        f"AssertPathExists=%Y/{unit}@%i.service.d/{_INSTANCE}",
        *_order(app, of),
        *_start_limit(of),
        "",
        "[Service]",
        *_kind(of),
        *_place(app, of, lost),
        # Many a program fails for the lack of it; with another user it is among the variables.
        *([] if app.user_of(of) or "HOME" in of.env.all else ["Environment=HOME=%h"]),
        *(f"Environment={put.environment(name, value)}" for name, value in plain.items()),
        *(f"Environment={each.variable}=%S/{_mount(app, of, each.name)}" for each in of.mounts),
        *([f"EnvironmentFile=%Y/{unit}.env"] if with_secrets else []),
        *(f"StateDirectory={_mount(app, of, each.name)}" for each in of.mounts),
        *(["StateDirectoryMode=0700"] if of.mounts else []),
        *(f"Sockets={name}.socket" for name, (socket, _) in sockets.items() if of.count and socket == of.socket),
        *([] if of.command.numbered else [_exec_start(of, of.first)]),
        *_restart(of),
        *_stop(of),
        *_limits(of),
        f"SyslogIdentifier={unit}.%i",
        "",
    ]
    return "\n".join(lines)


def _drop_in(of: Type, instance: Instance) -> str:
    lines = ["# written by procsup export systemd", "[Service]"]
    lines += [f"Environment={put.environment(name, value)}" for name, value in sorted(instance.env.items())]
    if of.command.numbered:
        lines.append(_exec_start(of, instance))
    return "\n".join([*lines, ""])


def _exec_start(of: Type, instance: Instance) -> str:
    return f"ExecStart={put.exec_line([shell.SHELL, '-c', of.command.for_shell(instance.unique_int)])}"


def _variables(app: App, of: Type, lost: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Without those of an instance, and of mounts, whose folders systemd makes."""
    path = {"PATH": app.path} if app.path is not None else {}
    plain: dict[str, str] = {}
    secret: dict[str, str] = {}
    for name, value in {**path, **of.login, **of.env.all, **app.type_ports}.items():
        try:
            put.environment(name, value)
        except Unsayable as error:
            lost.append(f"{of.name}: the variable {name!a} is left out: it {str(error).removeprefix(f'{name!r} ')}")
            continue
        (secret if name in of.env.secret else plain)[name] = value
    return dict(sorted(plain.items())), dict(sorted(secret.items()))


def _order(app: App, of: Type) -> Iterator[str]:
    for other in app.types:
        if other.name in of.depends_on:
            for unit in _instances(app, other):
                yield f"Wants={unit}"
                yield f"After={unit}"


def _start_limit(of: Type) -> list[str]:
    if of.max_restarts is None:
        return ["StartLimitIntervalSec=0"]
    return [f"StartLimitIntervalSec={seconds(of.restart_window)}", f"StartLimitBurst={of.max_restarts + 1}"]


def _kind(of: Type) -> list[str]:
    if of.ready is not None and of.ready.kind == "notify":
        return ["Type=notify", "NotifyAccess=all", f"TimeoutStartSec={seconds(of.ready_timeout)}"]
    if of.one_shot or of.release:
        return ["Type=oneshot", "RemainAfterExit=yes"]
    return ["Type=exec"]


def _place(app: App, of: Type, lost: list[str]) -> Iterator[str]:
    try:
        yield f"WorkingDirectory={put.path(of.cwd)}"
    except Unsayable as error:
        lost.append(f"{of.name}: its folder {of.cwd!a} is left out, and it starts in /: it {error}")
    if user := app.user_of(of):
        yield f"User={user.replace('%', '%%')}"


def _mount(app: App, of: Type, name: str) -> str:
    return f"{app.slug}/{of.name}/{name}"


def _restart(of: Type) -> list[str]:
    if of.restart == "never":
        return ["Restart=no"]
    lines = ["RestartSec=1"]
    if of.restart == "always" and not of.one_shot:
        return ["Restart=always", *lines]
    # For systemd these would be clean ends; and it has no say in that where one is waited for.
    forced = [] if of.one_shot else ["RestartForceExitStatus=SIGHUP SIGINT SIGTERM SIGPIPE"]
    return ["Restart=on-failure", *lines, *forced]


def _stop(of: Type) -> list[str]:
    """All but the last signal by commands, since systemd itself sends one; each ends early when nothing is left."""
    lines = []
    for each in of.stop[:-1]:
        tenths = round((each.wait or 0) * 10)
        script = (
            f'kill -s {for_kill(each.signal)} -- "-$MAINPID"; kill -s CONT -- "-$MAINPID"; n={tenths}; '
            'while [ $n -gt 0 ] && kill -s 0 -- "-$MAINPID"; do sleep 0.1; n=$((n-1)); done; exit 0'
        )
        # The shell has the variable from its environment; systemd shall not put it in.
        lines.append(f"ExecStop=-{put.exec_line([shell.SHELL, '-c', script])}")
    longest = max((each.wait or 0 for each in of.stop[:-1]), default=0)
    grace = of.stop[-1].wait or 0 if of.stop else 0
    return [
        *lines,
        f"KillSignal=SIG{signal_name(ending_signal(of))}",
        # It is the bound of each ExecStop, too.
        f"TimeoutStopSec={seconds(max(grace, longest + 1 if lines else 0, 0.1))}",
    ]


def _limits(of: Type) -> Iterator[str]:
    if of.limits.memory is not None:
        yield f"MemoryMax={of.limits.memory}"
        yield "MemorySwapMax=0"
    if of.limits.cpu is not None:
        yield f"CPUQuota={round(of.limits.cpu * 100, 2):g}%"


def _sockets(app: App) -> dict[str, tuple[Socket, Type]]:
    """By the unit's name, which is that of the first type with this address."""
    found: dict[str, tuple[Socket, Type]] = {}
    for of in app.types:
        if of.socket is not None and of.count and of.socket not in (socket for socket, _ in found.values()):
            found[_unit(app, of)] = of.socket, of
    return found


def _socket_unit(app: App, socket: Socket, of: Type) -> str:
    host = f"[{socket.host}]" if ":" in socket.host else socket.host
    address = put.path(socket.path) if socket.path else f"{host}:{socket.port}"
    lines = [
        "# written by procsup export systemd",
        "[Unit]",
        f"Description={put.sentence(f'socket of {of.name} of {app.name}')}",
        f"PartOf={app.slug}.target",
        "",
        "[Socket]",
        f"ListenStream={address}",
        f"Backlog={_BACKLOG}",
        f"FileDescriptorName={of.name}",
        f"Service={_unit(app, of)}@{of.first.number}.service",
        *(["SocketMode=0700", "RemoveOnStop=yes"] if socket.path else ["DeferAcceptSec=1"]),
        *([f"SocketUser={app.owner}"] if socket.path and app.owner else []),
        "",
    ]
    return "\n".join(lines)


def _unseen(app: App) -> Iterator[str]:
    """What systemd says in another way, so that a person should know."""
    for of in app.types:
        if of.ready is not None and of.ready.kind != "notify":
            yield f'{of.name}: ready = {of.ready} is left out: systemd learns it from sd_notify only (ready = "notify")'
        for each in of.mounts:
            yield (
                f"{of.name}: its mount {each.name} begins empty, in /var/lib/{_mount(app, of, each.name)}; "
                f"procsup's is {each.path}"
            )
