"""Numbers are exact without a wipe, whatever removed a hash; every key goes by itself in time."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from looks import LOOKS, assert_all_looks, expected

from redisess_core import SessionGone
from redisess_core.events import EventKind, EventReason
from support.model import plant, told

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.one_shard
DEADLINE = 30.0


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE:.0f} s: {what}"
        time.sleep(0.01)


@pytest.fixture
def kept(redis_client, namespace):
    """Say for how many milliseconds each key of the namespace is kept, -1: for good; the layout's record aside."""

    def look() -> dict[str, int]:
        keys = set(redis_client.scan_iter(count=1000)) - {f"{{{namespace}}}:layout".encode()}
        return {key.decode().partition("}:")[2]: redis_client.pttl(key) for key in keys}

    return look


@pytest.fixture
def events(redis_client):
    """Hear the events of a manager: `events(manager)`, which gives a function that reads what there is."""
    subscription = redis_client.pubsub(ignore_subscribe_messages=True)

    def listen(manager: Any) -> Callable[[], list[Any]]:
        subscription.subscribe(*manager.event_channels())

        return lambda: told(redis_client, subscription, manager.event_channels())

    yield listen
    subscription.close()


# ---- exact at once


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_is_exact_to_the_last_bit(manager, clock, look):
    """Live while now < expires."""
    first, second = manager.create("ann", ttl=10), manager.create("bob", ttl=10)
    clock.advance(1)
    third = manager.create("ann", ttl=20)
    clock.set(math.nextafter(first.expires, 0))
    live = {session.session_id: session.user_id for session in (first, second, third)}
    assert LOOKS[look](manager) == expected(look, live)
    clock.set(first.expires)
    assert LOOKS[look](manager) == expected(look, {third.session_id: "ann"})
    clock.set(third.expires)
    assert LOOKS[look](manager) == expected(look, {})


@pytest.mark.parametrize("look", LOOKS)
def test_more_sessions_than_a_slice_can_expire_at_once(manager, clock, redis_client, look):
    plant(redis_client, manager, [*["ann"] * 70, *[f"user{n}" for n in range(60)], *[None] * 20], ttl=5)
    clock.advance(1)
    live = dict.fromkeys(plant(redis_client, manager, ["ann"] * 3), "ann")
    clock.advance(4)
    found = LOOKS[look](manager)
    if look == "oldest":  # of equals, any
        assert found in live
    else:
        assert found == expected(look, live)


@pytest.mark.parametrize("look", ["count", "get_all_users", "oldest", "list_user_sessions", "iter_sessions"])
def test_a_thousand_sessions_can_expire_at_once(manager, clock, redis_client, look):
    plant(redis_client, manager, ["ann"] * 600, ttl=5)
    plant(redis_client, manager, [f"user{n}" for n in range(501)], ttl=5)
    clock.advance(1)
    last = manager.create("ann").session_id
    clock.advance(4)
    assert LOOKS[look](manager) == expected(look, {last: "ann"})


@pytest.mark.parametrize("on_limit", ["evict", "refuse"])
def test_expired_sessions_do_not_count_for_the_limit(make_manager, clock, redis_client, on_limit):
    plant(redis_client, make_manager(clock=clock), ["ann"] * 130, ttl=5)
    manager = make_manager(clock=clock, max_sessions_per_user=2, on_limit=on_limit)
    clock.advance(1)
    other = make_manager(clock=clock).create("ann")
    clock.advance(4)
    session = manager.create("ann")
    assert set(manager.get_user_sessions("ann")) == {other.session_id, session.session_id}


@pytest.mark.parametrize("look", LOOKS)
def test_looks_are_exact_where_the_hash_went_first(manager, clock, redis_client, namespace, look):
    """As native expiry does it: hashes of expired sessions are gone before any script looks."""
    gone = plant(redis_client, manager, [*["ann"] * 60, *["bob"] * 10, *[None] * 10], ttl=5)
    clock.advance(1)
    live = {manager.create(user).session_id: user for user in ("ann", "cid", None)}
    clock.advance(4)
    assert redis_client.delete(*[f"{{{namespace}:0}}:s:{session_id}" for session_id in gone]) == len(gone)
    assert LOOKS[look](manager) == expected(look, live)
    manager.wipe()
    assert redis_client.zcard(f"{{{namespace}:0}}:expiry") == len(live)
    assert LOOKS[look](manager) == expected(look, live)


@pytest.mark.parametrize("look", LOOKS)
def test_looks_are_exact_where_redis_itself_expired_the_hash(live_manager, kept, look):
    live = {live_manager.create(user).session_id: user for user in ("ann", None)}
    gone = [live_manager.create(user, ttl=0.05).session_id for user in ("ann", "ann", "bob", None)]
    eventually(lambda: not any(f"s:{session_id}" in kept() for session_id in gone), "native expiry")
    assert {f"s:{session_id}" for session_id in live} < kept().keys()
    assert LOOKS[look](live_manager) == expected(look, live)


def test_counts_by_seconds_leave_out_what_has_expired_since(manager, clock):
    manager.create("ann", ttl=5)
    clock.advance(4)
    manager.create("bob", ttl=5)
    clock.advance(1)
    assert manager.count(5) == manager.count(10) == manager.count_users(5) == 1
    assert manager.count(1) == 1
    assert manager.count(0.5) == 0
    assert manager.get_all_users(5) == ["bob"]
    assert manager.count_for_user("ann", 5) == 0


@pytest.mark.parametrize("expires", [True, False])
def test_a_user_without_a_live_session_is_in_no_list(manager, clock, expires):
    ann, bob = manager.create("ann", ttl=5), manager.create("bob")
    clock.advance(5)
    if not expires:
        bob.kill()
    assert manager.get_all_users() == (["bob"] if expires else [])
    assert list(manager.iter_users()) == (["bob"] if expires else [])
    assert manager.count_users() == manager.count() == int(expires)
    assert manager.get_user_sessions("ann") == manager.list_user_sessions("ann") == []
    assert manager.get_oldest_user_session("ann") is None
    assert not manager.exists(ann.session_id)


RANKS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "kill": lambda manager, session, clock: manager.kill(session.session_id),
    "kill of the user's": lambda manager, session, clock: manager.kill(session.session_id, user_id="ann"),
    "session.kill": lambda manager, session, clock: session.kill(),
    "expiry": lambda manager, session, clock: clock.set(session.expires),
    "sign-in of another": lambda manager, session, clock: manager.rotate(session, user_id="cid").kill(),
}


@pytest.mark.parametrize("end", RANKS)
def test_a_users_rank_is_that_of_the_sessions_left(manager, clock, end):
    manager.create("ann")
    clock.advance(10)
    manager.create("bob")
    clock.advance(10)
    latest = manager.create("ann", ttl=20)
    assert manager.get_all_users() == ["ann", "bob"]
    RANKS[end](manager, latest, clock)
    assert manager.get_all_users() == ["bob", "ann"]
    assert manager.count_users(clock() - latest.created + 10) == 1
    assert manager.get_all_users(clock() - latest.created + 20) == ["bob", "ann"]


def test_a_users_rank_follows_kill_user_and_the_limit(make_manager, clock):
    manager = make_manager(clock=clock, max_sessions_per_user=2)
    oldest = manager.create("ann")
    clock.advance(10)
    manager.create("bob")
    clock.advance(10)
    manager.create("ann")
    manager.kill_user("ann", keep=oldest.session_id)
    assert manager.get_all_users() == ["bob", "ann"]
    clock.advance(10)
    manager.create("ann")
    assert manager.get_all_users() == ["ann", "bob"]


def test_a_touch_never_moves_the_absolute_deadline(make_manager, clock):
    manager = make_manager(clock=clock, ttl=10, max_lifetime=25)
    session = manager.create("ann")
    for _ in range(3):
        clock.advance(8)
        session = manager.get(session.session_id)
        assert manager.count() == manager.count_for_user("ann") == 1
        assert manager.wipe() == 0
    assert session.last_access == session.created + 24
    assert session.expires == session.created + 25
    clock.advance(1)
    assert manager.get(session.session_id) is None
    assert manager.count() == 0


def test_whichever_end_comes_first_is_the_end(manager, clock, events):
    """A ttl that is changed makes it now the idle timeout, now the absolute deadline; it ends, and is told, once."""
    told = events(manager)
    session = manager.create("ann", ttl=10, max_lifetime=50)
    for ttl in (100, 20, 60, 0, 5):
        clock.advance(4)
        session.ttl = ttl
        session.write()
        assert session.expires == session.created + min(session.last_access - session.created + (ttl or 60), 50)
        clock.advance(0.5)
        assert manager.count() == 1
        assert manager.wipe() == 0
    clock.set(session.last_access + 5)
    assert manager.count() == manager.count_users() == 0
    assert manager.wipe() == 0
    assert [(event.kind, event.reason) for event in told()] == [
        (EventKind.CREATED, None),
        (EventKind.EXPIRED, EventReason.IDLE),
    ]


def test_a_session_whose_end_became_earlier_is_gone_then(manager, clock):
    session, beside = manager.create("ann", ttl=100, max_lifetime=30), manager.create("ann", ttl=1000)
    session.ttl = 10
    session.write()
    clock.advance(10)
    assert manager.get_all_sessions() == [beside.session_id]
    clock.advance(20)
    assert manager.count() == manager.count_for_user("ann") == 1


# ---- swept by traffic, told once


def test_traffic_sweeps_a_bounded_number_at_a_time(manager, clock, redis_client, kept):
    plant(redis_client, manager, [f"user{n}" for n in range(95)], ttl=5)
    clock.advance(5)
    before = sum(key.startswith("s:") for key in kept())
    assert before == 95
    for number in range(1, 12):
        manager.create(None)
        swept = before - sum(key.startswith("s:") for key in kept()) + number
        assert swept == min(10 * number, 95)
    assert not any(key.startswith("u:") for key in kept())


def test_wipe_says_how_many_it_removed(manager, clock, redis_client, kept):
    plant(redis_client, manager, ["ann"] * 130, ttl=5)
    session = manager.create("bob")
    assert manager.wipe() == 0
    clock.advance(5)
    assert manager.wipe() == 130
    assert manager.wipe() == 0
    assert kept().keys() == {"activity", "expiry", "users", "u:bob", f"s:{session.session_id}"}


@pytest.mark.parametrize("shards", [1, 4])
def test_each_expired_session_is_told_once(make_manager, clock, redis_client, events, shards):
    manager = make_manager(clock=clock, shards=shards, max_lifetime=20)
    told = events(manager)
    idle = plant(redis_client, manager, [*["ann"] * 60, *[f"user{n}" for n in range(60)], *[None] * 30], ttl=5)
    capped = plant(redis_client, manager, ["ann"] * 30, ttl=100, max_lifetime=5)
    killed = manager.create("ann", ttl=5)
    killed.kill()
    clock.advance(5)
    for session_id in idle[::7]:
        assert manager.get(session_id) is None
        assert not manager.kill(session_id)
        assert not manager.exists(session_id)
    looks = [manager.count, manager.get_all_sessions, manager.wipe, manager.get_all_users, manager.kill_all]
    with ThreadPoolExecutor(len(looks)) as pool:
        for running in [pool.submit(look) for look in looks]:
            running.result()
    expired = [event for event in told() if event.kind is EventKind.EXPIRED]
    reasons = dict.fromkeys(idle, EventReason.IDLE) | dict.fromkeys(capped, EventReason.LIFETIME)
    assert {event.session_id: event.reason for event in expired} == reasons
    assert len(expired) == 180
    assert {event.at for event in expired} == {clock()}
    assert sum(event.user_id is None for event in expired) == 30
    manager.wipe()
    assert told() == []


# ---- every key goes by itself


def least_and_most(seconds: float, ttl: float) -> tuple[float, float]:
    """Give the bounds, in milliseconds, of what keeps a session that expires in so many *seconds*."""
    return seconds * 1000 - 5000, (seconds + max(60, ttl)) * 1000 + 50


@pytest.mark.parametrize("ttl", [0.5, 5, 60, 90, 480, 1800, 86400, 0])
@pytest.mark.parametrize("lifetime", [0, 7, 3600, 10_000_000])
@pytest.mark.parametrize("own_clock", [True, False])
def test_all_keys_of_a_session_are_kept_as_long_as_it_and_little_longer(
    make_manager, clock, kept, ttl, lifetime, own_clock
):
    manager = make_manager(clock=clock if own_clock else None)
    session = manager.create("ann", ttl=ttl, max_lifetime=lifetime)
    keys = kept()
    assert keys.keys() == {"activity", "expiry", "users", "u:ann", f"s:{session.session_id}"}
    if session.expires == math.inf:
        assert set(keys.values()) == {-1}
    else:
        least, most = least_and_most(session.expires - session.last_access, ttl)
        assert all(least <= left <= most for left in keys.values()), keys


def test_indexes_outlive_the_longest_of_their_sessions(manager, clock, kept):
    for user, ttl in (("ann", 60), ("bob", 600), ("ann", 3600), ("bob", 5), (None, 7200), ("ann", 1)):
        manager.create(user, ttl=ttl)
    keys = kept()
    for key, longest in {"activity": 7200, "expiry": 7200, "users": 3600, "u:ann": 3600, "u:bob": 600}.items():
        least, most = least_and_most(longest, longest)
        assert least <= keys[key] <= most, key


def test_a_touch_keeps_the_keys_longer(manager, clock, kept):
    session = manager.create("ann", ttl=600)
    for _ in range(5):
        clock.advance(550)
        assert manager.get(session.session_id) is not None
        least, most = least_and_most(600, 600)
        assert all(least <= left <= most for left in kept().values())


def test_a_longer_or_shorter_ttl_is_kept_to(manager, clock, kept):
    session = manager.create("ann", ttl=600)
    for ttl in (5000, 30, 0, 700):
        clock.advance(1)
        session.ttl = ttl
        session.write()
        keys = kept()
        if ttl == 0:
            assert set(keys.values()) == {-1}
        else:
            least, most = least_and_most(ttl, ttl)
            assert least <= keys[f"s:{session.session_id}"] <= most
            assert all(least <= left <= least_and_most(5000, 5000)[1] for left in keys.values())


def test_with_nobody_there_every_key_goes(make_manager, kept):
    manager = make_manager(additional_fields=["level"])
    for user in ("ann", "bob", None):
        session = manager.create(user, ttl=0.3, data={"key": "value"})
        manager.get(session.session_id)
        rotated = manager.rotate(session, ttl=0.4)
        rotated.level = 2
        rotated.write()
    manager.create("cid").kill()
    manager.create("cid", ttl=0).kill()
    keys = kept()
    assert len([key for key in keys if key.startswith("s:")]) == 3
    assert all(0 < left <= 1860_000 for left in keys.values())
    eventually(lambda: not any(key.startswith(("s:", "u:")) for key in kept()), "hashes and users' indexes go")


# ---- immortal sessions


@pytest.mark.parametrize("own_clock", [True, False])
@pytest.mark.parametrize("order", ["first", "last", "between"])
def test_an_immortal_session_holds_its_keys_whatever_lives_beside_it(make_manager, clock, kept, order, own_clock):
    manager = make_manager(clock=clock if own_clock else None, touch_interval=0)
    others = [("ann", 0.2), ("bob", 0.2), (None, 0.2), ("ann", 100)]
    place = {"first": 0, "last": len(others), "between": 2}[order]
    stories = [*others[:place], ("ann", 0), *others[place:]]
    sessions = [manager.create(user, ttl=ttl) for user, ttl in stories]
    held = {"activity", "expiry", "users", "u:ann", f"s:{sessions[place].session_id}"}
    for session in sessions:
        manager.get(session.session_id)
        keys = kept()
        assert {key for key, left in keys.items() if left == -1} == held


def test_an_immortal_session_is_counted_after_all_others_went_natively(live_manager, kept):
    immortal = live_manager.create("ann", ttl=0)
    for user in ("ann", "bob", None):
        live_manager.create(user, ttl=0.1)
    rotated = live_manager.rotate(live_manager.create("ann", ttl=0.1))
    eventually(lambda: f"s:{rotated.session_id}" not in kept(), "native expiry")
    eventually(lambda: "u:bob" not in kept(), "native expiry")
    assert live_manager.count_users() == live_manager.count() == live_manager.count_for_user("ann") == 1
    assert live_manager.get_all_users() == list(live_manager.iter_users()) == ["ann"]
    assert live_manager.get_user_sessions("ann") == live_manager.get_all_sessions() == [immortal.session_id]


def write_ttl(session: Any, ttl: float) -> None:
    session.ttl = ttl
    session.write()


ENDS: dict[str, Callable[[Any, Any], Any]] = {
    "kill": lambda manager, session: manager.kill(session.session_id),
    "session.kill": lambda manager, session: session.kill(),
    "kill_user": lambda manager, session: manager.kill_user(session.user_id) if session.user_id else session.kill(),
    "kill_all": lambda manager, session: manager.kill_all(),
    "write": lambda manager, session: write_ttl(session, 30),
    "rotate": lambda manager, session: manager.rotate(session, ttl=30),
    "sign-in": lambda manager, session: manager.rotate(session, user_id="dan", ttl=30),
    "sign-in of the same": lambda manager, session: manager.rotate(session, user_id=session.user_id or "ann", ttl=30),
}


@pytest.mark.parametrize("user", ["ann", None])
@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_an_immortal_session_lets_its_keys_go(manager, clock, kept, end, user):
    for beside, ttl in (("ann", 40), ("bob", 20)):
        manager.create(beside, ttl=ttl)
    immortal = manager.create(user, ttl=0)
    manager.create("ann", ttl=70)
    manager.create(None, ttl=10)
    ENDS[end](manager, immortal)
    keys = kept()
    assert all(0 < left <= 130_050 for left in keys.values()), keys
    if end != "kill_all":
        assert min(keys["activity"], keys["expiry"], keys["users"]) >= 69_000
        assert end == "kill_user" or keys["u:ann"] >= 69_000


def test_two_immortal_sessions_hold_until_both_are_gone(manager, kept):
    first, second = manager.create("ann", ttl=0), manager.create("ann", ttl=0)
    other = manager.create("bob", ttl=0)
    manager.create("ann", ttl=100)
    manager.create("bob", ttl=50)
    first.kill()
    assert {key for key, left in kept().items() if left == -1} == {
        *("activity", "expiry", "users", "u:ann", "u:bob"),
        *(f"s:{session.session_id}" for session in (second, other)),
    }
    second.kill()
    keys = kept()
    assert {key for key, left in keys.items() if left == -1} == {
        *("activity", "expiry", "users", "u:bob"),
        f"s:{other.session_id}",
    }
    assert 99_000 <= keys["u:ann"] <= 200_050
    other.kill()
    assert all(0 < left <= 200_050 for left in kept().values())


def test_the_limit_lets_the_keys_of_an_immortal_session_go(make_manager, clock, kept):
    manager = make_manager(clock=clock, max_sessions_per_user=1)
    manager.create("ann", ttl=0)
    manager.create("ann", ttl=100)
    assert all(0 < left <= 200_050 for left in kept().values())


# ---- what a fault took away comes back


def refused(use: Callable[[], Any]) -> None:
    with pytest.raises(SessionGone):
        use()


HEALING: dict[str, Callable[[Any, Any], Any]] = {
    "authenticate": lambda manager, session: manager.authenticate(session.token),
    "get": lambda manager, session: manager.get(session.session_id),
    "get without a touch": lambda manager, session: manager.get(session.session_id, touch=False),
    "exists": lambda manager, session: manager.exists(session.session_id),
    "read": lambda manager, session: session.read(),
    "kill": lambda manager, session: manager.kill(session.session_id),
    "kill of the user's": lambda manager, session: manager.kill(session.session_id, user_id=session.user_id),
    "session.kill": lambda manager, session: session.kill(),
    "iter_sessions": lambda manager, session: session.session_id in {one.session_id for one in manager.iter_sessions()},
    "session.get": lambda manager, session: refused(lambda: session.get("key")),
    "session.set": lambda manager, session: refused(lambda: session.set("key", 1)),
    "session.write": lambda manager, session: refused(session.write),
    "rotate": lambda manager, session: refused(lambda: manager.rotate(session)),
}
HEALING_A_USERS = HEALING | {
    "list_user_sessions": lambda manager, session: (
        session.session_id in {one.session_id for one in manager.list_user_sessions("ann")}
    ),
    "oldest": lambda manager, session: manager.get_oldest_user_session("ann").session_id == session.session_id,
}


@pytest.mark.parametrize("look", HEALING_A_USERS)
@pytest.mark.parametrize("ttl", [None, 0])
def test_a_look_at_an_evicted_session_heals_the_numbers(make_manager, clock, redis_client, namespace, look, ttl):
    manager = make_manager(clock=clock, **({} if ttl is None else {"ttl": ttl}))
    evicted = manager.create("ann")
    clock.advance(5)
    left = [manager.create("ann"), manager.create("bob")]
    assert redis_client.delete(f"{{{namespace}:0}}:s:{evicted.session_id}") == 1
    assert not HEALING_A_USERS[look](manager, evicted)
    live = {session.session_id: session.user_id for session in left}
    assert_all_looks(manager, live)


@pytest.mark.parametrize("look", HEALING)
def test_a_look_at_an_evicted_session_of_nobody_heals_the_numbers(manager, clock, redis_client, namespace, look):
    evicted, left = manager.create(None), manager.create("ann")
    redis_client.delete(f"{{{namespace}:0}}:s:{evicted.session_id}")
    assert not HEALING[look](manager, evicted)
    assert_all_looks(manager, {left.session_id: "ann"})


@pytest.mark.parametrize("ttl", [50, 0])
@pytest.mark.parametrize("look", HEALING_A_USERS)
def test_an_evicted_session_with_a_ttl_of_its_own_is_gone_from_the_count_at_once(
    manager, clock, redis_client, namespace, look, ttl
):
    evicted = manager.create("ann", ttl=ttl)
    clock.advance(1)
    left = manager.create("ann")
    redis_client.delete(f"{{{namespace}:0}}:s:{evicted.session_id}")
    assert not HEALING_A_USERS[look](manager, evicted)
    assert manager.count() == 1
    assert manager.get_all_sessions() == [left.session_id]
    assert [session.session_id for session in manager.list_user_sessions("ann")] == [left.session_id]
    assert manager.count_for_user("ann") == 1  # that list healed the rest


@pytest.mark.parametrize("namespace_ttl", [0, 1800])
@pytest.mark.parametrize("look", HEALING)
def test_an_evicted_immortal_session_among_many_is_healed_by_a_look(
    make_manager, clock, redis_client, namespace, look, namespace_ttl
):
    manager = make_manager(clock=clock, ttl=namespace_ttl)
    sessions = [manager.create(f"user{number}", ttl=0) for number in range(40)]
    for session in sessions[::2]:
        redis_client.delete(f"{{{namespace}:0}}:s:{session.session_id}")
        assert not HEALING[look](manager, session)
    assert_all_looks(manager, {session.session_id: session.user_id for session in sessions[1::2]})
    refusing = make_manager(clock=clock, max_sessions_per_user=1, on_limit="refuse")
    assert all(refusing.create(session.user_id).valid for session in sessions[::2])


def test_an_evicted_immortal_session_lets_the_keys_go_when_it_is_healed(manager, redis_client, namespace, kept):
    immortal = manager.create("ann", ttl=0)
    manager.create("bob", ttl=20)
    redis_client.delete(f"{{{namespace}:0}}:s:{immortal.session_id}")
    assert manager.authenticate(immortal.token) is None
    assert all(0 < left <= 130_050 for left in kept().values())


def test_the_keys_of_a_user_of_many_sessions_go_when_the_immortal_one_has_ended(manager, redis_client, kept):
    other = manager.create("bob", ttl=0)
    plant(redis_client, manager, ["ann"] * 250, ttl=20)
    manager.create("ann", ttl=0).kill()
    assert 0 < kept()["u:ann"] <= 130_050
    other.kill()
    assert all(0 < left <= 130_050 for left in kept().values())


DAMAGE: dict[str, Callable[[Any, str], Any]] = {
    "no last access": lambda client, key: client.hdel(key, "l"),
    "no ttl": lambda client, key: client.hdel(key, "t"),
    "a last access that is no number": lambda client, key: client.hset(key, "l", "now"),
    "a ttl that is no number": lambda client, key: client.hset(key, "t", "long"),
    "another type": lambda client, key: (client.delete(key), client.set(key, "not a hash")),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("look", HEALING_A_USERS)
def test_a_damaged_key_is_no_session_and_stops_nobody(make_manager, clock, redis_client, namespace, damage, look):
    manager = make_manager(clock=clock, max_sessions_per_user=3)
    damaged = manager.create("ann")
    clock.advance(1)
    left = manager.create("ann")
    DAMAGE[damage](redis_client, f"{{{namespace}:0}}:s:{damaged.session_id}")
    assert not HEALING_A_USERS[look](manager, damaged)
    assert_all_looks(manager, {left.session_id: "ann"})
    newer = manager.create("ann")
    DAMAGE[damage](redis_client, f"{{{namespace}:0}}:s:{newer.session_id}")
    assert manager.kill_user("ann") == 1
    assert_all_looks(manager, {})


def test_an_expired_session_whose_user_was_lost_stops_no_sign_in(make_manager, clock, redis_client, namespace):
    manager = make_manager(clock=clock, ttl=10, max_sessions_per_user=2)
    damaged = manager.create("ann")
    redis_client.hdel(f"{{{namespace}:0}}:s:{damaged.session_id}", "u")
    clock.advance(5)
    left = manager.create("ann")
    clock.advance(5)
    newest = manager.create("ann")
    assert_all_looks(manager, {left.session_id: "ann", newest.session_id: "ann"})


def test_the_keys_of_a_user_go_when_the_last_of_several_immortal_sessions_has_ended(manager, redis_client, kept):
    other = manager.create("bob", ttl=0)
    keep = plant(redis_client, manager, ["ann"] * 100, ttl=20)
    plant(redis_client, manager, ["ann"] * 5, ttl=0)
    assert manager.kill_user("ann", keep=keep) == 5
    assert 0 < kept()["u:ann"] <= 130_050
    other.kill()
    assert all(0 < left <= 130_050 for left in kept().values())


@pytest.mark.parametrize("killing", ["kill_user", "kill_all"])
def test_a_great_kill_heals_what_was_evicted(manager, clock, redis_client, namespace, kept, killing):
    sessions = [manager.create("ann", ttl=ttl) for ttl in (None, 50, 0) for _ in range(20)]
    for session in sessions[::2]:
        redis_client.delete(f"{{{namespace}:0}}:s:{session.session_id}")
    assert (manager.kill_user("ann") if killing == "kill_user" else manager.kill_all()) == 30
    assert manager.count() == 0
    assert manager.get_all_sessions() == []
    assert not any(key.startswith("s:") for key in kept())


def test_what_was_evicted_and_never_looked_at_is_gone_at_its_expiry(manager, clock, redis_client, namespace):
    evicted = [manager.create("ann", ttl=50), manager.create("bob", ttl=50), manager.create(None, ttl=50)]
    left = manager.create("ann")
    for session in evicted:
        redis_client.delete(f"{{{namespace}:0}}:s:{session.session_id}")
    clock.advance(50)
    assert_all_looks(manager, {left.session_id: "ann"})


def test_a_write_to_an_evicted_session_is_refused_and_leaves_nothing(manager, redis_client, namespace):
    evicted = manager.create("ann")
    redis_client.delete(f"{{{namespace}:0}}:s:{evicted.session_id}")
    for write in (lambda: evicted.set("key", 1), evicted.write, lambda: manager.rotate(evicted)):
        with pytest.raises(SessionGone):
            write()
    assert not redis_client.exists(f"{{{namespace}:0}}:s:{evicted.session_id}")


@pytest.mark.parametrize("lost", ["activity", "expiry", "users", "u:ann", "all"])
@pytest.mark.parametrize("touching", ["get", "write", "oldest and get"])
def test_touches_rebuild_a_lost_index(manager, clock, redis_client, namespace, kept, lost, touching):
    sessions = [manager.create(user) for user in ("ann", "ann", "bob", None)]
    lost_keys = ["activity", "expiry", "users", "u:ann", "u:bob"] if lost == "all" else [lost]
    assert redis_client.delete(*[f"{{{namespace}:0}}:{key}" for key in lost_keys]) == len(lost_keys)
    clock.advance(2)
    if touching == "oldest and get":
        manager.get_oldest_user_session("ann")
    for session in sessions:
        if touching == "write":
            session.write()
        else:
            assert manager.get(session.session_id) is not None
    live = {session.session_id: session.user_id for session in sessions}
    oldest = manager.get_oldest_user_session("ann", touch=False).session_id  # of equals, any
    assert_all_looks(manager, dict(sorted(live.items(), key=lambda one: one[0] != oldest)))
    least, most = least_and_most(1800, 1800)
    assert all(least <= left <= most for left in kept().values()), kept()
    clock.advance(1800)
    assert_all_looks(manager, {})


@pytest.mark.parametrize("lost", ["activity", "expiry", "users", "u:ann", "u:bob", "activity, expiry, users, u:ann"])
def test_what_ended_untouched_after_an_index_was_lost_is_not_counted_for_good(
    manager, clock, redis_client, namespace, lost
):
    used, *others = (manager.create(user) for user in ("ann", "ann", "bob", None))
    redis_client.delete(*[f"{{{namespace}:0}}:{key}" for key in lost.split(", ")])
    for _ in range(4):
        clock.advance(600)
        assert manager.authenticate(used.token).valid
    redis_client.delete(*[f"{{{namespace}:0}}:s:{session.session_id}" for session in others])  # as Redis does by itself
    assert_all_looks(manager, {used.session_id: "ann"})


@pytest.mark.parametrize("look", ["count_for_user", "get_user_sessions"])
def test_a_session_that_only_its_users_index_knows_is_not_counted(manager, clock, redis_client, namespace, look):
    """As when its hash was evicted, then activity, then expiry."""
    lost = manager.create("ann")
    clock.advance(1)
    live = manager.create("ann")
    for index, member in (("activity", lost.session_id), ("expiry", f"{lost.session_id}:ann")):
        assert redis_client.zrem(f"{{{namespace}:0}}:{index}", member) == 1
    redis_client.delete(f"{{{namespace}:0}}:s:{lost.session_id}")
    assert LOOKS[look](manager) == expected(look, {live.session_id: "ann"})
    assert_all_looks(manager, {live.session_id: "ann"})


@pytest.mark.parametrize("look", ["count_users", "get_all_users"])
@pytest.mark.parametrize("its_index", ["there", "gone"])
def test_a_user_whom_only_the_index_of_users_knows_is_not_counted(
    manager, clock, redis_client, namespace, look, its_index
):
    lost = manager.create("bob")
    clock.advance(1)
    live = manager.create("ann")
    for index, member in (("activity", lost.session_id), ("expiry", f"{lost.session_id}:bob")):
        assert redis_client.zrem(f"{{{namespace}:0}}:{index}", member) == 1
    redis_client.delete(f"{{{namespace}:0}}:s:{lost.session_id}")
    if its_index == "gone":
        redis_client.delete(f"{{{namespace}:0}}:u:bob")
    assert LOOKS[look](manager) == expected(look, {live.session_id: "ann"})
    assert_all_looks(manager, {live.session_id: "ann"})


@pytest.mark.parametrize("lost", ["activity", "expiry"])
@pytest.mark.parametrize("look", ["count", "count_for_user", "get_all_sessions", "get_all_users", "wipe"])
def test_a_look_mends_a_lost_index_with_no_touch(manager, clock, redis_client, namespace, kept, lost, look):
    live = {}
    for user in ("ann", "ann", "bob", None):
        live[manager.create(user, ttl=100).session_id] = user
        clock.advance(1)
    assert redis_client.delete(f"{{{namespace}:0}}:{lost}") == 1
    manager.wipe() if look == "wipe" else LOOKS[look](manager)
    assert_all_looks(manager, live)
    least, most = least_and_most(100, 96)
    assert all(least <= left <= most for left in kept().values()), kept()
    clock.advance(100)
    assert_all_looks(manager, {})


@pytest.mark.parametrize("lost", ["activity", "expiry"])
def test_an_index_of_many_is_mended_by_slices(manager, clock, redis_client, namespace, wire, lost):
    users = [*["ann"] * 300, *[f"user{number % 400}" for number in range(800)], *[None] * 200]
    ids = plant(redis_client, manager, users)
    immortal = plant(redis_client, manager, ["bob"] * 60, ttl=0)
    gone = [*ids[:40], *ids[1000:1040], *ids[1200:1240]]
    redis_client.delete(f"{{{namespace}:0}}:{lost}", *[f"{{{namespace}:0}}:s:{session_id}" for session_id in gone])
    with wire() as seen:
        assert manager.count() == len(ids) - len(gone) + len(immortal)
    slices = seen.names.count("EVALSHA") + seen.names.count("EVAL")
    assert len(seen.in_scripts) / slices < 3000
    live = {**dict(zip(ids, users, strict=True)), **dict.fromkeys(immortal, "bob")}
    live = {one: user for one, user in live.items() if one not in gone}
    assert set(manager.get_all_sessions()) == live.keys()
    assert set(manager.get_all_users()) == set(live.values()) - {None}
    assert manager.count_for_user("ann") == 260
    assert {one.session_id for one in manager.iter_sessions()} == live.keys()
    with wire() as seen:
        manager.count()
    assert seen.names == ["EVALSHA"]
    clock.advance(1800)
    assert manager.count() == len(immortal)


@pytest.mark.parametrize("hash_too", [False, True], ids=["live", "dead"])
def test_a_user_of_whom_nothing_else_is_known_is_mended_by_one_look(
    manager, clock, redis_client, namespace, wire, hash_too
):
    session, other = manager.create("ann"), manager.create("bob")
    lost = ["activity", "expiry", "users", *([f"s:{session.session_id}"] if hash_too else [])]
    redis_client.delete(*[f"{{{namespace}:0}}:{key}" for key in lost])
    clock.advance(2)
    assert manager.authenticate(other.token).valid
    live = {other.session_id: "bob"} if hash_too else {session.session_id: "ann", other.session_id: "bob"}
    assert manager.count_for_user("ann") == len(live) - 1
    with wire() as seen:
        assert manager.count_for_user("ann") == len(live) - 1
    assert seen.names == ["EVALSHA"]
    assert manager.count() == len(live)
    assert set(manager.get_all_users()) == set(live.values())


def test_kill_all_ends_those_too_whom_a_lost_index_no_longer_names(manager, redis_client, namespace):
    sessions = [manager.create(user) for user in ("ann", "bob", None)]
    redis_client.delete(f"{{{namespace}:0}}:activity")
    assert manager.kill_all() == 3
    assert not any(manager.exists(session.session_id) for session in sessions)
    assert_all_looks(manager, {})


def test_a_lost_index_of_an_immortal_session_is_kept_for_good_again(manager, clock, redis_client, namespace, kept):
    immortal, mortal = manager.create("ann", ttl=0), manager.create("ann")
    for lost in ("activity", "expiry", "users", "u:ann"):
        redis_client.delete(f"{{{namespace}:0}}:{lost}")
        clock.advance(2)
        for session in (mortal, immortal):
            manager.get(session.session_id)
        assert {key for key, left in kept().items() if left == -1} == {
            *("activity", "expiry", "users", "u:ann"),
            f"s:{immortal.session_id}",
        }
