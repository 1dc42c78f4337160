"""No script is unbounded and each stays in its slot; what is read by pages is complete."""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from redisess_core import SessionGone, SessionLimitReached
from redisess_core import operation as operation_module
from redisess_core.scripts import script
from redisess_core.tokens import new_token, session_id_of
from support.both import unwrap
from support.model import plant
from support.topology import watch_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.wire import Command

pytestmark = [pytest.mark.one_shard, pytest.mark.long]
MANY = 3000
MOST_READ, MOST_REMOVED = 1000, 100
FORBIDDEN = {"KEYS", "SCAN", "SORT", "SMEMBERS", "HSCAN", "FLUSHDB", "FLUSHALL", "ZRANGEBYLEX", "ZREMRANGEBYSCORE"}
KEYLESS = {"TIME", "INFO", "PUBLISH"}


@dataclass
class Run:
    """One script as the server ran it: the call, and the commands inside."""

    call: Command
    inside: list[Command] = field(default_factory=list)

    @property
    def keys(self) -> tuple[str, ...]:
        return self.call.args[2 : 2 + int(self.call.args[1])]

    @property
    def read(self) -> int:
        """How many entries of indexes it can have read, and how many sessions it looked at."""
        entries, looked_at = 0, set()
        for command in self.inside:
            entries += entries_read(command)
            if command.name in {"HGETALL", "HMGET", "HGET", "EXISTS"}:
                looked_at.add(command.args[0])
        return entries + len(looked_at)

    @property
    def removed(self) -> set[str]:
        """Which sessions it took out."""
        deleted = {command.args[0].rpartition(":s:")[2] for command in self.inside if command.name == "DEL"}
        left = {
            command.args[1]
            for command in self.inside
            if command.name == "ZREM" and command.args[0].endswith(":activity")
        }
        return deleted | left


def entries_read(command: Command) -> int:
    """Say how many entries of an index a command can read."""
    name, args = command.name, command.args
    if name in {"ZSCORE", "ZRANK", "ZREVRANK"}:
        return 1
    if name == "ZMSCORE":
        return len(args) - 1
    if name in {"ZRANGE", "ZREVRANGE"}:
        first, last = int(args[1]), int(args[2])
        assert first >= 0, command
        assert last >= -1, command
        return 10**9 if last == -1 else max(0, last - first + 1)
    if name == "ZRANGEBYSCORE":
        words = [word.upper() for word in args]
        return int(args[words.index("LIMIT") + 2]) if "LIMIT" in words else 10**9
    if name == "ZSCAN":
        words = [word.upper() for word in args]
        return int(args[words.index("COUNT") + 1])
    return 0


@contextmanager
def watch_scripts(server: Any) -> Iterator[list[Run]]:
    """See each script that the server runs, with what it did inside."""
    runs: list[Run] = []
    with watch_all(server) as seen:
        yield runs
    for command in seen.reported:
        if command.name in {"EVALSHA", "EVAL"}:
            runs.append(Run(command))
        elif command.source == "lua":
            runs[-1].inside.append(command)


@pytest.fixture
def bounded(redis_server):
    """Assert of every script in the block that it is bounded, and stays in the slot of its keys."""

    @contextmanager
    def check(*, at_least: int = 1) -> Iterator[list[Run]]:
        with watch_scripts(redis_server) as runs:
            yield runs
        runs[:] = [run for run in runs if run.inside]  # not those that the server did not know
        assert len(runs) >= at_least
        for run in runs:
            assert not FORBIDDEN & {command.name for command in run.inside}
            assert run.read <= MOST_READ, Counter(command.name for command in run.inside)
            assert len(run.removed) <= MOST_REMOVED
            tags = {re.match(r"\{[^{}]+\}:", key)[0] for key in run.keys}
            assert len(tags) == 1
            for command in run.inside:
                if command.name not in KEYLESS:
                    assert command.args[0].startswith(tuple(tags)), command

    return check


def test_what_a_script_reads_is_seen(redis_server, redis_client, bounded):
    """The checks of this file can fail."""
    redis_client.zadd("{a:0}:index", {str(number): number for number in range(50)})
    for source, what in {
        "return redis.call('ZRANGE', KEYS[1], 0, -1)": "ZRANGE",
        "return redis.call('ZRANGEBYSCORE', KEYS[1], 0, 9)": "ZRANGEBYSCORE",
        "return redis.call('KEYS', '*')": "KEYS",
        "return redis.call('GET', '{b:0}:other')": "b:0",
        "for i = 1, 101 do redis.call('DEL', '{a:0}:s:' .. i) end": "removed",
        "for i = 1, 1001 do redis.call('ZSCORE', KEYS[1], i) end": "read",
    }.items():
        with pytest.raises(AssertionError, match=what), bounded():
            redis_client.eval(source, 1, "{a:0}:index")


# ---- bounded reads


READS: dict[str, Callable[[Any], Any]] = {
    "count": lambda manager: manager.count(),
    "count of late": lambda manager: manager.count(60),
    "count_for_user": lambda manager: manager.count_for_user("ann"),
    "count_users": lambda manager: manager.count_users(),
    "get_all_sessions": lambda manager: len(set(manager.get_all_sessions())),
    "get_all_sessions of late": lambda manager: len(set(manager.get_all_sessions(60))),
    "get_user_sessions": lambda manager: len(set(manager.get_user_sessions("ann"))),
    "list_user_sessions": lambda manager: len({one.session_id for one in manager.list_user_sessions("ann")}),
    "get_all_users": lambda manager: len(set(manager.get_all_users())),
    "get_all_users of late": lambda manager: len(set(manager.get_all_users(60))),
    "iter_sessions": lambda manager: len({one.session_id for one in manager.iter_sessions()}),
    "iter_users": lambda manager: len(set(manager.iter_users())),
}


@pytest.fixture
def many(make_manager, redis_client, clock):
    """A manager, and MANY sessions: a third of one user, a third of as many users, a third of nobody."""
    manager = make_manager(clock=clock)
    third = MANY // 3
    for batch in range(10):
        clock.advance(0.5)
        users = [f"user{batch * third // 10 + n}" for n in range(third // 10)]
        plant(redis_client, manager, [*["ann"] * (third // 10), *users, *[None] * (third // 10)])
    return manager


def test_every_read_of_many_sessions_is_bounded_and_complete(many, bounded):
    third, users = MANY // 3, MANY // 3 + 1
    expected = {"count": MANY, "get_all_sessions": MANY, "iter_sessions": MANY, "count_for_user": third}
    expected |= {"get_user_sessions": third, "list_user_sessions": third}
    expected |= {"count_users": users, "get_all_users": users, "iter_users": users}
    with bounded(at_least=len(READS)):
        found = {name: read(many) for name, read in READS.items()}
    assert found == {name: expected[name.removesuffix(" of late")] for name in READS}


@pytest.mark.parametrize("repair", [False, True])
def test_a_verification_of_many_is_bounded(many, redis_client, namespace, bounded, repair):
    prefix = f"{{{namespace}:0}}:"
    for index, step in (("u:ann", 2), ("activity", 5)):
        redis_client.delete(
            *[f"{prefix}s:{one.decode()}" for one in redis_client.zrange(prefix + index, 0, -1)[::step]]
        )
    redis_client.zremrangebyrank(prefix + "expiry", 0, 999)
    with bounded(at_least=60):
        found = many.verify(repair=repair)
    assert found.sessions == len({*redis_client.scan_iter(prefix + "s:*", count=1000)})
    assert found.stray > MANY / 3
    assert many.verify().drift == (0 if repair else found.drift)


def test_lists_over_several_pages_are_in_order(many, clock):
    found = many.get_all_sessions()
    accesses = [many.get(session_id, touch=False).last_access for session_id in found[:: MANY // 60]]
    assert accesses == sorted(accesses, reverse=True)
    assert len(found) == len(set(found)) == MANY
    mine = [session.last_access for session in many.list_user_sessions("ann")]
    assert mine == sorted(mine, reverse=True)
    assert many.get_all_users()[0] in {"ann", *(f"user{n}" for n in range(900, 1000))}


@pytest.mark.parametrize(
    "look", ["count", "count_for_user", "get_all_sessions", "get_all_users", "get_user_sessions", "iter_users", "wipe"]
)
def test_what_many_expired_sessions_leave_is_swept_in_slices(manager, redis_client, clock, bounded, look):
    plant(redis_client, manager, [*["ann"] * 200, *[f"user{n}" for n in range(150)], *[None] * 150])
    clock.advance(manager.ttl)
    with bounded(at_least=10) as runs:
        if look == "wipe":
            assert manager.wipe() == 500
        else:
            assert READS[look](manager) == 0
    assert sum(len(run.removed) for run in runs) == 500


# ---- bounded removals


def planted(redis_client: Any, manager: Any, count: int, user: str | None = "ann", **options: Any) -> list[str]:
    return plant(redis_client, manager, [user] * count, **options)


@pytest.mark.parametrize("immortal", [False, True])
@pytest.mark.parametrize("how", ["kill_user", "kill_all", "limit", "sign-in"])
def test_great_kills_go_in_slices(make_manager, redis_client, clock, bounded, how, immortal):
    manager = make_manager(clock=clock, ttl=0 if immortal else 1800)
    limited = make_manager(clock=clock, ttl=0 if immortal else 1800, max_sessions_per_user=2)
    for _ in range(2):
        clock.advance(1)
        planted(redis_client, manager, 150)
    stranger = manager.create(None)
    with bounded(at_least=6) as runs:
        if how == "kill_user":
            assert manager.kill_user("ann") == 300
        elif how == "kill_all":
            assert manager.kill_all() == 301
        elif how == "limit":
            limited.create("ann")
        else:
            limited.rotate(stranger, user_id="ann")
    assert sum(len(run.removed) for run in runs) >= 299
    assert manager.count_for_user("ann") == (0 if how.startswith("kill") else 2)


@pytest.mark.parametrize("other_immortals", [False, True])
def test_the_end_of_an_immortal_session_looks_at_few_others(
    make_manager, redis_client, clock, bounded, other_immortals
):
    manager = make_manager(clock=clock)
    immortal = manager.create("ann", ttl=0)
    planted(redis_client, manager, 1200)
    if other_immortals:
        manager.create("bob", ttl=0)
    with bounded():
        assert immortal.kill()
    assert manager.count_for_user("ann") == 1200


@pytest.mark.parametrize("how", ["limit", "sign-in", "oldest"])
def test_expired_sessions_in_the_way_are_swept_in_slices(make_manager, redis_client, clock, bounded, how):
    manager = make_manager(clock=clock, max_sessions_per_user=1, on_limit="refuse")
    planted(redis_client, make_manager(clock=clock), 200)
    clock.advance(10)
    stranger = manager.create(None)
    clock.advance(manager.ttl - 10)
    with bounded(at_least=4):
        if how == "limit":
            manager.create("ann")
        elif how == "sign-in":
            manager.rotate(stranger, user_id="ann")
        else:
            assert manager.get_oldest_user_session("ann") is None
    assert manager.count_for_user("ann") == (how != "oldest")


@pytest.mark.parametrize("how", ["list_user_sessions", "oldest", "iter_sessions", "kill_user", "kill_all", "limit"])
def test_evicted_sessions_are_healed_in_slices(live_manager, make_manager, redis_client, namespace, bounded, how):
    gone = planted(redis_client, live_manager, 400)
    left = live_manager.create("ann")
    redis_client.delete(*[f"{{{namespace}:0}}:s:{session_id}" for session_id in gone])
    with bounded(at_least=4 if how != "limit" else 8):
        if how == "list_user_sessions":
            assert [session.session_id for session in live_manager.list_user_sessions("ann")] == [left.session_id]
        elif how == "oldest":
            assert live_manager.get_oldest_user_session("ann").session_id == left.session_id
        elif how == "iter_sessions":
            assert {session.session_id for session in live_manager.iter_sessions()} == {left.session_id}
        elif how == "limit":
            make_manager(max_sessions_per_user=1).create("ann")
        else:
            assert (live_manager.kill_user("ann") if how == "kill_user" else live_manager.kill_all()) == 1
    live = 0 if how.startswith("kill") else 1
    counts = live_manager.count_for_user("ann"), live_manager.count(), len(live_manager.get_all_sessions())
    assert counts == (live, live, live)


@pytest.mark.parametrize("how", ["iter_sessions", "kill_all"])
def test_evicted_immortal_sessions_among_many_are_healed_in_bounded_steps(
    make_manager, redis_client, clock, namespace, bounded, how
):
    manager = make_manager(clock=clock, ttl=0)
    ids = planted(redis_client, manager, 3000, user=None)
    gone = ids[::2]
    redis_client.delete(*[f"{{{namespace}:0}}:s:{session_id}" for session_id in gone])
    with bounded(at_least=10):
        if how == "kill_all":
            assert manager.kill_all() == 1500
        else:
            assert {session.session_id for session in manager.iter_sessions()} == set(ids) - set(gone)
    if how == "kill_all":
        assert (manager.count(), redis_client.zcard(f"{{{namespace}:0}}:expiry")) == (0, 0)


def test_sessions_of_many_additional_fields_are_listed(make_manager, clock):
    names = [f"field{number}" for number in range(1200)]
    manager = make_manager(clock=clock, additional_fields=names)
    ids = {manager.create("ada", field1199=number).session_id for number in range(3)}
    assert {session.session_id for session in manager.iter_sessions()} == ids
    assert sorted(session.field1199 for session in manager.list_user_sessions("ada")) == [0, 1, 2]


def test_a_create_or_touch_sweeps_little(manager, redis_client, clock, bounded):
    planted(redis_client, manager, 100)
    session = manager.create("bob", ttl=100_000)
    clock.advance(manager.ttl)
    with bounded() as runs:
        manager.create("cid")
        manager.get(session.session_id)
        session.write()
    assert [len(run.removed) for run in runs] == [10, 10, 0] or max(len(run.removed) for run in runs) <= 10


def test_work_over_several_shards_stays_in_each_ones_slot(make_manager, redis_client, clock, bounded):
    manager = make_manager(clock=clock, shards=8)
    plant(redis_client, manager, [f"user{n % 50}" for n in range(400)])
    session = manager.create(None)
    with bounded(at_least=8):
        assert manager.count() == 401
        assert len(manager.get_all_sessions()) == 401
        assert len(manager.get_all_users()) == 50
        manager.rotate(session, user_id="somebody else")
        assert manager.kill_user("user1") == 8
        assert manager.kill_all() == 393


# ---- pauses


class Resting:
    """Stands where the module of the clock or of the event loop does: each round trip takes 0.25 s, no rest is real."""

    def __init__(self, module: Any, slept: list[float]) -> None:
        self.module, self.slept, self.ticks = module, slept, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def perf_counter(self) -> float:
        self.ticks += 0.25
        return self.ticks


@pytest.fixture
def rests(monkeypatch):
    """The pauses, in seconds, where a round trip seems to take 0.25."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    clock, loop = Resting(time, slept), Resting(asyncio, slept)
    clock.sleep = slept.append
    loop.sleep = sleep
    monkeypatch.setattr(operation_module, "time", clock)
    monkeypatch.setattr(operation_module, "asyncio", loop)
    return slept


GREAT: dict[str, Callable[[Any], Any]] = {
    "kill_user": lambda manager: manager.kill_user("ann"),
    "kill_all": lambda manager: manager.kill_all(),
    "wipe": lambda manager: manager.wipe(),
    "count": lambda manager: manager.count(),
    "get_all_sessions": lambda manager: manager.get_all_sessions(),
    "get_oldest_user_session": lambda manager: manager.get_oldest_user_session("ann"),
    "create": lambda manager: manager.create("ann"),
    "rotate": lambda manager: manager.rotate(manager.create(None), user_id="ann"),
}


def test_between_the_pages_of_a_verification_there_is_a_pause(manager, redis_client, wire, rests):
    planted(redis_client, manager, 230)
    manager.count()
    with wire() as seen:
        manager.verify()
    assert len(rests) == len([name for name in seen.names if name in {"EVALSHA", "SCAN"}]) > 10
    assert set(rests) == {0.25}


@pytest.mark.parametrize("great", GREAT)
def test_between_slices_there_is_a_pause_as_long_as_the_slice(make_manager, redis_client, clock, wire, rests, great):
    manager = make_manager(clock=clock, max_sessions_per_user=1)
    planted(redis_client, make_manager(clock=clock), 230)
    manager.count_users()
    if great not in {"kill_user", "kill_all", "create", "rotate"}:
        clock.advance(manager.ttl)
    with wire() as seen:
        GREAT[great](manager)
    slices = [name for name in seen.names if name == "EVALSHA"]
    assert len(slices) >= 5
    assert len(rests) == len(slices) - 1 - (great == "rotate")  # its anonymous session is one operation more
    assert set(rests) == {0.25}


# ---- complete while others write


def test_iteration_is_complete_while_others_touch_and_create(make_manager, redis_client):
    manager = make_manager(touch_interval=0)
    staying = plant(redis_client, manager, [f"user{n % 40}" for n in range(450)])
    passing = planted(redis_client, manager, 60, "passing")
    stop, busy = threading.Event(), []

    def touch(mine: list[str]) -> None:
        while not stop.is_set():
            for session_id in mine:
                assert manager.get(session_id) is not None
                time.sleep(0.001)

    def come_and_go() -> None:
        while not stop.is_set():
            manager.kill(passing.pop() if passing else "saa" + "0" * 25)
            session = manager.create("passing")
            rotated = manager.rotate(session)
            manager.kill(rotated.session_id)
            time.sleep(0.001)

    threads = [
        threading.Thread(target=body, args=args)
        for body, args in ((touch, (staying[::2],)), (touch, (staying[::-3],)), (come_and_go, ()))
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            assert set(staying) <= {session.session_id for session in manager.iter_sessions()}
            assert set(staying) <= set(manager.get_all_sessions())
            assert {f"user{n}" for n in range(40)} <= set(manager.iter_users())
            busy.append([thread.is_alive() for thread in threads])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert busy == [[True] * 3] * 6


@pytest.mark.parametrize("what", ["iter_sessions", "iter_users"])
def test_an_iteration_ends_however_busy_the_others_are(manager, redis_client, clock, what):
    """Where its reader takes its time: all are touched between two pages, over and over."""
    users = [f"user{number}" for number in range(250 if what == "iter_sessions" else 950)]
    sessions = [manager.get(session_id, touch=False) for session_id in plant(redis_client, manager, users)]
    found = []
    for one in getattr(manager, what)():
        if len(found) % (len(users) // 5) == 0:
            clock.advance(2)
            touch_all(redis_client, manager, sessions)
        found.append(one if what == "iter_users" else one.user_id)
        assert len(found) <= 3 * len(users), "it runs after what moves"
    assert set(found) == set(users)


def touch_all(redis_client: Any, manager: Any, sessions: list[Any]) -> None:
    """Touch many sessions at once, by the script that `get` runs."""
    redis_client.script_load(script("open").source)
    pipeline = redis_client.pipeline(transaction=False)
    for session in sessions:
        planned = unwrap(manager).plan_open(session.session_id, touch=True, decode=list)
        pipeline.execute_command("EVALSHA", planned.script.sha, len(planned.keys), *planned.keys, *planned.args)
    assert all(pipeline.execute())


def begun(iterator: Any) -> tuple[set[str], Iterator[Any]]:
    """Read the first of an iterator: its first page, that is."""
    iterator = iter(iterator)
    return {one.session_id for one in islice(iterator, 1)}, iterator


@pytest.mark.parametrize("same_moment", [True, False])
@pytest.mark.parametrize("change", ["touch", "kill", "rotate", "expire"])
def test_iteration_goes_on_whatever_became_of_where_it_stopped(manager, redis_client, clock, same_moment, change):
    """A page ends at a session: that one, its page or what comes next can move or go before the next page."""
    order = []
    for number in range(26):
        order += planted(redis_client, manager, 10, ttl=100 if number % 5 else 4000)
        clock.advance(0 if same_moment else 1)
    clock.advance(10)
    found, rest = begun(manager.iter_sessions())
    position = sorted(order) if same_moment else order
    gone = set(position[90:130] if change != "expire" else [])
    for session_id in gone:
        session = manager.get(session_id, touch=change == "touch")
        if change == "kill":
            session.kill()
        elif change == "rotate":
            manager.rotate(session)
    if change == "expire":
        clock.advance(100)
        gone = set(order) - set(manager.get_all_sessions())
        assert len(gone) == 200
    found |= {session.session_id for session in rest}
    staying = set(order) if change == "touch" else set(order) - gone
    assert staying <= found


@pytest.mark.parametrize("how", ["kill", "sign-in", "expire"])
def test_a_user_who_falls_in_rank_is_not_missed(manager, redis_client, clock, how):
    """One whose latest session ends is where the one before puts them: below what was read already."""
    older = manager.create("faller", ttl=5000)
    clock.advance(1)
    staying = {f"user{n}" for n in range(2000)}
    plant(redis_client, manager, staying, ttl=5000)
    clock.advance(1)
    latest = manager.create("faller", ttl=5)
    rest = iter(manager.iter_users())
    found = set(islice(rest, 1))
    if how == "kill":
        latest.kill()
    elif how == "sign-in":
        manager.rotate(latest, user_id="user1")
    else:
        clock.advance(5)
        manager.count()
    assert manager.get_user_sessions("faller") == [older.session_id]
    found |= set(rest)
    assert found == {"faller", *staying}


@pytest.mark.parametrize("secs", [0, 3600])
def test_get_all_users_misses_nobody_who_falls_in_rank_between_its_pages(
    make_manager, redis_client, clock, monkeypatch, secs
):
    manager, other = make_manager(clock=clock), make_manager(clock=clock)
    manager.create("faller")
    clock.advance(1)
    plant(redis_client, manager, {f"user{n}" for n in range(2000)})
    clock.advance(1)
    latest = manager.create("faller")
    store, pages = unwrap(manager).store, []
    monkeypatch.setattr(store, "execute", between_pages(store.execute, lambda: other.kill(latest.session_id), pages))
    users = manager.get_all_users(secs)
    assert len(pages) > 2
    assert len(users) == len(set(users)) == 2001
    assert users[-1] == "faller"


def between_pages(execute, once, pages):
    """Run each operation, and after the first do something *once*."""

    def after(operation):
        pages.append(operation.script.name)
        if len(pages) == 1:
            once()

    def blocking(operation):
        result = execute(operation)
        after(operation)
        return result

    async def awaiting(operation):
        result = await execute(operation)
        await asyncio.to_thread(after, operation)
        return result

    return awaiting if inspect.iscoroutinefunction(execute) else blocking


# ---- dead stays dead, whatever the clock does


LOOKS_AT_AN_EXPIRED_ONE: dict[str, Callable[[Any, Any], Any]] = {
    "authenticate": lambda manager, session: manager.authenticate(session.token),
    "get": lambda manager, session: manager.get(session.session_id, touch=False),
    "exists": lambda manager, session: manager.exists(session.session_id),
    "kill": lambda manager, session: manager.kill(session.session_id),
    "kill_user": lambda manager, session: manager.kill_user("ada"),
    "kill_all": lambda manager, session: manager.kill_all(),
    "list_user_sessions": lambda manager, session: manager.list_user_sessions("ada"),
    "iter_sessions": lambda manager, session: list(manager.iter_sessions()),
    "oldest": lambda manager, session: manager.get_oldest_user_session("ada"),
    "count": lambda manager, session: manager.count(),
    "session.get": lambda manager, session: refused(lambda: session.get("key")),
    "session.set": lambda manager, session: refused(lambda: session.set("key", 1)),
    "session.write": lambda manager, session: refused(session.write),
    "rotate": lambda manager, session: refused(lambda: manager.rotate(session)),
}


def refused(use: Callable[[], Any]) -> None:
    with pytest.raises(SessionGone):
        use()


@pytest.mark.parametrize("look", LOOKS_AT_AN_EXPIRED_ONE)
def test_what_was_seen_expired_stays_dead_when_the_clock_steps_back(make_manager, clock, look):
    manager = make_manager(clock=clock, ttl=100)
    session = manager.create("ada")
    clock.advance(101)
    assert not LOOKS_AT_AN_EXPIRED_ONE[look](manager, session)
    clock.advance(-50)
    assert manager.authenticate(session.token) is None
    assert (manager.count(), manager.count_for_user("ada"), manager.get_all_users()) == (0, 0, [])


# ---- ids from outside


def test_an_id_from_outside_is_never_adopted(manager, left):
    tokens = [new_token(0) for _ in range(3)]
    for token in tokens:
        assert manager.authenticate(token) is None
        assert manager.get(session_id_of(token)) is None
        assert not manager.exists(session_id_of(token))
        assert not manager.kill(session_id_of(token))
    assert left() == set()
    made = manager.create("ann")
    assert made.token not in tokens
    rotated = manager.rotate(made)
    with pytest.raises(SessionGone):
        manager.rotate(made)
    assert len({made.token, rotated.token, *tokens}) == 5
    assert manager.authenticate(made.token) is None


def test_a_refused_sign_in_leaves_everything_as_it_was(make_manager, redis_client, stored):
    manager = make_manager(max_sessions_per_user=1, on_limit="refuse")
    manager.create("ann")
    stranger = manager.create(None, data={"cart": [1]})
    before = stored()
    with pytest.raises(SessionLimitReached):
        manager.rotate(stranger, user_id="ann")
    with pytest.raises(SessionLimitReached):
        manager.create("ann")
    assert stored() == before
