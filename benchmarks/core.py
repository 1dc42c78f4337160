"""What the core costs beside a bare script on the same client and server.

    uv run python benchmarks/core.py [--rounds 300] [--calls 25] [--node]

`--node` also runs the original, npm's redisess over ioredis: installed into a temporary folder, it takes turns with
ours on the same server.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis.asyncio
from measure import Row, Server, Times, print_table, take_turns, take_turns_async

from redisess_core import AsyncSessionManager, SessionManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SESSIONS, USERS = 2_000, 1_000
LONG = 1e9  # a touch interval within which the whole run lies
OPTIONS: dict[str, Any] = {"additional_fields": ["group"]}

NOTHING = "return 1"
READ = "return redis.call('HGETALL', KEYS[1])"
WRITE = """
local found = redis.call('HGETALL', KEYS[1])
redis.call('HSET', KEYS[1], 'l', ARGV[1])
redis.call('ZADD', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[4], ARGV[1], ARGV[4])
redis.call('ZADD', KEYS[5], ARGV[1], ARGV[2])
return found
"""
NODE_PACKAGES = ("redisess", "ioredis", "putil-promisify", "tslib")  # the last two it needs and does not name

BARE = "EVALSHA of `return 1`"
AUTHENTICATE = "authenticate, no touch due"
TOUCH = "authenticate, touching"
ORIGINAL = "the Node original's get"


class Bare:
    """Scripts of a line each on keys of their own, as many and as large as a manager's."""

    def __init__(self, client: redis.Redis, sessions: list[Any]) -> None:
        self.client = client
        self.nothing, self.read, self.write = (str(client.script_load(text)) for text in (NOTHING, READ, WRITE))
        self.hashes: list[str] = []
        self.writes: list[tuple[str, ...]] = []
        for session in sessions:
            key, id_, user = f"{{bare:0}}:s:{session.session_id}", session.session_id, session.user_id
            client.hset(key, mapping=session.stored_fields)
            self.hashes.append(key)
            indexes = (f"{{bare:0}}:{name}" for name in ("activity", "expiry", "users", f"u:{user}"))
            self.writes.append((key, *indexes, id_, f"{id_}:{user}", user))

    def sides(self) -> dict[str, Callable[[], object]]:
        """Return each script as a side."""
        client, hashes, writes = self.client, itertools.cycle(self.hashes), itertools.cycle(self.writes)

        def write() -> object:
            *keys, id_, entry, user = next(writes)
            return client.evalsha(self.write, 5, *keys, str(time.time()), id_, entry, user)

        return {
            BARE: lambda: client.evalsha(self.nothing, 0),
            "a script that reads the hash": lambda: client.evalsha(self.read, 1, next(hashes)),
            "a script that writes what a touch does": write,
        }


def operations(manager: SessionManager, touching: SessionManager, sessions: list[Any]) -> dict[str, Callable[[], Any]]:
    """Return what a manager does as sides; what one creates, another kills."""
    tokens, ids, touched = (
        itertools.cycle(found)
        for found in (
            [session.token for session in sessions],
            [session.session_id for session in sessions],
            [session.token for session in sessions],
        )
    )
    numbers, setting = itertools.count(), itertools.cycle(sessions)
    created: deque[str] = deque()

    def create() -> None:
        created.append(manager.create(f"user{next(numbers) % USERS}", group="staff").session_id)

    def kill() -> bool:
        if not created:
            create()  # only before the sides' first turns are even
        return manager.kill(created.popleft())

    return {
        AUTHENTICATE: lambda: manager.authenticate(next(tokens)),
        TOUCH: lambda: touching.authenticate(next(touched)),
        "create": create,
        "get(touch=False)": lambda: manager.get(next(ids), touch=False),
        "kill": kill,
        "count": manager.count,
        "session.set": lambda: next(setting).set("visits", next(numbers)),
    }


def populate(manager: SessionManager) -> list[Any]:
    """Make the sessions that the sides work on."""
    return [manager.create(f"user{number % USERS}", group="staff") for number in range(SESSIONS)]


def blocking(server: Server, rounds: int, calls: int) -> tuple[Times, list[Any]]:
    """Measure the blocking manager."""
    client = server.client()
    manager = SessionManager(client, touch_interval=LONG, **OPTIONS)
    touching = SessionManager(client, touch_interval=0, **OPTIONS)
    sessions = populate(manager)
    sides = {**Bare(client, sessions).sides(), **operations(manager, touching, sessions)}
    return take_turns(server, sides, rounds=rounds, calls=calls), sessions


async def awaiting(server: Server, sessions: list[Any], rounds: int, calls: int) -> Times:
    """Measure the async manager."""
    async with redis.asyncio.Redis.from_url(server.url) as client:
        manager = AsyncSessionManager(client, touch_interval=LONG, **OPTIONS)
        touching = AsyncSessionManager(client, touch_interval=0, **OPTIONS)
        nothing: Any = await client.script_load(NOTHING)
        tokens, touched = (itertools.cycle([session.token for session in sessions]) for _ in range(2))
        sides: dict[str, Callable[[], Any]] = {
            BARE: lambda: client.evalsha(nothing, 0),
            AUTHENTICATE: lambda: manager.authenticate(next(tokens)),
            TOUCH: lambda: touching.authenticate(next(touched)),
        }
        return await take_turns_async(server, sides, rounds=rounds, calls=calls)


@contextmanager
def node_original(server: Server) -> Iterator[subprocess.Popen[str]]:
    """Install and start the Node original, with as many sessions as ours; it answers each line with nanoseconds."""
    driver = Path(__file__).with_name("node_original.mjs")
    with tempfile.TemporaryDirectory(prefix="redisess-node-") as folder:
        shutil.copy(driver, folder)
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *NODE_PACKAGES]
        subprocess.run(npm, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        command = ["node", driver.name, str(server.port), str(SESSIONS), str(USERS)]
        with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                if process.stdout is None or process.stdout.readline() != "ready\n":
                    raise RuntimeError("the Node original does not run here")
                yield process
            finally:
                if process.stdin is not None:
                    process.stdin.close()


def beside_node(server: Server, sessions: list[Any], rounds: int, calls: int) -> Times:
    """Let the Node original take turns with ours: each times itself."""
    touching = SessionManager(server.client(), touch_interval=0, **OPTIONS)
    tokens = itertools.cycle([session.token for session in sessions])
    times = Times([TOUCH, ORIGINAL])
    with node_original(server) as process:
        ask, answers = process.stdin, process.stdout
        assert ask is not None
        assert answers is not None
        for number in range(rounds + 20):  # its compiler warms up for longer
            began = time.perf_counter()
            for _ in range(calls):
                touching.authenticate(next(tokens))
            ours = time.perf_counter() - began
            print(calls, file=ask, flush=True)
            theirs = int(answers.readline()) / 1e9
            if number >= 20:
                times.add(TOUCH, ours / calls)
                times.add(ORIGINAL, theirs / calls)
    return times


def rows_of(times: Times, goals: dict[str, float]) -> list[Row]:
    """Return each side as a multiple of the bare script."""
    return [
        Row(
            side,
            times.ratio(side, BARE),
            goals.get(side),
            note=(
                f"{times.work_ratio(side, BARE):5.2f} by processor time; "
                f"{times.micros(side):6.1f} us a call, {times.micros_inside(side):4.1f} us of it in the script"
            ),
        )
        for side in times.taken
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--calls", type=int, default=25, help="calls of one side in a round")
    parser.add_argument("--node", action="store_true", help="also against the Node original")
    options = parser.parse_args()
    goals = {AUTHENTICATE: 1.4, TOUCH: 1.6}
    rows: list[Row] = []
    with ExitStack() as ends:
        server = ends.enter_context(Server())
        times, sessions = blocking(server, options.rounds, options.calls)
        rows += rows_of(times, goals)
        print_table(f"Blocking: as many times as long as {BARE}", "ratio", rows)
        times = asyncio.run(awaiting(server, sessions, options.rounds, options.calls))
        print_table(f"Async: as many times as long as the same client's {BARE}", "ratio", rows_of(times, {}))
        if options.node:
            times = beside_node(server, sessions, options.rounds, options.calls)
            note = f"{times.micros(ORIGINAL):.1f} us against {times.micros(TOUCH):.1f} us"
            against = Row(TOUCH, times.ratio(ORIGINAL, TOUCH), 1.8, at_least=True, note=note)
            print_table(f"How many times as fast as {ORIGINAL}", "ratio", [against])
            rows.append(against)
    return int(any(row.verdict == "missed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
