"""Nomad: a job with a group for each process type, a batch job for each that ends by itself, and secret variables."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping

from procsup.export import container
from procsup.export.dns_names import dns_names
from procsup.export.hcl_text import Block, to_hcl
from procsup.export.model import PRIVATE, PUBLIC, App, Export, File, Type
from procsup.export.stopping import ending_signal, is_named, other_signals_unsaid, seconds, signal_name
from procsup.export.unsaid import unsaid

_CANNOT = {
    "depends_on": "all groups start at once, and again until what they need is there",
    "ready": "it asks a port or a page, and reads no output",
}
# In almost every text of a job, Nomad itself fills this in when a task starts, and there is no way to ask it not to.
_FILLED_IN = re.compile(r"\$\{[A-Za-z0-9_.-]+\}")
_INDEX = "$NOMAD_ALLOC_INDEX"
_MEGAHERTZ = 1000  # that a core is taken for
_LONGEST_GRACE = 30  # unless the client allows more
_TIMEOUT = "5s"
_TRIES = 3
# Each variable on a line of its own, as JSON: so no value is taken for anything else.
_TEMPLATE = '{{ with nomadVar "%s" }}{{ range .Tuples }}{{ .K }}={{ printf "%%s" .V | toJSON }}\n{{ end }}{{ end }}'


def write(app: App) -> Export:
    labels = dns_names(of.name for of in app.types)
    first = container.first_numbers(app)
    files: dict[str, File] = {}
    groups: list[Block] = []
    private = False
    for of in app.types:
        label = labels[of.name]
        job = f"{app.slug}-{label}" if _ends(of) else app.slug
        plain, hidden = _variables(app, of)
        path = f"nomad/jobs/{job}/{label}"
        if hidden:
            spec = {"Namespace": "default", "Path": path, "Items": hidden}
            text = json.dumps(spec, indent=2, ensure_ascii=False) + "\n"
            files[f"secrets/{label}.nv.json"] = File(text.encode(), PRIVATE)
        group = _group(app, of, label, first.get(of.name), plain, path if hidden else None)
        if _ends(of):
            mode = PRIVATE if of.command.secret else PUBLIC
            files[f"jobs/{label}.nomad.hcl"] = File(to_hcl(_job(job, "batch", [group])).encode(), mode)
        else:
            private = private or of.command.secret
            groups.append(group)
    if groups:
        text = to_hcl(_job(app.slug, "service", groups))
        files[f"{app.slug}.nomad.hcl"] = File(text.encode(), PRIVATE if private else PUBLIC)
    told = (*container.sentences(app, "nomad"), *unsaid(app, "nomad", _CANNOT, _says), *_sentences(app, labels))
    hidden_in = " ".join(f"{{}}/{path}" for path in files if path.startswith("secrets/"))
    put = f'for f in {hidden_in}; do nomad var put -force -in=json "@$f"; done; ' if hidden_in else ""
    return Export(files, told, put + _run(app, labels, with_service=bool(groups)))


def _run(app: App, labels: Mapping[str, str], with_service: bool) -> str:
    """`nomad job run` takes one file."""
    if with_service:
        return f"nomad job run {{}}/{app.slug}.nomad.hcl"
    files = " ".join(f"{{}}/jobs/{labels[of.name]}.nomad.hcl" for of in container.run_at_once(app))
    return f'for f in {files}; do nomad job run "$f"; done'


def _variables(app: App, of: Type) -> tuple[dict[str, str], dict[str, str]]:
    """Those that may stand in the job, and those that may not: for their secrets, or as Nomad would change them."""
    found = container.contents(app, of)
    changed = {name: value for name, value in found.plain.items() if _FILLED_IN.search(value)}
    plain = {name: value for name, value in found.plain.items() if name not in changed}
    return {**plain, "PS": "${NOMAD_ALLOC_NAME}"}, {**found.secret, **changed}


def _job(name: str, kind: str, groups: list[Block]) -> Block:
    return Block("job", (name,), {"type": kind}, groups)


def _group(
    app: App, of: Type, label: str, first: int | None, variables: Mapping[str, str], hidden: str | None
) -> Block:
    """`first`: the number of its first copy, where they have numbers; `hidden`: the path of its other variables."""
    blocks = [_restarting(of)]
    if of.restart == "never" or of.max_restarts is not None:
        blocks.append(Block("reschedule", (), {"attempts": 0, "unlimited": False}))
    if container.serves(of):
        blocks.append(Block("network", (), {}, [Block("port", ("main",), {"to": of.port})]))
        blocks.append(_service(app, of, label))
    blocks.append(_task(app, of, label, first, variables, hidden))
    return Block("group", (label,), {"count": 1 if of.release else of.count}, blocks)


def _task(app: App, of: Type, label: str, first: int | None, variables: Mapping[str, str], hidden: str | None) -> Block:
    if first is None:
        argv = container.apart_argv(of, _FILLED_IN, of.first.unique_int)
    else:
        argv = container.counted_argv(of, _INDEX, first, _FILLED_IN)
    config: dict[str, object] = {"image": container.image_of(app), "entrypoint": argv, "init": True}
    if (folder := container.folder_elsewhere(of)) is not None:
        config["work_dir"] = folder
    if container.serves(of):
        config["ports"] = ["main"]
    mounts = [
        Block("mount", (), {"type": "volume", "source": f"{app.slug}.{of.name}.{each.name}", "target": target})
        for each in of.mounts
        for target in (container.mount_point(each),)
    ]
    task: dict[str, object] = {"driver": "docker", "env": dict(variables)}
    if of.user is not None:
        task["user"] = of.user
    task |= {"kill_signal": _kill_signal(of), "kill_timeout": container.duration(of.grace)}
    blocks = [Block("config", (), config, mounts)]
    if hidden is not None:
        told = {"data": _TEMPLATE % hidden, "destination": "secrets/variables.env", "env": True}
        blocks.append(Block("template", (), told))
    if limits := _limits(of):
        blocks.append(Block("resources", (), limits))
    return Block("task", (label,), task, blocks)


def _kill_signal(of: Type) -> str:
    number = ending_signal(of)
    return f"SIG{signal_name(number)}" if is_named(number) else "SIGTERM"


def _restarting(of: Type) -> Block:
    if of.restart == "never":
        return Block("restart", (), {"attempts": 0, "mode": "fail"})
    attempts, mode = (10, "delay") if of.max_restarts is None else (of.max_restarts, "fail")
    how = {"attempts": attempts, "interval": container.duration(of.restart_window), "delay": "1s", "mode": mode}
    return Block("restart", (), how)


def _service(app: App, of: Type, label: str) -> Block:
    checks = []
    if (check := container.asked(of)) is not None:
        page = {"type": "http", "path": check.what} if check.kind == "http" else {"type": "tcp"}
        checks.append(Block("check", (), {"name": "ready", **page, "interval": "5s", "timeout": _TIMEOUT}))
    if of.live is not None:
        pause = {"interval": container.duration(max(1.0, of.live_interval)), "timeout": _TIMEOUT}
        again = Block("check_restart", (), {"limit": _TRIES, "grace": container.duration(of.ready_timeout)})
        checks.append(Block("check", (), {"name": "live", "type": "http", "path": of.live.what, **pause}, [again]))
    return Block("service", (), {"name": f"{app.slug}-{label}"[:63], "port": "main", "provider": "nomad"}, checks)


def _limits(of: Type) -> dict[str, object]:
    found: dict[str, object] = {}
    if of.limits.cpu is not None:
        found["cpu"] = max(1, round(of.limits.cpu * _MEGAHERTZ))
    if of.limits.memory is not None:
        found["memory"] = max(10, math.ceil(of.limits.memory / (1 << 20)))
    return found


def _ends(of: Type) -> bool:
    """What a service ends by itself is started again; only a batch job may end well."""
    return of.one_shot or of.restart != "always"


def _says(of: Type, key: str) -> bool:
    """What it cannot say of every type, of this one."""
    return key == "ready" and container.asked(of) is not None


def _sentences(app: App, labels: Mapping[str, str]) -> Iterator[str]:
    yield from other_signals_unsaid(app, "nomad")
    for of in app.types:
        label = labels[of.name]
        if label != of.name:
            yield f"{of.name} is called {label}, as services of nomad are"
        if not is_named(ending_signal(of)):
            yield f"{of.name}: stop = {signal_name(ending_signal(of))}: nomad has no name for it, and sends TERM"
        if _ends(of):
            yield f"{of.name}: a batch job of its own, which runs when you say so: nomad job run jobs/{label}.nomad.hcl"
        if of.limits.cpu is not None:
            yield f"{of.name}: nomad counts megahertz: {_MEGAHERTZ} are taken for each core"
        if of.grace > _LONGEST_GRACE:
            yield f"{of.name}: its {seconds(of.grace)} s want max_kill_timeout in the clients' configuration"
        if of.mounts:
            yield f"{of.name}: mounts are volumes of Docker, on the client where a copy happens to run"
