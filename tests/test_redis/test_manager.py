"""What each method of a manager does: its arguments, its result, and what is different afterwards."""

from __future__ import annotations

import math
import time
from functools import partial
from uuid import UUID

import pytest
import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.sentinel import Sentinel

from redisess_core import SessionGone, SessionLimitReached
from redisess_core.config import CLUSTER_SHARDS
from support.both import unwrap
from support.clients import clients_at
from support.topology import ON_A_CLUSTER

DEFAULTS = {
    "namespace": "sessions",
    "additional_fields": (),
    "ttl": 1800,
    "max_lifetime": None,
    "touch_interval": 1.0,
    "max_sessions_per_user": None,
    "on_limit": "evict",
    "record_client": True,
    "max_data_bytes": 65536,
    "shards": CLUSTER_SHARDS if ON_A_CLUSTER else 1,
    "clock": None,
}
OTHERS = {
    "namespace": "other",
    "additional_fields": ("role", "theme"),
    "ttl": 60,
    "max_lifetime": 3600.5,
    "touch_interval": 0,
    "max_sessions_per_user": 3,
    "on_limit": "refuse",
    "record_client": False,
    "max_data_bytes": 100,
    "shards": 4,
    "clock": time.time,
}


# ---- options


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_option_can_be_read_and_has_its_documented_default(make_manager, name):
    assert getattr(make_manager(namespace="sessions"), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", OTHERS)
def test_every_option_that_is_given_can_be_read_as_it_was_given(make_manager, name):
    assert getattr(make_manager(**OTHERS), name) == OTHERS[name]


def test_additional_fields_may_come_from_any_iterable_but_one_str(make_manager):
    assert make_manager(additional_fields=(name for name in ("role", "theme"))).additional_fields == ("role", "theme")


# ---- create


def test_a_created_session_is_live_and_has_its_token(manager, clock):
    session = manager.create("ada")
    assert session.valid
    assert session.user_id == "ada"
    assert session.ttl == manager.ttl
    assert session.created == session.last_access == session.authenticated_at == clock()
    assert manager.authenticate(session.token).session_id == session.session_id
    assert session.token != session.session_id


def test_no_two_sessions_have_a_token_or_an_id_in_common(manager):
    sessions = [manager.create("ada") for _ in range(20)]
    assert len({session.token for session in sessions} | {session.session_id for session in sessions}) == 40


def test_create_takes_every_argument(make_manager, clock):
    manager = make_manager(clock=clock, additional_fields=("role", "theme"))
    created = manager.create(
        "ada",
        ttl=60,
        max_lifetime=600,
        data={"cart": [1, (2,)], "name": "Ada"},
        ip="192.0.2.7",
        user_agent="Browser/1.0",
        role="admin",
    )
    for session in (created, manager.authenticate(created.token), manager.get(created.session_id)):
        assert session.user_id == "ada"
        assert session.ttl == 60
        assert session.expires == clock() + 60
        assert dict(session.data) == {"cart": [1, (2,)], "name": "Ada"}
        assert session.ip == "192.0.2.7"
        assert session.user_agent == "Browser/1.0"
        assert session.role == "admin"
        assert session.fields == {"role": "admin", "theme": None}
    for _ in range(12):
        clock.advance(50)
        manager.authenticate(created.token)
    assert not manager.exists(created.session_id)


def test_the_user_id_can_be_given_by_name(manager):
    assert manager.create(user_id="ada").user_id == "ada"
    assert manager.count_for_user(user_id="ada") == 1


@pytest.mark.parametrize(
    "user_id", [0, 42, -1, 2**200, UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")], ids=lambda user_id: str(user_id)[:12]
)
def test_an_int_or_a_uuid_as_user_id_is_its_text(manager, clock, user_id):
    session = manager.create(user_id)
    assert session.user_id == str(user_id)
    assert manager.get_all_users() == [str(user_id)]
    assert manager.count_for_user(user_id) == manager.count_for_user(str(user_id)) == 1
    assert manager.get_user_sessions(user_id) == [session.session_id]
    assert [each.session_id for each in manager.list_user_sessions(user_id)] == [session.session_id]
    assert manager.get_oldest_user_session(user_id).session_id == session.session_id
    again = manager.rotate(session, user_id=user_id)
    assert not manager.kill(again.session_id, user_id="somebody else")
    assert manager.kill(again.session_id, user_id=user_id)
    manager.create(str(user_id))
    assert manager.kill_user(user_id) == 1


@pytest.mark.parametrize(
    "user_id",
    ["a" * 256, "é" * 128, "{a}", "a:b!c", "a\nb\0c", " ", "s:u:", "*?[a]"],
    ids=lambda user_id: repr(user_id)[:12],
)
def test_a_user_id_of_any_characters_names_one_user(make_manager, clock, user_id):
    manager = make_manager(clock=clock, ttl=10)
    sessions = [manager.create(user_id) for _ in range(2)]
    other = manager.create("somebody else")
    assert manager.get_user_sessions(user_id) == sorted(session.session_id for session in sessions)
    assert sorted(manager.get_all_users()) == sorted([user_id, "somebody else"])
    assert manager.authenticate(sessions[0].token).user_id == user_id
    assert manager.kill_user(user_id, keep=sessions[0].session_id) == 1
    clock.advance(5)
    manager.authenticate(other.token)
    clock.advance(5)
    assert manager.count_for_user(user_id) == 0
    assert manager.get_all_users() == ["somebody else"]


def test_an_anonymous_session_has_no_user_and_counts_as_a_session(manager):
    session = manager.create(None, data={"cart": [1]})
    assert (session.user_id, session.authenticated_at) == (None, None)
    found = manager.authenticate(session.token)
    assert (found.user_id, found.authenticated_at, dict(found.data)) == (None, None, {"cart": [1]})
    assert manager.count() == 1
    assert manager.get_all_sessions() == [session.session_id]
    assert [each.user_id for each in manager.iter_sessions()] == [None]
    assert manager.count_users() == 0
    assert manager.get_all_users() == []
    assert list(manager.iter_users()) == []


def test_the_limit_of_sessions_of_a_user_is_none_of_anonymous_ones(make_manager):
    manager = make_manager(max_sessions_per_user=1, on_limit="refuse")
    assert len({manager.create(None).session_id for _ in range(3)}) == manager.count() == 3


def test_an_address_and_a_user_agent_are_cut_to_256_characters(manager):
    created = manager.create("ada", ip="1" * 300, user_agent="é" * 300)
    session = manager.get(created.session_id)
    assert (session.ip, session.user_agent) == ("1" * 256, "é" * 256)
    assert (created.ip, created.user_agent) == ("1" * 256, "é" * 256)


def test_a_session_without_address_and_user_agent_has_none(manager):
    session = manager.get(manager.create("ada").session_id)
    assert (session.ip, session.user_agent) == (None, None)


def test_an_additional_field_of_none_is_as_none_given(make_manager):
    manager = make_manager(additional_fields=("role",))
    assert manager.get(manager.create("ada", role=None).session_id).role is None


# ---- authenticate, get, exists


def test_authenticate_gives_the_session_with_its_data_and_its_token(manager):
    created = manager.create("ada", data={"cart": [1]})
    session = manager.authenticate(created.token)
    assert session.token == created.token
    assert session.session_id == created.session_id
    assert dict(session.data) == {"cart": [1]}


def test_get_gives_the_session_with_its_data_but_without_a_token(manager):
    created = manager.create("ada", data={"cart": [1]})
    session = manager.get(created.session_id)
    assert session.token is None
    assert session.session_id == created.session_id
    assert dict(session.data) == {"cart": [1]}


def test_a_token_finds_nothing_by_get_and_an_id_nothing_by_authenticate(manager):
    session = manager.create("ada")
    assert manager.authenticate(session.session_id) is None
    assert manager.get(session.token) is None
    assert not manager.exists(session.token)
    assert not manager.kill(session.token)
    assert manager.exists(session.session_id)


def test_what_names_no_live_session_gives_none(manager, clock):
    session = manager.create("ada")
    clock.advance(session.ttl)
    assert manager.authenticate(session.token) is None
    assert manager.get(session.session_id) is None
    assert manager.exists(session.session_id) is False
    for never in ("1aa" + "a" * 26, "saa" + "0" * 25, "nonsense", "é", "1", "s" * 10_000):
        assert manager.authenticate(never) is None
        assert manager.get(never) is None
        assert manager.exists(never) is False
        assert manager.kill(never) is False


def test_a_session_is_live_while_now_is_before_its_expiry(manager, clock):
    session = manager.create("ada")
    clock.set(session.expires - 0.001)
    assert manager.exists(session.session_id)
    assert manager.get(session.session_id, touch=False).expires_in == pytest.approx(0.001, abs=1e-6)
    clock.set(session.expires)
    assert not manager.exists(session.session_id)
    assert not session.valid
    assert manager.count() == 0


@pytest.mark.parametrize("how", ["authenticate", "get"])
def test_looking_touches_unless_it_is_told_not_to(manager, clock, how):
    created = manager.create("ada")
    look, name = (manager.authenticate, created.token) if how == "authenticate" else (manager.get, created.session_id)
    clock.advance(100)
    seen = look(name, touch=False)
    assert seen.last_access == created.last_access
    assert (seen.idle, seen.expires_in) == (100, 1700)
    touched = look(name)
    assert touched.last_access == clock()
    assert touched.expires == clock() + 1800
    assert look(name, touch=False).last_access == clock()


def test_exists_does_not_touch(manager, clock):
    session = manager.create("ada")
    clock.advance(100)
    assert manager.exists(session.session_id) is True
    assert manager.get(session.session_id, touch=False).last_access == session.created


def test_touches_keep_a_session_alive_beyond_its_first_expiry(manager, clock):
    session = manager.create("ada")
    for _ in range(5):
        clock.advance(1799)
        assert manager.authenticate(session.token).valid
    clock.advance(1800)
    assert manager.authenticate(session.token) is None


# ---- touch_interval


def test_a_touch_is_written_at_most_once_an_interval(make_manager, clock):
    manager = make_manager(clock=clock, touch_interval=10)
    session, start = manager.create("ada"), clock()
    clock.set(start + 9.75)
    assert manager.authenticate(session.token).last_access == start
    clock.set(start + 10)
    assert manager.authenticate(session.token).last_access == start + 10
    clock.set(start + 19)
    assert manager.get(session.session_id).last_access == start + 10


def test_a_touch_interval_is_never_more_than_a_tenth_of_the_ttl(make_manager, clock):
    manager = make_manager(clock=clock, touch_interval=1000)
    session, start = manager.create("ada", ttl=50), clock()
    clock.set(start + 4.75)
    assert manager.authenticate(session.token).last_access == start
    clock.set(start + 5)
    assert manager.authenticate(session.token).last_access == start + 5


def test_a_touch_interval_of_an_immortal_session_is_the_managers(make_manager, clock):
    manager = make_manager(clock=clock, touch_interval=1000)
    session, start = manager.create("ada", ttl=0), clock()
    clock.set(start + 999)
    assert manager.authenticate(session.token).last_access == start
    clock.set(start + 1000)
    assert manager.authenticate(session.token).last_access == start + 1000


def test_a_touch_interval_of_zero_writes_every_touch(make_manager, clock):
    manager = make_manager(clock=clock, touch_interval=0)
    session = manager.create("ada")
    for _ in range(3):
        clock.advance(0.001)
        assert manager.authenticate(session.token).last_access == clock()
        assert manager.get(session.session_id, touch=False).last_access == clock()


@pytest.mark.parametrize("touch_interval", [0, 1])
@pytest.mark.parametrize("how", ["authenticate", "get", "oldest", "write", "set"])
def test_the_last_access_never_moves_back(make_manager, clock, touch_interval, how):
    manager = make_manager(clock=clock, touch_interval=touch_interval, additional_fields=("role",))
    session = manager.create("ada")
    expires = session.expires
    clock.advance(-500)
    session.role = "admin"
    {
        "authenticate": lambda: manager.authenticate(session.token),
        "get": lambda: manager.get(session.session_id),
        "oldest": lambda: manager.get_oldest_user_session("ada"),
        "write": session.write,
        "set": lambda: session.set("key", 1),
    }[how]()
    found = manager.get(session.session_id, touch=False)
    assert found.last_access == session.last_access == session.created
    assert found.expires == expires
    clock.set(session.created)
    assert manager.count(1) == manager.count_users(1) == manager.count_for_user("ada", 1) == 1


# ---- ttl, max_lifetime


def test_a_session_has_the_managers_ttl_or_its_own(make_manager, clock):
    manager = make_manager(clock=clock, ttl=100)
    ordinary, short = manager.create("ada"), manager.create("ada", ttl=10.5)
    assert (ordinary.ttl, short.ttl) == (100, 10.5)
    clock.advance(10.5)
    assert manager.get_user_sessions("ada") == [ordinary.session_id]
    clock.advance(89.5)
    assert manager.count() == 0


def test_a_ttl_of_zero_is_immortal(manager, clock):
    session = manager.create("ada", ttl=0)
    assert session.expires == session.expires_in == math.inf
    clock.advance(100 * 365 * 86400)
    found = manager.authenticate(session.token, touch=False)
    assert (found.ttl, found.expires, found.expires_in) == (0, math.inf, math.inf)
    assert found.valid
    assert found.idle == 100 * 365 * 86400
    assert manager.count() == manager.count_users() == 1
    assert manager.wipe() == 0


def test_a_manager_whose_ttl_is_zero_makes_immortal_sessions(make_manager, redis_client):
    session = make_manager(ttl=0).create("ada")
    assert session.expires == math.inf
    assert {redis_client.ttl(key) for key in redis_client.scan_iter()} == {-1}


def test_a_ttl_of_zero_with_a_max_lifetime_ends_at_the_deadline(manager, clock):
    session, start = manager.create("ada", ttl=0, max_lifetime=100), clock()
    assert session.expires == start + 100
    clock.set(start + 99)
    assert manager.authenticate(session.token).expires == start + 100
    clock.set(start + 100)
    assert manager.authenticate(session.token) is None


def test_a_touch_never_moves_the_absolute_deadline(make_manager, clock):
    manager = make_manager(clock=clock, ttl=60, max_lifetime=100)
    session, start = manager.create("ada"), clock()
    assert session.expires == start + 60
    clock.set(start + 50)
    assert manager.authenticate(session.token).expires == start + 100
    clock.set(start + 99.5)
    assert manager.authenticate(session.token).expires == start + 100
    clock.set(start + 100)
    assert manager.authenticate(session.token) is None
    assert manager.count() == 0


@pytest.mark.parametrize(("given", "end"), [(None, 100), (0, math.inf), (30, 30), (500, 500)])
def test_max_lifetime_in_create_is_the_managers_for_none_and_none_for_zero(make_manager, clock, given, end):
    manager = make_manager(clock=clock, ttl=0, max_lifetime=100)
    created = manager.create("ada", max_lifetime=given)
    assert created.expires == clock() + end
    assert manager.get(created.session_id).expires == clock() + end


def test_a_manager_has_no_max_lifetime_by_default(manager, clock):
    session = manager.create("ada")
    for _ in range(50):
        clock.advance(1700)
        assert manager.authenticate(session.token) is not None


# ---- counts and lists


@pytest.fixture
def three(manager, clock):
    """Sessions of last access 20, 10 and 0 seconds ago: of ada, of bob, of ada."""
    sessions = []
    for user_id, after in (("ada", 10), ("bob", 10), ("ada", 0)):
        sessions.append(manager.create(user_id))
        clock.advance(after)
    return sessions


def ids(sessions):
    return [session.session_id for session in sessions]


def test_lists_have_the_most_recently_accessed_first(manager, clock, three):
    first, second, third = ids(three)
    assert manager.get_all_sessions() == [third, second, first]
    assert manager.get_user_sessions("ada") == [third, first]
    assert ids(manager.list_user_sessions("ada")) == [third, first]
    assert manager.get_all_users() == ["ada", "bob"]
    clock.advance(5)
    manager.get(second)
    clock.advance(5)
    manager.get(first)
    assert manager.get_all_sessions() == [first, second, third]
    assert manager.get_user_sessions("ada") == [first, third]
    assert ids(manager.list_user_sessions("ada")) == [first, third]
    assert manager.get_oldest_user_session("ada").session_id == third
    assert manager.get_all_users() == ["ada", "bob"]
    clock.advance(5)
    manager.get(second)
    assert manager.get_all_users() == ["bob", "ada"]


def test_counts_are_of_what_the_lists_hold(manager, three):
    assert manager.count() == 3
    assert manager.count_users() == 2
    assert manager.count_for_user("ada") == 2
    assert manager.count_for_user("bob") == 1
    assert manager.count_for_user("nobody") == 0


def test_iterators_give_every_session_and_every_user_once(manager, three):
    sessions = list(manager.iter_sessions())
    assert sorted(ids(sessions)) == sorted(ids(three))
    assert sorted(session.user_id for session in sessions) == ["ada", "ada", "bob"]
    assert sorted(manager.iter_users()) == ["ada", "bob"]


@pytest.mark.parametrize(
    ("secs", "held"),  # which of the three, most recently accessed first
    [(0, "210"), (0.001, "2"), (9.999, "2"), (10, "21"), (19.999, "21"), (20, "210"), (1e9, "210")],
)
def test_with_secs_only_what_was_accessed_since_counts_the_boundary_too(manager, three, secs, held):
    sessions = [three[int(at)] for at in held]
    wanted = ids(sessions)
    of_ada = [session.session_id for session in sessions if session.user_id == "ada"]
    users = list(dict.fromkeys(session.user_id for session in sessions))
    assert manager.count(secs) == len(wanted)
    assert manager.get_all_sessions(secs) == wanted
    assert sorted(ids(manager.iter_sessions(secs))) == sorted(wanted)
    assert manager.count_for_user("ada", secs) == len(of_ada)
    assert manager.get_user_sessions("ada", secs) == of_ada
    assert ids(manager.list_user_sessions("ada", secs)) == of_ada
    assert manager.count_users(secs) == len(users)
    assert manager.get_all_users(secs) == users
    assert sorted(manager.iter_users(secs)) == sorted(users)


@pytest.mark.parametrize(
    "name", ["count", "count_users", "get_all_sessions", "get_all_users", "iter_sessions", "iter_users"]
)
def test_secs_can_be_given_by_name(manager, three, name):
    result = getattr(manager, name)(secs=10)
    assert (result if isinstance(result, int) else len(list(result))) == 2


def test_an_empty_namespace_has_nothing(manager):
    assert manager.count() == manager.count_users() == manager.count_for_user("ada") == 0
    assert manager.get_all_sessions() == manager.get_all_users() == manager.get_user_sessions("ada") == []
    assert manager.list_user_sessions("ada") == list(manager.iter_sessions()) == list(manager.iter_users()) == []
    assert manager.get_oldest_user_session("ada") is None
    assert manager.kill_user("ada") == manager.kill_all() == manager.wipe() == 0


def test_expired_sessions_are_in_no_count_and_no_list(manager, clock):
    manager.create("ada", ttl=10)
    manager.create("bob", ttl=10)
    manager.create(None, ttl=10)
    alive = manager.create("bob", ttl=100)
    clock.advance(10)
    assert list(manager.iter_users()) == ["bob"]
    assert ids(manager.iter_sessions()) == [alive.session_id]
    assert ids(manager.list_user_sessions("bob")) == [alive.session_id]
    assert manager.list_user_sessions("ada") == []
    assert manager.get_oldest_user_session("ada") is None
    assert manager.get_oldest_user_session("bob").session_id == alive.session_id
    assert manager.get_user_sessions("ada") == []
    assert manager.count_for_user("ada") == 0
    assert manager.get_all_sessions() == manager.get_user_sessions("bob") == [alive.session_id]
    assert manager.get_all_users() == ["bob"]
    assert manager.count() == manager.count_users() == manager.count_for_user("bob") == 1


@pytest.mark.parametrize(
    "look",
    [
        lambda manager: manager.count(),
        lambda manager: manager.count_users(),
        lambda manager: manager.count_for_user("ada"),
        lambda manager: len(manager.get_all_sessions()),
        lambda manager: len(manager.get_all_users()),
        lambda manager: len(manager.get_user_sessions("ada")),
        lambda manager: len(manager.list_user_sessions("ada")),
        lambda manager: len(list(manager.iter_sessions())),
        lambda manager: len(list(manager.iter_users())),
        lambda manager: len([manager.get_oldest_user_session("ada")]) - 1,
        lambda manager: manager.kill_user("ada"),
        lambda manager: manager.kill_all(),
    ],
)
def test_each_look_leaves_out_what_expired_when_it_is_the_first_look_after(manager, filler, clock, look):
    for _ in range(120):  # more than a script sweeps at once
        filler.create("ada", ttl=10)
    clock.advance(10)
    assert look(manager) == 0


def test_lists_longer_than_a_page_are_complete_and_in_order(manager, filler, clock):
    wanted = []
    for _ in range(1000):
        wanted.insert(0, filler.create("ada").session_id)
        clock.advance(0.001)
    assert manager.get_all_sessions() == manager.get_user_sessions("ada") == wanted
    assert ids(manager.list_user_sessions("ada")) == wanted
    assert sorted(ids(manager.iter_sessions())) == sorted(wanted)
    assert manager.count() == manager.count_for_user("ada") == 1000
    assert manager.kill_user("ada", keep=wanted[500:510]) == 990
    assert manager.get_all_sessions() == wanted[500:510]


def test_pages_of_sessions_accessed_at_one_moment_are_complete(manager, filler):
    wanted = sorted(filler.create(f"user{number}").session_id for number in range(950))
    assert sorted(manager.get_all_sessions()) == wanted
    assert sorted(ids(manager.iter_sessions())) == wanted
    assert len(manager.get_all_users()) == len(list(manager.iter_users())) == 950
    assert manager.kill_all() == 950
    assert manager.count() == 0


def test_listed_sessions_have_all_but_their_data_and_are_not_touched(make_manager, clock):
    manager = make_manager(clock=clock, additional_fields=("role",), max_lifetime=5000)
    created = manager.create("ada", ttl=600, data={"cart": [1]}, ip="192.0.2.7", user_agent="Browser/1.0", role="admin")
    clock.advance(100)
    for (session,) in (manager.list_user_sessions("ada"), list(manager.iter_sessions())):
        assert session.session_id == created.session_id
        assert session.token is None
        assert dict(session.data) == {}
        for name in ("user_id", "ttl", "created", "authenticated_at", "last_access", "expires", "ip", "user_agent"):
            assert getattr(session, name) == getattr(created, name), name
        assert (session.role, session.fields) == ("admin", {"role": "admin"})
        assert (session.idle, session.expires_in, session.valid) == (100, 500, True)
        assert session.get_all() == {"cart": [1]}
        assert session.read()
        assert dict(session.data) == {"cart": [1]}
    assert manager.get(created.session_id, touch=False).last_access == created.last_access


def test_the_oldest_session_is_that_of_longest_ago_last_access(manager, clock):
    first = manager.create("ada", data={"cart": [1]})
    clock.advance(10)
    second = manager.create("ada")
    manager.create("bob")
    clock.advance(10)
    oldest = manager.get_oldest_user_session("ada", touch=False)
    assert oldest.session_id == first.session_id
    assert (oldest.token, oldest.last_access, dict(oldest.data)) == (None, first.last_access, {"cart": [1]})
    touched = manager.get_oldest_user_session("ada")
    assert (touched.session_id, touched.last_access) == (first.session_id, clock())
    assert manager.get_oldest_user_session("ada", touch=False).session_id == second.session_id


def test_a_user_ranks_by_the_latest_access_among_the_sessions_left(manager, clock):
    manager.create("ada")
    clock.advance(10)
    manager.create("bob")
    clock.advance(10)
    later = manager.create("ada")
    assert manager.get_all_users() == ["ada", "bob"]
    manager.kill(later.session_id)
    assert manager.get_all_users() == ["bob", "ada"]
    assert manager.get_all_users(10) == ["bob"]
    assert manager.count_users(10) == 1


def test_a_users_rank_never_moves_back(manager, clock):
    earlier = manager.create("ada")
    clock.advance(100)
    manager.create("ada")
    clock.advance(-50)
    manager.create("bob")
    assert manager.get(earlier.session_id).last_access == clock()
    assert manager.get_all_users() == ["ada", "bob"]
    clock.advance(50)
    assert manager.get_all_users(10) == ["ada"]


# ---- rotate


def test_rotate_gives_a_new_token_and_id_and_the_old_token_is_dead(manager):
    old = manager.create("ada")
    new = manager.rotate(old)
    assert len({old.token, old.session_id, new.token, new.session_id}) == 4
    assert manager.authenticate(old.token) is None
    assert manager.get(old.session_id) is None
    assert not old.valid
    assert manager.authenticate(new.token).session_id == new.session_id
    assert manager.get_all_sessions() == manager.get_user_sessions("ada") == [new.session_id]
    assert manager.count() == manager.count_for_user("ada") == manager.count_users() == 1


def test_rotate_keeps_what_the_session_is_and_holds(make_manager, clock):
    manager = make_manager(clock=clock, additional_fields=("role",), ttl=60, max_lifetime=1000)
    data = {"cart": [1, (2,)], "name": "Ada"}
    old = manager.create("ada", ttl=70, data=data, ip="192.0.2.7", user_agent="Browser/1.0", role="admin")
    clock.advance(50)
    rotated = manager.rotate(old)
    for new in (rotated, manager.authenticate(rotated.token)):
        for name in ("user_id", "ttl", "created", "authenticated_at", "ip", "user_agent", "fields"):
            assert getattr(new, name) == getattr(old, name), name
        assert dict(new.data) == data
        assert new.last_access == clock()
        assert new.expires == clock() + 70


def test_rotate_without_a_user_keeps_the_deadline_and_with_one_starts_it_anew(make_manager, clock):
    manager = make_manager(clock=clock, ttl=0, max_lifetime=1000)
    first, start = manager.create("ada"), clock()
    clock.advance(400)
    second = manager.rotate(first)
    assert (second.created, second.authenticated_at, second.expires) == (start, start, start + 1000)
    third = manager.rotate(second, user_id="ada")
    assert (third.created, third.authenticated_at, third.expires) == (start, start + 400, start + 1400)
    clock.set(start + 1000)
    assert manager.authenticate(third.token).expires == start + 1400
    clock.set(start + 1400)
    assert manager.authenticate(third.token) is None


@pytest.mark.parametrize("shards", [1, 8])
def test_a_sign_in_gives_no_longer_lifetime_than_the_managers(make_manager, clock, shards):
    manager = make_manager(clock=clock, ttl=0, max_lifetime=1000, shards=shards)
    for user in ("ada", "bob", "cid"):
        anonymous = manager.create(None, max_lifetime=5000)
        assert manager.rotate(anonymous, user_id=user).expires == clock() + 1000


@pytest.mark.parametrize("shards", [1, 8])
@pytest.mark.parametrize("longest", [None, 1000])
def test_a_sign_in_starts_a_lifetime_of_the_sessions_own_anew(make_manager, clock, shards, longest):
    manager = make_manager(clock=clock, ttl=0, max_lifetime=longest, shards=shards)
    for user in ("ada", "bob", "cid"):
        anonymous = manager.create(None, max_lifetime=100)
        clock.advance(40)
        signed_in = manager.rotate(anonymous, user_id=user)
        assert signed_in.expires == clock() + 100
        clock.advance(0.123456)
        assert manager.rotate(signed_in, user_id=user).expires == clock() + 100


@pytest.mark.parametrize("shards", [1, 8])
def test_a_sign_in_gives_a_session_without_a_lifetime_the_managers(make_manager, clock, shards):
    manager = make_manager(clock=clock, ttl=0, max_lifetime=1000, shards=shards)
    for user in ("ada", "bob", "cid"):
        anonymous = manager.create(None, max_lifetime=0)
        assert anonymous.expires == math.inf
        assert manager.rotate(anonymous, user_id=user).expires == clock() + 1000


def test_rotate_with_a_user_signs_an_anonymous_session_in(manager, clock):
    anonymous = manager.create(None, data={"cart": [1]})
    clock.advance(60)
    session = manager.rotate(anonymous, user_id="ada")
    assert (session.user_id, dict(session.data)) == ("ada", {"cart": [1]})
    assert (session.created, session.authenticated_at) == (anonymous.created, clock())
    assert manager.get_user_sessions("ada") == manager.get_all_sessions() == [session.session_id]
    assert manager.get_all_users() == ["ada"]
    assert manager.authenticate(anonymous.token) is None


def test_rotate_of_an_anonymous_session_stays_anonymous(manager):
    session = manager.rotate(manager.create(None, data={"cart": [1]}))
    assert (session.user_id, dict(session.data)) == (None, {"cart": [1]})
    assert manager.get_all_users() == []


def test_rotate_to_another_user_leaves_nothing_with_the_first(manager):
    session = manager.rotate(manager.create("ada"), user_id="bob")
    assert session.user_id == "bob"
    assert manager.get_all_users() == ["bob"]
    assert manager.count_for_user("ada") == 0
    assert manager.get_user_sessions("bob") == [session.session_id]


def test_rotate_stores_the_ttl_and_the_fields_that_it_is_given(make_manager, clock):
    manager = make_manager(clock=clock, additional_fields=("role", "theme", "plan"))
    old = manager.create("ada", role="user", theme="dark", plan="free")
    new = manager.rotate(old, ttl=90, role="admin", plan=None)
    for session in (new, manager.get(new.session_id)):
        assert (session.ttl, session.expires) == (90, clock() + 90)
        assert session.fields == {"role": "admin", "theme": "dark", "plan": None}


def test_rotate_takes_what_was_set_on_the_session_and_not_yet_written(make_manager):
    manager = make_manager(additional_fields=("role", "theme"))
    old = manager.create("ada", role="user", theme="dark")
    old.role, old.theme, old.ttl = "admin", "light", 90
    new = manager.rotate(old, theme="blue")
    assert (new.role, new.theme, new.ttl) == ("admin", "blue", 90)
    assert manager.get(new.session_id).fields == {"role": "admin", "theme": "blue"}


def test_rotate_takes_what_others_stored_since_the_session_was_loaded(manager):
    old = manager.create("ada", data={"a": 1})
    manager.get(old.session_id).set("b", 2)
    assert dict(manager.rotate(old).data) == {"a": 1, "b": 2}


def test_rotate_to_immortal_and_back(manager, clock):
    session = manager.rotate(manager.create("ada"), ttl=0)
    assert session.expires == math.inf
    session = manager.rotate(session, ttl=10)
    assert session.expires == clock() + 10
    clock.advance(10)
    assert manager.count() == 0


@pytest.mark.parametrize("sign_in", [{}, {"user_id": "ada"}, {"user_id": "bob"}])
def test_a_session_that_is_gone_cannot_be_rotated(manager, left, sign_in):
    session = manager.create("ada")
    manager.kill(session.session_id)
    with pytest.raises(SessionGone):
        manager.rotate(session, **sign_in)
    assert left() == set()
    assert not session.valid


def test_a_session_can_be_rotated_once(manager):
    session = manager.create("ada")
    again = manager.get(session.session_id)
    new = manager.rotate(session)
    with pytest.raises(SessionGone):
        manager.rotate(again, user_id="eve")
    with pytest.raises(SessionGone):
        manager.rotate(session)
    assert manager.get_all_sessions() == [new.session_id]


# ---- limits


def test_a_limit_ends_the_sessions_of_longest_ago_last_access(make_manager, clock):
    manager = make_manager(clock=clock, max_sessions_per_user=2)
    sessions = []
    for _ in range(2):
        sessions.append(manager.create("ada"))
        clock.advance(10)
    manager.create("bob")
    manager.get(sessions[0].session_id)
    clock.advance(10)
    sessions.append(manager.create("ada"))
    assert manager.get_user_sessions("ada") == [sessions[2].session_id, sessions[0].session_id]
    assert manager.authenticate(sessions[1].token) is None
    assert manager.count() == 3


def test_a_limit_of_one_leaves_the_newest(make_manager):
    manager = make_manager(max_sessions_per_user=1)
    sessions = [manager.create("ada") for _ in range(5)]
    assert manager.get_all_sessions() == [sessions[-1].session_id]


def test_a_limit_that_refuses_stores_nothing(make_manager, clock):
    manager = make_manager(clock=clock, max_sessions_per_user=2, on_limit="refuse")
    sessions = [manager.create("ada") for _ in range(2)]
    with pytest.raises(SessionLimitReached) as raised:
        manager.create("ada")
    assert (raised.value.user_id, raised.value.limit) == ("ada", 2)
    assert manager.count() == 2
    assert all(manager.authenticate(session.token) for session in sessions)
    manager.create("bob")
    manager.kill(sessions[0].session_id)
    manager.create("ada")
    assert manager.count_for_user("ada") == 2


def test_expired_sessions_take_no_room_under_a_limit(make_manager, clock):
    manager = make_manager(clock=clock, max_sessions_per_user=2, on_limit="refuse")
    for _ in range(2):
        manager.create("ada", ttl=10)
    clock.advance(10)
    for _ in range(2):
        manager.create("ada")
    with pytest.raises(SessionLimitReached):
        manager.create("ada")


def test_a_lowered_limit_is_kept_at_the_next_create(make_manager, filler, clock):
    sessions = []
    for _ in range(130):
        sessions.append(filler.create("ada").session_id)
        clock.advance(1)
    strict = make_manager(clock=clock, max_sessions_per_user=3)
    newest = strict.create("ada").session_id
    assert strict.get_user_sessions("ada") == [newest, *sessions[:-3:-1]]


def test_a_lowered_limit_spares_the_session_that_signs_in_again(make_manager, filler, clock):
    sessions = []
    for _ in range(4):
        sessions.append(filler.create("ada"))
        clock.advance(1)
    strict = make_manager(clock=clock, max_sessions_per_user=2)
    again = strict.rotate(strict.get(sessions[0].session_id, touch=False), user_id="ada")
    assert strict.get_user_sessions("ada") == [again.session_id, sessions[3].session_id]


def test_a_sign_in_at_the_limit_leaves_what_is_dead_of_others_to_the_sweep(make_manager, filler, clock, wire):
    manager = make_manager(clock=clock, max_sessions_per_user=1)
    first = manager.create("ada", ttl=3600)
    for number in range(120):
        filler.create(f"user{number}", ttl=5)
    clock.advance(5)
    with wire() as seen:
        second = manager.create("ada")
    assert seen.names == ["EVALSHA"]
    assert manager.get_user_sessions("ada") == [second.session_id]
    assert not manager.exists(first.session_id)


@pytest.mark.one_shard
@pytest.mark.parametrize("on_limit", ["evict", "refuse"])
def test_a_session_whose_hash_was_lost_takes_no_room_under_a_limit(
    make_manager, clock, redis_client, namespace, on_limit
):
    manager = make_manager(clock=clock, max_sessions_per_user=3, on_limit=on_limit)
    sessions = []
    for _ in range(3):
        sessions.append(manager.create("ada"))
        clock.advance(1)
    redis_client.delete(f"{{{namespace}:0}}:s:{sessions[1].session_id}")
    newest = manager.create("ada")
    assert manager.get_user_sessions("ada") == ids([newest, sessions[2], sessions[0]])


@pytest.mark.parametrize("on_limit", ["evict", "refuse"])
def test_a_sign_in_counts_under_the_limit(make_manager, clock, on_limit):
    manager = make_manager(clock=clock, max_sessions_per_user=2, on_limit=on_limit)
    sessions = []
    for _ in range(2):
        sessions.append(manager.create("ada"))
        clock.advance(10)
    anonymous = manager.create(None, data={"cart": [1]})
    if on_limit == "refuse":
        with pytest.raises(SessionLimitReached):
            manager.rotate(anonymous, user_id="ada")
        assert anonymous.valid
        assert dict(manager.authenticate(anonymous.token).data) == {"cart": [1]}
        assert sorted(manager.get_user_sessions("ada")) == sorted(ids(sessions))
    else:
        session = manager.rotate(anonymous, user_id="ada")
        assert manager.get_user_sessions("ada") == [session.session_id, sessions[1].session_id]


@pytest.mark.parametrize("on_limit", ["evict", "refuse"])
@pytest.mark.parametrize("sign_in", [{}, {"user_id": "ada"}])
def test_a_rotation_of_the_same_user_takes_no_more_room(make_manager, clock, on_limit, sign_in):
    manager = make_manager(clock=clock, max_sessions_per_user=2, on_limit=on_limit)
    oldest = manager.create("ada")
    clock.advance(10)
    other = manager.create("ada")
    clock.advance(10)
    rotated = manager.rotate(oldest, **sign_in)
    assert manager.get_user_sessions("ada") == [rotated.session_id, other.session_id]


# ---- kill, kill_user, kill_all


def test_a_killed_session_is_gone(manager):
    session, other = manager.create("ada"), manager.create("ada")
    assert manager.kill(session.session_id) is True
    assert manager.kill(session.session_id) is False
    assert manager.authenticate(session.token) is None
    assert manager.get_all_sessions() == manager.get_user_sessions("ada") == [other.session_id]


def test_the_last_kill_takes_the_user_out_of_every_list(manager, left):
    manager.kill(manager.create("ada").session_id)
    assert manager.get_all_users() == list(manager.iter_users()) == []
    assert manager.count_users() == 0
    assert left() == set()


def test_kill_with_a_user_ends_only_a_session_of_that_user(manager):
    adas, anonymous = manager.create("ada"), manager.create(None)
    assert manager.kill(adas.session_id, user_id="bob") is False
    assert manager.kill(adas.session_id, user_id="ad") is False
    assert manager.kill(anonymous.session_id, user_id="ada") is False
    assert manager.exists(adas.session_id)
    assert manager.exists(anonymous.session_id)
    assert manager.kill(adas.session_id, user_id="ada") is True
    assert not manager.exists(adas.session_id)


def test_an_expired_session_cannot_be_killed(manager, clock):
    session = manager.create("ada")
    clock.advance(1800)
    assert manager.kill(session.session_id) is False


@pytest.mark.parametrize("kept", [[], [1], [0, 2], [0, 1, 2]], ids=str)
def test_kill_user_ends_all_but_those_to_keep(manager, kept):
    sessions = ids([manager.create("ada") for _ in range(3)])
    bobs = manager.create("bob").session_id
    assert manager.kill_user("ada", keep=[sessions[at] for at in kept]) == 3 - len(kept)
    assert sorted(manager.get_user_sessions("ada")) == sorted(sessions[at] for at in kept)
    assert manager.exists(bobs)
    assert manager.count_users() == 1 + bool(kept)


@pytest.mark.parametrize(
    "form", [lambda one: one, lambda one: [one], lambda one: (one,), lambda one: {one}, lambda one: iter([one])]
)
def test_keep_is_one_id_or_any_iterable_of_ids(manager, form):
    sessions = [manager.create("ada") for _ in range(3)]
    assert manager.kill_user("ada", keep=form(sessions[1].session_id)) == 2
    assert manager.get_user_sessions("ada") == [sessions[1].session_id]


def test_kill_user_keeps_none_by_default(manager):
    for _ in range(3):
        manager.create("ada")
    assert manager.kill_user("ada") == 3
    assert manager.kill_user("ada") == 0
    assert manager.count() == 0


def test_a_kept_id_of_somebody_else_keeps_nobody(manager):
    manager.create("ada")
    bobs = manager.create("bob")
    assert manager.kill_user("ada", keep=bobs.session_id) == 1
    assert manager.get_all_sessions() == [bobs.session_id]


@pytest.mark.parametrize("how", ["kill_user", "kill_all"])
def test_killing_many_ends_those_created_before_the_call(manager, clock, how):
    later = manager.create("ada")
    clock.advance(-10)
    manager.create("ada")
    assert (manager.kill_user("ada") if how == "kill_user" else manager.kill_all()) == 1
    assert manager.get_user_sessions("ada") == [later.session_id]


def test_kill_all_ends_every_session_of_its_namespace_only(make_manager, redis_client):
    manager, other = make_manager(), make_manager(namespace="other")
    for user_id in ("ada", "bob", None):
        manager.create(user_id)
        other.create(user_id)
    redis_client.set("unrelated", "1")
    assert manager.kill_all() == 3
    assert (manager.count(), manager.get_all_sessions(), manager.get_all_users()) == (0, [], [])
    assert other.count() == 3
    assert redis_client.get("unrelated") == b"1"
    assert manager.kill_all() == 0


@pytest.mark.parametrize("shards", [1, 8])
def test_kill_all_leaves_alive_those_to_keep(make_manager, shards):
    manager = make_manager(shards=shards)
    sessions = ids([manager.create(f"user{each % 20}" if each % 3 else None) for each in range(120)])
    kept = [sessions[each] for each in (0, 7, 50, 119)]
    assert manager.kill_all(keep=kept) == 116
    assert sorted(manager.get_all_sessions()) == sorted(kept)
    assert manager.kill_all(keep=kept[1]) == 3
    assert manager.get_all_sessions() == [kept[1]]
    assert manager.kill_all(keep=[sessions[1]]) == 1


@pytest.mark.parametrize("killing", ["kill_user", "kill_all"])
def test_what_is_no_session_id_cannot_be_kept(manager, killing):
    token = manager.create("ada").token
    kill = partial(manager.kill_user, "ada") if killing == "kill_user" else manager.kill_all
    with pytest.raises(ValueError, match="keep: a str given that has not the form of a session id"):
        kill(keep=token)
    assert manager.count() == 1


def test_managers_of_one_namespace_share_their_sessions_and_others_never_meet(make_manager):
    one, same, other = make_manager(), make_manager(), make_manager(namespace="other")
    session = one.create("ada")
    assert same.authenticate(session.token).user_id == "ada"
    assert other.authenticate(session.token) is None
    assert (other.count(), other.count_users(), other.kill_user("ada"), other.kill(session.session_id)) == (
        0,
        0,
        0,
        False,
    )
    assert same.kill(session.session_id)
    assert one.authenticate(session.token) is None


# ---- wipe, now


def test_wipe_removes_the_remains_of_expired_sessions(manager, filler, clock, left):
    for number in range(120):
        filler.create(f"user{number % 7}", ttl=10)
    manager.create(None, ttl=10)
    alive = manager.create("ada", ttl=20)
    clock.advance(10)
    assert manager.wipe() == 121
    assert manager.wipe() == 0
    assert manager.get_all_sessions() == [alive.session_id]
    clock.advance(10)
    assert manager.wipe() == 1
    assert left() == set()


def test_now_is_the_clocks_time(manager, clock):
    clock.set(1234.5)
    assert manager.now() == 1234.5
    assert isinstance(manager.now(), float)


def test_now_is_the_servers_time_where_there_is_no_clock(live_manager, redis_client):
    def server_time():
        seconds, microseconds = redis_client.time()
        return seconds + microseconds / 1e6

    before = server_time()
    now = live_manager.now()
    assert before <= now <= server_time()
    assert isinstance(now, float)


@pytest.mark.parametrize("at", [-1e12, -0.5, 0.0, 0.25, 1.0, 86400.0, 4e9, 2e10, 253402300799.0])
def test_a_clock_may_show_any_date(manager, clock, at):
    clock.set(at)
    session = manager.create("ada")
    assert (session.created, session.expires) == (at, at + 1800)
    assert manager.authenticate(session.token).last_access == at
    assert manager.count() == manager.count(1) == 1
    clock.set(at + 1799)
    assert manager.authenticate(session.token).last_access == at + 1799
    clock.set(at + 1799 + 1800)
    assert manager.authenticate(session.token) is None
    assert manager.count() == 0


def test_without_a_clock_the_servers_time_counts(live_manager, redis_client):
    session = live_manager.create("ada")
    assert session.created == pytest.approx(redis_client.time()[0], abs=2)
    assert session.expires == session.created + 1800
    assert 1799 < session.expires_in <= 1800
    assert 0 <= session.idle < 1
    assert live_manager.authenticate(session.token).valid
    assert live_manager.count(1) == 1


# ---- clients, closing


def connections(client):
    return {(each["laddr"], each["id"]) for each in clients_at(client)}


@pytest.mark.parametrize("how", ["close", "quit", "with"])
def test_closing_ends_the_connections_that_the_manager_made(make_manager, redis_client, how):
    redis_client.ping()
    before = connections(redis_client)
    manager = make_manager()
    manager.create("ada")
    assert connections(redis_client) > before
    if how == "with":
        with manager as entered:
            assert entered.count() == 1
    else:
        assert getattr(manager, how)() is None
    deadline = time.monotonic() + 5
    while connections(redis_client) != before:  # the server hears of it a moment later
        assert time.monotonic() < deadline


def test_a_manager_can_be_closed_twice(make_manager):
    manager = make_manager()
    manager.count()
    manager.close()
    manager.close()


@pytest.mark.parametrize("how", ["close", "quit", "with"])
def test_a_client_that_was_handed_in_stays_open(make_manager, how):
    manager = make_manager(client_options={})
    client = manager.client
    connection = client.client_id()
    manager.create("ada")
    if how == "with":
        with manager:
            pass
    else:
        getattr(manager, how)()
    assert client.client_id() == connection
    assert manager.count() == 1


@pytest.mark.parametrize(
    "client_options", [{"decode_responses": True}, {"protocol": 3}, {"protocol": 2, "decode_responses": True}], ids=str
)
def test_a_client_of_any_options_works_like_any_other(make_manager, clock, client_options):
    manager = make_manager(client_options=client_options, clock=clock, additional_fields=("role",), touch_interval=0)
    session = manager.create("ada", data={"raw": b"\xff\x00", "text": "é"}, ip="192.0.2.7", role="admin")
    clock.advance(10)
    found = manager.authenticate(session.token)
    assert (found.user_id, found.role, found.ip, found.last_access) == ("ada", "admin", "192.0.2.7", clock())
    assert dict(found.data) == found.get_all() == {"raw": b"\xff\x00", "text": "é"}
    assert found.set({"text": "ü", "more": [1]}) == 2
    assert found.get(["text", "more"]) == ["ü", [1]]
    assert found.delete("raw") == 1
    found.role = "user"
    found.write()
    assert manager.get(session.session_id).role == "user"
    assert manager.get_all_sessions() == manager.get_user_sessions("ada") == [session.session_id]
    assert ids(manager.list_user_sessions("ada")) == ids(manager.iter_sessions()) == [session.session_id]
    assert manager.get_all_users() == list(manager.iter_users()) == ["ada"]
    assert manager.count() == manager.count_users() == manager.count_for_user("ada") == 1
    assert manager.get_oldest_user_session("ada").session_id == session.session_id
    with manager.events() as events:
        rotated = manager.rotate(found, user_id="bob")
        assert next(events).successor == rotated.session_id
    assert rotated.user_id == "bob"
    assert manager.kill_user("bob") == 1
    assert manager.kill_all() == manager.wipe() == 0
    assert manager.now() == clock()


def test_a_client_made_by_sentinel_works_like_any_other(start_server, colour, namespace):
    from redisess_core import AsyncSessionManager, SessionManager

    server = start_server()

    class Found(Sentinel):
        def discover_master(self, service_name):
            return "127.0.0.1", server.port

    class AsyncFound(AsyncSentinel):
        async def discover_master(self, service_name):
            return "127.0.0.1", server.port

    async def awaited():
        async with AsyncFound([]).master_for("sessions") as client:
            manager = AsyncSessionManager(client, namespace=namespace)
            session = await manager.create("ada")
            assert (await manager.authenticate(session.token)).user_id == "ada"

    if colour == "blocking":
        with Found([]).master_for("sessions") as client:
            manager = SessionManager(client, namespace=namespace)
            assert manager.authenticate(manager.create("ada").token).user_id == "ada"
    else:
        import asyncio

        asyncio.run(awaited())


def test_the_client_in_use_can_be_had(make_manager, colour):
    library = redis if colour == "blocking" else redis.asyncio
    kind = library.RedisCluster if ON_A_CLUSTER else library.Redis
    for manager in (make_manager(), make_manager(client_options={})):
        assert isinstance(unwrap(manager.client), kind)
