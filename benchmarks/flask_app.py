"""What a session layer adds to a bare Flask request: ours, Flask's signed cookie, and Flask-Session on Redis.

    uv run python benchmarks/flask_app.py [--rounds 300] [--layers] [--url redis://...]

Every side is an app in this process, called as a WSGI server does, and all that use Redis share one client. A round
times each side in turn; what a side adds is its median less that of the bare app, both of the same round.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask_session
import redis
from flask import Flask, session
from werkzeug.test import create_environ

from redisess_core import SessionManager
from redisess_flask import Redisess, login

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from redisess_core.operation import Operation

GOALS = {"read": 0.45, "write": 0.80}
BLOCK = 20  # requests of one side in a round
WARM_UP = 5  # rounds that do not count
DATA = {"name": "Ada", "visits": 0, "theme": "dark"}


class Side:
    """An app, and the client that keeps its cookie."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.cookie = ""
        for path in ("/begin", "/read", "/write"):
            self.answer(path)
        self.environs = {path: create_environ(path, headers={"Cookie": self.cookie}) for path in ("/read", "/write")}

    def answer(self, path: str) -> None:
        """Call the app once, look at its answer, and keep its cookie."""
        seen: list[tuple[str, list[tuple[str, str]]]] = []
        body = self.app.wsgi_app(create_environ(path, headers={"Cookie": self.cookie}), lambda *got: seen.append(got))
        status, headers = seen[0]
        if status != "200 OK":
            raise RuntimeError(f"{path}: {status}: {b''.join(body)!r}")
        for name, value in headers:
            if name == "Set-Cookie":
                self.cookie = value.partition(";")[0]

    def time(self, path: str) -> float:
        """Return the median seconds of a block of requests."""
        app, environ, clock = self.app.wsgi_app, self.environs[path], time.perf_counter
        taken: list[float] = []
        for _ in range(BLOCK):
            fresh = dict(environ)
            started = clock()
            body = app(fresh, ignore)
            b"".join(body)
            body.close()
            taken.append(clock() - started)
        return statistics.median(taken)


def ignore(*_: object) -> Callable[[bytes], object]:
    """Take the start of a response, as a server's `start_response`."""
    return bytes


def app_of(begin: Callable[[], None], read: Callable[[], object], write: Callable[[], object]) -> Flask:
    """Make an app of three views."""
    app = Flask("benchmark")

    @app.get("/begin")
    def begin_view() -> str:
        begin()
        return "begun"

    @app.get("/read")
    def read_view() -> str:
        read()
        return "read"

    @app.get("/write")
    def write_view() -> str:
        write()
        return "written"

    return app


def bare() -> Flask:
    """Make an app without sessions."""
    return app_of(nothing, nothing, nothing)


def round_trips(client: redis.Redis, number: int) -> Flask:
    """Make an app without sessions whose views call the least of scripts, so many times."""
    sha = client.script_load("return 1")

    def call() -> None:
        for _ in range(number):
            client.execute_command("EVALSHA", sha, 0)

    return app_of(nothing, call, call)


def signed_cookie() -> Flask:
    """Make an app with Flask's own sessions."""
    app = app_of(lambda: session.update(DATA, user="ada"), read_value, write_value)
    app.secret_key = "of a benchmark"
    return app


def flask_session_on(client: redis.Redis, **config: object) -> Flask:
    """Make an app with Flask-Session as it comes, or with *config*."""
    app = app_of(lambda: session.update(DATA, user="ada"), read_value, write_value)
    app.config.update(SESSION_TYPE="redis", SESSION_REDIS=client, SESSION_KEY_PREFIX=f"{len(config)}:", **config)
    flask_session.Session(app)
    return app


def redisess_on(client: redis.Redis) -> Flask:
    """Make an app with redisess as it comes."""

    def begin() -> None:
        login("ada")
        session.update(DATA)

    app = app_of(begin, read_value, write_value)
    app.config["REDISESS_CLIENT"] = client
    Redisess(app)
    return app


def layers_on(client: redis.Redis) -> dict[str, Flask]:
    """Make apps without sessions whose views do more and more of what a request with a session does."""
    manager = SessionManager(client)
    session = manager.create("ada", data=DATA)
    token = str(session.token)
    manager.authenticate(token)
    session.set("visits", 0)
    opening = manager.plan_authenticate(token)
    storing = manager.plan_store(session.session_id, {b"d:visits": b"0"}, decode=list)

    def call(sha: str, planned: Operation[Any]) -> Callable[[], object]:
        command = ("EVALSHA", sha, len(planned.keys), *planned.keys, *planned.args)
        return lambda: client.execute_command(*command, NEVER_DECODE=True)

    def authenticate_and_read() -> None:
        found = manager.authenticate(token)
        if found is None or found.data["name"] != "Ada":
            raise RuntimeError("no session")

    steps = {
        "  `return 1`, with the arguments of `open`": call(client.script_load("return 1"), opening),
        "  a bare HGETALL in a script": call(client.script_load("return redis.call('HGETALL', KEYS[4])"), opening),
        "  the script `open`": call(opening.script.sha, opening),
        "  manager.authenticate()": lambda: manager.authenticate(token),
        "  the same, and a value of its data": authenticate_and_read,
        "  the script `store`": call(storing.script.sha, storing),
        "  session.set()": lambda: session.set("visits", 0),
    }
    return {name: app_of(nothing, step, step) for name, step in steps.items()}


def nothing() -> None:
    """Do what a bare view does."""


def read_value() -> None:
    """Read one value."""
    if session["name"] != "Ada":
        raise RuntimeError("no session")


def write_value() -> None:
    """Read one value and write it."""
    session["visits"] = session["visits"] + 1


BARE, OURS, THEIRS = "bare Flask", "redisess", "Flask-Session"


def sides_on(client: redis.Redis, *, layers: bool) -> dict[str, Side]:
    """Make every side, each signed in."""
    apps = {
        BARE: bare(),
        "and one EVALSHA of `return 1`": round_trips(client, 1),
        "and two of them": round_trips(client, 2),
        **(layers_on(client) if layers else {}),
        "Flask's signed cookie": signed_cookie(),
        f"{THEIRS}, SESSION_REFRESH_EACH_REQUEST off": flask_session_on(client, SESSION_REFRESH_EACH_REQUEST=False),
        THEIRS: flask_session_on(client),
        OURS: redisess_on(client),
    }
    return {name: Side(app) for name, app in apps.items()}


def measure(sides: dict[str, Side], path: str, rounds: int) -> dict[str, list[float]]:
    """Return what each side adds to the bare app, by round; the bare app's is its own time."""
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
        print(f"  {name:52} {middle * 1e6:7.0f}  ({low * 1e6:5.0f} to {high * 1e6:5.0f}) {ratio}")
    ratio = statistics.median(ours / other for ours, other in zip(added[OURS], added[THEIRS], strict=True))
    print(f"  {OURS} / {THEIRS}: {ratio:.2f}, goal at most {goal:.2f}: {'met' if ratio <= goal else 'missed'}")


def main() -> None:
    """Measure, and print."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    arguments.add_argument("--rounds", type=int, default=300)
    arguments.add_argument("--layers", action="store_true", help="also show what the parts of a request cost")
    arguments.add_argument("--url", help="a Redis to use, instead of one that is started for this")
    given = arguments.parse_args()
    with ExitStack() as ends:
        url = given.url or ends.enter_context(Server()).url
        client = ends.enter_context(redis.Redis.from_url(url))
        names = ("flask", "flask-session", "redis")
        print(
            ", ".join(f"{name} {version(name)}" for name in names), f"Redis {client.info()['redis_version']}", sep=", "
        )
        sides = sides_on(client, layers=given.layers)
        for path, goal in GOALS.items():
            print(f"\n{path}: microseconds added to a bare request, median (quartiles), and as a part of {THEIRS}'s")
            report(measure(sides, f"/{path}", given.rounds), goal)


if __name__ == "__main__":
    main()
