"""Real services for the examples, each a child of the test: on loopback, on ports and in folders of its own."""

from __future__ import annotations

import errno
import glob
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_START = 60.0  # seconds; on an idle machine RabbitMQ takes 4 and PostgreSQL 1
_NODE_OPTIONS = "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"  # one core, and none while it waits


_PORTS = range(20_000, 32_000)  # below those that the kernel gives to connections: none gets it before it is used
_dice = random.SystemRandom()
_given: set[int] = set()


def free_port(host: str = "127.0.0.1", kind: int = socket.SOCK_STREAM) -> int:
    """None twice. Raises OSError where there is no such host."""
    while True:
        port = _dice.choice(_PORTS)
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
        if port not in _given:
            _given.add(port)
            return port


def rabbitmq_program() -> str | None:
    """Not the one on the PATH: with Debian that one changes the user."""
    found = glob.glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
    return max(found, default=None)


def postgres_folder() -> str | None:
    """Where initdb and postgres are; with Debian they are on nobody's PATH."""
    on_path = shutil.which("initdb")
    return max(glob.glob("/usr/lib/postgresql/*/bin"), default=os.path.dirname(on_path) if on_path else None)


@contextmanager
def _folder() -> Iterator[Path]:
    """Where another user may go as well; pytest's own folders are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="procsup-service-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def rabbitmq() -> Iterator[str]:
    """Its URL."""
    with _folder() as folder:
        mapper_port, port, other_port = free_port(), free_port(), free_port()
        # Its name server is ours, too; otherwise it would start one that stays.
        mapper = {"ERL_EPMD_PORT": str(mapper_port), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        (folder / "plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text(
            "vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 1MB\n"
        )
        own = {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"procsup-{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(other_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _NODE_OPTIONS,
        }
        program = rabbitmq_program()
        assert program is not None
        with _running(["epmd"], folder, mapper, None):
            _until_it_listens(mapper_port)
            with _running([program], folder, mapper | own, b"startup complete"):
                yield f"amqp://guest:guest@127.0.0.1:{port}/%2F"


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a database, whose owner needs no password."""
    folder_of_programs = postgres_folder()
    assert folder_of_programs is not None
    # It refuses to run as root.
    user = _somebody() if os.geteuid() == 0 else None
    with _folder() as folder:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        port, data = free_port(), str(folder / "data")
        make = (f"{folder_of_programs}/initdb", "-D", data, "-U", "posters", "--auth=trust", "--encoding=UTF8")
        with _running([*make, "--no-locale", "--no-sync"], folder, {}, b"Success", user):
            pass
        options = ("-h", "127.0.0.1", "-p", str(port), "-k", "", "-c", "fsync=off", "-c", "shared_buffers=8MB")
        with _running(
            [f"{folder_of_programs}/postgres", "-D", data, *options], folder, {}, b"ready to accept connections", user
        ):
            yield f"postgresql://posters@127.0.0.1:{port}/postgres"


def _somebody() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("there is no user to run PostgreSQL as")


@contextmanager
def _running(
    command: list[str],
    folder: Path,
    own: dict[str, str],
    ready: bytes | None,
    user: pwd.struct_passwd | None = None,
) -> Iterator[None]:
    """Until it says that it is ready; at the end it is told to go, and its whole session is killed if it does not."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if ready is not None else subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        user=user.pw_uid if user is not None else None,
        group=user.pw_gid if user is not None else None,
        extra_groups=[] if user is not None else None,
    )
    with process:
        try:
            if ready is not None:
                _wait_for(process, ready)
            yield
        finally:
            process.send_signal(signal.SIGINT if "postgres" in command[0] else signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_START)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _until_it_listens(port: int) -> None:
    end = time.monotonic() + _START
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < end, f"nobody listens on port {port}"
        time.sleep(0.01)  # the pace of asking


def _wait_for(process: subprocess.Popen[bytes], words: bytes) -> None:
    said = b""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if words in line:
            return
    raise AssertionError(f"{process.args} did not start:\n{said.decode(errors='replace')}")
