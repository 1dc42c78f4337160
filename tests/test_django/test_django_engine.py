"""The session engine by itself, without a request: each behaviour blocking and awaited."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.core.signing import JSONSerializer
from django_kit import UNKNOWN_TOKEN, make_store, stored_keys

from redisess_core import SessionDataTooLarge, SessionLimitReached, StoreUnavailable
from redisess_core.tokens import session_id_of
from redisess_django import manager, session_created, session_killed, session_rotated
from redisess_django.sessions import SessionStore

TWO_WEEKS = 14 * 24 * 3600


@pytest.fixture
def run():
    """Run a coroutine; all of a test in one loop."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def make(colour, run):
    """Make a session: `make()`, `make(key)`."""
    return lambda key=None, kind=SessionStore: make_store(colour, run, key, kind)


@pytest.fixture
def project(set_up, clock):
    """The project, whose sessions go by `clock`."""
    set_up(clock=clock)


@pytest.fixture
def saved(project, make):
    """A saved session that holds `a`."""
    store = make()
    store["a"] = 1
    store.save()
    return store


def lives(store):
    """Whether there is a session of this one's key, without a touch."""
    return manager().exists(session_id_of(store.session_key))


def stored(store):
    """What is stored of this session, without a touch; None: there is none."""
    return manager().get(session_id_of(store.session_key), touch=False)


def data_of(store):
    found = stored(store)
    return None if found is None else dict(found.data)


def written(seen):
    """The fields of session data that scripts wrote or removed."""
    names = []
    for command in seen.in_scripts:
        if command.name == "HSET":
            names += [name for name in command.args[1::2] if name.startswith("d:")]
        elif command.name == "HDEL":
            names += [f"-{name}" for name in command.args[1:] if name.startswith("d:")]
    return sorted(names)


# A session's life


def test_what_was_saved_is_there_in_another_object(saved, make):
    other = make(saved.session_key)
    assert other["a"] == 1
    assert other.get("b", 2) == 2
    assert other.session_key == saved.session_key
    assert "b" not in other
    with pytest.raises(KeyError):
        other["b"]


def test_a_new_session_has_no_key_until_it_is_saved(project, make, redis_client):
    store = make()
    assert store.session_key is None
    store["a"] = 1
    assert store.session_key is None
    assert stored_keys(redis_client) == []
    store.save()
    assert store.session_key is not None
    assert lives(store)


def test_a_session_is_loaded_at_its_first_use_only(saved, make, wire):
    make(saved.session_key).load()  # the server knows the script
    with wire() as seen:
        store = make(saved.session_key)
        assert not store.accessed
    assert seen.names == []
    with wire() as seen:
        assert (store["a"], store.get("b"), "a" in store) == (1, None, True)
    assert len(seen) == 1
    assert store.accessed
    assert not store.modified


def test_load_gives_a_dict(saved, make):
    found = make(saved.session_key).load()
    assert type(found) is dict
    assert SessionBase().decode(SessionBase().encode(found)) == found


def test_a_session_that_is_saved_after_load_keeps_what_it_holds(saved, make):
    store = make(saved.session_key)
    store.load()
    store.save()
    assert store.session_key == saved.session_key
    assert make(saved.session_key).load() == {"a": 1}


@pytest.mark.anyio
async def test_tasks_that_change_a_session_that_was_not_read_both_win(project):
    store = SessionStore()
    store["a"] = 1
    await store.asave()
    store = SessionStore(store.session_key)
    await asyncio.gather(store.aset("b", 2), store.aset("c", 3))
    await store.asave()
    assert await SessionStore(store.session_key).aload() == {"a": 1, "b": 2, "c": 3}


def test_create_stores_an_empty_session_with_a_key(project, make):
    store = make()
    store.create()
    assert data_of(store) == {}
    assert make(store.session_key).load() == {}


def test_create_on_a_live_session_makes_another_and_leaves_the_first(saved, make):
    first = saved.session_key
    saved.create()
    assert saved.session_key != first
    assert saved.exists(first)
    assert saved.exists(saved.session_key)


@pytest.mark.parametrize("key", [UNKNOWN_TOKEN, "unknown-to-all-of-us", "short", "a" * 32, "", "x" * 5000, "ä" * 29])
def test_an_unknown_key_gives_an_empty_session_without_a_key(project, make, redis_client, key):
    store = make(key)
    assert store.get("a") is None
    assert store.session_key is None
    assert list(store.keys()) == []
    assert stored_keys(redis_client) == []


def test_a_key_that_has_not_the_form_of_a_token_never_reaches_redis(project, make, wire):
    with wire() as seen:
        store = make("unknown-to-all-of-us")
        assert store.get("a") is None
        assert not store.exists("another-of-that-kind")
        store.delete("another-of-that-kind")
    assert seen.names == []


@pytest.mark.parametrize("key", [UNKNOWN_TOKEN, "a" * 32])
def test_an_id_from_outside_is_never_adopted(project, make, key):
    store = make(key)
    store["a"] = 1
    store.save()
    assert store.session_key != key
    other = make(key)
    with pytest.raises(UpdateError):
        other.save()
    other = make(key)
    other.clear()
    with pytest.raises(UpdateError):
        other.save()
    must = make(key)
    must.save(must_create=True)
    assert must.session_key != key
    assert not store.exists(key)
    assert manager().count() == 2


def test_must_create_refuses_the_key_of_a_live_session(saved, make):
    with pytest.raises(CreateError):
        make(saved.session_key).save(must_create=True)
    with pytest.raises(CreateError):
        saved.save(must_create=True)
    assert data_of(saved) == {"a": 1}
    assert manager().count() == 1


def test_a_write_to_a_session_that_has_ended_is_an_update_error_and_stores_nothing(saved, make, redis_client):
    other = make(saved.session_key)
    other["b"] = 2
    saved.delete()
    with pytest.raises(UpdateError):
        other.save()
    with pytest.raises(UpdateError):
        saved.save()
    assert stored_keys(redis_client) == []


def test_a_save_that_changes_nothing_of_a_session_that_has_ended_is_an_update_error_too(saved, make):
    other = make(saved.session_key)
    assert other["a"] == 1
    saved.delete()
    with pytest.raises(UpdateError):
        other.save()


def test_delete_ends_the_session_or_that_of_a_key(saved, make):
    other = make()
    other.create()
    other.delete(saved.session_key)
    assert not lives(saved)
    assert lives(other)
    other.delete()
    other.delete()
    make().delete()
    assert manager().count() == 0


def test_exists_says_whether_a_session_lives(saved, clock):
    assert saved.exists(saved.session_key)
    assert not saved.exists(UNKNOWN_TOKEN)
    assert not saved.exists(None)
    assert not saved.exists("")
    assert not saved.exists(saved.session_id)
    clock.advance(TWO_WEEKS)
    assert not saved.exists(saved.session_key)


def test_the_public_handle_opens_nothing(saved, make):
    assert saved.session_id == session_id_of(saved.session_key)
    assert make(saved.session_id).get("a") is None


def test_flush_ends_the_session_and_goes_on_with_an_empty_one(saved, make):
    first = saved.session_key
    saved.flush()
    assert saved.session_key is None
    assert not saved.exists(first)
    assert list(saved.keys()) == []
    assert saved.is_empty()
    saved["b"] = 2
    saved.save()
    assert saved.session_key != first
    assert data_of(saved) == {"b": 2}


def test_flush_of_a_session_that_was_not_loaded_ends_it_too(saved, make):
    make(saved.session_key).flush()
    assert not lives(saved)


def test_cycle_key_gives_a_new_key_to_the_same_data_and_the_old_one_is_dead_at_once(saved, make, clock):
    first, created = saved.session_key, stored(saved).created
    clock.advance(5)
    other = make(first)
    other.cycle_key()
    assert other.session_key != first
    assert not other.exists(first)
    assert data_of(other) == {"a": 1}
    assert stored(other).created == created
    assert make(first).get("a") is None
    assert manager().count() == 1


def test_cycle_key_of_a_new_session_stores_it(project, make):
    store = make()
    store["a"] = 1
    store.cycle_key()
    assert data_of(store) == {"a": 1}


def test_cycle_key_of_a_session_that_has_ended_is_an_update_error(saved, make):
    other = make(saved.session_key)
    assert other["a"] == 1
    saved.delete()
    with pytest.raises(UpdateError):
        other.cycle_key()
    assert manager().count() == 0


def test_clear_removes_all_data_when_it_is_saved(saved, make):
    other = make(saved.session_key)
    other.clear()
    other["b"] = 2
    assert data_of(saved) == {"a": 1}
    other.save()
    assert data_of(other) == {"b": 2}
    assert other.session_key == saved.session_key


def test_the_sweep_removes_what_is_left_of_expired_sessions(saved, make, clock, redis_client):
    clock.advance(TWO_WEEKS)
    saved.clear_expired()
    assert stored_keys(redis_client) == []
    assert make(saved.session_key).get("a") is None


def test_life_is_told_by_signals_with_handles(project, make):
    told = []

    def hear(signal, sender, **said):
        told.append((signal, sender, said["session_id"], said["user_id"], said.get("successor")))

    signals = (session_created, session_rotated, session_killed)
    for signal in signals:
        signal.connect(hear)
    try:
        store = make()
        store["_auth_user_id"] = "7"
        store.save()
        first = store.session_id
        store.cycle_key()
        second = store.session_id
        store.flush()
        store.delete()
    finally:
        for signal in signals:
            signal.disconnect(hear)
    assert told == [
        (session_created, SessionStore, first, "7", None),
        (session_rotated, SessionStore, first, "7", second),
        (session_killed, SessionStore, second, "7", None),
    ]


# What is written


def test_only_what_changed_is_written(saved, make, wire):
    saved["b"], saved["list"], saved["gone"] = 1, [1], 1
    saved.save()
    store = make(saved.session_key)
    assert store["list"] == [1]
    store["b"] = 2
    store["a"] = 1  # what it was
    del store["gone"]
    with wire() as seen:
        store.save()
    assert len(seen) == 1
    assert written(seen) == ["-d:gone", "d:b"]
    with wire() as seen:
        store.save()
    assert written(seen) == []


def test_two_that_change_different_keys_both_win(saved, make):
    one, other = make(saved.session_key), make(saved.session_key)
    one["one"], other["other"] = 1, 2
    one.save()
    other.save()
    assert data_of(saved) == {"a": 1, "one": 1, "other": 2}
    one["third"] = 3
    one.save()
    assert data_of(saved) == {"a": 1, "one": 1, "other": 2, "third": 3}


def test_what_one_deleted_the_other_does_not_bring_back(saved, make):
    one, other = make(saved.session_key), make(saved.session_key)
    del one["a"]
    other["b"] = 2
    one.save()
    other.save()
    assert data_of(saved) == {"b": 2}


def test_a_change_in_place_is_noticed(saved, make):
    saved["list"], saved["deep"] = [1], {"a": {"b": [1]}}
    saved.save()
    store = make(saved.session_key)
    store["list"].append(2)
    assert store.modified
    store.get("deep")["a"]["b"].append(2)
    store.save()
    assert not make(saved.session_key).modified
    assert data_of(saved) == {"a": 1, "list": [1, 2], "deep": {"a": {"b": [1, 2]}}}


def test_a_look_at_a_list_is_no_change(saved, make):
    saved["list"] = [1]
    saved.save()
    store = make(saved.session_key)
    assert [*store["list"], *store.values()] == [1, 1, [1]]
    assert not store.modified


def test_what_was_put_in_stays_the_same_object_after_a_save(saved, make):
    rows = saved.setdefault("rows", [])
    rows.append(1)
    saved.save()
    rows.append(2)
    saved.save()
    assert data_of(saved)["rows"] == [1, 2]


def test_the_other_ways_of_a_dict(saved, make):
    store = make(saved.session_key)
    store.update({"b": 2, "c": 3})
    assert store.pop("b") == 2
    assert store.pop("b", "none") == "none"
    with pytest.raises(KeyError):
        store.pop("b")
    with pytest.raises(KeyError):
        del store["b"]
    assert store.setdefault("a", 9) == 1
    assert store.setdefault("d", 4) == 4
    assert sorted(store.items()) == [("a", 1), ("c", 3), ("d", 4)]
    assert sorted(store.keys()) == ["a", "c", "d"]
    assert sorted(store.values()) == [1, 3, 4]
    assert store.has_key("a")
    store.set_test_cookie()
    assert store.test_cookie_worked()
    store.delete_test_cookie()
    assert not store.test_cookie_worked()
    store.save()
    assert data_of(store) == {"a": 1, "c": 3, "d": 4}


def test_a_pop_of_what_is_not_there_is_no_change(saved, make):
    store = make(saved.session_key)
    assert store.pop("b", None) is None
    assert not store.modified
    store.pop("a")
    assert store.modified
    store.save()
    assert data_of(store) == {}


VALUES = {
    "none": None,
    "int": 2**80,
    "float": 0.1,
    "bytes": b"\x00\xff",
    "datetime": datetime(2027, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2))),
    "naive": datetime(2027, 1, 2),  # noqa: DTZ001  one without a zone is a value, too
    "date": date(2027, 1, 2),
    "timedelta": timedelta(days=-1, microseconds=1),
    "decimal": Decimal("1.10"),
    "uuid": UUID(int=1),
    "tuple": (1, (2,)),
    "set": {1, 2},
    "nested": {"a": [{"b": (Decimal(1), None)}], 1: "an int key"},
    "text": "ä\x00\u2028",
}


def test_values_come_back_with_their_types(project, make):
    store = make()
    store.update(VALUES)
    store.save()
    found = make(store.session_key)
    for key, value in VALUES.items():
        assert found[key] == value
        assert type(found[key]) is type(value)


class Unstorable:
    pass


UNSTORABLE = ["object", "function", "inside", "deeper"]


@pytest.mark.parametrize("value", [Unstorable(), lambda: 1, [Unstorable()], {"a": {Unstorable()}}], ids=UNSTORABLE)
def test_an_unstorable_value_is_refused_at_the_assignment(saved, make, value):
    store = make(saved.session_key)
    for assign in (
        lambda: store.__setitem__("b", value),
        lambda: store.update({"b": value}),
        lambda: store.setdefault("b", value),
    ):
        with pytest.raises(TypeError, match="'b'"):
            assign()
    assert "b" not in store
    assert not store.modified
    store.save()
    assert data_of(store) == {"a": 1}


@pytest.mark.parametrize("value", [Unstorable(), [Unstorable()]], ids=["object", "inside"])
def test_an_unstorable_value_is_refused_at_the_assignment_in_a_new_session_too(project, make, value):
    store = make()
    with pytest.raises(TypeError, match="'b'"):
        store["b"] = value
    assert store.is_empty()


@pytest.mark.parametrize(("key", "error"), [("", ValueError), ("k" * 257, ValueError), (1, TypeError)])
def test_a_key_that_cannot_be_stored_is_refused_at_the_assignment(saved, key, error):
    with pytest.raises(error):
        saved[key] = 1
    saved.save()
    assert data_of(saved) == {"a": 1}


def test_what_became_unstorable_in_place_is_refused_at_the_save_and_nothing_is_stored(saved, make):
    saved["list"] = [1]
    saved.save()
    store = make(saved.session_key)
    store["list"].append(Unstorable())
    store["b"] = 2
    with pytest.raises(TypeError, match="'list'"):
        store.save()
    assert data_of(saved) == {"a": 1, "list": [1]}


def test_too_much_data_is_refused_and_nothing_is_lost(set_up, make):
    set_up(max_data_bytes=100)
    store = make()
    store["a"] = 1
    store.save()
    store["big"] = "x" * 200
    with pytest.raises(SessionDataTooLarge):
        store.save()
    assert data_of(store) == {"a": 1}
    store["big"] = "x"
    store.save()
    assert data_of(store) == {"a": 1, "big": "x"}


def test_a_sign_in_that_the_limit_refuses_is_dropped(set_up, make):
    set_up(max_sessions_per_user=1, on_limit="refuse")
    manager().create("7")
    store = make()
    store["cart"] = [1]
    store.save()
    key = store.session_key
    store["_auth_user_id"] = "7"
    with pytest.raises(SessionLimitReached):
        store.save()
    assert "_auth_user_id" not in store
    assert store.session_key == key
    assert data_of(store) == {"cart": [1]}
    assert manager().count_for_user("7") == 1


def test_redis_away_is_an_error_and_never_an_empty_session(set_up, start_server, make):
    server = start_server()
    set_up(server.url)
    store = make()
    store["a"] = 1
    store.save()
    key = store.session_key
    other = make(key)
    server.stop()
    for call in (
        lambda: other.get("a"),
        other.save,
        other.cycle_key,
        lambda: other.exists(key),
        other.delete,
        other.flush,
    ):
        with pytest.raises(StoreUnavailable):
            call()
        assert other.session_key == key


# A serializer of the project's own


class Words(JSONSerializer):
    """A project's own: what no other could have written."""

    def dumps(self, obj):
        return b"words:" + super().dumps(obj)

    def loads(self, data):
        assert data.startswith(b"words:")
        return super().loads(data.removeprefix(b"words:"))


@pytest.fixture
def with_words(set_up):
    set_up(SESSION_SERIALIZER=f"{__name__}.Words")


def test_a_projects_own_serializer_makes_what_is_stored(with_words, make, redis_client):
    store = make()
    store["a"] = {"b": (1, 2)}
    store["list"] = [1]
    store.save()
    (key,) = [key for key in redis_client.scan_iter() if redis_client.type(key) == b"hash"]
    fields = redis_client.hgetall(key)
    assert fields.keys() >= {b"d:a", b"d:list"}
    other = make(store.session_key)
    assert other["a"] == {"b": [1, 2]}
    other["list"].append(2)
    assert other.modified
    other.save()
    assert make(store.session_key)["list"] == [1, 2]


def test_what_a_projects_serializer_cannot_take_is_refused_at_the_assignment(with_words, make):
    store = make()
    with pytest.raises(TypeError):
        store["a"] = Decimal(1)
    assert store.is_empty()


def test_whose_a_session_is_and_how_long_it_lives_is_known_under_any_serializer(with_words, make):
    store = make()
    store["_auth_user_id"] = "7"
    store.set_expiry(60)
    store.save()
    assert manager().get_user_sessions("7") == [store.session_id]
    assert stored(store).ttl == 60


def test_under_a_serializer_of_its_own_a_project_reads_what_another_adapter_stored(with_words, make):
    token = manager().create(None, data={"a": Decimal(1)}).token
    assert make(token)["a"] == Decimal(1)


def test_what_another_adapter_stored_as_bytes_never_reaches_the_serializer(with_words, make):
    token = manager().create(None, data={"upload": b"words:[1]"}).token
    assert make(token)["upload"] == b"words:[1]"


class Sealed(JSONSerializer):
    """One that makes other bytes each time, as one that encrypts does."""

    def dumps(self, obj):
        return secrets.token_bytes(8) + super().dumps(obj)

    def loads(self, data):
        return super().loads(data[8:])


def test_to_read_what_is_encrypted_is_no_change(set_up, make):
    set_up(SESSION_SERIALIZER=f"{__name__}.Sealed")
    store = make()
    store["cart"] = [1]
    store.save()
    reader, writer = make(store.session_key), make(store.session_key)
    assert reader["cart"] == [1]
    writer["cart"].append(2)
    assert writer.modified
    writer.save()
    assert not reader.modified
    reader["other"] = 1
    reader.save()
    assert make(store.session_key)["cart"] == [1, 2]


TYPED = "django.contrib.sessions.serializers.JSONSerializer"


@pytest.mark.parametrize(("before", "after"), [("Words", TYPED), (TYPED, "Words"), ("Words", "Sealed")])
def test_what_another_serializer_made_is_not_there(set_up, make, before, after):
    def path(name):
        return name if "." in name else f"{__name__}.{name}"

    set_up(SESSION_SERIALIZER=path(before))
    store = make()
    store["_auth_user_id"] = "7"
    store["cart"] = [1]
    store.save()
    set_up(SESSION_SERIALIZER=path(after))
    other = make(store.session_key)
    assert other.get("cart") == (None if before == "Words" else [1])
    other["_auth_user_id"] = "7"
    other.save()
    assert make(other.session_key)["_auth_user_id"] == "7"
    assert manager().get_user_sessions("7") == [other.session_id]


def test_values_that_are_equal_and_not_the_same_are_told_apart_under_a_serializer_too(with_words, make):
    store = make()
    store["flags"], store["on"] = [0, 1], {"a": 1}
    store.save()
    other = make(store.session_key)
    other["flags"] = [False, True]
    other["on"]["a"] = True
    other.save()
    found = make(store.session_key)
    assert [repr(found["flags"]), repr(found["on"])] == ["[False, True]", "{'a': True}"]


def test_what_another_serializer_made_goes_to_no_other_user(set_up, make):
    set_up(SESSION_SERIALIZER=f"{__name__}.Words")
    store = make()
    store["_auth_user_id"], store["secret"] = "7", "of user 7"
    store.save()
    set_up()
    other = make(store.session_key)
    other["_auth_user_id"] = "8"
    other.save()
    set_up(SESSION_SERIALIZER=f"{__name__}.Words")
    found = make(other.session_key)
    assert (found.user_id, found.get("secret")) == ("8", None)


# Expiry


def test_without_an_expiry_of_its_own_a_session_lives_for_the_cookies_age_after_its_last_access(set_up, make, clock):
    set_up(clock=clock, SESSION_COOKIE_AGE=100)
    store = make()
    store.create()
    clock.advance(99)
    store["a"] = 1
    store.save()
    clock.advance(99)
    assert lives(store)
    clock.advance(1)
    assert not lives(store)


@pytest.mark.parametrize("expiry", [0, None])
def test_an_expiry_of_0_or_none_is_the_cookies_age(set_up, make, clock, expiry):
    set_up(clock=clock, SESSION_COOKIE_AGE=100)
    store = make()
    store.set_expiry(10)
    store.save()
    store.set_expiry(expiry)
    store.save()
    assert stored(store).ttl == 100
    clock.advance(99)
    assert lives(store)
    clock.advance(1)
    assert not lives(store)
    assert store.get_expiry_age() == 100
    assert store.get_expire_at_browser_close() is (expiry == 0)


def test_an_expiry_in_seconds_is_an_idle_timeout(saved, make, clock):
    saved.set_expiry(60)
    saved.save()
    for _ in range(3):
        clock.advance(59)
        store = make(saved.session_key)
        store["at"] = clock()
        store.save()
    assert lives(saved)
    clock.advance(60)
    assert make(saved.session_key).get("a") is None


@pytest.mark.parametrize("secs", [0.5, 1, 10**9])
def test_any_positive_number_of_seconds_will_do(saved, make, clock, redis_client, secs):
    saved.set_expiry(secs)
    saved.save()
    assert stored(saved).expires == pytest.approx(clock() + secs)
    for key in stored_keys(redis_client):
        assert redis_client.pttl(key) != -1


def test_a_touch_moves_an_idle_timeout_and_no_deadline(project, make, clock):
    clock.set(time.time())
    for expiry, ends in ((60, 59 + 60), (timedelta(seconds=60), 60), (datetime.now(UTC) + timedelta(seconds=60), 60)):
        store = make()
        store.set_expiry(expiry)
        store.save()
        began = clock()
        clock.advance(59)
        assert manager().authenticate(store.session_key) is not None
        assert stored(store).expires == pytest.approx(began + ends, abs=2)
        store["a"] = 1
        store.save()
        assert stored(store).expires == pytest.approx(began + ends, abs=2)
        clock.set(began + ends - 3)
        assert lives(store)
        clock.set(began + ends + 3)
        assert not lives(store)
        clock.set(began)


@pytest.mark.parametrize("in_zone", [UTC, timezone(timedelta(hours=-7))], ids=str)
def test_a_date_in_any_zone_is_the_moment_that_it_names(project, make, clock, in_zone):
    store = make()
    store.set_expiry(datetime.fromtimestamp(clock() + 3600, in_zone))
    store.save()
    assert stored(store).expires == clock() + 3600


def test_a_date_without_a_zone_is_one_in_the_projects_zone(set_up, make, clock):
    set_up(clock=clock, USE_TZ=False)
    store = make()
    store.set_expiry(datetime.fromtimestamp(clock() + 3600))  # noqa: DTZ006  as such a project has them
    store.save()
    assert stored(store).expires == clock() + 3600


@pytest.mark.parametrize("expiry", [-1, -0.5, timedelta(seconds=-5), timedelta(0), datetime(2001, 1, 1, tzinfo=UTC)])
@pytest.mark.parametrize("when", ["new", "later"])
def test_an_age_of_0_or_less_is_dead_at_once_and_never_immortal(project, make, clock, redis_client, expiry, when):
    clock.set(time.time() + 2)
    store = make()
    if when == "later":
        store.create()
    store.set_expiry(expiry)
    store["a"] = 1
    store.save()
    assert stored_keys(redis_client) == []
    assert make(store.session_key).get("a") is None


@pytest.mark.parametrize("when", ["new", "later"])
def test_what_is_dead_at_once_can_be_saved_again_as_a_view_and_then_the_middleware_do(project, make, when):
    store = make()
    if when == "later":
        store.create()
    store.set_expiry(-1)
    store.save()
    store.save()
    assert manager().count() == 0


@pytest.mark.parametrize("age", [0, -1])
def test_a_cookies_age_of_0_or_less_is_dead_at_once_and_never_immortal(set_up, make, redis_client, age):
    set_up(SESSION_COOKIE_AGE=age)
    for expiry in (None, 0):
        store = make()
        store.set_expiry(expiry)
        store["a"] = 1
        store.save()
        assert stored_keys(redis_client) == []
    store = make()
    store.set_expiry(60)
    store.save()
    assert lives(store)


def test_an_expiry_can_be_changed_later(project, make, clock):
    clock.set(time.time())
    store = make()
    store.create()
    steps = (
        (60, 60),
        (timedelta(seconds=500), 500),
        (30, 30),
        (datetime.fromtimestamp(clock() + 900, UTC), 900),
        (None, TWO_WEEKS),
        (timedelta(seconds=40), 40),
        (0, TWO_WEEKS),
    )
    for expiry, left in steps:
        other = make(store.session_key)
        other.set_expiry(expiry)
        other.save()
        assert stored(store).expires == pytest.approx(clock() + left, abs=2)
        assert other.get_expiry_age() == pytest.approx(left, abs=2)
    clock.advance(TWO_WEEKS)
    assert not lives(store)


def test_a_session_that_had_a_deadline_moves_again_after_it_was_taken_back(project, make, clock):
    clock.set(time.time())
    store = make()
    store.set_expiry(timedelta(seconds=60))
    store.save()
    store.set_expiry(None)
    store.save()
    for _ in range(3):
        clock.advance(TWO_WEEKS - 1)
        assert manager().authenticate(store.session_key) is not None


def test_an_expiry_survives_a_new_key_and_a_sign_in(project, make, clock):
    clock.set(time.time())
    began = clock()
    store = make()
    store.set_expiry(timedelta(seconds=600))
    store.save()
    clock.advance(100)
    store.cycle_key()
    assert stored(store).expires == pytest.approx(began + 600, abs=2)
    store["_auth_user_id"] = "7"
    store.save()
    assert stored(store).expires == pytest.approx(began + 600, abs=2)
    idle = make()
    idle.set_expiry(60)
    idle.save()
    idle.cycle_key()
    idle["_auth_user_id"] = "7"
    idle.save()
    assert stored(idle).ttl == 60


@pytest.mark.parametrize("expiry", [None, 0, 500, timedelta(seconds=5000), -1])
def test_no_expiry_outlives_the_longest_lifetime(set_up, make, clock, expiry):
    clock.set(time.time())
    set_up(clock=clock, max_lifetime=1000)
    store = make()
    store.create()
    clock.advance(400)
    key = store.session_key
    store.set_expiry(expiry)
    store.save()
    if expiry == -1:
        assert manager().authenticate(key) is None
        return
    clock.advance(400)
    assert manager().authenticate(store.session_key) is not None
    clock.advance(199)
    assert lives(store)
    clock.advance(1)
    assert not lives(store)


def test_a_new_session_with_a_late_deadline_ends_with_the_longest_lifetime(set_up, make, clock):
    clock.set(time.time())
    set_up(clock=clock, max_lifetime=1000)
    store = make()
    store.set_expiry(timedelta(seconds=5000))
    store.save()
    assert stored(store).expires == pytest.approx(clock() + 1000, abs=2)


def test_a_sign_in_begins_the_longest_lifetime_anew_and_a_new_key_does_not(set_up, make, clock):
    set_up(clock=clock, max_lifetime=1000)
    store = make()
    store.create()
    began = clock()
    clock.advance(500)
    store.cycle_key()
    assert stored(store).expires == began + 1000
    store["_auth_user_id"] = "7"
    store.save()
    assert stored(store).expires == clock() + 1000


def test_the_option_ttl_is_for_sessions_without_an_expiry_of_their_own(set_up, make, clock):
    set_up(clock=clock, ttl=77)
    store = make()
    store.create()
    assert stored(store).ttl == 77
    store.set_expiry(10)
    store.save()
    assert stored(store).ttl == 10
    store.set_expiry(0)
    store.save()
    assert stored(store).ttl == 77


def test_a_ttl_of_0_is_no_idle_timeout(set_up, make, clock):
    set_up(clock=clock, ttl=0, max_lifetime=10**8)
    store = make()
    store.create()
    clock.advance(10**8 - 1)
    assert lives(store)


class Short(SessionStore):
    """An engine of a project's own, as Django's documentation shows them."""

    def get_session_cookie_age(self):
        return 42


def test_a_subclass_says_how_long_a_session_lives(project, make, clock):
    store = make(kind=Short)
    store["a"] = 1
    store.save()
    assert stored(store).ttl == 42
    assert store.get_expiry_age() == 42
    clock.advance(42)
    assert not lives(store)


def test_a_session_is_djangos(project):
    assert isinstance(SessionStore(), SessionBase)
    assert SessionStore().encode({"a": 1})
    assert SessionStore().decode(SessionStore().encode({"a": 1})) == {"a": 1}


@pytest.mark.parametrize(
    ("look", "found"),
    [
        (lambda store: store.user_id, "7"),
        (lambda store: store.fields, {"device": "laptop"}),
        (lambda store: store.authenticated_within(60), True),
        (lambda store: store.current.session_id, None),
    ],
    ids=["user_id", "fields", "authenticated_within", "current"],
)
def test_what_is_known_of_a_session_is_known_before_its_data_is_read_and_counts_as_read(set_up, look, found):
    set_up(additional_fields=["device"])
    store = SessionStore(manager().create("7", device="laptop", data={"_auth_user_id": "7"}).token)
    assert not store.accessed
    assert look(store) == (found or store.session_id)
    assert store.accessed


def test_a_field_may_be_set_before_the_data_is_read(set_up):
    set_up(additional_fields=["device"])
    for read in (False, True):
        store = SessionStore(manager().create("7", data={"_auth_user_id": "7"}).token)
        store.set_fields(device="laptop")
        if read:
            assert store["_auth_user_id"] == "7"
        store.save()
        assert manager().get(store.session_id).fields == {"device": "laptop"}
