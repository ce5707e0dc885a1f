"""A web server that says who has answered. /healthz is for those who ask whether it is up."""

from __future__ import annotations

import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        healthy = self.path == "/healthz"
        body = "ok\n" if healthy else f"{os.environ.get('PS', 'somebody')} on {socket.gethostname()}\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class calls it so)
        if self.path != "/healthz":
            print(format % args)


def main() -> None:
    # All addresses: from outside of a container nobody reaches its 127.0.0.1.
    with ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Page) as server:  # noqa: S104
        print(f"listens on port {server.server_port}")
        server.serve_forever()


if __name__ == "__main__":
    main()
