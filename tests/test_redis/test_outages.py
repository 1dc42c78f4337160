"""Redis killed, paused, loading, full or restarted, with every operation under way: each ends, and all comes back."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis
from every_operation import OPERATIONS, new_session
from looks import assert_numbers_agree

from redisess_core import AsyncSessionManager, StoreUnavailable
from support.faults import FAULTS, KEEPING, at_once, eventually, paused

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.faults

PAUSE = 5.0  # seconds
AWAY = {
    "killed": (redis.ConnectionError, "ConnectionError"),
    "paused": (redis.TimeoutError, "TimeoutError"),
    "loading": (redis.BusyLoadingError, "BusyLoadingError"),
}


def everything_at_once(manager: Any, session: Any) -> dict[str, Any]:
    """Run every operation on one session, all at the same time."""
    return at_once({name: lambda run=run: run(manager, session) for name, run in OPERATIONS.items()})


@pytest.fixture
def server(start_server):
    """A server that has everything after a kill that it had before."""
    return start_server(*KEEPING)


@pytest.fixture
def managers(make_manager, server):
    """A manager that has run every operation, and one whose sessions nobody ends."""
    options = {"url": server.url, "additional_fields": ("role",), "touch_interval": 0}
    manager, beside = make_manager(**options), make_manager(**options, namespace="beside")
    for operation in OPERATIONS.values():
        operation(manager, new_session(manager))
    return manager, beside


@pytest.mark.parametrize("fault", AWAY)
def test_every_operation_says_that_redis_is_away_and_works_again_when_it_is_back(server, managers, fault):
    manager, beside = managers
    kind, said = AWAY[fault]
    session, held = new_session(manager), new_session(beside)
    with FAULTS[fault](server):
        for name, outcome in everything_at_once(manager, session).items():
            assert isinstance(outcome, StoreUnavailable), (name, outcome)
            assert isinstance(outcome.__cause__, kind), (name, outcome.__cause__)
            assert said in str(outcome), name
            assert session.token not in str(outcome), name
        with pytest.raises(StoreUnavailable):
            beside.authenticate(held.token)
        assert held.valid
    again = beside.authenticate(held.token)
    assert (again.session_id, again.user_id, dict(again.data), again.role) == (held.session_id, "ada", {"a": 1}, "user")
    for name, operation in OPERATIONS.items():
        session = new_session(manager)
        assert not isinstance(operation(manager, session), Exception), name
    for one in managers:
        assert_numbers_agree(one)


def test_in_five_seconds_of_a_pause_every_operation_ends_again_and_again(server, managers):
    manager, beside = managers
    session, held = new_session(manager), new_session(beside)
    waves = 0
    with paused(server):
        over = time.monotonic() + PAUSE
        while time.monotonic() < over:
            waves += 1
            for name, outcome in everything_at_once(manager, session).items():
                assert isinstance(outcome, StoreUnavailable), (name, outcome)
                assert isinstance(outcome.__cause__, redis.TimeoutError), (name, outcome.__cause__)
    assert waves > 1
    assert beside.authenticate(held.token).data == {"a": 1}
    outcomes = everything_at_once(manager, new_session(manager))
    assert not [outcome for outcome in outcomes.values() if isinstance(outcome, StoreUnavailable)]
    assert_numbers_agree(manager)


def test_what_is_under_way_when_the_server_is_killed_ends(server, managers):
    manager, beside = managers
    session, held = new_session(manager), new_session(beside)
    server.pause()

    def kill() -> None:
        eventually(lambda: waiting(server.port) > len(OPERATIONS) // 2, "they wait for their answers")
        server.kill()

    killing = threading.Thread(target=kill)
    killing.start()
    outcomes = everything_at_once(manager, session)
    killing.join()
    for name, outcome in outcomes.items():
        assert isinstance(outcome, StoreUnavailable), (name, outcome)
    server.start()
    assert manager.authenticate(session.token).data == beside.authenticate(held.token).data == {"a": 1}
    assert_numbers_agree(manager)


def waiting(port: int) -> int:
    """Count the server's connections that bytes have come on that it has not read."""
    with open("/proc/net/tcp", encoding="ascii") as table:  # noqa: PTH123  no file
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and int(row[4].split(":")[1], 16) > 0 for row in rows)


@pytest.mark.anyio
async def test_many_more_tasks_than_connections_all_end_in_a_pause_and_work_after_it(server, namespace):
    async with AsyncSessionManager(server.url, namespace=namespace) as manager:
        session = await manager.create("ada", data={"a": 1})
        before = asyncio.all_tasks()

        async def ask() -> Any:
            return await manager.authenticate(session.token)

        with paused(server):
            async with asyncio.timeout(30):
                outcomes = await asyncio.gather(*(ask() for _ in range(300)), return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        assert asyncio.all_tasks() == before
        found = await asyncio.gather(*(ask() for _ in range(300)))
        assert {one.session_id for one in found} == {session.session_id}


@pytest.mark.parametrize("fault", AWAY)
def test_what_asks_all_shards_ends_and_works_again(make_manager, server, fault):
    manager = make_manager(url=server.url, shards=64)
    sessions = [manager.create(f"user{number}") for number in range(20)]
    whole: dict[str, Callable[[], Any]] = {
        "count": manager.count,
        "count_users": manager.count_users,
        "get_all_sessions": manager.get_all_sessions,
        "get_all_users": manager.get_all_users,
        "iter_sessions": lambda: list(manager.iter_sessions()),
        "list_sessions": manager.list_sessions,
        "wipe": manager.wipe,
    }
    with FAULTS[fault](server):
        for name, outcome in at_once(whole).items():
            assert isinstance(outcome, StoreUnavailable), (name, outcome)
    assert manager.count() == manager.count_users() == 20
    assert set(manager.get_all_sessions()) == {session.session_id for session in sessions}
    assert manager.kill_all() == 20


# ---- full


def test_a_server_that_is_full_keeps_what_it_took_and_takes_more_when_there_is_room(make_manager, start_server):
    server = start_server("--maxmemory-policy", "noeviction")
    manager, client = make_manager(url=server.url, touch_interval=1000), server.client()
    kept = [manager.create("ada", data={"n": 0})]
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 2_000_000)
    many = (manager.create("ada", data={"n": number, "filling": "x" * 20_000}) for number in range(1, 1000))
    with pytest.raises(StoreUnavailable, match=r"OOM|OutOfMemory"):
        kept.extend(many)
    assert 10 < len(kept) < 1000
    assert manager.count() == manager.count_for_user("ada") == len(kept)
    for number, session in enumerate(kept):
        assert manager.authenticate(session.token).data["n"] == number
    with pytest.raises(StoreUnavailable):
        kept[0].set("more", "x" * 20_000)
    half = len(kept) // 2
    for session in kept[half:]:
        assert manager.kill(session.session_id)
    assert kept[0].set("more", "x" * 20_000) == 1
    assert manager.create("bob").valid
    assert manager.count() == half + 1
    assert_numbers_agree(manager)


# ---- started again, with its file


def test_what_was_answered_before_a_clean_restart_is_there_after_it(make_manager, start_server):
    server = start_server("--appendonly", "yes")  # to the disk once a second, and at the end
    manager = make_manager(url=server.url, additional_fields=("role",))
    answered: list[dict[str, Any]] = [{} for _ in range(4)]  # of each worker: token -> what it must hold; None: killed

    def work(number: int) -> None:
        known = answered[number]
        try:
            for n in range(10_000):
                session = manager.create(f"user{number}", data={"n": n})
                known[session.token] = {"n": n}
                known[session.token] = [{"n": n}, {"n": n, "more": n}]  # under way: either
                session.set("more", n)
                known[session.token] = {"n": n, "more": n}
                if n % 3 == 0:
                    known[session.token] = [known[session.token], None]
                    session.kill()
                    known[session.token] = None
                elif n % 3 == 1:
                    rotating, known[session.token] = known[session.token], [known[session.token], None]
                    known[manager.rotate(session).token] = rotating
                    known[session.token] = None
        except StoreUnavailable:
            pass

    for _ in range(2):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(len(answered))]
        before = sum(map(len, answered))
        for thread in threads:
            thread.start()
        eventually(lambda: sum(map(len, answered)) > before + 200, "they work")  # noqa: B023  called at once
        server.stop()
        for thread in threads:
            thread.join()
        server.start()
        for known in answered:
            for token, held in known.items():
                found = manager.authenticate(token, touch=False)
                now = None if found is None else dict(found.data)
                assert now in (held if isinstance(held, list) else [held])
        assert_numbers_agree(manager)


def test_what_asks_every_shard_of_a_paused_server_waits_for_one_answer_and_not_for_all(make_manager, server):
    manager = make_manager(url=f"{server.url}?socket_timeout=0.5", shards=64)
    manager.create("ada")
    assert manager.count() == 1
    ended = threading.Event()

    def ask() -> None:
        with pytest.raises(StoreUnavailable):
            manager.count()
        ended.set()

    server.pause()
    asking = threading.Thread(target=ask)
    asking.start()
    in_time = ended.wait(15)  # seconds; one timeout for each shard would be twice as many
    server.resume()
    asking.join()
    assert in_time
