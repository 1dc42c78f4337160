"""On a Redis Cluster of three nodes: every script stays in its slot, and users notice nothing of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import redis.asyncio.cluster
import redis.cluster
from every_operation import OPERATIONS, new_session
from redis.crc import key_slot

from redisess_core import RedisessError, StoreUnavailable
from redisess_core.config import CLUSTER_SHARDS
from support.both import open_manager
from support.laboratory import Cluster, until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster():
    """Three primaries that share the slots."""
    with Cluster(3, 0) as cluster:
        yield cluster


@pytest.fixture
def nodes(cluster):
    """The three, emptied."""
    for server in cluster.servers:
        server.client().flushall()
    return cluster.servers


@pytest.fixture(params=["url", "client"])
def made_with(request):
    """What a manager is made with."""
    return request.param


@pytest.fixture
def open_one(cluster, colour, namespace, clock, made_with):
    """Open managers, until the end of the test."""
    with ExitStack() as ends:

        def open_one(**options):
            options = {"namespace": namespace, "clock": clock, "additional_fields": ("role",), **options}
            options["client_options"] = {} if made_with == "client" else None
            return ends.enter_context(open_manager(colour, cluster.url, **options))

        yield open_one


@pytest.fixture
def manager(nodes, open_one):
    return open_one()


def test_a_namespace_of_a_cluster_has_64_shards_unless_it_is_told(manager, open_one):
    assert manager.shards == CLUSTER_SHARDS == 64
    other = open_one(shards=5, namespace="five")
    assert other.shards == 5
    assert other.create("ada").valid
    assert other.count() == 1


def test_every_operation_stays_in_its_slot(manager):
    for operation in OPERATIONS.values():
        operation(manager, new_session(manager))


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
    left_without = 0
    for server in nodes:
        client = server.client()
        lost, *others = [key for key in client.scan_iter() if b":s:" in key]
        shard = lost.partition(b"}:")[0]
        client.delete(lost, shard + b"}:activity")
        left_without += sum(key.startswith(shard + b"}:") for key in others)
    assert (manager.verify().sessions, manager.verify().stray) == (97, 6)
    assert manager.verify(repair=True).missing == left_without
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


def test_events_of_every_node_are_heard_by_every_manager(manager, open_one):
    other, users = open_one(), {f"user{number}" for number in range(20)}
    with manager.events() as events:
        for user_id in users:
            other.create(user_id)
        assert {next(events).user_id for _ in users} == users


def test_a_cluster_that_is_away_is_unavailable(colour, made_with):
    with Cluster(1, 0) as cluster:
        options = {"client_options": {} if made_with == "client" else None}
        with open_manager(colour, cluster.url, **options) as manager:
            session = manager.create("ada")
            cluster.servers[0].stop()
            with pytest.raises(StoreUnavailable):
                manager.authenticate(session.token)


@pytest.fixture
def searches(monkeypatch):
    """What redis-py's clients look for the nodes of a cluster with, once for each search."""
    begun = []
    for module in (redis.cluster, redis.asyncio.cluster):
        search = module.NodesManager.initialize

        def searched(self, *which, search=search, **how):
            begun.append(self)
            return search(self, *which, **how)

        monkeypatch.setattr(module.NodesManager, "initialize", searched)
    return begun


@pytest.mark.parametrize("known", [True, False])
def test_a_cluster_that_stands_still_is_looked_for_once_by_all_that_ask_at_once(colour, known, searches):
    with Cluster(2, 0) as cluster, open_manager(colour, f"{cluster.url}?socket_timeout=0.5", shards=4) as manager:
        token = manager.create("ada").token if known else None
        searches.clear()
        for server in cluster.servers:
            server.pause()
        with ThreadPoolExecutor(16) as pool:
            asked = [
                pool.submit(manager.authenticate, token) if known else pool.submit(manager.count) for _ in "x" * 16
            ]
            assert {type(one.exception()) for one in asked} == {StoreUnavailable}
        assert len(searches) < 16 / 2  # each by itself would be 16 at least
        for server in cluster.servers:
            server.resume()
        assert manager.count() == known


def test_the_others_go_on_where_the_node_of_the_namespaces_record_is_dead(colour, namespace):
    with (
        Cluster(3, 0, "--cluster-require-full-coverage", "no") as cluster,
        open_manager(colour, cluster.url, namespace=namespace) as manager,
    ):
        recorder = cluster.primary_of(f"{{{namespace}}}:layout")
        one, other = (server for server in cluster.servers if server is not recorder)
        held = {}
        while held.keys() != set(cluster.servers):
            session = manager.create(f"user{len(manager.get_all_users())}")
            keys = manager.session_keys(session.session_id)
            held[cluster.primary_of(keys[-1])] = session
        assert manager.exists(held[one].session_id)  # by a script that the other has not run yet
        recorder.kill()
        until(lambda: cluster.ask(other, "CLUSTER INFO")["cluster_slots_fail"] != "0", "the others know")
        assert manager.exists(held[other].session_id)
        with pytest.raises(StoreUnavailable):
            manager.exists(held[recorder].session_id)


def test_a_node_asked_as_if_it_was_alone_is_told_of_in_words(cluster, colour, namespace):
    record = f"{{{namespace}}}:layout"
    other = next(server for server in cluster.primaries() if server is not cluster.primary_of(record))
    with (
        open_manager(colour, other.url, namespace=namespace) as manager,
        pytest.raises(RedisessError, match=r"redis\+cluster://"),
    ):
        manager.count()
