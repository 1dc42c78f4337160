"""What a session layer adds to a bare Django request: ours, Django's signed cookies, and its caches on Redis.

    uv run python benchmarks/django_app.py [--rounds 300] [--layers] [--asgi] [--url redis://...]

Every side is a handler in this process, called as a server does, each with a client of its own of the same Redis. A
round times each side in turn; what a side adds is its median less that of the bare handler, both of the same round.

Django's settings are one set a process. What differs (middleware, engine, cache, URLs) is set before a side's handler
is made, and again, outside the clock, before each of its blocks: so each is what Django makes of such settings.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import statistics
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import django
import redis
import redis.asyncio
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from redisess_core import SessionManager

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from redisess_core.operation import Operation

    Do = Callable[[HttpRequest], Any]
    Answer = tuple[int, str, str]  # status, cookie, body

GOALS = {"read": 0.65, "write": 0.45}
BLOCK = 20  # requests of one side in a round
WARM_UP = 5  # rounds that do not count
DATA = {"name": "Ada", "visits": 0, "theme": "dark"}
USER = {"_auth_user_id": "1"}  # as `django.contrib.auth.login` has it, which needs a database
HEADERS = {"Host": "127.0.0.1", "User-Agent": "a benchmark", "Accept": "*/*", "Accept-Encoding": "gzip, deflate, br"}
DJANGO_S = "django.contrib.sessions.middleware.SessionMiddleware"
BARE, OURS, THEIRS = "bare Django", "redisess", "the cache backend"


# What the views do, blocking and async


class Steps(NamedTuple):
    """What views do: with a session, and bare ones without."""

    begin: Do
    read: Do
    write: Do
    nothing: Do
    one_trip: Do
    two_trips: Do


def blocking_steps(client: redis.Redis) -> Steps:
    """Return what blocking views do."""
    sha = client.script_load("return 1")

    def begin(request: HttpRequest) -> None:
        request.session.update({**DATA, **USER})

    def read(request: HttpRequest) -> str:
        return request.session["name"]

    def write(request: HttpRequest) -> int:
        request.session["visits"] = visits = request.session["visits"] + 1
        return visits

    def nothing(_: HttpRequest) -> None:
        pass

    def one_trip(_: HttpRequest) -> None:
        client.execute_command("EVALSHA", sha, 0)

    def two_trips(_: HttpRequest) -> None:
        client.execute_command("EVALSHA", sha, 0)
        client.execute_command("EVALSHA", sha, 0)

    return Steps(begin, read, write, nothing, one_trip, two_trips)


async def async_steps(client: redis.asyncio.Redis) -> Steps:
    """Return what async views do."""
    sha = await client.script_load("return 1")

    async def begin(request: HttpRequest) -> None:
        await request.session.aupdate({**DATA, **USER})

    async def read(request: HttpRequest) -> str:
        return await request.session.aget("name")

    async def write(request: HttpRequest) -> int:
        visits = await request.session.aget("visits") + 1
        await request.session.aset("visits", visits)
        return visits

    async def nothing(_: HttpRequest) -> None:
        pass

    async def one_trip(_: HttpRequest) -> None:
        await client.execute_command("EVALSHA", sha, 0)

    async def two_trips(_: HttpRequest) -> None:
        await client.execute_command("EVALSHA", sha, 0)
        await client.execute_command("EVALSHA", sha, 0)

    return Steps(begin, read, write, nothing, one_trip, two_trips)


def view_of(do: Do) -> Callable[[HttpRequest], Any]:
    """Make a view that says what it got."""

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(do(request)))

    async def async_view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(await do(request)))

    return async_view if iscoroutinefunction(do) else view


# Sides


class Side:
    """A handler made of its own settings, and the client that keeps its cookie."""

    def __init__(self, *steps: Do, engine: str = "", middleware: str = DJANGO_S, cache: str = "django") -> None:
        self.settings = {
            "ROOT_URLCONF": urls_of(*steps),
            "MIDDLEWARE": [middleware] if engine else [],
            "SESSION_ENGINE": engine,
            "SESSION_CACHE_ALIAS": cache,
        }
        self.cookie = ""
        self.set()
        self.handler = self.make_handler()
        for name, said in (("begin", "None"), ("write", "1"), ("read", "Ada"), ("write", "2")):
            status, cookie, body = self.answer(f"/{name}")
            if status != 200 or (engine and body != said):
                raise RuntimeError(f"{engine}, {cache}: /{name}: {status}: {body!r} instead of {said!r}")
            self.cookie = cookie or self.cookie

    def set(self) -> None:
        """Make this side's settings those of the process."""
        for name, value in self.settings.items():
            setattr(settings, name, value)

    def time(self, path: str) -> float:
        """Return the median seconds of a block of requests."""
        self.set()
        taken, statuses = self.block(path)
        if statuses != [200] * BLOCK:
            raise RuntimeError(f"not 200: {statuses}")
        return statistics.median(taken)

    def make_handler(self) -> Any:
        """Make Django's handler."""
        raise NotImplementedError

    def answer(self, path: str) -> Answer:
        """Call the handler once."""
        raise NotImplementedError

    def block(self, path: str) -> tuple[list[float], list[int]]:
        """Return the seconds and the status of each request of a block."""
        raise NotImplementedError


def urls_of(*steps: Do) -> tuple[URLPattern, ...]:
    """Make the URLs of three views."""
    return tuple(path(name, view_of(do)) for name, do in zip(("begin", "read", "write"), steps, strict=True))


class WsgiSide(Side):
    """A side called as a WSGI server does."""

    def make_handler(self) -> WSGIHandler:
        """Make Django's handler."""
        return WSGIHandler()

    def environ(self, path: str) -> dict[str, Any]:
        """Make the environ of a request as servers do."""
        headers = {**HEADERS, **({"Cookie": self.cookie} if self.cookie else {})}
        return {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        }

    def answer(self, path: str) -> Answer:
        """Call the handler once."""
        seen: list[tuple[str, list[tuple[str, str]]]] = []
        response = self.handler(self.environ(path), lambda *got: seen.append(got))
        body = b"".join(response).decode()
        response.close()
        status, headers = seen[0]
        cookies = [value.strip() for name, value in headers if name == "Set-Cookie"]
        return int(status[:3]), "".join(cookies).partition(";")[0], body

    def block(self, path: str) -> tuple[list[float], list[int]]:
        """Return the seconds and the status of each request of a block."""
        handler, environ, clock = self.handler, self.environ(path), time.perf_counter
        taken: list[float] = []
        statuses: list[int] = []
        for _ in range(BLOCK):
            fresh = dict(environ)
            started = clock()
            response = handler(fresh, ignore)
            b"".join(response)
            response.close()
            taken.append(clock() - started)
            statuses.append(response.status_code)
        return taken, statuses


def ignore(*_: object) -> Callable[[bytes], object]:
    """Take the start of a response, as a server's `start_response`."""
    return bytes


class AsgiSide(Side):
    """A side called as an ASGI server does, each request in a task of its own (where Django's caches are new ones)."""

    runner: asyncio.Runner

    def make_handler(self) -> ASGIHandler:
        """Make Django's handler."""
        return ASGIHandler()

    def scope(self, path: str) -> dict[str, Any]:
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

    def answer(self, path: str) -> Answer:
        """Call the handler once."""
        seen: list[dict[str, Any]] = []
        self.runner.run(self.handler(self.scope(path), receive_of_get(), sender_to(seen)))
        cookies = [value.decode() for name, value in seen[0]["headers"] if name == b"Set-Cookie"]
        return seen[0]["status"], "".join(cookies).partition(";")[0], seen[1]["body"].decode()

    def block(self, path: str) -> tuple[list[float], list[int]]:
        """Return the seconds and the status of each request of a block."""
        return self.runner.run(self._block(path))

    async def _block(self, path: str) -> tuple[list[float], list[int]]:
        handler, scope, clock = self.handler, self.scope(path), time.perf_counter
        taken: list[float] = []
        seen: list[dict[str, Any]] = []
        send = sender_to(seen)
        for _ in range(BLOCK):
            fresh, receive = {**scope, "state": {}}, receive_of_get()
            started = clock()
            await asyncio.create_task(handler(fresh, receive, send))
            taken.append(clock() - started)
        return taken, [message["status"] for message in seen[0::2]]


def receive_of_get() -> Callable[[], Any]:
    """Return a `receive` of a GET, whose client then stays."""
    messages: Iterator[dict[str, Any]] = iter(({"type": "http.request", "body": b"", "more_body": False},))

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        return await asyncio.get_running_loop().create_future()

    return receive


def sender_to(seen: list[dict[str, Any]]) -> Callable[[dict[str, Any]], Any]:
    """Return a `send` that keeps what it is given."""

    async def send(message: dict[str, Any]) -> None:
        seen.append(message)

    return send


def layers_on(client: redis.Redis) -> dict[str, Do]:
    """Return steps that do more and more of what a request with a session does."""
    manager = SessionManager(client)
    session = manager.create("ada", data=DATA)
    token = str(session.token)
    manager.authenticate(token)
    session.set("visits", 0)
    opening = manager.plan_authenticate(token)
    storing = manager.plan_store(session.session_id, {b"d:visits": b"0"}, decode=list)

    def call(sha: str, planned: Operation[Any]) -> Do:
        command = ("EVALSHA", sha, len(planned.keys), *planned.keys, *planned.args)
        return lambda _: client.execute_command(*command, NEVER_DECODE=True)

    def authenticate_and_read(_: HttpRequest) -> None:
        found = manager.authenticate(token)
        if found is None or found.data["name"] != "Ada":
            raise RuntimeError("no session")

    return {
        "  `return 1`, with the arguments of `open`": call(client.script_load("return 1"), opening),
        "  a bare HGETALL in a script": call(client.script_load("return redis.call('HGETALL', KEYS[4])"), opening),
        "  the script `open`": call(opening.script.sha, opening),
        "  manager.authenticate()": lambda _: manager.authenticate(token),
        "  the same, and a value of its data": authenticate_and_read,
        "  the script `store`": call(storing.script.sha, storing),
        "  session.set()": lambda _: session.set("visits", 0),
    }


def sides_of(side: type[Side], steps: Steps, parts: dict[str, Do]) -> dict[str, Side]:
    """Make every side, each signed in."""
    session, nothing = steps[:3], steps.nothing
    backends, ours = "django.contrib.sessions.backends", "redisess_django"
    return {
        BARE: side(nothing, nothing, nothing),
        "and one EVALSHA of `return 1`": side(nothing, steps.one_trip, steps.one_trip),
        "and two of them": side(nothing, steps.two_trips, steps.two_trips),
        **{name: side(nothing, part, part) for name, part in parts.items()},
        "Django's signed cookies": side(*session, engine=f"{backends}.signed_cookies"),
        f"{THEIRS} on django-redis": side(*session, engine=f"{backends}.cache", cache="django-redis"),
        THEIRS: side(*session, engine=f"{backends}.cache"),
        f"{OURS}, Django's own middleware": side(*session, engine=f"{ours}.sessions"),
        OURS: side(*session, engine=f"{ours}.sessions", middleware=f"{ours}.middleware.SessionMiddleware"),
    }


# Measuring, and saying what was found


def measure(sides: dict[str, Side], path: str, rounds: int) -> dict[str, list[float]]:
    """Return what each side adds to the bare handler, by round; the bare one's is its own time."""
    added: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(-WARM_UP, rounds):
        random.shuffle(names)
        taken = {name: sides[name].time(path) for name in names}
        if number >= 0:
            for name, seconds in taken.items():
                added[name].append(seconds if name == BARE else seconds - taken[BARE])
    return added


def report(added: dict[str, list[float]], goal: float) -> None:
    """Print what was measured, ours against theirs."""
    theirs = statistics.median(added[THEIRS])
    for name, seconds in added.items():
        low, middle, high = statistics.quantiles(seconds, n=4)
        ratio = f"{middle / theirs:8.2f}" if name != BARE else ""
        print(f"  {name:45} {middle * 1e6:7.0f}  ({low * 1e6:5.0f} to {high * 1e6:5.0f}) {ratio}")
    ratio = statistics.median(ours / other for ours, other in zip(added[OURS], added[THEIRS], strict=True))
    print(f"  {OURS} / {THEIRS}: {ratio:.2f}, goal at most {goal:.2f}: {'met' if ratio <= goal else 'missed'}")


def configure(url: str) -> None:
    """Give Django the settings that all sides have in common."""
    backends = {
        "default": "django.core.cache.backends.locmem.LocMemCache",
        "django": "django.core.cache.backends.redis.RedisCache",
        "django-redis": "django_redis.cache.RedisCache",
    }
    settings.configure(
        SECRET_KEY="of a benchmark",
        CACHES={alias: {"BACKEND": backend, "LOCATION": url} for alias, backend in backends.items()},
        REDISESS={"URL": url},
    )
    django.setup()


def main() -> None:
    """Measure, and print."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    arguments.add_argument("--rounds", type=int, default=300)
    kinds = arguments.add_mutually_exclusive_group()
    kinds.add_argument("--layers", action="store_true", help="also show what the parts of a request cost")
    kinds.add_argument("--asgi", action="store_true", help="async views, called as an ASGI server does")
    arguments.add_argument("--url", help="a Redis to use, instead of one that is started for this")
    given = arguments.parse_args()
    with ExitStack() as ends:
        url = given.url or ends.enter_context(Server()).url
        client = ends.enter_context(redis.Redis.from_url(url))
        names = ("django", "django-redis", "redis")
        print(*(f"{name} {version(name)}" for name in names), f"Redis {client.info()['redis_version']}", sep=", ")
        configure(url)
        if given.asgi:
            AsgiSide.runner = runner = ends.enter_context(asyncio.Runner())
            async_client = redis.asyncio.Redis.from_url(url)
            ends.callback(lambda: runner.run(async_client.aclose()))
            sides = sides_of(AsgiSide, runner.run(async_steps(async_client)), {})
        else:
            sides = sides_of(WsgiSide, blocking_steps(client), layers_on(client) if given.layers else {})
        for path, goal in GOALS.items():
            print(f"\n{path}: microseconds added to a bare request, median (quartiles), and as a part of {THEIRS}'s")
            report(measure(sides, f"/{path}", given.rounds), goal)


if __name__ == "__main__":
    main()
