"""The pod of a process type for Kubernetes: its container, with what it is asked, given and told at its end."""

from __future__ import annotations

import math
import signal

from procsup.config.settings import Check, Step
from procsup.export import container
from procsup.export.dns_names import dns_names
from procsup.export.model import App, Type
from procsup.export.stopping import for_kill, seconds

_POD = "PROCSUP_POD"
_POD_INDEX = f"${{{_POD}##*-}}"  # a StatefulSet's pods are called web-0, web-1 …
_JOB_INDEX = "$JOB_COMPLETION_INDEX"
_TRIES = 3
_TIMEOUT = 5  # seconds for an answer, as with procsup
_OFTEN_ENOUGH = 5
_ANY_NUMBER = 1_000_000
_GROUP = 1000  # whoever the image's user is: the volumes are this group's, and he is in it


def pod(app: App, of: Type, label: str, first: int | None, job: bool = False) -> dict[str, object]:
    """`first`: the number of its first copy, where they have numbers."""
    inside: dict[str, object] = {"name": label, "image": container.image_of(app)}
    index = _JOB_INDEX if job else _POD_INDEX
    argv = container.argv(of) if first is None else container.counted_argv(of, index, first)
    inside["command"] = [_unexpanded(each) for each in argv]
    if (folder := container.folder_elsewhere(of)) is not None:
        inside["workingDir"] = folder
    inside["envFrom"] = [{"configMapRef": {"name": f"{label}-env"}}]
    if container.contents(app, of).secret:
        inside["envFrom"] = [*inside["envFrom"], {"secretRef": {"name": f"{label}-secret"}}]  # type: ignore[misc]
    name = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    inside["env"] = [{"name": _POD, **name}, {"name": "PS", **name}]
    if container.serves(of):
        inside["ports"] = [{"name": "main", "containerPort": of.port}]
    inside |= _probes(of)
    if (hook := _hook(of.stop)) is not None:
        inside["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/sh", "-c", hook]}}}
    if of.limits.memory is not None or of.limits.cpu is not None:
        inside["resources"] = {"limits": _limits(of)}
    if of.mounts:
        volumes = dns_names(each.name for each in of.mounts)
        inside["volumeMounts"] = [
            {"name": volumes[each.name], "mountPath": container.mount_point(each)} for each in of.mounts
        ]
    inside["securityContext"] = {"allowPrivilegeEscalation": False}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,  # a Service called web would set WEB_PORT, to no port
        "terminationGracePeriodSeconds": _grace(of.stop),
        "securityContext": {
            "seccompProfile": {"type": "RuntimeDefault"},
            **({"fsGroup": _GROUP} if of.mounts else {}),
        },
        "containers": [inside],
    }


def _unexpanded(text: str) -> str:
    """So that Kubernetes, to which $(NAME) is a variable and $$ a dollar, hands on what is written here."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def _probes(of: Type) -> dict[str, object]:
    found: dict[str, object] = {}
    if (check := container.asked(of)) is not None:
        asked = _asked(check, of.port)
        # Who is not ready in time is started again; that it lasts until then is no failure.
        found["startupProbe"] = {**asked, "periodSeconds": 1, "failureThreshold": max(1, math.ceil(of.ready_timeout))}
        found["readinessProbe"] = {**asked, "periodSeconds": _OFTEN_ENOUGH, "failureThreshold": _TRIES}
    if of.live is not None:
        asked, pause = _asked(of.live, of.port), max(1, math.ceil(of.live_interval))
        found.setdefault("startupProbe", {**asked, "periodSeconds": pause, "failureThreshold": _ANY_NUMBER})
        found["livenessProbe"] = {**asked, "periodSeconds": pause, "failureThreshold": _TRIES}
    return found


def _asked(check: Check, port: int) -> dict[str, object]:
    if check.kind == "port":
        return {"tcpSocket": {"port": port}, "timeoutSeconds": _TIMEOUT}
    return {"httpGet": {"path": check.what, "port": port}, "timeoutSeconds": _TIMEOUT}


def _hook(steps: tuple[Step, ...]) -> str | None:
    """What comes before the SIGTERM that every container gets. When the process has ended, so has the hook."""
    before = steps[:-1] if steps and steps[-1].signal == signal.SIGTERM else steps
    if not before:
        return None
    return "; ".join(f"kill -s {for_kill(each.signal)} 1; sleep {seconds(each.wait or 0)}" for each in before)


def _grace(steps: tuple[Step, ...]) -> int:
    """The hook's seconds are in it; what it leaves has to be enough for the SIGTERM to be noticed."""
    seconds = math.ceil(sum(each.wait or 0.0 for each in steps))
    return seconds if not steps or steps[-1].signal == signal.SIGTERM else seconds + 1


def _limits(of: Type) -> dict[str, str]:
    found = {}
    if of.limits.memory is not None:
        whole = of.limits.memory % (1 << 20) == 0
        found["memory"] = f"{of.limits.memory >> 20}Mi" if whole else str(of.limits.memory)
    if of.limits.cpu is not None:
        found["cpu"] = f"{max(1, round(of.limits.cpu * 1000))}m"
    return found
