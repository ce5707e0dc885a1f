"""Compose: a service for each process type, and one for each copy where the copies have numbers: Compose gives none."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procsup.export import container
from procsup.export.model import PRIVATE, PUBLIC, App, Export, File, Type
from procsup.export.stopping import ending_signal, other_signals_unsaid, signal_name
from procsup.export.unsaid import unsaid
from procsup.export.yaml_text import to_yaml

_CANNOT = {
    "max_restarts": "which counts failures only, for on-failure",
    "live": "it starts nothing again that does not answer",
    "ready": "it can ask a page only",
}
_TRIES = 3
_TIMEOUT = 5  # seconds for an answer, as with procsup
_BY_REQUEST = "by-request"  # the profile of those that `up` alone does not start
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=-]+\Z")


def write(app: App) -> Export:
    services: dict[str, object] = {}
    private = any(of.command.secret for of in app.types)
    files: dict[str, File] = {}
    for of in app.types:
        inside = container.contents(app, of)
        quoted = {name: _quoted(value) for name, value in inside.secret.items()}
        lines = [f"{name}={value}\n" for name, value in quoted.items() if value is not None]
        unquotable = {name: inside.secret[name] for name, value in quoted.items() if value is None}
        private = private or bool(unquotable)
        if lines:
            files[f"{of.name}.env"] = File("".join(lines).encode(), PRIVATE)
        variables = {**inside.plain, **unquotable}
        for name, unique_int, more in _copies(of):
            services[name] = _service(app, of, name, unique_int, {**variables, **more}, with_file=bool(lines))
    volumes: dict[str, object] = {_volume(of, each.name): {} for of in app.types for each in of.mounts}
    document = {"services": services, **({"volumes": volumes} if volumes else {})}
    files["compose.yaml"] = File(to_yaml([document]).encode(), PRIVATE if private else PUBLIC)
    told = (*container.sentences(app, "compose"), *unsaid(app, "compose", _CANNOT, _says), *_sentences(app))
    # By its name, as Compose would take other files in the folder with it, or in its place.
    compose = f"{_compose(app)} --file {{}}/compose.yaml up"
    started = all(of.release or not of.count for of in app.types)
    by_request = f"{compose} SERVICE, which starts one: by itself none does" if started else ""
    return Export(files, told, by_request or f"{compose} --detach")


def _compose(app: App) -> str:
    """A name inside the file is something that the older Compose refuses."""
    return f"docker compose --project-name {app.slug}"


def _copies(of: Type) -> Iterator[tuple[str, int, dict[str, str]]]:
    """Each service's name, the number in its command, and its own variables."""
    if not container.counts(of):
        yield of.name, of.first.unique_int, {"PS": of.name}
        return
    for each in of.instances or (of.first,):
        yield f"{of.name}.{each.number}", each.unique_int, {**each.env, "PORT": str(of.port)}


def _service(
    app: App, of: Type, name: str, unique_int: int, variables: dict[str, str], with_file: bool
) -> dict[str, object]:
    """All of it is text in which Compose looks for variables, and so has its dollars doubled."""
    by_request = of.release or not of.count
    service: dict[str, object] = {
        "image": _unexpanded(container.image_of(app)),
        # The image's own entry point would come before the command.
        "entrypoint": [_unexpanded(each) for each in container.argv(of, unique_int)],
        "init": True,
        "environment": {key: _unexpanded(value) for key, value in variables.items()},
    }
    if with_file:
        service["env_file"] = [f"./{of.name}.env"]
    if (folder := container.folder_elsewhere(of)) is not None:
        service["working_dir"] = _unexpanded(folder)
    if of.user is not None:
        service["user"] = _unexpanded(of.user)
    service |= {
        "restart": _restart(of),
        "stop_signal": f"SIG{signal_name(ending_signal(of))}",
        "stop_grace_period": container.duration(of.grace),
    }
    if by_request:
        service["profiles"] = [_BY_REQUEST]
    if not container.counts(of):
        service["deploy"] = {"replicas": of.count or 1}
    if of.limits.memory is not None:
        service["mem_limit"] = f"{of.limits.memory}b"
    if of.limits.cpu is not None:
        service["cpus"] = of.limits.cpu
    if container.serves(of):
        service["expose"] = [str(of.port)]
        if of.name == "web":
            service["ports"] = [f"127.0.0.1:{_range(of, name)}:{of.port}"]
    if (check := _page(of)) is not None:
        service["healthcheck"] = check
    if depends := _depends_on(app, of):
        service["depends_on"] = depends
    if of.mounts:
        service["volumes"] = [
            {"type": "volume", "source": _volume(of, each.name), "target": container.mount_point(each)}
            for each in of.mounts
        ]
    return service


def _depends_on(app: App, of: Type) -> dict[str, object]:
    """A service that nobody has asked for is started by who depends on it: procsup would not wait for it."""
    found: dict[str, object] = {}
    for other in (each for each in app.types if each.name in of.depends_on and each.count and not each.release):
        if other.one_shot:
            condition = "service_completed_successfully"
        else:
            condition = "service_healthy" if _page(other) is not None else "service_started"
        found |= {name: {"condition": condition} for name, _, _ in _copies(other)}
    return found


def _page(of: Type) -> dict[str, object] | None:
    """With whatever the image has to ask for a page; what it has not is no failure of the process."""
    check = of.ready if of.ready is not None and of.ready.kind == "http" else of.live
    if check is None:
        return None
    url = _word(f"http://127.0.0.1:{of.port}{check.what}")
    test = (
        f"if command -v curl >/dev/null; then curl -fsS -o /dev/null {url}; "
        f"elif command -v wget >/dev/null; then wget -q -O /dev/null {url}; fi"
    )
    return {
        "test": ["CMD-SHELL", _unexpanded(test)],
        "interval": container.duration(of.live_interval),
        "timeout": container.duration(_TIMEOUT),
        "retries": _TRIES,
        "start_period": container.duration(of.ready_timeout),
    }


def _says(of: Type, key: str) -> bool:
    """What it cannot say of every type, of this one."""
    if key == "ready":
        return of.ready is not None and of.ready.kind == "http"
    return key == "max_restarts" and of.restart != "always"


def _sentences(app: App) -> Iterator[str]:
    yield from other_signals_unsaid(app, "compose")
    compose = _compose(app)
    for of in app.types:
        if of.release:
            yield f"{of.name}: runs when you say so: {compose} run --rm {of.name}"
        elif not of.count:
            yield f"{of.name}: its count is 0: {compose} up {next(_copies(of))[0]} starts one"
        elif container.counts(of) and of.count > 1:
            yield f"{of.name}: has a service for each number, which Compose does not scale: export again with -m"


def _restart(of: Type) -> str:
    # For Docker 0 attempts are any number of them.
    if of.restart == "never" or (of.restart == "on-failure" and of.max_restarts == 0):
        return "no"
    if of.restart == "on-failure":
        return "on-failure" if of.max_restarts is None else f"on-failure:{of.max_restarts}"
    return "always"


def _range(of: Type, name: str) -> str:
    """The ports that the copies have on this machine as well."""
    if container.counts(of):
        return str(of.port + int(name.rpartition(".")[2]) - 1)
    return f"{of.port}-{of.port + of.count - 1}" if of.count > 1 else str(of.port)


def _volume(of: Type, mount: str) -> str:
    return f"{of.name}.{mount}"


def _word(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _unexpanded(text: str) -> str:
    return text.replace("$", "$$")


def _quoted(value: str) -> str | None:
    """As the readers of both Composes, the old and the new, take it for the same; None where they do not agree.

    The old one fills in ${NAME} even between single quotes, where the new one reads backslashes as they are; and it
    takes a backslash before the last quote for one that the quote belongs to.
    """
    if _BARE.match(value):
        return value
    if "${" not in value and not re.search(r"['\\\r]", value):
        return f"'{value}'"
    if "$" not in value and not value.endswith("\\"):
        for letter, escape in (("\\", "\\\\"), ('"', '\\"'), ("\r", "\\r")):
            value = value.replace(letter, escape)
        return f'"{value}"'
    return None
