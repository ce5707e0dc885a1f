"""A process that tells what it was given: as JSON in $REPORTS, if that is set, and a line on standard output.

`serve` answers on its port, `work` and `deaf` wait; `deaf` ignores every stop signal, the others tell which one came.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
HEARD: list[int] = []


def report(kind: str, **told: object) -> None:
    """A file for each copy, which is complete as soon as it is there."""
    print(kind, os.environ.get("PS"), os.getpid(), flush=True)
    if folder := os.environ.get("REPORTS"):
        path = Path(folder) / f"{os.environ.get('PS')}.{os.getpid()}.{kind}"
        environment = {name: value.decode(errors="surrogateescape") for name, value in _environment()}
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"pid": os.getpid(), "cwd": os.getcwd(), "env": environment, **told}))
        fresh.rename(path)


def _environment() -> list[tuple[str, bytes]]:
    return [(os.fsdecode(name), value) for name, value in os.environb.items()]


def heard(number: int, _frame: object) -> None:
    report(f"stopped-{len(HEARD)}", signal=signal.Signals(number).name)
    HEARD.append(number)
    if number != signal.SIGUSR1:  # which only says that there is nothing more to do
        sys.exit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["serve", "work", "deaf", "once"])
    parser.add_argument("--greeting", default="")
    parser.add_argument("--port", type=int)
    parser.add_argument("--number", type=int)
    arguments = parser.parse_args()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN if arguments.part == "deaf" else heard)
    told = {"argv": sys.argv[1:], "sockets": os.environ.get("LISTEN_FDS"), "session": os.getsid(0), "uid": os.getuid()}
    if arguments.part == "serve":
        serve(arguments.port, arguments.greeting, told)
    report("ready", **told)
    while arguments.part != "once":
        signal.pause()


def serve(port: int, greeting: str, told: dict) -> None:
    import http.server

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"{greeting}\n".encode())

    server = http.server.HTTPServer(("127.0.0.1", port), Answer)
    report("ready", **told)
    server.serve_forever()


if __name__ == "__main__":
    main()
