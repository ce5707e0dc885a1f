"""A child that takes its time: says `booting`, waits for a file `go` in its folder, and gets ready as it is told.

`python -I slow.py port|grandchild|http|log|notify|barrier|gone`. Run as a program of its own, so it imports nothing of
ours.
"""

from __future__ import annotations

import array
import os
import signal
import socket
import sys
import time


def listen() -> socket.socket:
    return socket.create_server(("127.0.0.1", int(os.environ["PORT"])))


def serve() -> None:
    """Answers with the status that stands in the file `answer`, and not at all while that is empty."""
    with listen() as server:
        while True:
            client, _ = server.accept()
            request = client.recv(4096).split(b"\r\n")[0].decode()
            status = "200"
            if os.path.exists("answer"):
                with open("answer") as file:
                    status = file.read().strip()
            if not status:
                held.append(client)
                continue
            print(f"asked for {request}: {status}", flush=True)
            with client:
                client.sendall(f"HTTP/1.1 {status} so\r\n\r\n".encode())


def notify(*descriptors: int, **words: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        text = "\n".join(f"{key}={value}" for key, value in words.items()).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        out.sendmsg([text], rights, 0, os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))


held: list[socket.socket] = []


def main(kind: str) -> None:
    print("booting", flush=True)
    if kind in ("notify", "barrier", "gone"):
        notify(STATUS="loading\x1b[31m the model")
    while not os.path.exists("go"):
        time.sleep(0.005)  # the pace of asking
    if kind == "port":
        held.append(listen())
    elif kind == "grandchild" and os.fork() == 0:
        os.setsid()
        held.append(listen())
    elif kind == "http":
        serve()
    elif kind == "log":
        print("the \x1b[32mserver\x1b[0m is up", flush=True)
    elif kind == "notify":
        notify(READY="1", STATUS="serving")
    elif kind == "gone":  # what says it for us has ended, and been buried, before anybody knows of it
        sender = os.fork()
        if sender == 0:
            notify(READY="1", STATUS="serving")
            os._exit(0)
        os.waitpid(sender, 0)
        open("sent", "w").close()
    elif kind == "barrier":
        reader, writer = os.pipe()
        notify(READY="1")
        notify(writer, BARRIER="1")
        os.close(writer)
        os.read(reader, 1)
        print("let go", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
