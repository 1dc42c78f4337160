"""Redis is short of memory and evicts: a session's hash, an index, anything. It heals, and nothing is an error."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from every_operation import OPERATIONS, new_session, run_every_operation
from looks import LOOKS, assert_all_looks, assert_numbers_agree

from redisess_core import SessionGone
from support.faults import EVICTING, evict

if TYPE_CHECKING:
    from support.clock import FakeClock

pytestmark = pytest.mark.faults

INDEXES = ["activity", "expiry", "users", "u:ann"]
SHARD = "{{{}:0}}:"


@pytest.fixture
def server(start_server):
    """A server that evicts what it is told to."""
    return start_server(*EVICTING)


@pytest.fixture
def manager(make_manager, server, clock):
    """A manager of that server."""
    return make_manager(url=server.url, clock=clock, additional_fields=("role",), max_sessions_per_user=10)


@pytest.fixture
def sessions(manager, clock):
    """Sessions of two users and of nobody, some seconds apart."""
    made = []
    for user in ("ann", "ann", "bob", None):
        made.append(manager.create(user, data={"a": 1}))
        clock.advance(2)
    return made


def use(manager: Any, clock: FakeClock, session_ids: list[str]) -> dict[str, str | None]:
    """Touch all that live, one after the other; give those, as `assert_all_looks` wants them."""
    live = {}
    for session_id in session_ids:
        clock.advance(2)
        found = manager.get(session_id)
        if found is not None:
            live[session_id] = found.user_id
    return live


def no_error(manager: Any) -> None:
    """Look in every way, whatever it says."""
    for look in LOOKS.values():
        look(manager)


@pytest.mark.parametrize("of", [0, 2, 3], ids=["one of two", "the only one", "nobody's"])
def test_an_evicted_session_is_signed_out_and_counted_no_more_once_it_was_asked_for(
    manager, server, sessions, namespace, clock, of
):
    lost = sessions.pop(of)
    evict(server, f"{SHARD.format(namespace)}s:{lost.session_id}")
    no_error(manager)
    assert manager.authenticate(lost.token) is None
    live = use(manager, clock, [session.session_id for session in sessions])
    assert len(live) == 3
    assert_all_looks(manager, live)


@pytest.mark.parametrize("index", INDEXES)
def test_an_evicted_index_comes_back_with_the_touches(manager, server, sessions, namespace, clock, index):
    evict(server, SHARD.format(namespace) + index)
    no_error(manager)
    live = use(manager, clock, [session.session_id for session in sessions])
    assert len(live) == 4
    assert_all_looks(manager, live)
    clock.advance(1800)
    assert_all_looks(manager, {})


@pytest.mark.parametrize("index", INDEXES)
def test_an_evicted_index_leaves_nothing_that_is_counted_for_good(manager, server, sessions, namespace, clock, index):
    evict(server, SHARD.format(namespace) + index)
    for _ in range(4):
        clock.advance(600)
        assert manager.authenticate(sessions[0].token).valid
    for session in sessions[1:]:  # Redis expires them by its own clock; this is what it does
        server.client().unlink(f"{SHARD.format(namespace)}s:{session.session_id}")
    assert_all_looks(manager, {sessions[0].session_id: "ann"})


@pytest.mark.parametrize("index", INDEXES)
def test_no_operation_is_an_error_where_an_index_was_evicted(manager, server, namespace, index):
    key = SHARD.format(namespace) + index.replace("ann", "ada")
    for name, operation in OPERATIONS.items():
        manager.kill_all()
        other, session = manager.create("bob"), new_session(manager)
        evict(server, key)
        operation(manager, session)
        assert manager.exists(other.session_id) is (name != "kill_all"), name
        for one in (other, session):
            manager.get(one.session_id)
        assert manager.count() == len(list(manager.iter_sessions())), name


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-random"])
def test_under_pressure_nothing_is_an_error_but_what_is_lost_and_all_numbers_are_right_when_it_is_over(
    manager, server, namespace, clock, policy
):
    client = server.client()
    client.config_set("maxmemory-policy", policy)
    run_every_operation(manager)  # scripts take memory that is not given back
    manager.kill_all()
    sessions = [manager.create(f"user{number % 20}" if number % 5 else None) for number in range(150)]
    clock.advance(2)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 500_000)
    for number in range(250):
        client.set(f"filling{number}", secrets.token_bytes(5_000), ex=10_000)
        manager.authenticate(sessions[number % 150].token)
        clock.advance(0.1)
    for operation in OPERATIONS.values():
        if operation is not OPERATIONS["kill_all"]:
            with suppress(SessionGone):
                operation(manager, new_session(manager))
    assert client.info("stats")["evicted_keys"] > 20
    client.config_set("maxmemory", 0)
    no_error(manager)
    prefix = f"{SHARD.format(namespace)}s:"
    left = [key.decode().removeprefix(prefix) for key in client.scan_iter(f"{prefix}*", count=1000)]
    live = use(manager, clock, left)
    assert len(live) == len(left)
    no_error(manager)
    for _ in range(3):  # what was lost and never looked at ends as if it was there
        clock.advance(800)
        live = use(manager, clock, left)
    assert manager.count() == len(live)
    assert_numbers_agree(manager)
    clock.advance(1800)
    assert_all_looks(manager, {})
