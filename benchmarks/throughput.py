"""How often a process authenticates in a second, against what the server does of the same script at most.

    uv run python benchmarks/throughput.py [--sessions 20000] [--rounds 12] [--only limit shards written]

The server's limit is measured by redis-benchmark, which comes with Redis (Debian: redis-tools).
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import itertools
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from crowd import fill
from measure import Row, Server, print_table, turns

from redisess_core import AsyncSessionManager, SessionManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PARTS = ("limit", "shards", "written")
LONG = 1e9  # a touch interval within which the whole run lies
TTL = 86_400.0
TASKS = 64
THREADS = (4, 16)
SHARDS = (1, 4, 16, 64)
FIELDS: dict[str, Any] = {"group": "staff"}
ONE_THREAD, ALL_TASKS = "blocking, one thread", f"async, {TASKS} tasks"
LIMIT = f"redis-benchmark, {TASKS} connections"
PIPELINED = f"{LIMIT}, 16 a round trip"


@dataclass
class Sessions:
    """Sessions of a namespace of so many shards, and the managers of one process that authenticate them."""

    server: Server
    sessions: int
    runner: asyncio.Runner
    threads: ThreadPoolExecutor
    shards: int = 1
    touch_interval: float = LONG
    tokens: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        options: dict[str, Any] = {
            "namespace": f"shards{self.shards}-{self.touch_interval:g}",
            "additional_fields": FIELDS,
            "ttl": TTL,
            "touch_interval": self.touch_interval,
            "shards": self.shards,
        }
        client = self.server.client(max_connections=1000)
        self.manager = SessionManager(client, **options)
        self.async_manager = AsyncSessionManager(self.server.url, **options)
        users = max(1, self.sessions // 4)
        self.tokens = itertools.cycle(fill(self.manager, client, sessions=self.sessions, users=users, **FIELDS))
        self.manager.authenticate(next(self.tokens))  # the server knows the script now

    def some(self, calls: int) -> list[str]:
        """Choose sessions."""
        return list(itertools.islice(self.tokens, calls))

    def one_thread(self, calls: int) -> float:
        """Authenticate on this thread; return calls a second, as all of these do."""
        return self._rate(calls, partial(self._authenticate, self.some(calls)))

    def many_threads(self, threads: int, calls: int) -> float:
        """Authenticate on several threads."""
        parts = [self.some(calls // threads) for _ in range(threads)]
        return self._rate(calls, lambda: list(self.threads.map(self._authenticate, parts)))

    def many_tasks(self, calls: int) -> float:
        """Authenticate in several tasks of one event loop."""
        parts = [self.some(calls // TASKS) for _ in range(TASKS)]

        async def authenticate(some: list[str]) -> None:
            for token in some:
                await self.async_manager.authenticate(token)

        async def together() -> None:
            await asyncio.gather(*map(authenticate, parts))

        return self._rate(calls, lambda: self.runner.run(together()))

    def count(self, calls: int) -> float:
        """Count all sessions, which asks every shard."""
        return self._rate(calls, lambda: [self.manager.count() for _ in range(calls)])

    def benchmark(self, program: str, connections: int, pipeline: int, calls: int) -> float:
        """Let redis-benchmark call the same script with the same arguments, always for the same session."""
        planned = self.manager.plan_authenticate(next(self.tokens))
        parts = [planned.script.sha, len(planned.keys), *planned.keys, *planned.args]
        said = [part.decode() if isinstance(part, bytes) else str(part) for part in parts]
        command = [program, "-p", self.server.port, "-c", connections, "-n", calls, "-P", pipeline, "--csv"]
        run = subprocess.run([*map(str, command), "EVALSHA", *said], check=True, capture_output=True, text=True)
        return float(next(row for row in csv.reader(run.stdout.splitlines()) if row[0] != "test")[1])

    def _authenticate(self, some: list[str]) -> None:
        for token in some:
            self.manager.authenticate(token)

    @staticmethod
    def _rate(calls: int, run: Callable[[], object]) -> float:
        began = time.perf_counter()
        run()
        return calls / (time.perf_counter() - began)


def rates_of(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Let the sides take turns; return the calls a second of each, by round."""
    found: dict[str, list[float]] = {side: [] for side in sides}
    for side, counts in turns(sides, rounds):
        rate = sides[side]()
        if counts:
            found[side].append(rate)
    return found


def as_rows(found: dict[str, list[float]], base: str) -> list[Row]:
    """Return each side as a part of *base*, round by round."""
    return [
        Row(
            side,
            statistics.median(one / other for one, other in zip(rates, found[base], strict=True)),
            note=f"{statistics.median(rates):9,.0f} a second, from {min(rates):,.0f} to {max(rates):,.0f}",
        )
        for side, rates in found.items()
    ]


def limit(made: Callable[..., Sessions], options: argparse.Namespace, _: ExitStack) -> None:
    """Compare a process with the server's limit, once where no touch is due and once where each touches."""
    program = shutil.which("redis-benchmark")
    if program is None:
        print("redis-benchmark is not here (Debian: redis-tools): the server's own limit is not measured")
    for what, interval in (("no touch due", LONG), ("touching", 0.0)):
        some, calls = made(touch_interval=interval), options.calls
        sides: dict[str, Callable[[], float]] = {
            ONE_THREAD: partial(some.one_thread, calls),
            **{f"blocking, {threads} threads": partial(some.many_threads, threads, calls) for threads in THREADS},
            ALL_TASKS: partial(some.many_tasks, calls),
        }
        if program is not None:
            sides |= {
                "redis-benchmark, one connection": partial(some.benchmark, program, 1, 1, 4 * calls),
                LIMIT: partial(some.benchmark, program, TASKS, 1, 10 * calls),
                PIPELINED: partial(some.benchmark, program, TASKS, 16, 20 * calls),
            }
        base = ONE_THREAD if program is None else LIMIT
        client: Any = some.server.client()
        client.config_resetstat()
        found = rates_of(sides, options.rounds)
        inside = client.info("commandstats")["cmdstat_evalsha"]["usec_per_call"]
        print_table(f"authenticate, {what}: as a part of {base}", "ratio", as_rows(found, base))
        print(f"in the script: {inside:.1f} us, which alone would be {1e6 / inside:,.0f} a second")


def shards(made: Callable[..., Sessions], options: argparse.Namespace, _: ExitStack) -> None:
    """Compare namespaces of several shards on one server."""
    known = {number: made(shards=number) for number in SHARDS}
    ways: dict[str, Callable[[Sessions], float]] = {
        ONE_THREAD: lambda some: some.one_thread(options.calls),
        ALL_TASKS: lambda some: some.many_tasks(options.calls),
        "count()": lambda some: some.count(max(1, options.calls // 20)),
    }
    for way, run in ways.items():
        found = rates_of({str(number): partial(run, some) for number, some in known.items()}, options.rounds)
        print_table(f"{way}: shards, as a part of one", "ratio", as_rows(found, "1"))


def written(made: Callable[..., Sessions], options: argparse.Namespace, ends: ExitStack) -> None:
    """Say how much an operation writes to the append-only file, which is what it sends to a replica, too."""
    server = ends.enter_context(Server("--appendonly", "yes", "--appendfsync", "no"))
    some = made(server=server, touch_interval=0.0)
    client: Any = server.client()

    def size() -> int:
        return int(client.info("persistence")["aof_current_size"])

    def of(what: str, calls: list[Callable[[], object]]) -> Row:
        before = size()
        for call in calls:
            call()
        return Row(what, (size() - before) / len(calls))

    sessions: list[Any] = []
    users = [f"another{number}" for number in range(options.calls // 4)]
    rows = [
        of("create", [lambda user=user: sessions.append(some.manager.create(user, **FIELDS)) for user in users]),
        of("touch", [partial(some.manager.authenticate, session.token) for session in sessions]),
        of("session.set", [partial(session.set, "visits", 1) for session in sessions]),
        of("kill", [session.kill for session in sessions]),
    ]
    print_table("Written to the append-only file by", "bytes", rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--calls", type=int, default=3_200, help="of a side in a round; redis-benchmark makes more")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    with ExitStack() as ends:
        server = ends.enter_context(Server())
        runner = ends.enter_context(asyncio.Runner())
        threads = ends.enter_context(ThreadPoolExecutor(max(THREADS)))

        def made(**differing: Any) -> Sessions:
            given: dict[str, Any] = {"server": server, "sessions": options.sessions, **differing}
            sessions = Sessions(runner=runner, threads=threads, **given)
            ends.callback(lambda: runner.run(sessions.async_manager.aclose()))
            return sessions

        for name, part in (("limit", limit), ("shards", shards), ("written", written)):
            if name in options.only:
                part(made, options, ends)
    return 0


if __name__ == "__main__":
    sys.exit(main())
