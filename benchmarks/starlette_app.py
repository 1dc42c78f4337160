"""What a session layer adds to a bare Starlette request: ours, Starlette's signed cookie, and starsessions on Redis.

    uv run python benchmarks/starlette_app.py [--rounds 300] [--layers] [--uvloop] [--skip-sockets] [--url redis://...]

First one request after the other, then 64 at a time: every side is an app in this process, called as an ASGI server
does, and all that use Redis share one client. At last through uvicorn, a process for each side, and 64 real sockets.
A round gives each side its turn, in random order; what is compared is of the same round.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import re
import socket
import statistics
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis.asyncio
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starsessions import SessionAutoloadMiddleware
from starsessions import SessionMiddleware as StarsessionsMiddleware
from starsessions.stores.redis import RedisStore

from redisess_core import AsyncSessionManager
from redisess_starlette import RedisessMiddleware, login

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.server import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from starlette.requests import Request
    from starlette.types import Message, Scope

    from redisess_core.operation import Operation

    Data = Callable[[Request], MutableMapping[str, Any]]
    Step = Callable[[], Awaitable[object]]

GOALS = {"read": 0.60, "write": 1.0}
BLOCK = 20  # requests of one side in a round, one after the other
AT_ONCE = 64  # requests under way, and connections
EACH = 5  # requests of each of them in a round
WARM_UP = 5  # rounds that do not count
DATA = {"name": "Ada", "visits": 0, "theme": "dark"}
RETURN_1 = hashlib.sha1(b"return 1", usedforsecurity=False).hexdigest()
LIFETIME = 14 * 24 * 60 * 60  # as Starlette's own, and as starsessions' manual has it
HEADERS = {"Host": "127.0.0.1", "User-Agent": "a benchmark", "Accept": "*/*", "Accept-Encoding": "gzip, deflate, br"}


# The apps: three views each, over a session or, where there is none, over a dict


def app_of(
    data: Data,
    *middleware: Middleware,
    step: Step | None = None,
    sign_in: Callable[[Request], None] | None = None,
) -> Starlette:
    """Make an app whose views begin a session, read one value of it, and read and write one; before that, a *step*."""

    async def begin(request: Request) -> PlainTextResponse:
        if sign_in is not None:
            sign_in(request)
        data(request).update(DATA)
        return PlainTextResponse("begun")

    async def read(request: Request) -> PlainTextResponse:
        if step is not None:
            await step()
        return PlainTextResponse(data(request)["name"])

    async def write(request: Request) -> PlainTextResponse:
        if step is not None:
            await step()
        found = data(request)
        found["visits"] = visits = found["visits"] + 1
        return PlainTextResponse(str(visits))

    routes = [Route("/begin", begin), Route("/read", read), Route("/write", write)]
    return Starlette(routes=routes, middleware=middleware)


def session_of(request: Request) -> MutableMapping[str, Any]:
    """Return the session, as views do."""
    return request.session


def keep_user(request: Request) -> None:
    """Sign in where there is nothing but data."""
    request.session["user"] = "ada"


def bare(*middleware: Middleware, step: Step | None = None) -> Starlette:
    """Make an app without sessions, or of which none is used."""
    kept: dict[str, Any] = {}
    return app_of(lambda _: kept, *middleware, step=step)


def two_round_trips(client: redis.asyncio.Redis) -> Starlette:
    """Make an app without sessions whose views call the least of scripts twice."""

    async def call() -> None:
        await client.execute_command("EVALSHA", RETURN_1, 0)
        await client.execute_command("EVALSHA", RETURN_1, 0)

    return bare(step=call)


def signed_cookie() -> Starlette:
    """Make an app with Starlette's own sessions."""
    return app_of(session_of, Middleware(SessionMiddleware, secret_key="of a benchmark"), sign_in=keep_user)


def starsessions_on(client: redis.asyncio.Redis) -> Starlette:
    """Make an app with starsessions as its manual has it."""
    store = RedisStore(connection=client)
    return app_of(
        session_of,
        Middleware(StarsessionsMiddleware, store=store, lifetime=LIFETIME),
        Middleware(SessionAutoloadMiddleware),
        sign_in=keep_user,
    )


def redisess_on(client: redis.asyncio.Redis) -> Starlette:
    """Make an app with redisess as it comes."""
    return app_of(session_of, Middleware(RedisessMiddleware, client), sign_in=lambda request: login(request, "ada"))


BARE, OURS, THEIRS = "bare Starlette", "redisess", "starsessions"
APPS: dict[str, Callable[[redis.asyncio.Redis], Starlette]] = {
    BARE: lambda _: bare(),
    "and one EVALSHA of `return 1`": lambda client: bare(step=lambda: client.execute_command("EVALSHA", RETURN_1, 0)),
    "and two of them": two_round_trips,
    "Starlette's signed cookie": lambda _: signed_cookie(),
    THEIRS: starsessions_on,
    OURS: redisess_on,
}


async def layers_on(client: redis.asyncio.Redis) -> dict[str, Starlette]:
    """Make apps without sessions that do more and more of what a request with a session does."""
    manager = AsyncSessionManager(client)
    session = await manager.create("ada", data=DATA)
    token = str(session.token)
    await manager.authenticate(token)
    await session.set("visits", 0)
    opening = manager.plan_authenticate(token)
    storing = manager.plan_store(session.session_id, {b"d:visits": b"0"}, decode=list)

    def call(sha: str, planned: Operation[Any]) -> Step:
        command = ("EVALSHA", sha, len(planned.keys), *planned.keys, *planned.args)
        return lambda: client.execute_command(*command, NEVER_DECODE=True)

    async def authenticate_and_read() -> None:
        found = await manager.authenticate(token)
        if found is None or found.data["name"] != "Ada":
            raise RuntimeError("no session")

    parts = {
        "  `return 1`, with the arguments of `open`": call(RETURN_1, opening),
        "  a bare HGETALL in a script": call(
            await client.script_load("return redis.call('HGETALL', KEYS[4])"), opening
        ),
        "  the script `open`": call(opening.script.sha, opening),
        "  manager.authenticate()": lambda: manager.authenticate(token),
        "  the same, and a value of its data": authenticate_and_read,
        "  the script `store`": call(storing.script.sha, storing),
        "  session.set()": lambda: session.set("visits", 0),
    }
    return {
        **{name: bare(step=step) for name, step in parts.items()},
        "  the middleware, and no session": bare(Middleware(RedisessMiddleware, client)),
    }


# Sides: in this process, or through uvicorn


class InProcess:
    """An app, called as an ASGI server does, and the client that keeps its cookie."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        self.cookie = ""

    def scope(self, path: str) -> Scope:
        """Make the scope of a request as uvicorn does."""
        headers = {**HEADERS, **({"Cookie": self.cookie} if self.cookie else {})}
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50000),
            "scheme": "http",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "state": {},
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
        }

    async def answer(self, path: str) -> tuple[int, str, str]:
        """Return a request's status, the cookie that came with it, and the body."""
        seen: list[Message] = []
        await self.app(self.scope(path), receive, sender_to(seen))
        cookies = [value.decode() for name, value in seen[0]["headers"] if name == b"set-cookie"]
        return seen[0]["status"], "".join(cookies).partition(";")[0], seen[1]["body"].decode()

    async def request(self, path: str, times: int) -> list[float]:
        """Send so many requests, one after the other, and return how many seconds each took."""
        app, clock, scope = self.app, time.perf_counter, self.scope(path)
        taken: list[float] = []
        seen: list[Message] = []
        send = sender_to(seen)
        for _ in range(times):
            fresh = {**scope, "state": {}}
            started = clock()
            await app(fresh, receive, send)
            taken.append(clock() - started)
        check_all(seen[0::2], times)
        return taken


async def receive() -> Message:
    """Receive the body that a GET has."""
    return {"type": "http.request", "body": b"", "more_body": False}


def sender_to(seen: list[Message]) -> Callable[[Message], Awaitable[None]]:
    """Return a `send` that keeps what it is given."""

    async def send(message: Message) -> None:
        seen.append(message)

    return send


def check_all(starts: list[Message], times: int) -> None:
    """Make sure that no page of an error was measured."""
    if [message.get("status") for message in starts] != [200] * times:
        raise RuntimeError(f"not 200: {starts}")


class Connection:
    """A connection that is kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def get(self, request: bytes) -> tuple[bytes, bytes]:
        """Return the head and the body of the response."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        return head, await self.reader.readexactly(int(length[1]) if length else 0)


class ThroughUvicorn:
    """A server process, and the client that keeps its cookie."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.cookie = ""
        self.free: list[Connection] = []

    @classmethod
    async def start(cls, name: str, url: str, ends: AsyncExitStack) -> ThroughUvicorn:
        """Start a server, and connect to it."""
        command = [sys.executable, __file__, "--serve", name, "--url", url]
        side = cls(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))  # noqa: ASYNC220  before all starts
        ends.callback(side.process.wait)
        ends.callback(side.process.terminate)
        port = int(side.process.stdout.readline() if side.process.stdout else 0)
        for _ in range(AT_ONCE):
            connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
            ends.callback(connection.writer.close)
            side.free.append(connection)
        return side

    def raw(self, path: str) -> bytes:
        """Return a request as it is sent."""
        headers = {**HEADERS, **({"Cookie": self.cookie} if self.cookie else {})}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode()

    async def answer(self, path: str) -> tuple[int, str, str]:
        """Return a request's status, the cookie that came with it, and the body."""
        head, body = await self.free[0].get(self.raw(path))
        cookie = re.search(r"\r\nset-cookie: ([^;\r]*)", head.decode("latin-1"), re.IGNORECASE)
        return int(head.split(b" ")[1]), cookie[1] if cookie else "", body.decode()

    async def request(self, path: str, times: int) -> list[float]:
        """Send so many requests, one after the other, and return how many seconds each took."""
        connection, raw, clock = self.free.pop(), self.raw(path), time.perf_counter
        taken: list[float] = []
        for _ in range(times):
            started = clock()
            head, _ = await connection.get(raw)
            taken.append(clock() - started)
            if not head.startswith(b"HTTP/1.1 200 "):
                raise RuntimeError(f"not 200: {head!r}")
        self.free.append(connection)
        return taken


def serve(name: str, url: str) -> None:
    """Be the server of one side: print the port, and serve."""
    client = redis.asyncio.Redis.from_url(url)
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(APPS[name](client), log_level="warning", access_log=False))
    server.run(sockets=[listening])


async def sign_in(side: InProcess | ThroughUvicorn) -> None:
    """Begin a session, and make sure that it is really read and written."""
    bodies: list[str] = []
    for path in ("/begin", "/read", "/write", "/write"):
        status, cookie, body = await side.answer(path)
        if status != 200:
            raise RuntimeError(f"{path}: {status}: {body}")
        side.cookie = cookie or side.cookie
        bodies.append(body)
    if bodies != ["begun", "Ada", "1", "2"]:
        raise RuntimeError(f"no session: {bodies}")


# Measuring


async def one_by_one(sides: dict[str, InProcess], path: str, rounds: int) -> dict[str, list[float]]:
    """Return what each side adds to the bare app, by round; the bare app's is its own time."""
    added: dict[str, list[float]] = {name: [] for name in sides}
    for number, names in turns(sides, rounds):
        taken = {name: statistics.median(await sides[name].request(path, BLOCK)) for name in names}
        if number >= 0:
            for name, seconds in taken.items():
                added[name].append(seconds if name == BARE else seconds - taken[BARE])
    return added


async def many_at_once(sides: dict[str, Any], path: str, rounds: int) -> dict[str, list[float]]:
    """Return how many requests a second each side answered, by round."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number, names in turns(sides, rounds):
        for name in names:
            started = time.perf_counter()
            await asyncio.gather(*(sides[name].request(path, EACH) for _ in range(AT_ONCE)))
            taken = time.perf_counter() - started
            if number >= 0:
                rates[name].append(AT_ONCE * EACH / taken)
    return rates


def turns(sides: Iterable[str], rounds: int) -> Iterable[tuple[int, list[str]]]:
    """Give the order of the sides in each round; those below zero do not count."""
    names = list(sides)
    for number in range(-WARM_UP, rounds):
        random.shuffle(names)
        yield number, names


def ratio(some: list[float], others: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(one / other for one, other in zip(some, others, strict=True))


def report_added(added: dict[str, list[float]], goal: float) -> None:
    """Print what was measured one by one, ours against theirs."""
    theirs = statistics.median(added[THEIRS])
    for name, seconds in added.items():
        low, middle, high = statistics.quantiles(seconds, n=4)
        part = f"{middle / theirs:8.2f}" if name != BARE else ""
        print(f"  {name:45} {middle * 1e6:7.0f}  ({low * 1e6:5.0f} to {high * 1e6:5.0f}) {part}")
    found = ratio(added[OURS], added[THEIRS])
    print(f"  {OURS} / {THEIRS}: {found:.2f}, goal at most {goal:.2f}: {'met' if found <= goal else 'missed'}")


def report_rates(rates: dict[str, list[float]]) -> None:
    """Print what was measured at once, each against the bare app and against theirs."""
    for name, found in rates.items():
        low, middle, high = statistics.quantiles(found, n=4)
        parts = f"{ratio(found, rates[BARE]):8.2f} {ratio(found, rates[THEIRS]):8.2f}"
        print(f"  {name:45} {middle:7.0f}  ({low:5.0f} to {high:5.0f}) {parts}")


async def main(given: argparse.Namespace) -> None:
    """Measure, and print."""
    async with AsyncExitStack() as ends:
        url = given.url or ends.enter_context(Server()).url
        client = redis.asyncio.Redis.from_url(url)
        ends.push_async_callback(client.aclose)
        await client.script_load("return 1")
        names = ("starlette", "starsessions", "uvicorn", "redis")
        said = (*(f"{name} {version(name)}" for name in names), f"Redis {(await client.info())['redis_version']}")
        print(*said, "uvloop" if given.uvloop else "asyncio's own loop", sep=", ")

        sides = {name: InProcess(make(client)) for name, make in APPS.items()}
        parts = {name: InProcess(app) for name, app in (await layers_on(client) if given.layers else {}).items()}
        for side in (sides | parts).values():
            await sign_in(side)
        for path, goal in GOALS.items():
            print(f"\n{path}: microseconds added to a bare request, median (quartiles), and as a part of {THEIRS}'s")
            report_added(await one_by_one(sides | parts, f"/{path}", given.rounds), goal)
        for path in GOALS:
            print(f"\n{path}, {AT_ONCE} at once: requests a second, median (quartiles), to {BARE} and to {THEIRS}")
            report_rates(await many_at_once(sides, f"/{path}", given.rounds // 10))
        if given.skip_sockets:
            return
        served = {name: await ThroughUvicorn.start(name, url, ends) for name in APPS}
        for server in served.values():
            await sign_in(server)
        for path in GOALS:
            print(f"\n{path}, {AT_ONCE} connections to uvicorn: requests a second, likewise")
            report_rates(await many_at_once(served, f"/{path}", given.rounds // 10))


def arguments() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=300, help="one by one; a tenth of them with many at once")
    parser.add_argument("--layers", action="store_true", help="also show what the parts of a request cost")
    parser.add_argument("--uvloop", action="store_true", help="run what is in this process in uvloop, as uvicorn does")
    parser.add_argument("--skip-sockets", action="store_true", help="leave out uvicorn")
    parser.add_argument("--url", help="a Redis to use, instead of one that is started for this")
    parser.add_argument("--serve", help=argparse.SUPPRESS)  # be the server of this side
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    if asked.serve:
        serve(asked.serve, asked.url)
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if asked.uvloop else None) as runner:
            runner.run(main(asked))
