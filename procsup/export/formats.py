"""The engines that an application can be exported to: the one table of them. Each is a module of this folder."""

from __future__ import annotations

from collections.abc import Mapping

# Those that run containers.
WITH_IMAGE = frozenset({"compose", "kubernetes", "nomad"})
FORMATS: Mapping[str, str] = {
    "systemd": "a target, and template units for each process type",
    "supervisord": "one configuration file, a program for each process type",
    "runit": "a service folder for each instance",
    "s6": "a service folder for each instance",
    "launchd": "a property list for each instance",
    "compose": "a compose file, and a file of secrets for each process type",
    "kubernetes": "a Deployment, StatefulSet or Job for each process type, and what they need",
    "nomad": "a job, and files of secret variables",
}
