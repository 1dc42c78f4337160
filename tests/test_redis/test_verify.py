"""verify: what differs between the indexes and the sessions is found, counted and repaired; what is live stays."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from every_operation import OPERATIONS, new_session

from redisess_core import SessionGone, StoreUnavailable, Verification
from support.clock import START
from support.model import plant

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.one_shard
KINDS = ("missing", "stray", "misplaced", "early", "never")
UNKNOWN = "saa" + "0" * 25
SOON, LATER = START + 60, START + 1_000_000_000


def drift_of(found: Verification) -> dict[str, int]:
    """Give the kinds of drift that there are."""
    counts = asdict(found)
    assert found.drift == sum(counts[kind] for kind in KINDS)
    return {kind: counts[kind] for kind in KINDS if counts[kind]}


# ---- nothing differs


@pytest.mark.parametrize("shards", [1, 8])
def test_no_operation_leaves_anything_that_differs(make_manager, clock, shards):
    manager = make_manager(clock=clock, shards=shards, additional_fields=("role",), ttl=60, max_sessions_per_user=4)
    for name, operation in OPERATIONS.items():
        for ttl in (None, 0, 7.25):
            session = new_session(manager)
            manager.create("ada", ttl=ttl, max_lifetime=100)
            clock.advance(3.5)
            operation(manager, session)
            clock.advance(4.125)
        found = manager.verify()
        assert drift_of(found) == {}, name
        assert (found.sessions, found.users) == (manager.count(), manager.count_users()), name


def test_nothing_differs_where_there_is_nothing(manager, left):
    assert manager.verify() == Verification(0, 0, 0, 0, 0, 0, 0, repaired=False)
    assert manager.verify(repair=True) == Verification(0, 0, 0, 0, 0, 0, 0, repaired=True)
    assert left() == set()


@pytest.mark.parametrize("ttl", [0, 0.5, 1800])
def test_nothing_differs_by_the_clock_of_the_server(make_manager, ttl):
    manager = make_manager(ttl=ttl, touch_interval=0, shards=3)
    for number in range(30):
        manager.get(manager.create(f"user{number % 7}" if number % 3 else None).session_id)
    assert drift_of(manager.verify()) == {}


@pytest.mark.parametrize("repair", [False, True])
def test_what_has_expired_and_is_not_swept_yet_is_no_drift(manager, clock, redis_client, namespace, repair):
    for user in (None, "ada", "bob"):
        manager.create(user, ttl=10)
        native = manager.create(user, ttl=10.5, max_lifetime=10.25)
    manager.create("ada")
    redis_client.delete(f"{{{namespace}:0}}:s:{native.session_id}")  # as Redis does after its end
    clock.advance(10.25)
    found = manager.verify(repair=repair)
    assert (found.sessions, found.users, drift_of(found)) == (1, 1, {})


def test_tombstones_and_the_marks_of_what_was_created_once_are_no_drift(make_manager, clock, redis_client):
    manager = make_manager(clock=clock, shards=8)
    for number in range(10):
        manager.rotate(manager.create(None), user_id=f"user{number}")
    token = manager.new_token("ada")
    manager.run(manager.plan_create(token, "ada", {}, once=60))
    names = [key.partition(b"}:")[2] for key in redis_client.scan_iter()]
    assert [name for name in names if name.startswith(b"once:")]
    assert len([name for name in names if name.startswith(b"s:")]) > 11
    found = manager.verify()
    assert (found.sessions, found.users, drift_of(found)) == (11, 11, {})


# ---- each kind of drift


class Story:
    """Two sessions of ada, one of bob and one of nobody, a second apart; and the names of their keys."""

    def __init__(self, manager: Any, client: Any, clock: Any, **options: Any) -> None:
        self.client, self.prefix = client, f"{{{manager.namespace}:0}}:"
        self.sessions = []
        for user in ("ada", "ada", "bob", None):
            self.sessions.append(manager.create(user, **options))
            clock.advance(1)
        self.ada, self.ada2, self.bob, self.nobody = (session.session_id for session in self.sessions)

    def hash(self, session_id: str) -> str:
        return f"{self.prefix}s:{session_id}"

    def delete(self, name: str) -> None:
        assert self.client.delete(self.prefix + name) == 1

    def remove(self, index: str, member: str) -> None:
        assert self.client.zrem(self.prefix + index, member) == 1

    def add(self, index: str, member: str, score: float) -> None:
        assert self.client.zadd(self.prefix + index, {member: score}) == 1

    def move(self, index: str, member: str, by: float) -> None:
        before = self.client.zscore(self.prefix + index, member)
        assert self.client.zadd(self.prefix + index, {member: before + by}, ch=True) == 1

    def persist(self, name: str) -> None:
        assert self.client.persist(self.prefix + name)

    def shorten(self, name: str) -> None:
        assert self.client.pexpire(self.prefix + name, 100_000)


BROKEN: dict[str, tuple[Callable[[Story], Any], dict[str, int]]] = {
    # keys lost, as by an eviction
    "a session": (lambda story: story.delete(f"s:{story.ada2}"), {"stray": 3}),
    "a user's only session": (lambda story: story.delete(f"s:{story.bob}"), {"stray": 3}),
    "an anonymous session": (lambda story: story.delete(f"s:{story.nobody}"), {"stray": 2}),
    "activity": (lambda story: story.delete("activity"), {"missing": 4}),
    "expiry": (lambda story: story.delete("expiry"), {"missing": 4}),
    "users": (lambda story: story.delete("users"), {"missing": 2}),
    "a user's set": (lambda story: story.delete("u:ada"), {"missing": 2, "stray": 1}),
    # entries lost
    "an entry of activity": (lambda story: story.remove("activity", story.ada), {"missing": 1}),
    "an entry of expiry": (lambda story: story.remove("expiry", f"{story.ada}:ada"), {"missing": 1}),
    "an entry of nobody's in expiry": (lambda story: story.remove("expiry", f"{story.nobody}:"), {"missing": 1}),
    "an entry of users": (lambda story: story.remove("users", "bob"), {"missing": 1}),
    "an entry of a user's set": (lambda story: story.remove("u:ada", story.ada), {"missing": 1}),
    "the latest entry of a user's set": (
        lambda story: story.remove("u:ada", story.ada2),
        {"missing": 1, "misplaced": 1},
    ),
    # entries that nothing stands behind
    "a stray of activity": (lambda story: story.add("activity", UNKNOWN, LATER), {"stray": 1}),
    "a stray of activity that is no id": (lambda story: story.add("activity", "?", 0), {"stray": 1}),
    "a stray of expiry": (lambda story: story.add("expiry", f"{UNKNOWN}:ada", SOON), {"stray": 1}),
    "an immortal stray of expiry": (
        lambda story: story.add("expiry", f"{UNKNOWN}:ada", float("inf")),
        {"stray": 1, "early": 2},
    ),
    "another mark": (lambda story: story.add("expiry", f"{story.ada}!ada", SOON), {"stray": 1}),
    "another user": (lambda story: story.add("expiry", f"{story.ada}:bob", SOON), {"stray": 1}),
    "a session in another's set": (lambda story: story.add("u:bob", story.ada, 5), {"stray": 1}),
    "a stray of a user's set": (lambda story: story.add("u:bob", UNKNOWN, 5), {"stray": 1}),
    "the latest of a user's set, a stray": (
        lambda story: story.add("u:bob", UNKNOWN, LATER),
        {"stray": 1, "misplaced": 1},
    ),
    "a stray of users": (lambda story: story.add("users", "eve", 5), {"stray": 1}),
    "the set of a user without sessions": (
        lambda story: (story.add("u:eve", UNKNOWN, 5), story.shorten("u:eve")),
        {"stray": 1, "missing": 1},
    ),
    # scores
    "a score of activity": (lambda story: story.move("activity", story.nobody, -5), {"misplaced": 1}),
    "a score of expiry": (lambda story: story.move("expiry", f"{story.ada}:ada", 5), {"misplaced": 1}),
    "a score of expiry that is due": (lambda story: story.move("expiry", f"{story.ada}:ada", -1e6), {"misplaced": 1}),
    "another mark that is due": (lambda story: story.add("expiry", f"{story.ada}!ada", 5), {"stray": 1}),
    "a score of a user's set": (lambda story: story.move("u:ada", story.ada, -5), {"misplaced": 1}),
    "a low score of users": (lambda story: story.move("users", "ada", -5), {"misplaced": 1}),
    "a high score of users": (lambda story: story.move("users", "ada", 5), {"misplaced": 1}),
    "a score off by a microsecond": (lambda story: story.move("activity", story.ada, 1e-6), {"misplaced": 1}),
    # native expiry
    "a session that stays": (lambda story: story.persist(f"s:{story.ada}"), {"never": 1}),
    "a session that goes": (lambda story: story.shorten(f"s:{story.ada}"), {"early": 1}),
    "a damaged session that stays": (
        lambda story: (story.client.hdel(story.hash(story.ada), "t"), story.persist(f"s:{story.ada}")),
        {"never": 1, "stray": 3},
    ),
    **{
        f"{name} that stays": (lambda story, name=name: story.persist(name), {"never": 1})
        for name in ("activity", "expiry", "users", "u:ada")
    },
    **{
        f"{name} that goes": (lambda story, name=name: story.shorten(name), {"early": 1})
        for name in ("activity", "expiry", "users", "u:ada")
    },
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_differs_is_counted_and_repaired(manager, redis_client, clock, what):
    story = Story(manager, redis_client, clock)
    assert drift_of(manager.verify()) == {}
    shatter, expected = BROKEN[what]
    shatter(story)
    live = {
        one.session_id: one.last_access
        for one in story.sessions
        if redis_client.hexists(story.hash(one.session_id), "t")
    }
    for _ in range(2):  # to look changes nothing
        found = manager.verify()
        assert (drift_of(found), found.sessions, found.repaired) == (expected, len(live), False)
    repaired = manager.verify(repair=True)
    assert repaired.repaired
    assert 0 < repaired.drift <= found.drift  # what one repair mends along is not met again
    again = manager.verify()
    assert (drift_of(again), again.sessions) == ({}, len(live))
    assert {one.session_id: one.last_access for one in manager.iter_sessions()} == live
    assert set(manager.get_all_sessions()) == live.keys()
    assert manager.count_users() == len({s.user_id for s in story.sessions if s.session_id in live and s.user_id})
    assert manager.kill_all() == len(live)
    assert [key for key in redis_client.scan_iter() if redis_client.pttl(key) > 60_000] == []


IMMORTAL_BROKEN: dict[str, tuple[Callable[[Story], Any], dict[str, int]]] = {
    **{
        f"{name} that goes": (lambda story, name=name: story.shorten(name), {"early": 1})
        for name in ("activity", "expiry", "users", "u:ada")
    },
    "a session that goes": (lambda story: story.shorten(f"s:{story.ada}"), {"early": 1}),
    "a session": (lambda story: story.delete(f"s:{story.ada}"), {"stray": 3}),
    "expiry": (lambda story: story.delete("expiry"), {"missing": 4}),
    "activity": (lambda story: story.delete("activity"), {"missing": 4}),
}


@pytest.mark.parametrize("what", IMMORTAL_BROKEN)
def test_what_differs_among_immortal_sessions_is_counted_and_repaired(manager, redis_client, clock, what):
    story = Story(manager, redis_client, clock, ttl=0)
    shatter, expected = IMMORTAL_BROKEN[what]
    shatter(story)
    assert drift_of(manager.verify()) == expected
    assert manager.verify(repair=True).drift > 0
    assert drift_of(manager.verify()) == {}
    left = {key.partition(b"}:")[2] for key in redis_client.scan_iter() if redis_client.pttl(key) != -1}
    assert left == set()


def test_where_the_last_immortal_session_was_lost_the_indexes_go_in_time_again(manager, redis_client, namespace):
    lost = manager.create("ada", ttl=0)
    manager.create("ada", ttl=100)
    redis_client.delete(f"{{{namespace}:0}}:s:{lost.session_id}")
    assert drift_of(manager.verify()) == {"stray": 3}
    assert drift_of(manager.verify(repair=True)) == {"stray": 3}
    assert drift_of(manager.verify()) == {}
    assert [key for key in redis_client.scan_iter() if redis_client.pttl(key) == -1] == [
        f"{{{namespace}}}:layout".encode()
    ]


def test_a_session_that_no_index_names_is_found(make_manager, redis_client, clock, namespace):
    manager = make_manager(clock=clock, shards=8)
    session = manager.create("ada")
    manager.create("bob")
    for name in ("activity", "expiry", "users", "u:ada"):
        redis_client.delete(f"{{{namespace}:6}}:{name}")
    assert (manager.count(), manager.get_user_sessions("ada")) == (1, [])
    assert drift_of(manager.verify()) == {"missing": 3}
    assert manager.verify(repair=True).missing == 3
    assert drift_of(manager.verify()) == {}
    assert (manager.count(), set(manager.get_all_users()), manager.get_user_sessions("ada")) == (
        2,
        {"ada", "bob"},
        [session.session_id],
    )


def test_a_repair_ends_no_live_session_and_brings_none_back(manager, redis_client, clock, namespace):
    killed = manager.create("ada", data={"a": 1})
    staying = manager.create("ada", data={"b": 2})
    expired = manager.create("ada", ttl=5, data={"c": 3})
    prefix = f"{{{namespace}:0}}:"
    manager.kill(killed.session_id)
    redis_client.zadd(prefix + "activity", {killed.session_id: LATER})
    redis_client.zadd(prefix + "expiry", {f"{killed.session_id}:ada": LATER})
    redis_client.zrem(prefix + "expiry", f"{expired.session_id}:ada")
    clock.advance(5)
    before = redis_client.hgetall(prefix + f"s:{staying.session_id}")
    assert drift_of(manager.verify(repair=True)) == {"stray": 4}
    assert redis_client.hgetall(prefix + f"s:{staying.session_id}") == before
    assert manager.get_all_sessions() == manager.get_user_sessions("ada") == [staying.session_id]
    for gone in (killed, expired):
        with pytest.raises(SessionGone):
            gone.set("a", 2)
    assert drift_of(manager.verify()) == {}


# ---- many


@pytest.fixture
def many(make_manager, redis_client, clock):
    """A manager, and 1200 sessions: a third of one user, a third of as many users, a third of nobody."""
    manager = make_manager(clock=clock)
    for batch in range(4):
        clock.advance(0.5)
        users = [f"user{batch * 100 + number}" for number in range(100)]
        plant(redis_client, manager, [*["ann"] * 100, *users, *[None] * 100])
    return manager


def test_what_was_lost_of_many_is_counted_and_repaired(many, redis_client, namespace):
    prefix = f"{{{namespace}:0}}:"
    found = many.verify()
    assert (found.sessions, found.users, drift_of(found)) == (1200, 401, {})
    hers = redis_client.zrange(prefix + "u:ann", 0, -1)
    nobodys = set(redis_client.zrange(prefix + "activity", 0, -1)) - set(hers)
    redis_client.delete(*[prefix.encode() + b"s:" + one for one in hers[::2]])
    assert drift_of(many.verify()) == {"stray": 600}
    redis_client.delete(prefix + "activity")
    redis_client.pexpire(prefix + "u:ann", 100_000)
    redis_client.pexpire(prefix + "users", 100_000)
    assert drift_of(many.verify()) == {"stray": 400, "missing": 1000, "early": 2}
    repaired = many.verify(repair=True)
    assert (repaired.stray, repaired.missing) == (400, 1000)  # which may mend the rest along
    found = many.verify()
    assert (found.sessions, found.users, drift_of(found)) == (1000, 401, {})
    assert (many.count(), many.count_for_user("ann"), many.count_users()) == (1000, 200, 401)
    assert set(many.get_all_sessions()) >= {one.decode() for one in nobodys}


def test_what_many_expired_sessions_left_is_swept_and_no_drift(many, clock):
    clock.advance(many.ttl)
    many.create("ann")
    found = many.verify()
    assert (found.sessions, found.users, drift_of(found)) == (1, 1, {})
    assert many.wipe() == 0


# ---- while others work


@pytest.mark.parametrize("repair", [False, True])
def test_a_namespace_in_use_raises_no_false_alarm(make_manager, redis_client, repair):
    manager = make_manager(touch_interval=0, shards=2)
    other = make_manager(touch_interval=0, shards=2, max_sessions_per_user=3)
    staying = plant(redis_client, manager, [f"user{number % 40}" for number in range(300)])
    stop = threading.Event()
    rounds = []

    def touch() -> None:
        while not stop.is_set():
            for session_id in staying[::3]:
                assert manager.get(session_id) is not None
            rounds.append("touch")

    def come_and_go() -> None:
        while not stop.is_set():
            for user in ("passing", "leaving", None):
                session = other.create(user, ttl=0 if user else 0.05)
                with suppress(SessionGone):  # on a slow machine it has expired
                    session = other.rotate(session, user_id="passing")
                    session.set("key", 1)
                    session.ttl = 0.01
                    session.write()
            other.kill_user("passing")
            rounds.append("come")

    threads = [threading.Thread(target=body) for body in (touch, come_and_go)]
    for thread in threads:
        thread.start()
    try:
        found = [manager.verify(repair=repair) for _ in range(4)]
        working = [thread.is_alive() for thread in threads]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert working == [True, True]
    assert {"touch", "come"} <= set(rounds)
    assert [drift_of(each) for each in found] == [{}] * 4
    assert all(each.sessions >= 290 for each in found)


# ---- what it reads


def test_other_namespaces_are_left_alone(make_manager, redis_client, clock):
    """Also those that its name would match as a pattern."""
    for name in ("shop[1]*?", "shop1xy", "shop[1]*?more", "a\\b", "a-^b"):
        manager = make_manager(clock=clock, namespace=name, shards=2)
        for user in ("ada", None, "}:s:" + UNKNOWN, "*"):
            manager.create(user)
        redis_client.delete(f"{{{name}:1}}:activity", f"{{{name}:0}}:activity")
        redis_client.hset(f"{{{name}:7}}:s:{UNKNOWN}", "s", "1")  # of no shard
        redis_client.hset(f"{{{name}:00}}:s:{UNKNOWN}", "s", "1")
    for name in ("shop[1]*?", "a\\b", "a-^b"):
        manager = make_manager(clock=clock, namespace=name, shards=2)
        found = manager.verify(repair=True)
        assert (found.sessions, found.users, drift_of(found)) == (4, 3, {"missing": 4})
        assert drift_of(manager.verify()) == {}
    assert drift_of(make_manager(clock=clock, namespace="shop1xy", shards=2).verify()) == {"missing": 4}


@pytest.mark.parametrize("decoding", [True, False])
def test_a_client_that_decodes_replies_verifies_as_well(make_manager, clock, decoding, redis_client, namespace):
    manager = make_manager(client_options={"decode_responses": decoding}, clock=clock)
    manager.create("\udcffünï".encode("utf-8", "replace").decode())
    manager.create("ünï")
    redis_client.zrem(f"{{{namespace}:0}}:users", "ünï")
    assert drift_of(manager.verify(repair=True)) == {"missing": 1}
    assert drift_of(manager.verify()) == {}


def test_it_goes_by_pages_and_scripts_only(many, wire):
    many.verify()
    with wire() as seen:
        many.verify()
    assert set(seen.names) == {"SCAN", "EVALSHA"}
    scans = [command.args for command in seen if command.name == "SCAN"]
    assert all(command[-2:] == ("COUNT", "500") for command in scans)
    assert len(scans) == -(-(1200 + 401 + 4) // 500)


def test_on_a_server_that_is_away_it_is_unavailable(make_manager, start_server):
    server = start_server()
    manager = make_manager(url=server.url)
    manager.create("ada")
    server.stop()
    with pytest.raises(StoreUnavailable):
        manager.verify()


def test_a_wrong_argument_is_refused(manager):
    with pytest.raises(TypeError, match="repair"):
        manager.verify(repair="yes")
