"""What operations cost at a million sessions beside ten thousand, and what long ones do to others meanwhile.

    uv run python benchmarks/million.py [--small 10000] [--large 1000000] [--only operations wipe kill_all ...]

Parts: memory, operations, server, iter_sessions, verify, migrate, wipe, kill_all. With `--first-in-line` the servers
and their clients get a processor before all other processes, where the system allows it: what a script takes then is
its own.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from beside import SecondProcess, SlowLog, Taken, describe, quantile, work_by_call
from crowd import fill, first_in_line, placed, scheduled, through_pipelines, used_memory
from measure import Row, Server, print_table, turns

from redisess_core import SessionManager
from redisess_core.keys import ShardKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PARTS = ("memory", "operations", "server", "iter_sessions", "verify", "migrate", "wipe", "kill_all")
SESSIONS_A_USER = 4
SOON, LATER = 7_200.0, 86_400.0  # the ttl of one half and of the other
LONG = 1e9  # a touch interval within which the whole run lies
RATIO, SCRIPT, BESIDE = 1.5, 2_000, 10.0  # the goals; of a script in microseconds
FIELDS: dict[str, Any] = {"group": "staff"}
PROBED = 20  # sessions of the second process

Calls = list["Callable[[], object]"]


@dataclass(eq=False)
class Side:
    """A server with so many sessions, and what the operations are called with."""

    server: Server
    sessions: int
    client: Any = field(init=False)  # untyped in parts
    tokens: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.server.client(socket_timeout=60)
        self.manager = SessionManager(self.client, additional_fields=FIELDS, ttl=LATER, touch_interval=LONG)
        self.touching = SessionManager(self.client, additional_fields=FIELDS, ttl=LATER, touch_interval=0)
        self.pid = self.server.process.pid if self.server.process else 0
        self.users = max(1, self.sessions // SESSIONS_A_USER)
        self.slow = SlowLog(self.client)

    def fill(self) -> None:
        """Create the sessions; say what each takes in memory."""
        self.manager.count()
        before, began = used_memory(self.client), time.perf_counter()
        many: dict[str, Any] = {"sessions": self.sessions, "users": self.users}
        self.tokens = fill(self.manager, self.client, **many, ttls=(SOON, LATER), **FIELDS)
        self.bytes_a_session = (used_memory(self.client) - before) / self.sessions
        print(f"{self.sessions:,} sessions of {self.users:,} users in {time.perf_counter() - began:.0f} s", flush=True)

    def user(self) -> str:
        """Choose a user."""
        return f"user{random.randrange(self.users)}"

    def some_tokens(self, calls: int) -> list[str]:
        """Choose sessions."""
        return random.choices(self.tokens, k=calls)

    def ids(self, calls: int) -> list[str]:
        """Choose sessions by their ids."""
        return [session.session_id for session in self.opened(calls)]

    def opened(self, calls: int) -> list[Any]:
        """Choose sessions, as loaded."""
        return [self.manager.authenticate(token, touch=False) for token in self.some_tokens(calls)]


def operations() -> dict[str, Callable[[Side, int], Iterator[Calls]]]:
    """Return each operation as what makes ready so many calls of it and, once they were made, puts things right."""

    def simple(call: Callable[[Side], object]) -> Callable[[Side, int], Iterator[Calls]]:
        def ready(side: Side, calls: int) -> Iterator[Calls]:
            yield [partial(call, side)] * calls

        return ready

    def by_user(call: Callable[[SessionManager, str], object]) -> Callable[[Side, int], Iterator[Calls]]:
        def ready(side: Side, calls: int) -> Iterator[Calls]:
            yield [partial(call, side.manager, side.user()) for _ in range(calls)]

        return ready

    def by_token(call: Callable[[Side, str], object]) -> Callable[[Side, int], Iterator[Calls]]:
        def ready(side: Side, calls: int) -> Iterator[Calls]:
            yield [partial(call, side, token) for token in side.some_tokens(calls)]

        return ready

    return {
        "authenticate, no touch due": by_token(lambda side, token: side.manager.authenticate(token)),
        "authenticate, touching": by_token(lambda side, token: side.touching.authenticate(token)),
        "get(touch=False)": _get,
        "exists": _exists,
        "create": _create,
        "kill": _kill,
        "rotate": _rotate,
        "session.set": _set,
        "session.get": _read,
        "count()": simple(lambda side: side.manager.count()),
        "count(600)": simple(lambda side: side.manager.count(600)),
        "count_users()": simple(lambda side: side.manager.count_users()),
        "count_for_user": by_user(lambda manager, user: manager.count_for_user(user)),
        "get_user_sessions": by_user(lambda manager, user: manager.get_user_sessions(user)),
        "list_user_sessions": by_user(lambda manager, user: manager.list_user_sessions(user)),
        "get_oldest_user_session": by_user(lambda manager, user: manager.get_oldest_user_session(user)),
        "kill_user, of 4 sessions": _kill_user,
        "list_sessions, the first 100": simple(lambda side: side.manager.list_sessions(limit=100)),
        "list_sessions, 100 somewhere": _list_somewhere,
    }


def _get(side: Side, calls: int) -> Iterator[Calls]:
    yield [partial(side.manager.get, session_id, touch=False) for session_id in side.ids(calls)]


def _exists(side: Side, calls: int) -> Iterator[Calls]:
    yield [partial(side.manager.exists, session_id) for session_id in side.ids(calls)]


def _create(side: Side, calls: int) -> Iterator[Calls]:
    made: list[Any] = []

    def create(user: str) -> None:
        made.append(side.manager.create(user, **FIELDS))

    yield [partial(create, side.user()) for _ in range(calls)]
    for session in made:
        session.kill()


def _kill(side: Side, calls: int) -> Iterator[Calls]:
    made = [side.manager.create(side.user(), **FIELDS).session_id for _ in range(calls)]
    yield [partial(side.manager.kill, session_id) for session_id in made]


def _rotate(side: Side, calls: int) -> Iterator[Calls]:
    places = random.sample(range(len(side.tokens)), calls)

    def rotate(place: int, session: Any) -> None:
        side.tokens[place] = str(side.manager.rotate(session).token)

    loaded = [(place, side.manager.authenticate(side.tokens[place], touch=False)) for place in places]
    yield [partial(rotate, *known) for known in loaded]


def _set(side: Side, calls: int) -> Iterator[Calls]:
    yield [partial(session.set, "visits", 1) for session in side.opened(calls)]


def _read(side: Side, calls: int) -> Iterator[Calls]:
    yield [partial(session.get, "visits") for session in side.opened(calls)]


def _kill_user(side: Side, calls: int) -> Iterator[Calls]:
    passing = [f"passing{number}" for number in range(calls)]
    for user in passing * SESSIONS_A_USER:
        side.manager.create(user, **FIELDS)
    yield [partial(side.manager.kill_user, user) for user in passing]


def _list_somewhere(side: Side, calls: int) -> Iterator[Calls]:
    places = [(session.last_access, session.session_id) for session in side.opened(calls)]
    yield [partial(side.manager.list_sessions, limit=100, after=after) for after in places]


@dataclass
class Costs:
    """What an operation took on one side: seconds by call, and by round the median and the script's microseconds."""

    calls: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)


def measure_operations(small: Side, large: Side, rounds: int, calls: int) -> list[Row]:
    """Let both sizes take turns in each round, block by block."""
    known, both = operations(), {"small": small, "large": large}
    sides = [(name, size) for name in known for size in both]
    costs = {side: Costs() for side in sides}
    for (name, size), counts in turns(dict.fromkeys(sides), rounds):
        taken, inside = _one_block(both[size], known[name], calls)
        if counts:
            cost = costs[name, size]
            cost.calls += taken
            cost.medians.append(statistics.median(taken))
            cost.inside.append(inside)
    return [_operation_row(name, costs[name, "small"], costs[name, "large"]) for name in known]


def _one_block(side: Side, ready: Callable[[Side, int], Iterator[Calls]], calls: int) -> tuple[list[float], float]:
    block = ready(side, calls)
    planned = next(block)
    side.client.config_resetstat()
    taken: list[float] = []
    for call in planned:
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    stats: Any = side.client.info("commandstats")
    next(block, None)
    return taken, float(stats["cmdstat_evalsha"]["usec"]) / calls


def _operation_row(name: str, small: Costs, large: Costs) -> Row:
    def micros(costs: Costs, part: float) -> float:
        return quantile(costs.calls, part) * 1e6

    ratios = [large_one / small_one for small_one, large_one in zip(small.medians, large.medians, strict=True)]
    p99 = micros(large, 0.99) / micros(small, 0.99)
    scripts = [statistics.median(side.inside) for side in (small, large)]
    return Row(
        name,
        statistics.median(ratios),
        RATIO,
        note=(
            f"p50 {micros(small, 0.5):6.0f} -> {micros(large, 0.5):6.0f} us, "
            f"p99 {micros(small, 0.99):6.0f} -> {micros(large, 0.99):6.0f} ({p99:4.2f}), "
            f"in the script {scripts[0]:6.1f} -> {scripts[1]:6.1f} ({scripts[1] / scripts[0]:4.2f})"
        ),
    )


def measure_server(small: Side, large: Side, rounds: int, calls: int) -> list[Row]:
    """Measure the server's own work: its processor time for an `authenticate` of many that come in one round trip."""
    found: dict[tuple[str, Side], list[float]] = {}
    for _ in range(rounds):
        for side in (small, large):
            for what, manager in (("no touch due", side.manager), ("touching", side.touching)):
                plans = map(manager.plan_authenticate, side.some_tokens(10 * calls))
                before, _ = scheduled(side.pid)
                live = sum(session is not None for session in through_pipelines(side.client, plans))
                expect(live == 10 * calls, f"{live} sessions of {10 * calls} live")
                found.setdefault((what, side), []).append((scheduled(side.pid)[0] - before) / live * 1e6)
    rows: list[Row] = []
    for what in ("no touch due", "touching"):
        of_small, of_large = (found[what, side] for side in (small, large))
        ratio = statistics.median(one / other for one, other in zip(of_large, of_small, strict=True))
        medians = statistics.median(of_small), statistics.median(of_large)
        rows.append(Row(f"authenticate, {what}", ratio, note=f"{medians[0]:.1f} -> {medians[1]:.1f} us a call"))
    return rows


class Long:
    """Long operations on the large side: how long, the slowest script, and what `authenticate` takes beside them."""

    def __init__(self, side: Side, second: SecondProcess, rest: float) -> None:
        self.side, self.second, self.rest = side, second, rest
        self.rows: list[Row] = []

    @contextmanager
    def measured(self, what: str, script: str, *, goal: float | None = None) -> Iterator[None]:
        """Measure the block, which makes long work of *script*; and the second process before, in and after it."""
        pid, client = self.side.pid, self.side.client
        resting = self.second.at_rest(self.rest)
        with self.side.slow.noting() as noted, self.second.meanwhile() as beside, work_by_call(client, pid) as work:
            (_, waited_before), began = scheduled(pid), time.perf_counter()
            yield
            took, waited = time.perf_counter() - began, scheduled(pid)[1] - waited_before
        resting += self.second.at_rest(self.rest)
        rest, busy = Taken(resting), Taken(beside)
        self.rows += [
            Row(f"{what}: seconds", took, note=f"of these the server waited {waited:.2f} for a processor"),
            *slowest_rows(noted, f"{what}: slowest", only=script),
            Row(
                "  the most by processor time, of a call",
                max(work),
                note=f"p50 {quantile(work, 0.5):,.0f}, p99 {quantile(work, 0.99):,.0f}, "
                f"p99.9 {quantile(work, 0.999):,.0f}, {sum(each > SCRIPT for each in work)} above {SCRIPT:,}; "
                "with what the server did for others meanwhile",
            ),
            Row(f"{what}: authenticate beside it", busy.at(0.99) / rest.at(0.99), goal, note=f"times its p99; {busy}"),
            Row("  at rest", 1.0, note=str(rest)),
        ]


def slowest_rows(noted: dict[str, list[int]], what: str, only: str | None = None) -> list[Row]:
    """Return the slowest script of all that were noted, or of those whose names begin so, in microseconds."""
    found = [name for name in noted if only is None or name.startswith(only)]
    names = sorted(found, key=lambda name: -max(noted[name]))
    return [Row(f"{what}, {name}", max(noted[name]), SCRIPT, note=describe(noted, name, SCRIPT)) for name in names]


def iterate(large: Side, long: Long) -> None:
    with long.measured("iter_sessions", "sessions"):
        found = sum(1 for _ in large.manager.iter_sessions())
    expect(found >= large.sessions, f"{found:,} sessions iterated over")


def verify(large: Side, long: Long) -> None:
    check: Any = getattr(large.manager, "verify", None)
    if check is None:
        print("verify: this manager has none")
        return
    with long.measured("verify", "verify"):
        print("verify:", check())


def migrate(large: Side, ends: ExitStack) -> None:
    """Copy each of the shard's indexes to another server, as the move of a slot of a cluster does: both stand still."""
    other = ends.enter_context(Server())
    rows: list[Row] = []
    for index in ShardKeys(large.manager.namespace, 0).indexes:
        began = time.perf_counter()
        large.client.migrate("127.0.0.1", other.port, index, 0, 60_000, copy=True)
        took = time.perf_counter() - began
        many = int(large.client.zcard(index))
        rows.append(Row(index.decode(), took, note=f"{took / many * 1e6:.2f} us for each of {many:,}"))
    other.discard()
    print_table("To move an index to another server", "seconds", rows)


def wipe(large: Side, long: Long) -> None:
    """Let half of all expire, by the clock of another manager, and wipe them; then make as many anew."""
    half = large.sessions // 2
    later = time.time() + 2 * SOON
    clocked = SessionManager(large.client, additional_fields=FIELDS, clock=lambda: later)
    with long.measured(f"wipe of {half:,}", "wipe"):
        removed = clocked.wipe()
    expect(removed == half, f"{removed:,} expired sessions wiped")
    fill(large.manager, large.client, sessions=half, users=large.users, **FIELDS)


def kill_all(large: Side, long: Long, keep: list[str]) -> None:
    with long.measured("kill_all", "kill_many", goal=BESIDE):
        killed = large.manager.kill_all(keep=keep)
    expect(killed >= large.sessions - len(keep), f"{killed:,} sessions killed")


def expect(true: bool, otherwise: str) -> None:
    if not true:
        raise RuntimeError(f"only {otherwise}")


def long_operations(ends: ExitStack, large: Side, options: argparse.Namespace) -> list[Row]:
    """Run the long operations that were asked for, those that end sessions last."""
    probed = [large.manager.create(f"second{number}", **FIELDS) for number in range(PROBED)]
    second = ends.enter_context(SecondProcess(large.server.url, [str(session.token) for session in probed]))
    parts: dict[str, Callable[[Long], None]] = {
        "iter_sessions": lambda long: iterate(large, long),
        "verify": lambda long: verify(large, long),
        "migrate": lambda _: migrate(large, ends),
        "wipe": lambda long: wipe(large, long),
        "kill_all": lambda long: kill_all(large, long, [session.session_id for session in probed]),
    }
    rows: list[Row] = []
    for part, run in parts.items():
        if part in options.only:
            long = Long(large, second, options.rest)
            run(long)
            if long.rows:
                print_table(f"{part}, of {options.large:,} sessions", "", long.rows)
            rows += long.rows
    return rows


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=10_000, help="sessions on one server")
    parser.add_argument("--large", type=int, default=1_000_000, help="sessions on the other")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=25, help="calls of one operation at one size in a round")
    parser.add_argument("--rest", type=float, default=10.0, help="seconds to watch before and after a long operation")
    parser.add_argument("--first-in-line", action="store_true", help="run before all other processes")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    rows: list[Row] = []
    with ExitStack() as ends:
        small, large = (Side(ends.enter_context(Server()), size) for size in (options.small, options.large))
        for side in (small, large):
            side.fill()
        if options.first_in_line:
            for pid in (0, small.pid, large.pid):  # and with this one the second process, which it starts
                first_in_line(pid)
        title = f"{options.small:,} and {options.large:,} sessions"
        if "memory" in options.only:
            shown = [Row(f"a session of {side.sessions:,}", side.bytes_a_session) for side in (small, large)]
            print_table("Memory", "bytes", shown)
        if "operations" in options.only:
            with large.slow.noting() as noted, placed([small.pid, large.pid]):
                shown = measure_operations(small, large, options.rounds, options.calls)
            print_table(f"{title}: how many times as long", "ratio", shown)
            rows += shown
            shown = slowest_rows(noted, "slowest")
            print_table("Scripts at the large size", "us", shown)
            rows += shown
        if "server" in options.only:
            shown = measure_server(small, large, options.rounds, options.calls)
            print_table("Processor time of the server: how many times as much", "ratio", shown)
        rows += long_operations(ends, large, options)
    return int(any(row.verdict == "missed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
