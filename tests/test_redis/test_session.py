"""What a session is to whoever holds it: attributes, data, and writes that the dead refuse."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID

import pytest

from redisess_core import AsyncSessionManager, SessionDataTooLarge, SessionGone
from support.both import unwrap

TIMES = ["created", "authenticated_at", "last_access", "expires", "expires_in", "idle"]
OTHERS = ["session_id", "token", "user_id", "valid", "ip", "user_agent", "fields", "data"]


@pytest.fixture
def manager(make_manager, clock):
    """A manager with two additional fields that goes by `clock`."""
    return make_manager(clock=clock, additional_fields=("role", "theme"))


@pytest.fixture
def session(manager):
    return manager.create("ada", data={"a": 1, "b": [2]}, role="user")


# ---- attributes


def test_a_session_has_every_documented_attribute(manager, clock):
    created = manager.create("ada", data={"a": 1}, ip="192.0.2.7", user_agent="Browser/1.0", role="user")
    clock.advance(100)
    session = manager.authenticate(created.token, touch=False)
    start = clock() - 100
    assert session.session_id == created.session_id
    assert session.token == created.token
    assert session.user_id == "ada"
    assert session.ttl == 1800
    assert (session.created, session.authenticated_at, session.last_access) == (start, start, start)
    assert (session.expires, session.expires_in, session.idle) == (start + 1800, 1700, 100)
    assert session.valid is True
    assert (session.ip, session.user_agent) == ("192.0.2.7", "Browser/1.0")
    assert session.fields == {"role": "user", "theme": None}
    assert (session.role, session.theme) == ("user", None)
    assert dict(session.data) == {"a": 1}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("ttl", [0, 60])
def test_times_are_floats(manager, name, ttl):
    created = manager.create("ada", ttl=ttl)
    for session in (created, manager.get(created.session_id), *manager.list_user_sessions("ada")):
        assert type(getattr(session, name)) is float


def test_idle_and_expires_in_go_with_the_clock_and_stop_at_zero(session, clock):
    clock.advance(1000)
    assert (session.idle, session.expires_in, session.valid) == (1000, 800, True)
    clock.advance(800)
    assert (session.idle, session.expires_in, session.valid) == (1800, 0, False)
    clock.advance(800)
    assert (session.idle, session.expires_in) == (2600, 0)
    clock.set(session.created - 5)
    assert session.idle == 0


def test_idle_and_expires_in_go_by_the_servers_clock_without_asking_it(live_manager, monkeypatch):
    at = 1000.0
    shifted = SimpleNamespace(**{**vars(time), "monotonic": lambda: at})
    for name, module in list(sys.modules.items()):  # the core's own, not the event loop's
        if name.startswith("redisess_core") and vars(module).get("time") is time:
            monkeypatch.setattr(module, "time", shifted)
    session = live_manager.create("ada")
    at += 600
    assert session.idle == pytest.approx(600)
    assert session.expires_in == pytest.approx(1200)
    assert session.valid
    at += 1200.5
    assert not session.valid


def test_an_immortal_session_is_always_valid(manager, clock):
    session = manager.create("ada", ttl=0)
    clock.advance(1e9)
    assert (session.expires, session.expires_in, session.valid) == (math.inf, math.inf, True)


@pytest.mark.parametrize("name", [*TIMES, *OTHERS, "rolle", "_role", "kill"])
def test_what_cannot_be_set_is_refused(session, name):
    with pytest.raises(AttributeError, match=name):
        setattr(session, name, "something")


def test_an_unknown_attribute_is_an_attribute_error_that_names_it(session):
    with pytest.raises(AttributeError, match="rolle"):
        _ = session.rolle


def test_the_mapping_of_fields_is_a_copy(session):
    session.fields["role"] = "admin"
    assert session.role == "user"


def test_repr_and_str_show_the_id_and_the_user_but_never_the_token(manager, session):
    for shown in (repr(session), str(session), f"{session!r}", repr([session])):
        assert session.session_id in shown
        assert "ada" in shown
        assert session.token not in shown
        assert session.token[3:] not in shown
    assert "'a'" not in repr(session.data)


def test_a_session_that_was_found_by_id_or_list_has_no_token(manager, session):
    found = [manager.get(session.session_id), manager.get_oldest_user_session("ada")]
    found += [*manager.list_user_sessions("ada"), *manager.iter_sessions()]
    assert [each.token for each in found] == [None] * 4


# ---- read and write


def test_read_loads_what_others_stored_and_says_that_it_is_there(manager, session, clock):
    other = manager.get(session.session_id)
    other.role = "admin"
    clock.advance(10)
    other.write()
    other.set("a", 5)
    assert (session.role, session.data["a"]) == ("user", 1)
    assert session.read() is True
    assert (session.role, session.data["a"], session.last_access) == ("admin", 5, clock())


def test_read_does_not_touch(manager, session, clock):
    clock.advance(100)
    session.read()
    assert session.last_access == clock() - 100
    assert session.idle == 100
    assert manager.get(session.session_id, touch=False).idle == 100


def test_read_drops_what_was_set_and_not_written(session):
    session.role, session.ttl = "admin", 5
    session.read()
    assert (session.role, session.ttl) == ("user", 1800)
    session.write()
    session.read()
    assert (session.role, session.ttl) == ("user", 1800)


def test_fields_are_stored_by_write_and_not_before(manager, session):
    session.role, session.theme = "admin", ["dark", 1]
    assert session.fields == {"role": "admin", "theme": ["dark", 1]}
    assert manager.get(session.session_id).fields == {"role": "user", "theme": None}
    assert session.write() is None
    assert manager.get(session.session_id).fields == {"role": "admin", "theme": ["dark", 1]}
    session.role = None
    session.write()
    assert manager.get(session.session_id).fields == {"role": None, "theme": ["dark", 1]}
    assert session.role is None


def test_write_stores_only_the_fields_that_were_set(manager, session):
    one, other = manager.get(session.session_id), manager.get(session.session_id)
    one.role, other.theme = "admin", "dark"
    one.write()
    other.write()
    assert manager.get(session.session_id).fields == {"role": "admin", "theme": "dark"}
    other.write()
    one.theme = "light"
    one.write()
    assert manager.get(session.session_id).fields == {"role": "admin", "theme": "light"}


def test_write_touches_even_within_the_touch_interval(manager, session, clock):
    clock.advance(0.5)
    session.write()
    assert session.last_access == clock()
    assert manager.get(session.session_id, touch=False).last_access == clock()
    assert session.expires == clock() + 1800


def test_the_ttl_that_was_set_is_stored_by_write(manager, session, clock):
    session.ttl = 60
    assert session.ttl == 60
    assert manager.get(session.session_id, touch=False).ttl == 1800
    clock.advance(10)
    session.write()
    for found in (session, manager.get(session.session_id, touch=False)):
        assert (found.ttl, found.expires) == (60, clock() + 60)
    clock.advance(60)
    assert manager.count() == 0
    assert manager.authenticate(session.token) is None


def test_the_ttl_can_be_set_to_immortal_and_back(manager, session, clock, redis_client, namespace):
    keys = [key for key in redis_client.scan_iter() if not key.endswith(b"layout")]
    session.ttl = 0
    session.write()
    assert session.expires == manager.get(session.session_id).expires == math.inf
    assert {redis_client.ttl(key) for key in keys} == {-1}
    clock.advance(1e6)
    session.ttl = 60
    session.write()
    assert session.expires == manager.get(session.session_id).expires == clock() + 60
    assert all(0 < redis_client.ttl(key) < 200 for key in keys)
    clock.advance(60)
    assert manager.count() == 0


def test_a_longer_ttl_does_not_outlive_the_absolute_deadline(manager, clock):
    session = manager.create("ada", ttl=60, max_lifetime=100)
    session.ttl = 1000
    session.write()
    assert session.expires == manager.get(session.session_id).expires == clock() + 100
    clock.advance(60)  # when it would have ended before
    assert manager.count() == manager.count_for_user("ada") == 1
    assert manager.get(session.session_id, touch=False).valid
    clock.advance(40)
    assert manager.count() == 0
    assert manager.get(session.session_id) is None


def test_a_shorter_ttl_ends_a_session_before_its_absolute_deadline(manager, clock):
    session = manager.create("ada", ttl=1000, max_lifetime=100)
    session.ttl = 10
    session.write()
    clock.advance(5)
    assert manager.authenticate(session.token).expires == clock() + 10
    clock.advance(10)
    assert manager.count() == manager.count_users() == 0
    assert manager.wipe() == 0


@pytest.mark.parametrize("ttl", [2**63, 1e300, sys.float_info.max])
def test_a_ttl_of_many_ages_is_kept_as_it_is(manager, clock, ttl):
    session = manager.create("ada", ttl=ttl, max_lifetime=ttl)
    assert manager.get(session.session_id).ttl == session.ttl == ttl
    clock.advance(1e12)
    assert manager.get(session.session_id).valid
    assert manager.count() == 1


def test_writing_data_does_not_touch(manager, session, clock):
    clock.advance(100)
    session.set("c", 3)
    session.delete("a")
    assert manager.get(session.session_id, touch=False).idle == 100


def test_a_session_kills_itself(manager, session):
    assert session.kill() is True
    assert session.valid is False
    assert manager.get(session.session_id) is None
    assert session.kill() is False


# ---- data


def test_get_gives_a_value_or_the_default(session):
    assert session.get("a") == 1
    assert session.get("b") == [2]
    assert session.get("missing") is None
    assert session.get("missing", 7) == 7
    assert session.get("a", 7) == 1
    assert session.get("missing", default=[]) == []


def test_get_of_several_gives_a_list_in_their_order(session):
    assert session.get(["b", "missing", "a", "b"]) == [[2], None, 1, [2]]
    assert session.get(("a",)) == [1]
    assert session.get([]) == []


def test_get_of_defaults_gives_a_dict(session):
    assert session.get({"a": 0, "missing": "default", "b": None}) == {"a": 1, "missing": "default", "b": [2]}
    assert session.get({}) == {}


def test_a_stored_none_is_not_missing(session):
    session.set("nothing", None)
    assert session.get("nothing", 7) is None
    assert session.get({"nothing": 7}) == {"nothing": None}
    assert "nothing" in session.get_all()
    assert session.delete("nothing") == 1


def test_set_stores_a_value_or_a_mapping_and_says_how_many(session):
    assert session.set("a", 10) == 1
    assert session.set("c", None) == 1
    assert session.set({"c": 3, "d": {"e": 4}}) == 2
    assert session.set({}) == 0
    assert session.get_all() == {"a": 10, "b": [2], "c": 3, "d": {"e": 4}}


def test_set_changes_only_what_it_is_given(manager, session):
    one, other = manager.get(session.session_id), manager.get(session.session_id)
    one.set("a", "one")
    other.set("b", "other")
    other.delete("c")
    assert session.get_all() == {"a": "one", "b": "other"}


def test_set_wants_a_value_with_a_key_and_none_with_a_mapping(session):
    with pytest.raises(TypeError, match="value"):
        session.set("a")
    with pytest.raises(TypeError, match="mapping"):
        session.set({"a": 2}, 3)
    assert session.get("a") == 1


def test_delete_removes_keys_and_says_how_many_were_there(session):
    assert session.delete("a", "missing") == 1
    assert session.delete("a") == 0
    assert session.delete() == 0
    assert session.get_all() == {"b": [2]}
    session.set("c", 1)
    assert session.delete("b", "c") == 2
    assert session.get_all() == {}


def test_get_all_gives_a_dict_of_ones_own(session):
    found = session.get_all()
    assert found == {"a": 1, "b": [2]}
    assert type(found) is dict
    found["b"].append(3)
    assert session.get_all() == {"a": 1, "b": [2]}


def test_the_loaded_data_is_a_mapping_that_cannot_be_changed(session):
    data = session.data
    assert (data["a"], data.get("b"), data.get("missing"), len(data), sorted(data)) == (1, [2], None, 2, ["a", "b"])
    assert "a" in data
    assert "missing" not in data
    assert data == {"a": 1, "b": [2]}
    with pytest.raises(KeyError):
        data["missing"]
    for change in (lambda: data.__setitem__("a", 2), lambda: data.update(a=2), lambda: data.pop("a")):
        with pytest.raises((TypeError, AttributeError)):
            change()
    with pytest.raises(TypeError):
        data["a"] = 2
    with pytest.raises(TypeError):
        del data["a"]


def test_a_loaded_value_that_is_mutated_changes_nothing_else(session):
    session.data["b"].append(3)
    assert session.data["b"] == [2]


def test_the_loaded_data_knows_what_this_session_stored_itself(session):
    session.set({"a": 5, "c": 6})
    session.delete("b")
    assert dict(session.data) == {"a": 5, "c": 6}


VALUES = {
    "none": None,
    "bools": [True, False],
    "int": -(2**70),
    "float": 0.1,
    "str": "é\0\n{}",
    "bytes": bytes(range(256)),
    "aware": datetime(2026, 11, 24, 12, 30, tzinfo=UTC),
    "timedelta": timedelta(days=-1, microseconds=1),
    "decimal": Decimal("1.10"),
    "uuid": UUID(int=7),
    "tuple": (1, (2,), [3]),
    "set": {1, 2},
    "frozenset": frozenset({"a"}),
    "dict": {"nested": {1: "int key"}},
}


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_with_their_type(manager, name):
    def same(found):
        assert found == VALUES[name]
        assert type(found) is type(VALUES[name])

    created = manager.create("ada", data={name: VALUES[name]}, role=VALUES[name])
    same(manager.authenticate(created.token).data[name])
    same(created.get(name))
    same(created.data[name])
    created.set("again", VALUES[name])
    same(created.get_all()["again"])
    same(manager.get(created.session_id).role)
    same(manager.rotate(created).data[name])


KEYS = ["k" * 256, "é" * 128, "u", "s", "n", "l", "t", "d", "now", "id", "d:a", "f:role", "role", "a\nb\0", "{x}", " "]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:12])
def test_a_key_may_be_any_text_of_at_most_256_bytes(manager, key):
    session = manager.create("ada", data={key: "created"}, role="user")
    found = manager.authenticate(session.token)
    assert (dict(found.data), found.user_id, found.ttl, found.role) == ({key: "created"}, "ada", 1800, "user")
    assert found.set(key, "set") == 1
    assert (found.get(key), found.get([key]), found.get({key: 0})) == ("set", ["set"], {key: "set"})
    assert found.get_all() == {key: "set"}
    assert found.delete(key) == 1
    assert found.get_all() == {}
    found.read()
    assert (found.user_id, found.ttl, found.role, dict(found.data)) == ("ada", 1800, "user", {})


# ---- gone

ENDS = {
    "killed": lambda manager, session, clock: manager.kill(session.session_id),
    "killed by itself": lambda manager, session, clock: manager.get(session.session_id).kill(),
    "user killed": lambda manager, session, clock: manager.kill_user("ada"),
    "all killed": lambda manager, session, clock: manager.kill_all(),
    "expired": lambda manager, session, clock: clock.advance(1800),
    "expired and wiped": lambda manager, session, clock: [clock.advance(1800), manager.wipe()],
    "at its deadline": lambda manager, session, clock: clock.advance(100),
}
WRITES = {
    "set": lambda session: session.set("a", 2),
    "set of several": lambda session: session.set({"a": 2, "c": 3}),
    "set of none": lambda session: session.set({}),
    "delete": lambda session: session.delete("a"),
    "delete of none": lambda session: session.delete(),
    "write of a field": lambda session: [setattr(session, "role", "admin"), session.write()],
    "write of a ttl": lambda session: [setattr(session, "ttl", 0), session.write()],
    "write of nothing": lambda session: session.write(),
    "get": lambda session: session.get("a", 7),
    "get of several": lambda session: session.get(["a"]),
    "get of defaults": lambda session: session.get({"a": 7}),
    "get of none": lambda session: session.get([]),
    "get_all": lambda session: session.get_all(),
}


@pytest.fixture(params=ENDS)
def gone(request, manager, clock):
    """A session that ended, and whoever holds it does not know."""
    lifetime = 100 if request.param == "at its deadline" else 0
    session = manager.create("ada", data={"a": 1}, role="user", max_lifetime=lifetime)
    ENDS[request.param](manager, session, clock)
    return session


def test_a_session_that_is_gone_refuses_every_use_and_stays_gone(manager, gone, left):
    for name, use in WRITES.items():
        with pytest.raises(SessionGone, match=gone.session_id) as raised:
            pytest.fail(f"{name}: {use(gone)}")
        assert raised.value.session_id == gone.session_id
        assert gone.token not in str(raised.value)
        assert gone.valid is False
    assert manager.authenticate(gone.token) is None
    assert manager.get(gone.session_id) is None
    assert manager.exists(gone.session_id) is False
    assert (manager.count(), manager.count_users()) == (0, 0)
    assert left() == set()


def test_a_session_that_is_gone_is_not_read_and_not_killed(manager, gone):
    assert gone.read() is False
    assert gone.valid is False
    assert gone.kill() is False


def test_a_session_that_was_rotated_is_gone_but_its_successor_is_not(manager, session):
    held = manager.get(session.session_id)
    successor = manager.rotate(session)
    for write in WRITES.values():
        with pytest.raises(SessionGone):
            write(held)
    assert not held.read()
    assert not held.kill()
    assert successor.get_all() == {"a": 1, "b": [2]}
    assert manager.get_all_sessions() == [successor.session_id]


def test_a_session_that_a_limit_ended_is_gone(make_manager, clock):
    manager = make_manager(clock=clock, max_sessions_per_user=1)
    session = manager.create("ada")
    manager.create("ada")
    with pytest.raises(SessionGone):
        session.set("a", 1)
    assert manager.count() == 1


def test_what_is_still_loaded_of_a_dead_session_can_be_read(gone):
    assert (gone.user_id, gone.role, dict(gone.data)) == ("ada", "user", {"a": 1})


# ---- too large

LIMIT = 100


@pytest.fixture
def small(make_manager, clock):
    """A manager whose sessions hold at most 100 bytes of data."""
    return make_manager(clock=clock, max_data_bytes=LIMIT, additional_fields=("role",))


def text_of(size, key="k"):
    """A text whose key and encoded value (JSON: two quotes) take *size* bytes."""
    return "x" * (size - len(key.encode()) - 2)


def test_create_takes_data_of_exactly_the_limit_and_not_a_byte_more(small, left):
    assert len(small.create("ada", data={"k": text_of(LIMIT)}).get("k")) == 97
    small.kill_all()
    with pytest.raises(SessionDataTooLarge, match="101") as raised:
        small.create("ada", data={"k": text_of(LIMIT + 1)})
    assert (raised.value.size, raised.value.limit) == (101, LIMIT)
    assert left() == set()


def test_set_takes_data_of_exactly_the_limit_and_not_a_byte_more(small):
    session = small.create("ada")
    with pytest.raises(SessionDataTooLarge) as raised:
        session.set("k", text_of(LIMIT + 1))
    assert (raised.value.size, raised.value.limit) == (101, LIMIT)
    assert session.get_all() == {}
    assert session.set("k", text_of(LIMIT)) == 1
    assert session.get("k") == text_of(LIMIT)


def test_bytes_are_counted_not_characters(small):
    session = small.create("ada")
    session.set("éé", "é" * 47)  # 4 + 2 * 47 + 2 = 100
    assert session.delete("éé") == 1
    with pytest.raises(SessionDataTooLarge):
        session.set("éé", "é" * 47 + "x")
    assert small.create("ada", data={"éé": "é" * 47}).get("éé") == "é" * 47
    with pytest.raises(SessionDataTooLarge):
        small.create("ada", data={"éé": "é" * 47 + "x"})


def test_all_of_a_sessions_data_is_counted_together(small):
    session = small.create("ada", data={"a": text_of(40, "a")})
    session.set("b", text_of(40, "b"))
    with pytest.raises(SessionDataTooLarge) as raised:
        session.set({"c": text_of(10, "c"), "d": text_of(11, "d")})
    assert raised.value.size == 101
    assert sorted(session.get_all()) == ["a", "b"]
    assert session.set({"c": text_of(10, "c"), "d": text_of(10, "d")}) == 2
    with pytest.raises(SessionDataTooLarge):
        session.set("e", 1)
    assert sorted(session.get_all()) == ["a", "b", "c", "d"]


def test_what_is_replaced_or_deleted_makes_room(small):
    session = small.create("ada", data={"a": text_of(LIMIT, "a")})
    session.set("a", text_of(50, "a"))
    session.set("b", text_of(50, "b"))
    with pytest.raises(SessionDataTooLarge):
        session.set("a", text_of(51, "a"))
    session.set({"a": text_of(60, "a"), "b": text_of(40, "b")})
    session.delete("a")
    session.set("c", text_of(60, "c"))
    session.delete("b", "c", "missing")
    session.set("d", text_of(LIMIT, "d"))
    assert list(session.get_all()) == ["d"]


def test_a_session_holds_a_thousand_keys_and_not_one_more(live_manager):
    """Else a script, which reads all of a session, would have no bound."""
    names = [f"k{number}" for number in range(1001)]
    with pytest.raises(ValueError, match="1001 given"):
        live_manager.create("ada", data=dict.fromkeys(names))
    session = live_manager.create("ada", data=dict.fromkeys(names[:999]), ip="192.0.2.1", user_agent="Browser")
    assert session.set(names[999], 1) == 1
    with pytest.raises(SessionDataTooLarge, match="1001 keys; a session holds at most 1000") as raised:
        session.set({names[1000]: 1, names[0]: 2})
    assert (raised.value.size, raised.value.limit, raised.value.unit) == (1001, 1000, "keys")
    assert session.get(names[0]) is None
    assert session.set(dict.fromkeys(names[:1000], 2)) == 1000
    assert session.delete(names[0]) == 1
    assert session.set(names[1000], 1) == 1
    assert len(live_manager.rotate(session, user_id="ben").get_all()) == 1000


def test_the_limit_holds_after_a_rotation(small):
    session = small.rotate(small.create(None, data={"a": text_of(60, "a")}), user_id="ada")
    with pytest.raises(SessionDataTooLarge):
        session.set("b", text_of(41, "b"))
    assert session.set("b", text_of(40, "b")) == 1


def test_only_session_data_is_counted(small):
    session = small.create("ada" * 50, role="r" * 500, ip="1" * 250, user_agent="u" * 250, data={"k": text_of(LIMIT)})
    session.role = "r" * 1000
    session.write()
    assert small.get(session.session_id).role == "r" * 1000


def test_data_beyond_a_lowered_limit_can_only_shrink(make_manager, clock, small):
    session = make_manager(clock=clock).create("ada", data={"a": "x" * 200, "b": "x" * 200})
    found = small.authenticate(session.token)
    assert sorted(found.data) == ["a", "b"]
    with pytest.raises(SessionDataTooLarge):
        found.set("c", 1)
    assert found.set("a", "x" * 150) == 1
    assert found.delete("b") == 1
    assert small.rotate(found).get_all() == {"a": "x" * 150}


def test_the_default_limit_is_64_kibibytes(manager):
    session = manager.create("ada", data={"k": text_of(65536)})
    with pytest.raises(SessionDataTooLarge):
        session.set("l", 1)
    with pytest.raises(SessionDataTooLarge):
        manager.create("ada", data={"k": text_of(65537)})


# ---- what cannot be stored


class Unstorable:
    def __repr__(self):
        return "the secret inside"


BAD = {
    "object": (Unstorable(), "Unstorable"),
    "function": (test_the_default_limit_is_64_kibibytes, "function"),
    "nested": ({"deep": [1, (Unstorable(),)]}, "Unstorable"),
    "key": ({Unstorable(): 1}, "Unstorable"),
    "complex": (1j, "complex"),
}


@pytest.fixture(params=BAD)
def bad(request):
    return BAD[request.param]


def refused(key, kind, call):
    with pytest.raises(TypeError) as raised:
        call()
    assert key in str(raised.value)
    assert kind in str(raised.value)
    assert "the secret inside" not in str(raised.value)


def test_create_refuses_what_cannot_be_stored_and_stores_nothing(manager, left, bad):
    value, kind = bad
    refused("basket", kind, lambda: manager.create("ada", data={"good": 1, "basket": value}))
    refused("theme", kind, lambda: manager.create("ada", data={"good": 1}, role="user", theme=value))
    assert left() == set()


def test_set_refuses_what_cannot_be_stored_and_stores_nothing(session, bad):
    value, kind = bad
    refused("basket", kind, lambda: session.set("basket", value))
    refused("basket", kind, lambda: session.set({"a": 2, "basket": value, "c": 3}))
    assert session.get_all() == dict(session.data) == {"a": 1, "b": [2]}


def test_write_and_rotate_refuse_what_cannot_be_stored_and_store_nothing(manager, session, bad):
    value, kind = bad
    session.role, session.theme = "admin", value
    refused("theme", kind, session.write)
    refused("theme", kind, lambda: manager.rotate(session))
    assert manager.authenticate(session.token).fields == {"role": "user", "theme": None}
    session.read()
    refused("theme", kind, lambda: manager.rotate(session, role="admin", theme=value))
    assert manager.authenticate(session.token).fields == {"role": "user", "theme": None}


def test_a_refused_write_can_be_mended(manager, session):
    session.role, session.theme = "admin", Unstorable()
    with pytest.raises(TypeError):
        session.write()
    session.theme = "dark"
    session.write()
    assert manager.get(session.session_id).fields == {"role": "admin", "theme": "dark"}


BAD_KEYS = [("", ValueError), ("k" * 257, ValueError), ("é" * 129, ValueError), ("\ud800", ValueError)]
BAD_KEYS += [(1, TypeError), (None, TypeError), (b"a", TypeError), (("a",), TypeError)]


@pytest.mark.parametrize(("key", "error"), BAD_KEYS, ids=lambda key: repr(key)[:12])
def test_keys_are_text_of_1_to_256_bytes(manager, session, key, error):
    uses = [
        lambda: manager.create("bob", data={"good": 1, key: 1}),
        lambda: session.set({"good": 1, key: 1}),
        lambda: session.get({"a": 0, key: 1}),
        lambda: session.get(["a", key]),
        lambda: session.delete("a", key),
    ]
    if not isinstance(key, tuple):
        uses.append(lambda: session.set(key, 1))
    for use in uses:
        with pytest.raises(error, match="key"):
            use()
    assert session.get_all() == {"a": 1, "b": [2]}
    assert manager.count() == 1


@pytest.mark.parametrize("data", [[("a", 1)], "text", 5, {"a"}])
def test_data_is_a_mapping(manager, session, data):
    with pytest.raises(TypeError, match=r"mapping|key"):
        manager.create("bob", data=data)
    with pytest.raises(TypeError, match=r"mapping|value"):
        session.set(data)
    assert manager.count() == 1


@pytest.mark.parametrize(("ttl", "error"), [(-1, ValueError), (math.inf, ValueError), (math.nan, ValueError)])
def test_a_wrong_ttl_is_refused_when_it_is_set(session, ttl, error):
    with pytest.raises(error, match="ttl"):
        session.ttl = ttl
    assert session.ttl == 1800


@pytest.mark.parametrize("ttl", [None, "60", True])
def test_a_ttl_is_a_number(session, ttl):
    with pytest.raises(TypeError, match="ttl"):
        session.ttl = ttl
    assert session.ttl == 1800


def test_two_managers_need_not_agree_on_additional_fields(make_manager, clock):
    one = make_manager(clock=clock, additional_fields=("role", "theme"))
    other = make_manager(clock=clock, additional_fields=("plan", "role"))
    found = other.authenticate(one.create("ada", role="admin", theme="dark").token)
    assert found.fields == {"plan": None, "role": "admin"}
    assert not hasattr(unwrap(found), "theme")
    found.plan = "free"
    found.write()
    assert one.get(found.session_id).fields == {"role": "admin", "theme": "dark"}


# ---- a write under way


@pytest.mark.anyio
async def test_what_is_set_while_a_write_is_under_way_waits_for_the_next(redis_url, namespace):
    async with AsyncSessionManager(redis_url, namespace=namespace, additional_fields=["device", "city"]) as manager:
        session = await manager.create("ada")
        session.device = "laptop"
        writing = asyncio.create_task(session.write())
        await asyncio.sleep(0)
        session.device, session.city, session.ttl = "phone", "Paris", 99
        await writing
        assert (session.device, session.city, session.ttl) == ("phone", "Paris", 99)
        stored = await manager.get(session.session_id)
        assert (stored.device, stored.city, stored.ttl) == ("laptop", None, 1800)
        await session.write()
        stored = await manager.get(session.session_id)
        assert (stored.device, stored.city, stored.ttl) == ("phone", "Paris", 99)


def test_a_ttl_that_was_set_is_written_whatever_was_loaded(manager, session):
    session.ttl = 100
    session.write()
    other = manager.get(session.session_id)
    other.ttl = 5
    other.write()
    session.ttl = 100
    session.write()
    assert manager.get(session.session_id).ttl == 100
