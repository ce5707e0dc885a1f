"""Where the ports of an app begin, that they fit below 65536, and the variables by which one type finds another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from procsup.config.environment import INHERITED, Environment
from procsup.errors import ConfigError, Problem, UsageError

DEFAULT_BASE = 5000  # Foreman's
PORTS_PER_TYPE = 100
MAX_PORT = 65535
PORT_VARIABLE = "PROCSUP_PORT_"  # a type's name behind it makes the variable


def base_port(option: int | None, environment: Environment) -> int:
    """-p, else the PORT that wins in the environment, else 5000. An empty PORT is one that is not set."""
    if option is not None:
        if not 1 <= option <= MAX_PORT:
            raise UsageError(f"--port {option} is no port; give one from 1 to {MAX_PORT}")
        return option
    for origin in environment.origin("PORT"):
        text = origin.value.strip()
        if not text:
            continue
        digits = text.lstrip("0")
        if text.isascii() and text.isdigit() and 1 <= len(digits) <= len(str(MAX_PORT)) and int(digits) <= MAX_PORT:
            return int(digits)
        raise _no_port(origin.where, origin.value)
    return DEFAULT_BASE


def check_ports(base: int, types: Sequence[str]) -> None:
    """Each type's first port must exist; whether the instances' do is seen when they are counted."""
    for position, name in enumerate(types):
        port = base + PORTS_PER_TYPE * position
        if port > MAX_PORT:
            raise UsageError(f'process type "{name}" would get port {port}, above {MAX_PORT}; start lower, with --port')


def port_variables(ports: Mapping[str, int]) -> dict[str, str]:
    """Types that differ in "-" and "_" only share a variable: it is that of the first."""
    found: dict[str, str] = {}
    for name, port in ports.items():
        found.setdefault(PORT_VARIABLE + name.replace("-", "_"), str(port))
    return found


def _no_port(where: str, value: str) -> ConfigError | UsageError:
    shown = "".join(char if char.isprintable() else "\ufffd" for char in value[:40])
    message = f'PORT is "{shown}", which is no port; give a number from 1 to {MAX_PORT}'
    if where == INHERITED:
        return UsageError(f"{message} (in the {where})")
    file, _, line = where.rpartition(":")
    return ConfigError([Problem(file, int(line), 1, message)])
