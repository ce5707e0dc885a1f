"""A process of the soak: listens on its PORT and answers with its name. Run by its path, it imports nothing of ours."""

import os
import socket
import sys

version, unique_int = sys.argv[1:]
port = int(os.environ["PORT"])
with socket.create_server(("127.0.0.1", port)) as server:
    print("ready", os.environ["PS"], version, unique_int, port, os.getpid(), flush=True)
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(os.environ["PS"].encode())
