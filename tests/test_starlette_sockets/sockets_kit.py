"""WebSockets for the tests: one spoken to in ASGI's own words, and a site in a process of its own under uvicorn."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from anyio import fail_after
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from redisess_starlette import RedisessMiddleware
from redisess_starlette.follower import Follower

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import ASGIApp, Message, Scope

    from redisess_core import AsyncSessionManager

    View = Callable[[Any], Awaitable[None]]

SECONDS = 20
UNKNOWN_TOKEN = "1aa" + "a" * 26
COOKIE = "session"
LIVE_NAMESPACE = "live"


def by_cookie(token: str) -> dict[str, str]:
    """Give the headers of a browser that holds *token*."""
    return {"cookie": f"{COOKIE}={token}"}


def by_header(token: str) -> dict[str, str]:
    """Give the headers of a client without cookies that holds *token*."""
    return {"authorization": f"Bearer {token}"}


class Line:
    """One WebSocket, as a server without a network gives it to an app."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], *, denials: bool = True) -> None:
        self.scope: Scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "ws",
            "path": "/",
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("192.0.2.1", 5000),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}} if denials else {},
        }
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._over = False
        self.writable = asyncio.Event()
        self.writable.set()
        self._to_app.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self._serve(app))

    async def _serve(self, app: ASGIApp) -> None:
        await app(self.scope, self._to_app.get, self._take)

    async def _take(self, message: Message) -> None:
        await asyncio.sleep(0)
        await self.writable.wait()
        if self._over:
            raise OSError("the client has left")
        if message["type"] == "websocket.close":
            self._over = True
            self._to_app.put_nowait({"type": "websocket.disconnect", "code": message["code"], "reason": ""})
        self._from_app.put_nowait(message)

    def say(self, text: str) -> None:
        """Send a message, as the client."""
        self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        """Disconnect, as the client."""
        self._over = True
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1001, "reason": ""})

    async def heard(self) -> Message:
        """Give the app's next message."""
        with fail_after(SECONDS):
            while self._from_app.empty() and not self.task.done():
                getting = asyncio.ensure_future(self._from_app.get())
                await asyncio.wait([getting, self.task], return_when=asyncio.FIRST_COMPLETED)
                if getting.done():
                    return getting.result()
                getting.cancel()
        if self._from_app.empty():
            await self.task
            raise AssertionError("the app has ended without a further word")
        return self._from_app.get_nowait()

    async def accepted(self) -> dict[str, str]:
        """Give the headers that the socket is accepted with."""
        message = await self.heard()
        assert message["type"] == "websocket.accept"
        return headers_of(message)

    async def text(self) -> str:
        """Give the text that the app sends next."""
        message = await self.heard()
        assert message["type"] == "websocket.send", message
        return message["text"]

    async def ask(self, text: str) -> str:
        """Send a message and give the answer."""
        self.say(text)
        return await self.text()

    async def closed(self) -> int:
        """Give the code that the app closes the socket with; what it sent before is passed over."""
        while (message := await self.heard())["type"] == "websocket.send":
            pass
        assert message["type"] == "websocket.close", message
        return message["code"]

    async def ended(self) -> None:
        """Wait until the app is done with this socket; raises what it raised, but for the client's leaving."""
        with fail_after(SECONDS):
            with suppress(WebSocketDisconnect):
                await self.task


async def until(holds: Callable[[], Any]) -> None:
    """Let the loop run until something holds; what is waited for may be awaited itself."""
    with fail_after(SECONDS):
        while True:
            held = holds()
            if await held if inspect.isawaitable(held) else held:
                return
            await asyncio.sleep(0)


def wait_until(holds: Callable[[], Any]) -> None:
    """Ask until something holds, in blocking code."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it does not come to pass"


async def settled(site: Site, line: Line) -> None:
    """Wait until the process listens for ends, and this socket answers."""
    await until(lambda: listeners(site))
    await line.ask("id")


async def listeners(site: Site) -> int:
    """Give how many subscriptions there are to the ends of sessions."""
    channel = site.manager.event_channels()[0]
    return (await site.manager.client.pubsub_numsub(channel))[0][1]


def followers(site: Site) -> list[Follower]:
    """Give what follows the sessions of this site's open sockets."""
    found = [it for it in gc.get_objects() if type(it) is Follower]  # a proxy of what is gone cannot be asked more
    return [it for it in found if it._watch._manager is site.manager and it._followed is not None]


def follower_of(site: Site) -> Follower:
    """Give what follows the session of the only open socket."""
    (found,) = followers(site)
    return found


def headers_of(message: Message) -> dict[str, str]:
    """Give a message's headers, by name."""
    return {name.decode().lower(): value.decode() for name, value in message.get("headers", ())}


def cookie_in(headers: Mapping[str, str]) -> str:
    """Give the token that a response sets."""
    name, _, value = headers["set-cookie"].partition(";")[0].partition("=")
    assert name == COOKIE
    return value


class Site:
    """Apps of one view each, over one manager, and the lines to them."""

    def __init__(self, manager: AsyncSessionManager, **options: Any) -> None:
        self.manager = manager
        self._options: dict[str, Any] = {"https_only": False, **options}
        self.lines: list[Line] = []
        self._apps: dict[Any, ASGIApp] = {}

    def app(self, view: View, store: Any = None, **options: Any) -> Any:
        """Make an app of one view."""
        inner = Starlette(routes=[WebSocketRoute("/", view)], **options)
        inner.add_middleware(RedisessMiddleware, self.manager if store is None else store, **self._options)
        return inner

    def connect(self, view: View, headers: Mapping[str, str] | None = None, *, denials: bool = True) -> Line:
        """Connect to the app of this view."""
        if view not in self._apps:
            self._apps[view] = self.app(view)
        return self.connect_to(self._apps[view], headers, denials=denials)

    def connect_to(self, app: ASGIApp, headers: Mapping[str, str] | None = None, *, denials: bool = True) -> Line:
        """Connect to an app."""
        line = Line(app, headers or {}, denials=denials)
        self.lines.append(line)
        return line

    async def talk(self, session: Any, view: View | None = None) -> Line:
        """Open a socket to *view* (default: one that answers) in this session, past its accept."""
        line = self.connect(view or answering, by_cookie(session.token))
        await line.accepted()
        return line

    async def hang_up(self) -> None:
        """Leave every socket that is open."""
        for line in self.lines:
            line.leave()
        with fail_after(SECONDS):
            await asyncio.gather(*(line.task for line in self.lines), return_exceptions=True)


async def answering(websocket: Any) -> None:
    """Do what is asked for: `set KEY VALUE`, `get KEY`, `save`, `touch`, `logout`, `id`, `user`, `close`."""
    await websocket.accept()
    async for text in websocket.iter_text():
        verb, *words = text.split()
        said = await act(websocket, verb, words)
        if verb == "close":
            break
        await websocket.send_text(str(said))


async def act(websocket: Any, verb: str, words: list[str]) -> Any:
    """Do one thing in a socket's session."""
    session = websocket.session
    match verb:
        case "set":
            session[words[0]] = words[1]
        case "get":
            return session.get(words[0])
        case "save":
            await session.save()
        case "touch":
            await session.touch()
        case "login":
            session.login(words[0], transport="header")
        case "logout":
            session.logout()
        case "id":
            return session.session_id
        case "user":
            return session.user_id
        case "token":
            return session.token
        case "close":
            await websocket.close(int(words[0]))
        case _:
            raise AssertionError(verb)
    return "done"


class Live:
    """A site under uvicorn, in a process of its own; it listens on a socket made here, so nobody has to wait for it."""

    def __init__(self, url: str, namespace: str = LIVE_NAMESPACE, **options: Any) -> None:
        self._log = tempfile.NamedTemporaryFile("w+", prefix="redisess-live-", suffix=".log")  # noqa: SIM115  ends with it
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(512)
            self.port = listening.getsockname()[1]
            said = {"fd": listening.fileno(), "url": url, "namespace": namespace, **options}
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("sockets_site.py")), json.dumps(said)],
                pass_fds=[listening.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONWARNINGS": "default"},
            )

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What the process has said."""
        return Path(self._log.name).read_text()

    def stop(self) -> int:
        """Ask for a graceful shutdown; give the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; give the exit status."""
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self.last_output = self.output
            self._log.close()
