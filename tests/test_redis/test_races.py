"""Many at once, threads and processes: dead stays dead, no update is lost, limits hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from redisess_core import SessionGone, SessionLimitReached
from redisess_core.tokens import user_shard

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.long

TESTS = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])}
DEADLINE = 30.0
blocking_only = pytest.mark.parametrize("colour", ["blocking"])


def together(*bodies: Callable[[], Any]) -> list[Any]:
    """Run each body in a thread of its own, all from the same moment; give what they return, raise what they raise."""
    start = threading.Barrier(len(bodies))

    def run(body: Callable[[], Any]) -> Any:
        start.wait(DEADLINE)
        return body()

    with ThreadPoolExecutor(len(bodies)) as pool:
        return [running.result() for running in [pool.submit(run, body) for body in bodies]]


def outcome(body: Callable[[], Any], *refusals: type[Exception]) -> Any:
    """Give what *body* returns, or the kind of refusal that it raises."""
    try:
        return body()
    except refusals as error:
        return type(error)


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE:.0f} s: {what}"
        time.sleep(0.01)


WORKER = """
import json, sys
from redisess_core import SessionGone, SessionLimitReached
from support.both import open_manager

colour, url, options, given, body = sys.argv[1:]
given = json.loads(given)

def stopped():
    return False

with open_manager(colour, url, **json.loads(options)) as manager:
    manager.now()
    print("ready", flush=True)
    sys.stdin.readline()
    result = None
    exec(body)
    print(json.dumps(result), flush=True)
"""


class Workers:
    """Processes, each with a manager of its own, that begin at the same moment."""

    def __init__(self, bodies: list[str], colour: str, url: str, options: dict[str, Any], given: Any) -> None:
        arguments = [colour, url, json.dumps(options), json.dumps(given)]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", WORKER, *arguments, body],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=ENVIRONMENT,
            )
            for body in bodies
        ]

    def __enter__(self) -> Workers:
        ready = [process.stdout.readline() for process in self.processes]
        if ready != ["ready\n"] * len(ready):
            for process in self.processes:
                process.kill()
            pytest.fail("\n".join(process.communicate(timeout=DEADLINE)[1] for process in self.processes))
        for process in self.processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for process in self.processes:
            if kind is not None:
                process.kill()
        ended = [(process.communicate(timeout=DEADLINE), process.returncode) for process in self.processes]
        if kind is None:
            assert [(code, err) for (_, err), code in ended] == [(0, "")] * len(ended)
            self.results = [json.loads(out) for (out, _), _ in ended]


@pytest.fixture
def workers(redis_url, colour, namespace):
    """Run bodies in processes: `with workers([...], {"token": ...}, ttl=60) as running: ...`, `running.results`."""

    def start(bodies: list[str], given: Any = None, **options: Any) -> Workers:
        return Workers(bodies, colour, redis_url, {"namespace": namespace, **options}, given)

    return start


@pytest.fixture
def keys(redis_client, namespace):
    """The keys of the namespace, without the record of its layout."""
    return lambda: {key.decode() for key in redis_client.scan_iter(count=1000)} - {f"{{{namespace}}}:layout"}


# ---- dead stays dead


def writing(session: Any, manager: Any, stop: threading.Event) -> dict[str, Callable[[], Any]]:
    """Give all that can write to a session, each over and over until it is told to stop."""

    def repeat(step: Callable[[int], Any]) -> Callable[[], Any]:
        def body() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                outcome(lambda: step(number), SessionGone)  # noqa: B023  called at once

        return body

    def rotate(_: int) -> None:
        newest = manager.get_oldest_user_session("ann", touch=False)
        if newest is not None:
            manager.rotate(newest)

    def write(number: int) -> None:
        mine = manager.get(session.session_id, touch=False)
        if mine is not None:
            mine.level, mine.ttl = number, 60 + number % 3
            mine.write()

    return {
        "set": repeat(lambda number: session.set("key", number)),
        "delete": repeat(lambda _: session.delete("key")),
        "write": repeat(write),
        "authenticate": repeat(lambda _: manager.authenticate(session.token)),
        "get": repeat(lambda _: manager.get(session.session_id)),
        "rotate": repeat(rotate),
    }


@pytest.mark.parametrize("how", ["kill", "kill_held", "kill_user", "kill_all"])
def test_late_writes_never_revive_a_session(make_manager, keys, how):
    manager = make_manager(additional_fields=["level"], touch_interval=0, ttl=60)
    for _ in range(12):
        session, stop = manager.create("ann"), threading.Event()
        bodies = writing(session, manager, stop)
        if how.startswith("kill") and how not in {"kill_user", "kill_all"}:
            del bodies["rotate"]  # what is rotated is another session, and lives

        def end() -> None:
            try:
                time.sleep(0.01)
                ended = {
                    "kill": lambda: manager.kill(session.session_id),  # noqa: B023  called at once
                    "kill_held": session.kill,  # noqa: B023
                    "kill_user": lambda: manager.kill_user("ann"),
                    "kill_all": manager.kill_all,
                }[how]()
                assert ended == 1
                assert manager.count() == 0
                assert keys() == set()
                time.sleep(0.005)
            finally:
                stop.set()  # noqa: B023

        together(end, *bodies.values())
        assert manager.count() == manager.count_users() == manager.count_for_user("ann") == 0
        assert manager.get_all_sessions() == manager.get_all_users() == []
        assert list(manager.iter_sessions()) == []
        assert manager.authenticate(session.token) is None
        assert keys() == set()


LATE_WRITER = """
result = {"stored": 0, "gone": 0}
session = manager.authenticate(given["token"])
while result["gone"] < 50:
    try:
        result["stored"] += 1
        session.set(name, result["stored"])
        session.write()
    except SessionGone:
        assert manager.get(session.session_id) is None
        result["gone"] += 1
"""


def test_late_writes_of_other_processes_never_revive_a_session(make_manager, workers, keys):
    manager = make_manager(touch_interval=0)
    session = manager.create("ann")
    bodies = [f"name = {name!r}\n{LATE_WRITER}" for name in "ab"]
    with workers(bodies, {"token": session.token}, touch_interval=0) as running:
        eventually(lambda: min(session.get(["a", "b"], 0)) > 5, "writes of both processes")
        assert manager.kill(session.session_id)
        assert keys() == set()
    assert keys() == set()
    assert manager.count() == 0
    assert all(result["stored"] > 0 for result in running.results)


def test_late_writes_never_revive_an_expired_session(live_manager, keys):
    sessions = [live_manager.create("ann", ttl=0.1) for _ in range(4)]

    def write_on(session: Any) -> None:
        deadline = time.monotonic() + DEADLINE
        while outcome(lambda: session.set("key", 1), SessionGone) is not SessionGone:
            assert time.monotonic() < deadline
        for _ in range(20):
            with pytest.raises(SessionGone):
                session.set("key", 2)
            with pytest.raises(SessionGone):
                session.write()
            assert live_manager.get(session.session_id) is None
            with pytest.raises(SessionGone):
                live_manager.rotate(session, user_id="ann")

    together(*[lambda session=session: write_on(session) for session in sessions])
    assert live_manager.count() == live_manager.count_users() == 0
    eventually(lambda: keys() == set(), "the keys go by themselves")


# ---- no lost updates


def test_two_threads_that_change_different_keys_both_win(live_manager):
    session = live_manager.create("ann", data={"both": 0})

    def write(name: str) -> None:
        mine = live_manager.authenticate(session.token)
        for number in range(100):
            assert mine.set({f"{name}{number}": number, f"{name}last": number}) == 2

    together(lambda: write("a"), lambda: write("b"))
    expected = {f"{name}{number}": number for name in "ab" for number in range(100)}
    assert session.get_all() == expected | {"alast": 99, "blast": 99, "both": 0}


def test_two_processes_that_change_different_keys_both_win(live_manager, workers):
    session = live_manager.create("ann", data={"both": 0})
    body = """
session = manager.authenticate(given)
for number in range(100):
    session.set(f"{name}{number}", number)
    if number % 10 == 9:
        session.delete(f"{name}{number - 1}")
"""
    with workers([f"name = 'a'\n{body}", f"name = 'b'\n{body}"], session.token):
        pass
    kept = [number for number in range(100) if number % 10 != 8]
    assert session.get_all() == {f"{name}{number}": number for name in "ab" for number in kept} | {"both": 0}


def test_different_fields_written_at_once_are_all_kept(make_manager):
    names = [f"field{number}" for number in range(8)]
    manager = make_manager(additional_fields=names)
    session = manager.create("ann")

    def write(name: str) -> None:
        mine = manager.get(session.session_id)
        for number in range(20):
            setattr(mine, name, number)
            mine.write()

    together(*[lambda name=name: write(name) for name in names])
    assert session.read()
    assert session.fields == dict.fromkeys(names, 19)


def test_what_was_stored_before_a_rotation_goes_with_it(live_manager):
    for _ in range(15):
        session = live_manager.create("ann")

        def write(name: str) -> list[str]:
            mine = live_manager.authenticate(session.token)  # noqa: B023  called at once
            stored = []
            for number in range(40):
                key = f"{name}{number}"
                if mine is None or outcome(lambda: mine.set(key, 1), SessionGone) is SessionGone:  # noqa: B023
                    break
                stored.append(key)
            return stored

        def rotate() -> Any:
            time.sleep(0.003)
            return live_manager.rotate(session)  # noqa: B023

        ours, theirs, successor = together(lambda: write("a"), lambda: write("b"), rotate)
        assert successor.get_all() == dict.fromkeys([*ours, *theirs], 1)
        assert not live_manager.exists(session.session_id)


# ---- the limit


@pytest.mark.parametrize("limit", [1, 3])
def test_no_more_sessions_than_the_limit_are_ever_seen(make_manager, limit):
    manager = make_manager(max_sessions_per_user=limit)
    stop, most = threading.Event(), []

    def create() -> list[Any]:
        return [manager.create("ann") for _ in range(12)]

    def look() -> None:
        while not stop.is_set():
            most.append(manager.count_for_user("ann"))
            most.append(len(manager.list_user_sessions("ann")))
            most.append(len(manager.get_user_sessions("ann")))

    def create_all() -> list[Any]:
        try:
            return [session for made in together(*[create] * 8) for session in made]
        finally:
            stop.set()

    created, _ = together(create_all, look)
    assert len(created) == len({session.session_id for session in created}) == 96
    assert max(most) <= limit
    alive = {session.session_id for session in created if manager.exists(session.session_id)}
    assert alive == set(manager.get_user_sessions("ann"))
    assert len(alive) == limit


def test_the_limit_refuses_all_but_as_many(make_manager, keys):
    manager = make_manager(max_sessions_per_user=3, on_limit="refuse")
    found = together(*[lambda: outcome(lambda: manager.create("ann"), SessionLimitReached)] * 8)
    assert found.count(SessionLimitReached) == 5
    assert manager.count_for_user("ann") == 3
    assert len([key for key in keys() if ":s:" in key]) == 3


@pytest.mark.parametrize("shards", [1, 4])
def test_the_limit_holds_for_sign_ins_at_once(make_manager, shards):
    manager = make_manager(max_sessions_per_user=3, on_limit="refuse", shards=shards)
    strangers = [manager.create(None, data={"cart": number}) for number in range(8)]
    signing_in = [
        lambda session=session: outcome(lambda: manager.rotate(session, user_id="ann"), SessionLimitReached)
        for session in strangers
    ]
    found = together(*signing_in)
    assert found.count(SessionLimitReached) == 5
    assert manager.count_for_user("ann") == 3
    assert manager.count() == 8
    for session, answer in zip(strangers, found, strict=True):
        refused = answer is SessionLimitReached
        assert manager.exists(session.session_id) is refused
        assert (session if refused else answer).get("cart") == strangers.index(session)


@pytest.mark.parametrize("on_limit", ["evict", "refuse"])
def test_the_limit_holds_among_processes(live_manager, workers, on_limit):
    body = """
result = 0
for _ in range(25):
    try:
        manager.create("ann")
        result += 1
    except SessionLimitReached:
        pass
    assert manager.count_for_user("ann") <= 4
"""
    with workers([body] * 3, max_sessions_per_user=4, on_limit=on_limit) as running:
        pass
    assert sum(running.results) == {"evict": 75, "refuse": 4}[on_limit]
    assert live_manager.count_for_user("ann") == live_manager.count() == 4


# ---- rotation


@pytest.mark.parametrize(("shards", "user"), [(1, None), (1, "bob"), (4, None), (4, "bob")])
def test_of_rotations_at_once_exactly_one_wins(make_manager, keys, shards, user):
    manager = make_manager(shards=shards)
    arguments = {} if user is None else {"user_id": user}
    for _ in range(10):
        session = manager.create("ann", data={"key": "value"})
        held = [manager.authenticate(session.token) for _ in range(6)]
        attempts = [lambda one=one: outcome(lambda: manager.rotate(one, **arguments), SessionGone) for one in held]
        found = together(*attempts)
        assert found.count(SessionGone) == 5
        (winner,) = (answer for answer in found if answer is not SessionGone)
        assert manager.get_all_sessions() == [winner.session_id]
        assert manager.authenticate(session.token) is None
        assert manager.authenticate(winner.token).data == {"key": "value"}
        assert winner.user_id == (user or "ann")
        assert [key for key in keys() if ":s:" in key] == [
            f"{{{manager.namespace}:{user_shard((user or 'ann').encode(), shards)}}}:s:{winner.session_id}"
        ]
        assert manager.kill_all() == 1


# ---- kill_user and kill_all among traffic


def traffic(manager: Any, sessions: list[Any], stop: threading.Event) -> list[Callable[[], Any]]:
    """Give what goes on meanwhile: sessions of ann are touched, rotated, created."""

    def touch() -> None:
        while not stop.is_set():
            for session in sessions:
                manager.get(session.session_id)

    def rotate(mine: list[Any]) -> None:
        while not stop.is_set():
            for at, session in enumerate(mine):
                answer = outcome(lambda: manager.rotate(session), SessionGone)  # noqa: B023  called at once
                if answer is not SessionGone:
                    mine[at] = answer

    def create() -> None:
        while not stop.is_set():
            manager.create("ann")

    return [touch, lambda: rotate(sessions[::3]), lambda: rotate(sessions[1::3]), create]


@pytest.mark.parametrize("how", ["kill_user", "kill_all"])
def test_nothing_created_before_a_great_kill_survives_it(make_manager, how):
    manager = make_manager(touch_interval=0)
    for _ in range(2):
        sessions, stop = [manager.create("ann") for _ in range(130)], threading.Event()

        def kill() -> tuple[float, int, list[Any]]:
            try:
                time.sleep(0.02)
                called = manager.now()
                ended = manager.kill_user("ann") if how == "kill_user" else manager.kill_all()
                return called, ended, manager.list_user_sessions("ann")
            finally:
                stop.set()  # noqa: B023

        (called, ended, left), *_ = together(kill, *traffic(manager, sessions, stop))
        assert ended >= 130
        assert [session for session in left if session.created <= called] == []
        left = manager.list_user_sessions("ann")
        assert [session for session in left if session.created <= called] == []
        assert manager.count() == len(left) == manager.kill_user("ann")


def test_a_kept_session_survives_the_others(make_manager):
    manager = make_manager(touch_interval=0)
    sessions, stop = [manager.create("ann") for _ in range(130)], threading.Event()
    kept = [manager.create("ann") for _ in range(3)]

    def kill() -> int:
        try:
            return manager.kill_user("ann", keep=[session.session_id for session in kept])
        finally:
            stop.set()

    def touch() -> None:
        while not stop.is_set():
            assert all(manager.get(session.session_id) is not None for session in kept)

    ended, *_ = together(kill, touch)
    assert ended == len(sessions)
    assert set(manager.get_user_sessions("ann")) == {session.session_id for session in kept}


@blocking_only
def test_a_sign_in_that_changes_the_shard_does_not_slip_past_kill_all(make_manager, monkeypatch):
    manager = make_manager(shards=4)
    user = next(f"user{n}" for n in range(100) if user_shard(f"user{n}".encode(), 4) == 0)
    while (stranger := manager.create(None)).session_id[1:3] == "aa":
        pass
    other = make_manager(shards=4)
    execute, moved = manager.store.execute, []

    def after_the_first_shard(operation: Any) -> Any:
        result = execute(operation)
        if operation.script.name == "kill_many" and not moved:
            moved.append(other.rotate(stranger, user_id=user))
        return result

    monkeypatch.setattr(manager.store, "execute", after_the_first_shard)
    if hasattr(type(manager.store), "execute_together"):  # on several nodes it is run side by side
        monkeypatch.setattr(manager.store, "execute_together", lambda each: [*map(after_the_first_shard, each)])
    called = manager.now()
    manager.kill_all()
    assert moved[0].created <= called
    assert [session for session in manager.iter_sessions() if session.created <= called] == []


# ---- threads


def test_one_manager_serves_many_threads(make_manager):
    manager = make_manager(additional_fields=["name"])

    def story(user: str) -> None:
        for number in range(5):
            session = manager.create(user, data={"n": number}, name=user)
            assert session.set("user", user) == 1
            again = manager.authenticate(session.token)
            assert (again.user_id, again.name, dict(again.data)) == (user, user, {"n": number, "user": user})
            rotated = manager.rotate(again)
            assert rotated.get(["n", "user"]) == [number, user]
            assert manager.get_user_sessions(user)[0] == rotated.session_id
            assert manager.count_for_user(user) == number + 1
        assert manager.kill_user(user, keep=rotated.session_id) == 4

    names = [f"user{number}" for number in range(16)]
    together(*[lambda name=name: story(name) for name in names])
    assert manager.count() == manager.count_users() == 16
    assert sorted(manager.get_all_users()) == sorted(names)


# ---- forks and event loops, each in a process that treats every warning as an error


def run_script(script: str, *arguments: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        env=ENVIRONMENT,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert ran.stdout == "done\n"


FORK = """
import os, sys
from redisess_core import SessionManager
from support.clients import client_of

url, made_with = sys.argv[1:]
client = client_of(url) if made_with == "client" else None
manager = SessionManager(client or url, namespace="forked")
before = manager.create("parent", data={"who": "parent"})

def work(name):
    for number in range(150):
        session = manager.create(name, data={"n": number})
        again = manager.authenticate(session.token)
        assert (again.session_id, again.user_id, dict(again.data)) == (session.session_id, name, {"n": number})
        assert manager.authenticate(before.token).data["who"] == "parent"
        assert session.kill()

children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(f"child{number}")
            manager.close()
            if client:
                client.close()
            status = 0
        finally:
            os._exit(status)
    children.append(child)
work("parent")
for child in children:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert manager.get_all_users() == ["parent"]
assert manager.count() == 1
manager.close()
if client:
    client.close()
print("done")
"""


@blocking_only
@pytest.mark.parametrize("made_with", ["url", "client"])
def test_a_manager_used_before_a_fork_works_in_parent_and_children(redis_url, colour, made_with):
    run_script(FORK, redis_url, made_with)


FORK_ASYNC = """
import asyncio, os, sys
from redisess_core import AsyncSessionManager

manager = AsyncSessionManager(sys.argv[1], namespace="forked")

async def work(name):
    async def one(number):
        session = await manager.create(name, data={"n": number})
        again = await manager.authenticate(session.token)
        assert (again.user_id, dict(again.data)) == (name, {"n": number})
        assert await session.kill()
    for _ in range(10):
        await asyncio.gather(*(one(number) for number in range(10)))

asyncio.run(work("before"))
child = os.fork()
asyncio.run(work("child" if child == 0 else "parent"))

async def end():
    await manager.aclose()

asyncio.run(end())
if child == 0:
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print("done")
"""


@pytest.mark.parametrize("colour", ["async"])
def test_an_async_manager_used_before_a_fork_works_in_parent_and_child(redis_url, colour):
    run_script(FORK_ASYNC, redis_url)


LOOPS = """
import asyncio, gc, sys, threading, time
from redisess_core import AsyncSessionManager
from support.clients import client_of, clients_at

url = sys.argv[1]
manager = AsyncSessionManager(url, namespace="loops")
looking = client_of(url, client_name="looking")
nodes = len(url.split(","))

def connections():
    return sum(client["name"] != "looking" for client in clients_at(looking))

def at_most(number):
    deadline = time.monotonic() + 20
    while connections() > number:
        assert time.monotonic() < deadline, connections()
        time.sleep(0.01)

async def work(name):
    async def one(number):
        session = await manager.create(f"{name}{number}")
        assert (await manager.authenticate(session.token)).user_id == f"{name}{number}"
        return session
    for session in await asyncio.gather(*(one(number) for number in range(5))):
        assert await session.kill()

looking.ping()
others = connections()

# One after the other, the manager never closed: a loop that ends closes its pool.
for number in range(4):
    asyncio.run(work(f"run{number}"))
    at_most(others)

# A loop that only stops closes nothing: the next one drops its pool.
for number in range(4):
    loop = asyncio.new_event_loop()
    loop.run_until_complete(work(f"stopped{number}"))
    loop.close()
    gc.collect()
    at_most(others + 5 * nodes)

# Side by side, in threads: each its own pool.
threads = [threading.Thread(target=lambda n=n: asyncio.run(work(f"thread{n}"))) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
gc.collect()

async def last():
    await work("last")
    await manager.aclose()
    at_most(others)

asyncio.run(last())
gc.collect()
at_most(others)
looking.close()
print("done")
"""


@pytest.mark.parametrize("colour", ["async"])
def test_an_async_manager_works_in_many_loops_and_drops_the_pools_of_closed_ones(redis_url, colour):
    run_script(LOOPS, redis_url)


TRIO = """
import sys
import trio
from redisess_core import AsyncSessionManager, StoreUnavailable

url = sys.argv[1]

async def main():
    async with AsyncSessionManager(url, namespace="trio", shards=4) as manager:
        sessions = [await manager.create("ann") for _ in range(60)]
        assert await manager.count() == await manager.count_for_user("ann") == 60
        assert await sessions[0].set("a", 1) == 1
        async with trio.open_nursery() as nursery:
            for session in sessions[:10]:
                nursery.start_soon(session.kill)
        assert await manager.kill_user("ann", keep=sessions[-1].session_id) == 49
        assert await manager.get_all_sessions() == [sessions[-1].session_id]
        with trio.move_on_after(0) as scope:
            await manager.kill_all()
        assert await manager.kill_all() in (0, 1)
    async with AsyncSessionManager("redis://127.0.0.1:1", namespace="trio") as manager:
        try:
            await manager.count()
        except StoreUnavailable:
            return
    raise AssertionError("no StoreUnavailable")

trio.run(main)
print("done")
"""


@pytest.mark.parametrize("colour", ["async"])
def test_operations_are_awaited_in_tasks_of_trio_too(redis_url, colour):
    run_script(TRIO, redis_url)


OTHER_LOOP = """
import asyncio, sys
from redisess_core import AsyncSessionManager
from support.clients import async_client_of

client = async_client_of(sys.argv[1])
manager = AsyncSessionManager(client, namespace="loops")

async def use():
    session = await manager.create("ann")
    assert await session.kill()

async def use_and_close():
    await use()
    await client.aclose()

asyncio.run(use_and_close())
for method in (lambda: manager.count(), lambda: manager.create("ann"), lambda: anext(manager.iter_users(), None)):
    async def in_another_loop():
        await method()
    try:
        asyncio.run(in_another_loop())
    except RuntimeError as error:
        assert "another event loop" in str(error) and "URL" in str(error), error
    else:
        raise AssertionError("no RuntimeError")
print("done")
"""


@pytest.mark.parametrize("colour", ["async"])
def test_a_client_of_another_loop_is_refused(redis_url, colour):
    run_script(OTHER_LOOP, redis_url)
