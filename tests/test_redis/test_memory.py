"""memory://: one embedded server a process, for both managers and all threads, that does as Redis does."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from every_operation import OPERATIONS

from redisess_core import AsyncSessionManager, SessionGone, SessionLimitReached, SessionManager, tokens
from redisess_core.connect import connect
from redisess_core.urls import check_url
from support.both import open_manager
from support.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MEMORY = "memory://"
FIELDS = ("role",)


@pytest.fixture
def memory() -> Iterator[Any]:
    """A client of the embedded server, emptied before and after."""
    client = connect(check_url(MEMORY))
    client.flushall()
    yield client
    client.flushall()
    client.close()


@pytest.fixture
def in_memory(make_manager, memory):
    """Make managers in memory."""
    return lambda **options: make_manager(url=MEMORY, **options)


def together(*bodies: Callable[[], Any]) -> list[Any]:
    start = threading.Barrier(len(bodies))

    def run(body: Callable[[], Any]) -> Any:
        start.wait(30)
        return body()

    with ThreadPoolExecutor(len(bodies)) as pool:
        return [running.result() for running in [pool.submit(run, body) for body in bodies]]


# ---- one for all


def test_blocking_and_async_managers_see_each_others_sessions(memory, namespace):
    with (
        open_manager("blocking", MEMORY, namespace=namespace, additional_fields=FIELDS) as blocking,
        open_manager("async", MEMORY, namespace=namespace, additional_fields=FIELDS) as awaiting,
    ):
        for one, other in ((blocking, awaiting), (awaiting, blocking)):
            session = one.create("ada", data={"key": 1}, role="user")
            seen = other.authenticate(session.token)
            assert (seen.session_id, seen.role, dict(seen.data)) == (session.session_id, "user", {"key": 1})
            assert seen.set("key", 2) == 1
            assert session.get("key") == 2
            assert other.get_user_sessions("ada") == one.get_user_sessions("ada") == [session.session_id]
            rotated = other.rotate(seen)
            assert one.authenticate(session.token) is None
            assert one.kill_user("ada") == 1
            with pytest.raises(SessionGone):
                rotated.set("key", 3)


def test_namespaces_in_memory_never_meet(in_memory):
    one, other = in_memory(namespace="one"), in_memory(namespace="other")
    session = one.create("ada")
    assert other.authenticate(session.token) is None
    assert other.kill_all() == 0
    assert one.count() == 1


def test_a_manager_that_is_closed_leaves_the_sessions_to_others(in_memory, colour, namespace):
    with open_manager(colour, MEMORY, namespace=namespace) as first:
        token = first.create("ada").token
    assert in_memory().authenticate(token).user_id == "ada"


# ---- many at once


def test_many_threads_share_the_memory(in_memory):
    manager = in_memory()

    def story(user: str) -> None:
        for number in range(4):
            session = manager.create(user, data={"n": number})
            session.set("user", user)
            again = manager.authenticate(session.token)
            assert (again.user_id, dict(again.data)) == (user, {"n": number, "user": user})
            assert manager.rotate(again).get(["n", "user"]) == [number, user]
        assert manager.count_for_user(user) == 4

    together(*[lambda user=f"user{number}": story(user) for number in range(16)])
    assert (manager.count(), manager.count_users()) == (64, 16)


def test_limits_and_kills_hold_among_threads(in_memory):
    limited = in_memory(max_sessions_per_user=3, on_limit="refuse")

    def create() -> int:
        made = 0
        for _ in range(5):
            try:
                limited.create("ada")
                made += 1
            except SessionLimitReached:
                assert limited.count_for_user("ada") == 3
        return made

    assert sum(together(*[create] * 6)) == 3
    session, stop = limited.create("bob"), threading.Event()

    def write() -> None:
        while not stop.is_set():
            try:
                session.set("key", 1)
                session.write()
            except SessionGone:
                pass

    def kill() -> None:
        try:
            assert limited.kill_all() == 4
        finally:
            stop.set()

    together(write, write, kill)
    assert limited.count() == 0


def test_different_keys_set_by_two_threads_are_all_there(in_memory):
    session = in_memory().create("ada")
    together(*[lambda name=name: [session.set(f"{name}{n}", n) for n in range(60)] for name in "ab"])
    assert session.get_all() == {f"{name}{n}": n for name in "ab" for n in range(60)}


LOOPS = """
import asyncio, gc, threading
from redisess_core import AsyncSessionManager, SessionManager

manager, blocking = AsyncSessionManager("memory://"), SessionManager("memory://")

async def work(name):
    async def one(number):
        session = await manager.create(f"{name}{number}")
        assert (await manager.authenticate(session.token)).user_id == f"{name}{number}"
        return session
    for session in await asyncio.gather(*(one(number) for number in range(5))):
        assert await session.kill()

for number in range(3):
    asyncio.run(work(f"run{number}"))
    gc.collect()
threads = [threading.Thread(target=lambda n=n: asyncio.run(work(f"thread{n}"))) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert blocking.count() == 0
asyncio.run(manager.aclose())
blocking.close()
gc.collect()
print("done")
"""


@pytest.mark.parametrize("colour", ["async"])
def test_an_async_manager_in_memory_works_in_many_loops(colour):
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOOPS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "done\n")


# ---- as Redis does


def everything(client: Any) -> dict[bytes, Any]:
    """Read a whole database: what each key holds, and whether it goes by itself."""
    found = {}
    for key in client.scan_iter(count=1000):
        kind = client.type(key)
        if kind == b"hash":
            numbers = {b"c", b"l", b"t", b"d", b"a", b"n"}  # which Redis 8 writes in another way
            value = {name: float(text) if name in numbers else text for name, text in client.hgetall(key).items()}
        elif kind == b"zset":
            value = client.zrange(key, 0, -1, withscores=True)
        else:
            value = client.get(key)
        found[key] = (value, client.pttl(key) >= 0)
    return found


def seen(session: Any) -> Any:
    """Say all there is to see of a session."""
    if session is None:
        return None
    names = ("session_id", "user_id", "ttl", "created", "authenticated_at", "last_access", "expires", "fields")
    return {name: getattr(session, name) for name in names} | {"data": dict(session.data)}


def tell(manager: Any, clock: FakeClock, client: Any) -> Iterator[Any]:
    """Tell a long story; give what every step says, and what is stored after it."""
    held: list[Any] = []

    def hold(session: Any) -> Any:
        held.append(session)
        return seen(session)

    def refused(step: Callable[[], Any]) -> str:
        with pytest.raises((SessionGone, SessionLimitReached)) as raised:
            step()
        return type(raised.value).__name__

    def write(session: Any, **changes: Any) -> Any:
        for name, value in changes.items():
            setattr(session, name, value)
        session.write()
        return seen(session)

    values = {"n": 2**70, "f": 0.1, "t": "ünï\n\0", "b": b"\xff\0", "s": {3, 1}, "nested": [{"a": (1, None)}]}
    steps: list[Callable[[], Any]] = [
        lambda: hold(manager.create("ada", data=values, role="user", ip="::1", user_agent="x" * 300)),
        lambda: hold(manager.create(None, ttl=3.3, data={"cart": [1]})),
        lambda: hold(manager.create("bob", ttl=0, max_lifetime=0)),
        lambda: hold(manager.create("{c}:ünï", ttl=7.25, max_lifetime=9)),
        lambda: clock.advance(0.2),
        lambda: seen(manager.authenticate(held[1].token)),
        lambda: seen(manager.get(held[0].session_id, touch=False)),
        lambda: clock.advance(0.1 + 1e-6),
        lambda: [manager.count(), manager.count(0.25), manager.count_users(), manager.count_for_user("ada")],
        lambda: held[0].set({"n": 1, "more": "m" * 100}),
        lambda: held[0].delete("f", "nothing", "b"),
        lambda: [held[0].get_all(), held[0].read()],
        lambda: write(held[0], role="admin", ttl=12.5),
        lambda: write(held[0], role=None),
        lambda: write(held[2], ttl=5),
        lambda: write(held[2], ttl=0),
        lambda: clock.advance(1.5),
        lambda: seen(manager.get(held[3].session_id)),
        lambda: hold(manager.rotate(held[1], user_id="ada", role="signed in")),
        lambda: refused(lambda: held[1].set("key", 1)),
        manager.get_all_sessions,
        manager.get_all_users,
        lambda: hold(manager.rotate(held[2], ttl=3)),
        lambda: refused(lambda: manager.rotate(held[2])),
        lambda: hold(manager.create("ada")),
        lambda: clock.advance(1),
        lambda: hold(manager.create("ada")),  # the limit ends the first
        lambda: [manager.exists(session.session_id) for session in held],
        lambda: [seen(session) for session in manager.list_user_sessions("ada")],
        lambda: seen(manager.get_oldest_user_session("ada")),
        lambda: sorted(session.session_id for session in manager.iter_sessions()),
        lambda: sorted(manager.iter_users()),
        lambda: clock.advance(6.6),
        lambda: refused(held[3].write),
        lambda: [manager.kill(held[-1].session_id, user_id=user) for user in ("bob", "ada")],
        lambda: [manager.get_user_sessions("ada"), manager.get_all_users(5)],
        manager.wipe,
        lambda: [hold(manager.create(f"user{number % 7}", ttl=number + 0.5)) for number in range(60)] and None,
        lambda: clock.advance(55),
        lambda: [manager.count(), manager.count_users(), manager.get_all_sessions()],
        lambda: [manager.kill_user(f"user{number}", keep=held[-1].session_id) for number in range(7)],
        manager.kill_all,
        lambda: [manager.count(), manager.get_all_users(), manager.wipe()],
    ]
    for number, step in enumerate(steps):
        yield number, step(), everything(client)


@pytest.mark.one_shard
@pytest.mark.parametrize("start", [1_800_000_000.0, 1_800_000_000.123456, 0.5, 99_999_999_999.75])
@pytest.mark.parametrize("options", [{"max_lifetime": 100.5}, {"touch_interval": 0, "shards": 3}])
def test_each_step_of_a_story_is_stored_and_said_as_redis_does(
    make_manager, redis_client, memory, monkeypatch, start, options
):
    """With the same tokens and the same clock, to the last bit."""
    told = []
    for url in (None, MEMORY):
        numbers, clock = count(1), FakeClock(start)
        monkeypatch.setattr(tokens, "random_shard", lambda shards, numbers=numbers: next(numbers) % shards)
        monkeypatch.setattr(tokens, "new_token", lambda shard, numbers=numbers: token_of(shard, next(numbers)))
        place = {} if url is None else {"url": url}
        options = {"ttl": 10, "max_sessions_per_user": 2, "additional_fields": FIELDS, **options}
        manager = make_manager(namespace="told", clock=clock, **options, **place)
        told.append(list(tell(manager, clock, memory if url else redis_client)))
    for real, fake in zip(*told, strict=True):
        assert fake == real


def token_of(shard: int, number: int) -> str:
    """Make the same token each time."""
    letters = tokens.ALPHABET
    random = "".join(letters[number // 32**place % 32] for place in range(tokens._RANDOM_LENGTH))
    return f"1{letters[shard // 32]}{letters[shard % 32]}{random}"


def test_every_operation_works_in_memory_on_several_shards(in_memory, clock):
    manager = in_memory(shards=4, additional_fields=FIELDS, clock=clock)
    for operation in OPERATIONS.values():
        operation(manager, manager.create("ada", data={"a": 1}, role="user"))
        manager.kill_all()


def test_immortal_sessions_in_memory_are_immortal(in_memory, memory, clock):
    manager = in_memory(clock=clock, ttl=0)
    session = manager.create("ada")
    manager.create("ada", ttl=5).kill()
    clock.advance(10**9)
    found = manager.get(session.session_id)
    assert (found.expires, found.ttl) == (math.inf, 0)
    assert manager.get_all_users() == ["ada"]
    assert {key.rpartition(b"}:")[2] for key in memory.scan_iter() if memory.pttl(key) == -1} == {
        *(b"layout", b"activity", b"expiry", b"users", b"u:ada"),
        b"s:" + session.session_id.encode(),
    }


def test_what_differs_in_memory_is_counted_and_repaired(in_memory, memory, clock, namespace):
    manager = in_memory(clock=clock, shards=2)
    for number in range(300):
        manager.create(f"user{number % 7}" if number % 3 else None, ttl=0 if number % 50 == 0 else None)
    assert (manager.verify().sessions, manager.verify().drift) == (300, 0)
    lost = [key for key in memory.scan_iter() if b":s:" in key][:20]
    memory.delete(*lost)
    memory.delete(f"{{{namespace}:1}}:activity")
    left_without = sum(key.startswith(f"{{{namespace}:1}}:s:".encode()) for key in memory.scan_iter())
    found = manager.verify()
    assert 20 < found.stray <= 60
    assert found.missing == left_without > 0
    assert manager.verify(repair=True).drift > 0
    assert (manager.verify().sessions, manager.verify().drift, manager.count()) == (280, 0, 280)


# ---- without the extra


@pytest.mark.parametrize("missing", ["fakeredis", "lupa"])
@pytest.mark.parametrize("kind", ["SessionManager", "AsyncSessionManager"])
def test_without_the_extra_it_is_said_what_to_install(missing, kind):
    """Whenever it is noticed, and in a process that never had it."""
    script = f"""
import asyncio, sys
sys.modules[{missing!r}] = None
import redisess_core

async def use():
    manager = redisess_core.{kind}("memory://")
    await manager.count()

try:
    asyncio.run(use())
except ImportError as error:
    assert 'pip install "redisess[memory]"' in str(error), error
else:
    raise AssertionError("nothing said")
print("done")
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    )
    assert (ran.returncode, ran.stderr, ran.stdout) == (0, "", "done\n")


def test_without_the_extra_redis_itself_is_of_use(redis_url, monkeypatch):
    monkeypatch.setitem(sys.modules, "fakeredis", None)
    monkeypatch.setitem(sys.modules, "lupa", None)
    with SessionManager(redis_url) as manager:
        assert manager.count() == 0
    assert AsyncSessionManager(redis_url).ttl == 1800
