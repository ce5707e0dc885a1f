"""Kubernetes: for each process type a Deployment; a StatefulSet where copies have numbers or folders of their own; a
Job for what ends by itself. Variables are in a ConfigMap and a Secret, ports behind a Service.
"""

from __future__ import annotations

import base64
import math
import signal
from collections.abc import Iterator, Mapping

from procsup.export import container
from procsup.export.dns_names import dns_names
from procsup.export.kubernetes_pod import pod
from procsup.export.model import PRIVATE, PUBLIC, App, Export, File, Type
from procsup.export.unsaid import unsaid
from procsup.export.yaml_text import to_yaml

_CANNOT = {
    "user": "which wants a number; the image's USER holds",
    "depends_on": "everybody starts at once, and again until what he needs is there",
    "max_restarts": "the pods of a Deployment are started again for ever",
    "ready": "it asks a port or a page, and reads no output",
}
_FOR_EVER = 2**31 - 1
_STORAGE = "1Gi"

Object = dict[str, object]


def write(app: App) -> Export:
    labels = dns_names(of.name for of in app.types)
    first = container.first_numbers(app)
    files: dict[str, File] = {}
    for of in app.types:
        label = labels[of.name]
        objects = [_config(app, of, label), _workload(app, of, label, first.get(of.name))]
        if (service := _service(app, of, label)) is not None:
            objects.append(service)
        mode = PRIVATE if of.command.secret else PUBLIC
        folder = "jobs/" if _is_job(of) else ""
        files[f"{folder}{label}.yaml"] = File(to_yaml(objects).encode(), mode)
        if secret := container.contents(app, of).secret:
            files[f"secrets/{label}.yaml"] = File(to_yaml([_secret(app, label, secret)]).encode(), PRIVATE)
    places = [f"-f {{}}/{each}" for each in ("secrets",) if any(path.startswith(f"{each}/") for path in files)]
    if any("/" not in path for path in files):
        places.append("-f {}")
    else:
        places += [f"-f {{}}/jobs/{labels[of.name]}.yaml" for of in container.run_at_once(app)]
    told = (*container.sentences(app, "kubernetes"), *unsaid(app, "kubernetes", _CANNOT, _says))
    jobs = [place for place in places if "/jobs/" in place]
    each = [f"-f {{}}/{path}" for path in sorted(files, key=lambda path: "/" not in path) if path[:5] != "jobs/"]
    return Export(
        files,
        (*told, *_sentences(app, labels)),
        f"kubectl apply {' '.join(places)}",
        f"kubectl apply {' '.join([*each, *jobs])}",
    )


def _workload(app: App, of: Type, label: str, first: int | None) -> Object:
    """`first`: the number of its first copy, where they have numbers."""
    if _is_job(of):
        return _job(app, of, label, first)
    template = {"metadata": {"labels": _labels(app, label)}, "spec": pod(app, of, label, first)}
    spec: Object = {"replicas": of.count, "selector": {"matchLabels": _labels(app, label)}, "template": template}
    if not _is_stateful(of):
        return _object("apps/v1", "Deployment", app, label, spec=spec)
    spec |= {"serviceName": label, "podManagementPolicy": "Parallel"}
    if of.mounts:
        spec["volumeClaimTemplates"] = [
            {
                "metadata": {"name": volume},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": _STORAGE}}},
            }
            for volume in dns_names(each.name for each in of.mounts).values()
        ]
    return _object("apps/v1", "StatefulSet", app, label, spec=spec)


def _job(app: App, of: Type, label: str, first: int | None) -> Object:
    again = of.restart != "never"
    volumes = [{"name": volume, "emptyDir": {}} for volume in dns_names(each.name for each in of.mounts).values()]
    inside: Object = {
        **pod(app, of, label, first, job=True),
        "restartPolicy": "OnFailure" if again else "Never",
        **({"volumes": volumes} if volumes else {}),
    }
    spec: Object = {
        "parallelism": 1 if of.release else of.count,
        "completions": max(1, of.count),
        **({"completionMode": "Indexed"} if first is not None else {}),
        "backoffLimit": (_FOR_EVER if of.max_restarts is None else of.max_restarts) if again else 0,
        "template": {"metadata": {"labels": _labels(app, label)}, "spec": inside},
    }
    return _object("batch/v1", "Job", app, label, spec=spec)


def _service(app: App, of: Type, label: str) -> Object | None:
    if not container.serves(of) or _is_job(of):
        if not _is_stateful(of) or _is_job(of):
            return None
        return _object(
            "v1", "Service", app, label, spec={"clusterIP": "None", "selector": _labels(app, label)}
        )  # the one that a StatefulSet has to name
    port = of.socket.port if of.socket is not None and of.socket.port else of.port
    ports = [{"name": "main", "port": port, "targetPort": of.port}]
    return _object("v1", "Service", app, label, spec={"selector": _labels(app, label), "ports": ports})


def _config(app: App, of: Type, label: str) -> Object:
    return _object("v1", "ConfigMap", app, f"{label}-env", label, data=container.contents(app, of).plain)


def _secret(app: App, label: str, values: Mapping[str, str]) -> Object:
    data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    return _object("v1", "Secret", app, f"{label}-secret", label, type="Opaque", data=data)


def _object(version: str, kind: str, app: App, name: str, component: str = "", **rest: object) -> Object:
    metadata = {"name": name, "labels": _labels(app, component or name)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _labels(app: App, component: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": app.slug, "app.kubernetes.io/component": component}


def _is_job(of: Type) -> bool:
    """A Deployment starts its pods again however they end."""
    return of.one_shot or of.restart != "always"


def _is_stateful(of: Type) -> bool:
    return container.counts(of) or bool(of.mounts)


def _says(of: Type, key: str) -> bool:
    """What it cannot say of every type, of this one."""
    return (key == "ready" and container.asked(of) is not None) or (key == "max_restarts" and _is_job(of))


def _sentences(app: App, labels: Mapping[str, str]) -> Iterator[str]:
    yield (
        "objects are called after the process types alone, so two applications need a namespace each: "
        f"kubectl create namespace {app.slug}, and -n {app.slug} with every kubectl"
    )
    for of in app.types:
        label = labels[of.name]
        if label != of.name:
            yield f"{of.name} is called {label}, as names of kubernetes are"
        if _is_job(of):
            yield f"{of.name}: a Job in jobs/, which runs when you say so: kubectl replace --force -f jobs/{label}.yaml"
            if of.mounts:
                yield f"{of.name}: mounts: each run of the Job begins with empty folders, which go with its pod"
        elif of.mounts:
            yield (
                f"{of.name}: mounts: each copy has a folder of its own, of {_STORAGE}; procsup's share one, of any size"
            )
        if len(of.stop) > 1 or any(step.signal != signal.SIGTERM for step in of.stop):
            yield f"{of.name}: its signals but the last TERM are sent by a preStop hook, with the image's /bin/sh"
        if any(step.wait is not None and step.wait != math.floor(step.wait) for step in of.stop):
            yield f"{of.name}: its grace is rounded up to whole seconds"
