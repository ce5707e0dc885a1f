"""A server on the socket that it is given: greets who asks with its name, and with `unasked` who comes.

Who comes and says nothing holds nobody else up.
"""

from __future__ import annotations

import os
import socket
import sys
import threading


def answer(client: socket.socket) -> None:
    with client:
        if "unasked" not in sys.argv:
            client.recv(100)
        client.sendall(f"{os.environ['PS']}\n".encode())


assert os.environ["LISTEN_PID"] == str(os.getpid())
with socket.socket(fileno=3) as server:
    server.setblocking(True)
    print("ready", *sys.argv[1:], flush=True)
    while True:
        client, _ = server.accept()
        threading.Thread(target=answer, args=(client,), daemon=True).start()
