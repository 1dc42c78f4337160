"""On a Redis Cluster of three nodes: every script stays in its slot, and users notice nothing of it."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, contextmanager

import pytest
import redis
import redis.asyncio
from anyio.from_thread import start_blocking_portal
from every_operation import OPERATIONS, new_session
from redis.crc import key_slot

from redisess_core import AsyncSessionManager, SessionManager, StoreUnavailable
from redisess_core.config import CLUSTER_SHARDS
from support.both import wrap
from support.server import Server

pytestmark = pytest.mark.cluster
SLOTS = 16384


@pytest.fixture(scope="module")
def nodes():
    """Three masters that share the slots."""
    with Server(*NODE) as first, Server(*NODE) as second, Server(*NODE) as third:
        servers = [first, second, third]
        edges = [SLOTS * part // 3 for part in range(4)]
        for server, start, end in zip(servers, edges, edges[1:], strict=False):
            server.client().execute_command("CLUSTER", "ADDSLOTS", *range(start, end))
            server.client().execute_command("CLUSTER", "MEET", "127.0.0.1", first.port)
        deadline = time.monotonic() + 30
        while not all(is_ready(server) for server in servers):
            assert time.monotonic() < deadline, "the cluster does not come together"
            time.sleep(0.05)
        yield servers


NODE = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")


def is_ready(server):
    info = server.client().execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"


@contextmanager
def manager_of(colour, server, **options):
    """A manager over a cluster client of its own."""
    if colour == "blocking":
        client = redis.RedisCluster(host="127.0.0.1", port=server.port)
        yield SessionManager(client, **options)
        client.close()
        return

    @asynccontextmanager
    async def opened():
        async with redis.asyncio.RedisCluster(host="127.0.0.1", port=server.port) as client:
            yield AsyncSessionManager(client, **options)

    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(opened()) as manager:
        yield wrap(manager, portal)


@pytest.fixture
def manager(nodes, colour, namespace, clock):
    for server in nodes:
        server.client().flushall()
    with manager_of(colour, nodes[0], namespace=namespace, clock=clock, additional_fields=("role",)) as manager:
        yield manager


def test_a_namespace_of_a_cluster_has_64_shards_unless_it_is_told(manager, nodes, colour):
    assert manager.shards == CLUSTER_SHARDS == 64
    with manager_of(colour, nodes[1], shards=5, namespace="five") as other:
        assert other.shards == 5
        assert other.create("ada").valid
        assert other.count() == 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_stays_in_its_slot(manager, name):
    OPERATIONS[name](manager, new_session(manager))


def test_sessions_are_spread_over_all_nodes_and_found_wherever_they_are(manager, nodes):
    users = [f"user{number}" for number in range(100)]
    sessions = [manager.create(user_id, data={"name": user_id}) for user_id in users]
    held = [[key for key in server.client().scan_iter() if b":s:" in key] for server in nodes]
    assert all(len(keys) > 10 for keys in held)
    assert sum(map(len, held)) == 100
    for session in sessions:
        found = manager.authenticate(session.token)
        assert dict(found.data) == {"name": session.user_id}
        found.set("name", "changed")
        assert manager.get_user_sessions(session.user_id) == [session.session_id]
    assert manager.count() == manager.count_users() == 100
    assert sorted(manager.get_all_users()) == sorted(users)
    assert sorted(manager.iter_users()) == sorted(users)
    assert {session.session_id for session in manager.iter_sessions()} == {each.session_id for each in sessions}
    assert sorted(manager.get_all_sessions()) == sorted(session.session_id for session in sessions)
    assert manager.kill_user("user7") == 1
    assert manager.kill_all() == 99
    assert manager.count() == 0


def test_an_administrators_plans_stay_in_their_slots(manager):
    acting = manager.create("admin").session_id
    ids = [manager.create(f"user{number}").session_id for number in range(20)]
    assert [session.session_id for session in manager.run(manager.plan_named(ids))] == ids
    assert [manager.run(manager.plan_kill_for(each, acting)) for each in ids[:5]] == [True] * 5
    assert sum(manager.run(manager.plan_kill_user(f"user{number}", acting=acting)) for number in range(10)) == 5
    assert manager.run(manager.plan_kill_all(keep=[acting], acting=acting)) == 10
    assert manager.get_all_sessions() == [acting]


def test_what_differs_on_every_node_is_counted_and_repaired(manager, nodes, namespace):
    for number in range(100):
        manager.create(f"user{number}", ttl=0 if number % 9 == 0 else None)
    found = manager.verify()
    assert (found.sessions, found.users, found.drift) == (100, 100, 0)
    for server in nodes:
        client = server.client()
        lost = next(key for key in client.scan_iter() if b":s:" in key)
        client.delete(lost, lost.partition(b"}:")[0] + b"}:activity")
    assert (manager.verify().sessions, manager.verify().stray) == (97, 6)
    assert manager.verify(repair=True).missing > 0
    found = manager.verify()
    assert (found.sessions, found.users, found.drift, manager.count()) == (97, 97, 0, 97)


def test_expired_sessions_of_every_node_are_in_no_count_and_are_swept(manager, clock):
    for number in range(50):
        manager.create(f"user{number}", ttl=10 if number % 2 else 20)
    clock.advance(10)
    assert manager.count() == manager.count_users() == len(manager.get_all_sessions()) == 25
    clock.advance(10)
    assert manager.wipe() == 25
    assert manager.count() == 0


def test_a_sign_in_moves_a_session_to_another_node(manager, namespace):
    anonymous = manager.create(None, data={"cart": [1]})
    sessions = [manager.rotate(anonymous, user_id="user0")]
    for number in range(1, 20):
        sessions.append(manager.rotate(sessions[-1], user_id=f"user{number}"))
    assert dict(manager.authenticate(sessions[-1].token).data) == {"cart": [1]}
    assert [manager.authenticate(session.token) for session in sessions[:-1]] == [None] * 19
    assert manager.get_all_users() == ["user19"]
    assert len({session.session_id[1:3] for session in sessions}) > 5


def test_all_keys_of_a_user_are_in_one_slot(manager, nodes):
    for number in range(20):
        manager.create(f"user{number}")
    slots = {}
    for server in nodes:
        for key in server.client().scan_iter():
            slots.setdefault(key.split(b"}")[0], set()).add(key_slot(key))
    assert all(len(found) == 1 for found in slots.values())


def test_events_of_every_node_are_heard_by_every_manager(manager, nodes, colour, namespace, clock):
    with manager_of(colour, nodes[2], namespace=namespace, clock=clock, additional_fields=("role",)) as other:
        users = {f"user{number}" for number in range(20)}
        with manager.events() as events:
            for user_id in users:
                other.create(user_id)
            assert {next(events).user_id for _ in users} == users


def test_a_cluster_that_is_away_is_unavailable(nodes, colour, start_server):
    server = start_server(*NODE)
    server.client().execute_command("CLUSTER", "ADDSLOTS", *range(SLOTS))
    deadline = time.monotonic() + 30
    while server.client().execute_command("CLUSTER INFO")["cluster_state"] != "ok":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with manager_of(colour, server) as manager:
        session = manager.create("ada")
        server.stop()
        with pytest.raises(StoreUnavailable):
            manager.authenticate(session.token)
