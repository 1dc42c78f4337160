"""A namespace over several shards is the same to its users: exact counts, merged lists, sign-ins across shards."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hearing import heard

from redisess_core import EventKind, EventReason, SessionGone, SessionLimitReached, StoreUnavailable
from redisess_core.tokens import user_shard
from support.both import unwrap

SHARDS = 8
USERS = [f"user{number}" for number in range(20)]


@pytest.fixture
def make_sharded(make_manager, clock):
    """Make managers of eight shards that go by `clock`."""
    return lambda **options: make_manager(shards=SHARDS, clock=clock, additional_fields=("role", "theme"), **options)


@pytest.fixture
def manager(make_sharded):
    return make_sharded()


def shard_of(session):
    """The shard as the session id says it; the token says the same."""
    letters = session.session_id[1:3]
    assert session.token is None or session.token[1:3] == letters
    return "abcdefgh".index(letters[1])


def anonymous_elsewhere(manager, user_id, **arguments):
    """Make an anonymous session in another shard than the user's."""
    while True:
        session = manager.create(None, **arguments)
        if shard_of(session) != user_shard(user_id.encode(), SHARDS):
            return session
        session.kill()


def ids(sessions):
    return [session.session_id for session in sessions]


# ---- where things are


def test_a_users_shard_is_the_same_in_every_version():
    # Fixed: another answer would lose every session of every namespace with shards.
    wanted = {
        "ada": (0, 6, 30, 990),
        "bob": (0, 2, 26, 730),
        "é": (1, 3, 19, 851),
        "1": (1, 1, 33, 225),
        "0" * 256: (0, 4, 20, 276),
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8": (0, 4, 44, 300),
    }
    for user_id, shards in wanted.items():
        assert tuple(user_shard(user_id.encode(), count) for count in (2, 8, 64, 1024)) == shards
        assert user_shard(user_id.encode(), 1) == 0


@pytest.mark.parametrize("colour", ["blocking"])
def test_a_users_shard_is_the_same_in_every_process(manager):
    asked = f"from redisess_core.tokens import user_shard\nprint([user_shard(u.encode(), {SHARDS}) for u in {USERS!r}])"
    for seed in ("0", "1"):
        ran = subprocess.run(
            [sys.executable, "-c", asked],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert ran.stdout.strip() == str([shard_of(manager.create(user_id)) for user_id in USERS])


def test_users_are_spread_over_all_shards():
    found = [user_shard(f"user{number}".encode(), SHARDS) for number in range(4000)]
    assert all(400 < found.count(shard) < 600 for shard in range(SHARDS))


def test_anonymous_sessions_are_spread_over_all_shards(manager):
    assert {shard_of(manager.create(None)) for _ in range(200)} == set(range(SHARDS))


def test_all_keys_of_a_user_and_of_the_users_sessions_are_in_one_slot(manager, stored):
    for user_id in USERS:
        for _ in range(2):
            manager.create(user_id)
    for key, value in stored().items():
        found = re.match(rb"\{test\d+:(\d)\}:(\w+)(?::(.*))?$", key)
        if found is None:
            assert key.endswith(b"}:layout")
            continue
        shard, kind, rest = int(found[1]), found[2], found[3]
        if kind == b"u":
            assert shard == user_shard(rest, SHARDS)
            assert {member[1:3] for member, _ in value} == {b"a" + b"abcdefgh"[shard : shard + 1]}
        elif kind == b"s":
            assert shard == user_shard(value[b"u"], SHARDS)


def test_a_token_or_id_of_a_shard_that_there_is_not_names_nothing(manager, wire):
    manager.count()
    session = manager.create("ada")
    with wire() as seen:
        for letters in ("ai", "az", "ba", "77"):
            assert manager.authenticate("1" + letters + session.token[3:]) is None
            assert manager.get("s" + letters + session.session_id[3:]) is None
            assert not manager.kill("s" + letters + session.session_id[3:])
    assert seen.commands == []


def test_a_token_made_over_to_another_shard_names_nothing(manager):
    session = manager.create("ada")
    assert shard_of(session) == 6
    assert manager.authenticate("1aa" + session.token[3:]) is None
    assert manager.get("saa" + session.session_id[3:]) is None


# ---- counts and lists


@pytest.fixture
def many(manager, clock):
    """Forty sessions, the users' in turn, a second apart; the latest last."""
    sessions = []
    for number in range(40):
        sessions.append(manager.create(USERS[number % 20]))
        clock.advance(1)
    assert len({shard_of(session) for session in sessions}) > 4
    return sessions


def test_counts_are_of_all_shards_together(manager, many):
    manager.create(None)
    assert (manager.count(), manager.count_users(), manager.count_for_user("user3")) == (41, 20, 2)
    assert (manager.count(5), manager.count_users(5), manager.count_for_user("user3", 5)) == (6, 5, 0)


def test_lists_are_merged_in_their_order(manager, many):
    assert manager.get_all_sessions() == ids(reversed(many))
    assert manager.get_all_sessions(10) == ids(reversed(many[-10:]))
    assert manager.get_all_users() == list(reversed(USERS))
    assert manager.get_all_users(3) == ["user19", "user18", "user17"]
    assert manager.get_user_sessions("user3") == ids([many[23], many[3]])
    assert ids(manager.list_user_sessions("user3")) == ids([many[23], many[3]])
    assert manager.get_oldest_user_session("user3").session_id == many[3].session_id


def test_iterators_go_over_all_shards(manager, many):
    assert sorted(ids(manager.iter_sessions())) == sorted(ids(many))
    assert sorted(manager.iter_users()) == sorted(USERS)
    assert sorted(ids(manager.iter_sessions(10))) == sorted(ids(many[-10:]))
    assert sorted(manager.iter_users(3)) == ["user17", "user18", "user19"]


def test_expired_sessions_are_in_no_count_and_no_list_of_any_shard(manager, many, clock):
    clock.set(many[-5].expires)
    alive = many[-4:]
    assert sorted(ids(manager.iter_sessions())) == sorted(ids(alive))
    assert manager.get_all_sessions() == ids(reversed(alive))
    assert manager.count() == manager.count_users() == 4
    assert manager.get_all_users() == ["user19", "user18", "user17", "user16"]


def test_kill_user_ends_the_users_sessions_only(manager, many):
    assert manager.kill_user("user3", keep=many[3].session_id) == 1
    assert manager.kill_user("user3") == 1
    assert manager.count() == 38
    assert "user3" not in manager.get_all_users()


def test_kill_all_and_wipe_sum_up_over_shards(manager, many, clock, left):
    assert manager.kill_all() == 40
    assert left() == set()
    for user_id in USERS:
        manager.create(user_id, ttl=10)
    clock.advance(10)
    assert manager.wipe() == 20
    assert left() == set()


def test_kill_all_ends_on_every_shard_what_was_created_before_the_call(manager, many, clock):
    clock.set(many[20].created)
    assert manager.kill_all() == 21
    assert manager.get_all_sessions() == ids(reversed(many[21:]))


def test_one_session_is_worked_with_wherever_it_is(manager, many, clock):
    for session in many[:20]:
        found = manager.authenticate(session.token)
        assert (found.user_id, found.last_access) == (session.user_id, clock())
        assert found.set("key", session.user_id) == 1
        found.role = session.user_id
        found.write()
        assert manager.get(session.session_id).data == {"key": session.user_id}
        assert manager.get(session.session_id).role == session.user_id
        assert manager.exists(session.session_id)
        assert not manager.kill(session.session_id, user_id="nobody")
        assert manager.kill(session.session_id, user_id=session.user_id)
    assert manager.count() == 20


def test_limits_hold_in_every_shard(make_sharded, clock):
    evicting = make_sharded(max_sessions_per_user=2)
    for user_id in USERS:
        for _ in range(3):
            newest = evicting.create(user_id)
            clock.advance(1)
        assert evicting.count_for_user(user_id) == 2
        assert evicting.exists(newest.session_id)
    refusing = make_sharded(max_sessions_per_user=2, on_limit="refuse")
    for user_id in USERS:
        with pytest.raises(SessionLimitReached):
            refusing.create(user_id)


# ---- rotation


def test_a_rotation_without_a_sign_in_stays_in_its_shard(manager, wire):
    for user_id in ("ada", None):
        old = manager.create(user_id, data={"a": 1})
        old = manager.rotate(old)  # its node has met the script
        with wire() as seen:
            new = manager.rotate(old)
        assert seen.names == ["EVALSHA"]
        assert (shard_of(new), new.user_id, dict(new.data)) == (shard_of(old), user_id, {"a": 1})


def test_a_sign_in_moves_the_session_to_the_users_shard_with_all_that_it_holds(manager, clock, wire):
    data = {"cart": [1, (2,)], "name": "Ada", "u": "not the user"}
    old = anonymous_elsewhere(
        manager, "ada", data=data, ttl=70, ip="192.0.2.7", user_agent="Browser/1.0", role="guest", theme="dark"
    )
    clock.advance(30)
    with wire() as seen:
        rotated = manager.rotate(old, user_id="ada", role="user")
    assert {command.name for command in seen} <= {"EVALSHA", "EVAL"}
    assert shard_of(rotated) == user_shard(b"ada", SHARDS) != shard_of(old)
    for new in (rotated, manager.authenticate(rotated.token), manager.get(rotated.session_id)):
        assert (new.user_id, dict(new.data)) == ("ada", data)
        assert (new.created, new.authenticated_at, new.last_access) == (old.created, clock(), clock())
        assert (new.ttl, new.expires) == (70, clock() + 70)
        assert new.fields == {"role": "user", "theme": "dark"}
        assert (new.ip, new.user_agent) == ("192.0.2.7", "Browser/1.0")
    assert manager.authenticate(old.token) is None
    assert not manager.exists(old.session_id)
    assert not old.valid
    assert manager.get_all_sessions() == manager.get_user_sessions("ada") == [rotated.session_id]
    assert manager.count() == manager.count_users() == 1


def test_a_sign_in_that_changes_the_shard_takes_two_commands(manager, wire):
    manager.rotate(anonymous_elsewhere(manager, "ada"), user_id="ada")
    old = anonymous_elsewhere(manager, "ada")
    with wire() as seen:
        manager.rotate(old, user_id="ada")
    assert seen.names == ["EVALSHA"] * 2


def test_a_sign_in_as_another_user_moves_the_session_too(manager):
    old = manager.create("ada", data={"a": 1})
    new = manager.rotate(old, user_id="bob")
    assert (shard_of(old), shard_of(new)) == (6, 2)
    assert (new.user_id, dict(new.data)) == ("bob", {"a": 1})
    assert manager.get_all_users() == ["bob"]
    assert manager.count_for_user("ada") == 0


def test_a_sign_in_starts_the_deadline_anew_in_another_shard_as_well(make_sharded, clock):
    manager = make_sharded(ttl=0, max_lifetime=1000)
    old = anonymous_elsewhere(manager, "ada")
    clock.advance(400)
    new = manager.rotate(old, user_id="ada")
    assert manager.get(new.session_id).expires == new.expires == clock() + 1000
    assert manager.get(new.session_id).created == old.created


def test_a_sign_in_takes_what_was_set_and_not_yet_written_along(manager):
    old = anonymous_elsewhere(manager, "ada", role="guest", theme="dark", data={"a": 1})
    old.role, old.theme, old.ttl = "user", None, 90
    old.set("b", 2)
    old.delete("a")
    new = manager.rotate(old, user_id="ada")
    for session in (new, manager.get(new.session_id)):
        assert (session.fields, session.ttl) == ({"role": "user", "theme": None}, 90)
        assert dict(session.data) == {"b": 2}


def test_a_session_that_came_from_a_list_takes_its_data_along(manager):
    anonymous_elsewhere(manager, "ada", data={"a": 1})
    (listed,) = list(manager.iter_sessions())
    new = manager.rotate(listed, user_id="ada")
    assert dict(new.data) == manager.get(new.session_id).get_all() == {"a": 1}


def test_a_sign_in_into_another_shard_evicts_under_the_limit(make_sharded, clock):
    manager = make_sharded(max_sessions_per_user=2)
    sessions = []
    for _ in range(2):
        sessions.append(manager.create("ada"))
        clock.advance(10)
    new = manager.rotate(anonymous_elsewhere(manager, "ada"), user_id="ada")
    assert manager.get_user_sessions("ada") == [new.session_id, sessions[1].session_id]


def test_a_sign_in_into_another_shard_that_the_limit_refuses_changes_nothing(make_sharded):
    manager = make_sharded(max_sessions_per_user=1, on_limit="refuse")
    adas = manager.create("ada")
    old = anonymous_elsewhere(manager, "ada", data={"a": 1})
    with pytest.raises(SessionLimitReached):
        manager.rotate(old, user_id="ada")
    assert old.valid
    assert dict(manager.authenticate(old.token).data) == {"a": 1}
    assert manager.get_user_sessions("ada") == [adas.session_id]
    assert manager.count() == 2


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "listed"])
def test_a_session_that_died_meanwhile_leaves_nothing_in_the_users_shard(manager, left, loaded):
    old = anonymous_elsewhere(manager, "ada", data={"a": 1})
    held = old if loaded else next(iter(manager.iter_sessions()))
    manager.kill(old.session_id)
    with pytest.raises(SessionGone):
        manager.rotate(held, user_id="ada")
    assert not held.valid
    assert left() == set()
    assert manager.count_for_user("ada") == 0


def test_when_the_second_step_fails_the_old_session_lives_and_gained_no_user(manager, monkeypatch, clock):
    old = anonymous_elsewhere(manager, "ada", data={"a": 1})
    real = unwrap(manager)

    def unavailable(*_, **__):
        raise StoreUnavailable("as if the connection broke between the steps")

    with monkeypatch.context() as patched:
        patched.setattr(real, "plan_kill", unavailable)
        with pytest.raises(StoreUnavailable):
            manager.rotate(old, user_id="ada")
    found = manager.authenticate(old.token)
    assert (found.user_id, dict(found.data)) == (None, {"a": 1})
    assert manager.count_for_user("ada") == 1  # nobody has its token: it lives to its expiry
    clock.advance(1800)
    assert manager.count() == 0


# ---- events, layout


@pytest.mark.parametrize("secs", [5, 0], ids=["later", "at once"])
def test_a_sign_in_into_another_shard_is_told_as_one_within_a_shard_is(manager, clock, secs):
    old = anonymous_elsewhere(manager, "ada")
    clock.advance(secs)
    with heard(manager) as events:
        new = manager.rotate(old, user_id="ada")
    # In a cluster, word of what was done before can still come.
    ours = [event for event in events if event.session_id in (old.session_id, new.session_id)]
    events = [event for event in ours if (event.kind, event.session_id) != (EventKind.CREATED, old.session_id)]
    assert [(event.kind, event.session_id) for event in events] == [(EventKind.ROTATED, old.session_id)]
    assert (events[0].reason, events[0].successor, events[0].at) == (EventReason.ROTATED, new.session_id, clock())
    assert events[0].user_id == "ada"


def test_events_of_every_shard_are_heard(manager):
    with manager.events() as events:
        sessions = {manager.create(user_id).session_id for user_id in USERS}
        assert {next(events).session_id for _ in USERS} == sessions


def test_shards_of_a_namespace_need_no_more_than_one_record(manager, redis_client, namespace):
    for user_id in USERS:
        manager.create(user_id)
    assert [key for key in redis_client.scan_iter() if key.endswith(b"layout")] == [f"{{{namespace}}}:layout".encode()]
    assert redis_client.get(f"{{{namespace}}}:layout") == b'{"layout":1,"shards":8}'


def test_a_thousand_shards_are_as_good(make_manager, clock):
    manager = make_manager(shards=1024, clock=clock, namespace="wide")
    sessions = [manager.create(user_id) for user_id in USERS]
    assert all(manager.authenticate(session.token).user_id == session.user_id for session in sessions)
    assert manager.count() == len(manager.get_all_sessions()) == 20


def test_several_fan_outs_at_once_are_as_good(make_manager, clock):
    manager = make_manager(shards=64, clock=clock, namespace="wide")  # as many as a cluster has by default
    manager.create("ada")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: manager.count(), range(4))) == [1] * 4
