"""One process that serves the demo on this machine, until Ctrl+C."""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

from werkzeug.serving import WSGIRequestHandler, make_server

from redisess_cli.demo.app import create_app
from redisess_cli.location import reaching, shown
from redisess_flask import manager as current_manager

if TYPE_CHECKING:
    from flask import Flask

    from redisess_core import SessionManager

HOST: Final = "127.0.0.1"  # whoever reaches the demo can end everybody's sessions: nobody from elsewhere shall
_BACKLOG: Final = 128


class _QuietHandler(WSGIRequestHandler):
    """Serves requests without a line in the terminal for each."""

    timeout = 60  # seconds that an idle connection is kept

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  Werkzeug's own name
        """Say nothing: what goes wrong in the app, the app logs."""

    def version_string(self) -> str:
        """Name the program that serves."""
        return "redisess-demo"


def run(url: str, port: int) -> None:
    """Serve until interrupted. Raises `RedisessError`, `ValueError` or `OSError` when it cannot start."""
    with reaching(url):
        app = create_app(url)
        manager = _manager_of(app)
        manager.count()
    with manager, _listening(port) as listener:
        server = make_server(HOST, port, app, threaded=True, request_handler=_QuietHandler, fd=listener.fileno())
        kept = "in this process, and end with it" if url.startswith("memory:") else f"at {shown(url)}"
        _say(
            f"The demo of redisess is at http://{HOST}:{server.port}",
            f"Its sessions are kept {kept}.",
            "Press Ctrl+C to stop.",
        )
        server.serve_forever()  # which returns when it is interrupted
    _say("", "Stopped.")


def _manager_of(app: Flask) -> SessionManager:
    with app.app_context():
        return current_manager()


def _listening(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port), backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(f"port {port} is taken by another program; choose another: --port {port + 1}") from error
        raise OSError(f"port {port} cannot be listened on: {error.strerror}") from error


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
