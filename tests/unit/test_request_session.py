from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_request import Line, OneRequest

from redisess_core import SessionGone
from redisess_core.tokens import session_id_of, token_shard
from redisess_core.web import AsyncRequestSession, CookieChange, RequestSession
from support.both import open_manager
from support.clock import FakeClock


@pytest.fixture
def memory(colour, namespace, clock):
    """A manager in memory, with two additional fields."""
    with open_manager(
        colour, "memory://", namespace=namespace, clock=clock, additional_fields=("name", "level")
    ) as manager:
        yield manager


@pytest.fixture
def request_of(memory):
    """Make an opened request that brought *token*: `request_of(token)`."""
    return lambda token=None, **options: OneRequest(memory, token, **options).open()


@pytest.fixture
def stored(memory):
    """A stored session of ada with some data."""
    return memory.create("ada", data={"a": 1, "list": [1], "map": {"x": {1}}}, name="Ada")


def raw_changes(session):
    return {name.decode(): value for name, value in session.changes().items()}


# A mapping


def test_it_is_the_mapping_that_its_data_is(request_of, stored):
    session = request_of(stored.token).session
    assert session == {"a": 1, "list": [1], "map": {"x": {1}}}
    assert len(session) == 3
    assert list(session) == ["a", "list", "map"]
    assert ("a" in session, "b" in session, 5 in session) == (True, False, False)
    assert (session["a"], session.get("b"), session.get("b", 5)) == (1, None, 5)
    with pytest.raises(KeyError):
        session["b"]
    assert session


def test_it_is_copied_and_merged_as_a_dict_is(request_of, stored):
    session = request_of(stored.token).session
    assert session.copy() == {"a": 1, "list": [1], "map": {"x": {1}}}
    assert session | {"a": 2, "b": 3} == {**session, "a": 2, "b": 3}
    assert {"a": 2, "b": 3} | session == {"b": 3, **session}
    assert list({"b": 3} | session) == ["b", *session]
    assert type(session.copy()) is type(session | {}) is type({} | session) is dict
    assert raw_changes(session) == {}
    merged = session
    merged |= {"a": 2, "b": 3}
    assert merged is session
    assert raw_changes(session) == {"d:a": b"2", "d:b": b"3"}


def test_a_visitors_session_is_an_empty_mapping(request_of):
    session = request_of().session
    assert session == {}
    assert not session
    assert list(session) == []


def test_values_are_decoded_when_they_are_asked_for_and_once(request_of, stored):
    session = request_of(stored.token).session
    assert session["list"] is session["list"]


def test_changes_show_in_the_mapping_at_once(request_of, stored):
    session = request_of(stored.token).session
    session["b"] = 2
    del session["a"]
    assert session.pop("list") == [1]
    session.update(c=3)
    assert session.setdefault("d", []) == []
    assert dict(session) == {"map": {"x": {1}}, "b": 2, "c": 3, "d": []}
    for gone in ("a", "list"):
        with pytest.raises(KeyError):
            session[gone]
        with pytest.raises(KeyError):
            del session[gone]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("save"), st.none(), st.none()),
            st.tuples(st.just("set"), st.sampled_from("abc"), st.integers(0, 2)),
            st.tuples(st.just("del"), st.sampled_from("abc"), st.none()),
            st.tuples(st.just("append"), st.sampled_from("abc"), st.integers(0, 2)),
            st.tuples(st.just("list"), st.sampled_from("abc"), st.none()),
            st.tuples(st.just("pop"), st.sampled_from("abc"), st.none()),
            st.tuples(st.just("store"), st.none(), st.none()),
        ),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_it_behaves_as_a_dict_does_and_stores_what_a_dict_would_hold(steps):
    expected = {}
    with ExitStack() as ends:
        manager = ends.enter_context(open_manager("blocking", "memory://", namespace="mapping", clock=FakeClock()))
        token = manager.create("ada").token
        request = OneRequest(manager, token).open()
        for verb, key, value in [*steps, ("store", None, None)]:
            session = request.session
            match verb:
                case "set":
                    session[key] = expected[key] = value
                case "list":
                    session[key], expected[key] = [], []
                case "append" if isinstance(expected.get(key), list):
                    session[key].append(value)
                    expected[key].append(value)
                case "del" if key in expected:
                    del session[key], expected[key]
                case "pop":
                    assert session.pop(key, "missing") == expected.pop(key, "missing")
                case "save":
                    request.save()
                    assert not session.modified
                case "store":
                    request.close()
                    request = OneRequest(manager, token).open()
            assert dict(request.session) == expected
            assert len(request.session) == len(expected)
            assert set(request.session) == set(expected)
            assert request.session.modified is bool(raw_changes(request.session))


# What changed


def test_reading_is_no_change(request_of, stored):
    session = request_of(stored.token).session
    _ = dict(session), session["map"], list(session.items())
    assert raw_changes(session) == {}
    assert not session.modified
    assert session.accessed


def test_a_mutation_in_place_is_found_by_its_encoding(request_of, stored):
    session = request_of(stored.token).session
    session["map"]["x"].add(2)
    assert raw_changes(session) == {"d:map": b'{"x":{"~s":[1,2]}}'}
    assert session.modified
    session["map"]["x"].remove(2)
    assert raw_changes(session) == {}


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.5, "x", b"x", datetime(2026, 1, 1, tzinfo=UTC), timedelta(1), Decimal(1), UUID(int=1), (1,), [1]],
)
def test_setting_an_equal_value_of_the_same_type_is_no_change(memory, request_of, value):
    session = request_of(memory.create("ada", data={"v": value}).token).session
    session["v"] = value
    assert raw_changes(session) == {}


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), ([1], (1,)), ("1", 1), ({1: 2}, {"1": 2})])
def test_setting_an_equal_value_of_another_type_is_a_change(memory, request_of, before, after):
    session = request_of(memory.create("ada", data={"v": before}).token).session
    session["v"] = after
    assert list(raw_changes(session)) == ["d:v"]


def test_only_the_keys_that_changed_are_changes(request_of, stored):
    session = request_of(stored.token).session
    session["b"] = 2
    session["c"] = 3
    del session["c"]
    del session["a"]
    assert raw_changes(session) == {"d:a": None, "d:b": b"2"}


def test_a_deleted_key_that_comes_back_as_it_was_is_no_change(request_of, stored):
    session = request_of(stored.token).session
    del session["a"]
    session["a"] = 1
    assert raw_changes(session) == {}


def test_an_unstorable_value_is_refused_at_the_assignment_and_what_was_there_stays(request_of, stored):
    session = request_of(stored.token).session
    with pytest.raises(TypeError, match="session data 'a': cannot store"):
        session["a"] = object()
    assert session["a"] == 1
    session["list"].append(object())
    with pytest.raises(TypeError, match="session data 'list': cannot store"):
        session.changes()


@pytest.mark.parametrize("key", [None, 5, b"a", "", "x" * 257])
def test_what_is_no_key_is_refused(request_of, key):
    session = request_of().session
    with pytest.raises((TypeError, ValueError), match="key of session data"):
        session[key] = 1
    assert not session.modified


# What is known of it


def test_a_stored_session_shows_its_attributes(request_of, stored, clock):
    clock.advance(10)
    session = request_of(stored.token).session
    assert (session.session_id, session.token, session.user_id) == (stored.session_id, stored.token, "ada")
    assert (session.created, session.authenticated_at) == (stored.created, stored.created)
    assert (session.last_access, session.idle, session.expires_in) == (clock(), 0, 1800)
    assert session.fields == {"name": "Ada", "level": None}
    assert (session.new, session.modified) == (False, False)


def test_a_session_that_is_not_stored_shows_nothing(request_of):
    session = request_of().session
    nothing = ("session_id", "token", "user_id", "created", "authenticated_at", "last_access", "expires_in")
    assert [getattr(session, name) for name in nothing] == [None] * len(nothing)
    assert (session.idle, session.new, session.modified) == (0, True, False)
    assert session.fields == {"name": None, "level": None}


def test_looking_at_any_attribute_counts_as_access(request_of):
    for name in ("session_id", "token", "user_id", "fields", "created", "last_access", "idle", "expires_in", "new"):
        session = request_of().session
        assert not session.accessed
        getattr(session, name)
        assert session.accessed


def test_its_representation_shows_no_data_and_reads_none(request_of, stored):
    session = request_of(stored.token).session
    assert stored.token not in repr(session)
    assert not session.accessed


def test_authenticated_within_goes_by_the_time_of_the_sign_in(request_of, stored, clock):
    clock.advance(60)
    session = request_of(stored.token).session
    assert (session.authenticated_within(60), session.authenticated_within(59)) == (True, False)
    assert not request_of().session.authenticated_within(60)


def test_nobody_is_authenticated_in_an_anonymous_session(memory, request_of):
    assert not request_of(memory.create(None).token).session.authenticated_within(60)


# What takes effect at the end


def test_a_sign_in_shows_its_token_id_user_and_fields_at_once(request_of, memory):
    session = request_of().session
    session.login("ada", name="Ada", level=3)
    assert session.user_id == "ada"
    assert session.session_id == session_id_of(session.token)
    assert token_shard(session.token, memory.shards) is not None
    assert session.fields == {"name": "Ada", "level": 3}
    assert session.authenticated_within(0)
    assert session.authenticated_at is None
    assert session.modified


def test_a_sign_in_of_a_stored_session_shows_another_token(request_of, stored):
    session = request_of(stored.token).session
    session.login("ada")
    assert session.token != stored.token
    assert session.session_id != stored.session_id
    assert session == {"a": 1, "list": [1], "map": {"x": {1}}}


def test_a_sign_in_of_another_user_shows_nothing_of_the_first(request_of, stored):
    session = request_of(stored.token).session
    session["more"] = 1
    session.login("bob")
    assert session == {}
    assert session.fields == {"name": None, "level": None}
    assert (session.user_id, session.created) == ("bob", None)


@pytest.mark.parametrize("user_id", [7, UUID(int=7)])
def test_a_user_id_is_taken_by_its_text(request_of, user_id):
    session = request_of().session
    session.login(user_id)
    assert session.user_id == str(user_id)


@pytest.mark.parametrize(
    ("args", "kwargs", "error"),
    [
        ((None,), {}, TypeError),
        (("",), {}, ValueError),
        (("ada",), {"ttl": -1}, ValueError),
        (("ada",), {"ttl": "1"}, TypeError),
        (("ada",), {"transport": "form"}, ValueError),
        (("ada",), {"colour": "red"}, TypeError),
        (("ada",), {"name": object()}, TypeError),
    ],
)
def test_a_wrong_sign_in_is_refused_and_changes_nothing(request_of, stored, args, kwargs, error):
    session = request_of(stored.token).session
    with pytest.raises(error):
        session.login(*args, **kwargs)
    assert (session.user_id, session.token, session.modified) == ("ada", stored.token, False)


def test_a_sign_out_shows_a_session_of_nobody(request_of, stored):
    session = request_of(stored.token).session
    session["more"] = 1
    session.logout()
    assert session == {}
    assert (session.user_id, session.session_id, session.token, session.created) == (None, None, None, None)
    assert session.fields == {"name": None, "level": None}
    assert (session.new, session.modified) == (True, True)


def test_clear_is_a_sign_out(request_of, stored):
    request = request_of(stored.token)
    request.session.clear()
    assert request.session.user_id is None
    request.close()
    assert request_of(stored.token).session.new


def test_a_rotation_shows_its_token_at_once_and_keeps_the_rest(request_of, stored):
    session = request_of(stored.token).session
    session.rotate()
    assert session.token != stored.token
    assert session.session_id == session_id_of(session.token)
    assert (session.user_id, session["a"], session.created) == ("ada", 1, stored.created)
    assert session.modified


def test_a_rotation_of_nothing_is_nothing(request_of, stored):
    visitor = request_of().session
    visitor.rotate()
    assert (visitor.token, visitor.modified) == (None, False)
    leaving = request_of(stored.token).session
    leaving.logout()
    leaving.rotate()
    assert leaving.token is None


def test_a_rotation_beside_a_sign_in_leaves_the_sign_ins_token(request_of, stored):
    session = request_of(stored.token).session
    session.login("ada")
    announced = session.token
    session.rotate()
    assert session.token == announced


def test_setting_modified_does_no_harm_and_reads_back(request_of, stored):
    session = request_of(stored.token).session
    session.modified = True
    assert session.modified
    assert raw_changes(session) == {}


# At once


def test_save_stores_what_waits_and_nothing_waits_any_more(request_of, memory, stored):
    line = Line(memory)
    request = request_of(stored.token)
    request.session["b"] = 2
    with line.seen() as scripts:
        request.save()
    assert scripts == ["store"]
    assert not request.session.modified
    assert memory.get(stored.session_id).data["b"] == 2
    with line.seen() as scripts:
        request.save()
        request.close()
    assert scripts == []


def test_after_a_saved_sign_in_the_session_is_the_stored_one(request_of, memory):
    request = request_of()
    request.session.login("ada", name="Ada")
    token = request.session.token
    request.save()
    session = request.session
    assert (session.token, session.user_id, session.new, session.modified) == (token, "ada", False, False)
    assert session.authenticated_at == session.created
    assert memory.authenticate(token).name == "Ada"


AT_ONCE = {
    "save": lambda request: request.save(),
    "touch": lambda request: request.touch(),
    "sessions": lambda request: request.sessions(),
    "end_session": lambda request: request.end_session("0aa" + "a" * 25),
    "logout_others": lambda request: request.logout_others(),
}
BEFORE = {
    "write": lambda session: None,
    "rotate": lambda session: session.rotate(),
    "login": lambda session: session.login("ada"),
    "switch": lambda session: session.login("bob"),
    "clear": lambda session: session.clear(),
}


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("stored_before", [False, True])
def test_what_a_view_holds_is_the_sessions_own_after_it_was_stored_too(
    request_of, memory, stored, at_once, before, stored_before
):
    request = request_of(stored.token if stored_before else None)
    session = request.session
    BEFORE[before](session)
    held = [session.setdefault("list", []), session.setdefault("new", [])]
    for step in range(3):
        for values in held:
            values.append(f"step {step}")
        AT_ONCE[at_once](request)
        assert [session["list"], session["new"]] == held
        assert not session.modified
    for values in held:
        values.append("end")
    request.close()
    found = memory.authenticate(session.token).data
    assert [found["list"], found["new"]] == held
    assert held[1] == ["step 0", "step 1", "step 2", "end"]


def test_what_was_stored_and_is_set_back_or_deleted_is_a_change_again(request_of, memory, stored):
    request = request_of(stored.token)
    request.session["a"] = 2
    request.session["b"] = 1
    del request.session["list"]
    request.save()
    assert raw_changes(request.session) == {}
    request.session["a"] = 1
    del request.session["b"]
    request.session["list"] = [1]
    request.close()
    assert dict(memory.get(stored.session_id).data) == {"a": 1, "list": [1], "map": {"x": {1}}}


@pytest.mark.parametrize("rotates", [False, True])
def test_what_others_changed_before_it_was_stored_is_not_undone_after(request_of, memory, stored, rotates):
    request = request_of(stored.token)
    session = request.session
    held = session["list"]
    if rotates:
        session.rotate()
    session["b"] = 1
    other = memory.get(stored.session_id)
    other.set({"list": ["theirs"], "a": "theirs"})
    other.delete("map")
    request.save()
    assert raw_changes(session) == {}
    session["c"] = 1
    request.close()
    data = memory.authenticate(session.token).data
    assert dict(data) == {"a": "theirs", "list": ["theirs"], "b": 1, "c": 1}
    assert held == [1]


def test_touch_moves_the_last_access_within_the_interval_too(request_of, memory, stored, clock):
    request = request_of(stored.token)
    clock.advance(0.5)
    request.touch()
    assert request.session.last_access == clock()
    assert memory.get(stored.session_id, touch=False).last_access == clock()


def test_sessions_lists_those_of_the_user_after_what_waits_was_stored(request_of, memory, stored):
    request = request_of()
    assert request.sessions() == []
    request.session.login("ada")
    assert {found.session_id for found in request.sessions()} == {stored.session_id, request.session.session_id}


def test_end_session_ends_ones_own_and_nobody_elses(request_of, memory, stored):
    bobs, other = memory.create("bob"), memory.create("ada")
    request = request_of(stored.token)
    assert not request.end_session(bobs.session_id)
    assert request.end_session(other.session_id)
    assert not request.end_session(other.session_id)
    assert not request.end_session("nonsense")
    assert memory.exists(bobs.session_id)
    assert memory.exists(stored.session_id)
    assert not request_of().end_session(stored.session_id)


@pytest.mark.parametrize("token", [True, False])
def test_end_session_refuses_what_is_no_text_and_ends_nothing_for_a_form_without_an_id(request_of, stored, token):
    request = request_of(stored.token) if token else request_of()
    assert request.end_session("") is False
    with pytest.raises(TypeError, match="session_id"):
        request.end_session(None)


def test_logout_others_keeps_this_one(request_of, memory, stored):
    for _ in range(3):
        memory.create("ada")
    bobs = memory.create("bob")
    assert request_of(stored.token).logout_others() == 3
    assert memory.get_user_sessions("ada") == [stored.session_id]
    assert memory.exists(bobs.session_id)
    assert request_of().logout_others() == 0


def test_logout_everywhere_ends_this_one_too(request_of, memory, stored):
    memory.create("ada")
    request = request_of(stored.token)
    assert request.logout_everywhere() == 2
    assert request.session.user_id is None
    assert request.session == {}
    assert memory.count() == 0


@pytest.mark.parametrize("method", ["save", "touch", "sessions", "logout_others"])
def test_what_talks_to_redis_at_once_says_that_the_session_is_gone(request_of, memory, stored, method):
    request = request_of(stored.token)
    memory.kill(stored.session_id)
    request.session["late"] = 1
    with pytest.raises(SessionGone) as gone:
        getattr(request, method)()
    assert gone.value.session_id == stored.session_id


@pytest.mark.parametrize("method", ["end_session", "logout_others", "logout_everywhere"])
@pytest.mark.parametrize("how", ["killed", "rotated by another tab"])
def test_a_session_that_is_gone_ends_no_other(request_of, memory, stored, method, how):
    request = request_of(stored.token)
    if how == "killed":
        memory.kill(stored.session_id)
        living = memory.create("ada")
    else:
        living = memory.rotate(memory.get(stored.session_id))
    arguments = [living.session_id] if method == "end_session" else []
    with pytest.raises(SessionGone) as gone:
        getattr(request, method)(*arguments)
    assert gone.value.session_id == stored.session_id
    assert memory.get_user_sessions("ada") == [living.session_id]
    outcome = request.close()
    assert (outcome.cookie, outcome.happened) == (CookieChange.KEEP, [])


@pytest.mark.parametrize("method", ["end_session", "logout_others"])
def test_a_session_that_expired_and_could_end_no_other_stays_dead(request_of, memory, clock, method):
    acting, living = memory.create("ada", ttl=100), memory.create("ada", ttl=1000)
    request = request_of(acting.token)
    clock.advance(101)
    with pytest.raises(SessionGone):
        getattr(request, method)(*([living.session_id] if method == "end_session" else []))
    clock.advance(-50)
    assert memory.authenticate(acting.token) is None
    assert memory.exists(living.session_id)


def test_a_session_that_ends_all_ends_more_than_a_slice(request_of, memory, stored):
    for _ in range(120):
        memory.create("ada")
    assert request_of(stored.token).logout_everywhere() == 121
    assert memory.count_for_user("ada") == 0


def test_a_touch_of_a_session_that_is_gone_says_so_with_nothing_to_store(request_of, memory, stored):
    request = request_of(stored.token)
    memory.kill(stored.session_id)
    with pytest.raises(SessionGone):
        request.touch()


# After the end

LATE = [
    lambda session: session.__setitem__("b", 1),
    lambda session: session.__delitem__("a"),
    lambda session: session.pop("a"),
    lambda session: session.update(b=1),
    lambda session: session.clear(),
    lambda session: session.login("ada"),
    lambda session: session.logout(),
    lambda session: session.rotate(),
]


@pytest.mark.parametrize("change", LATE)
def test_a_change_after_the_response_began_is_refused_and_save_is_named(request_of, stored, change):
    request = request_of(stored.token)
    request.close()
    with pytest.raises(RuntimeError, match=r"after its response began.*save\(\)"):
        change(request.session)
    assert request.session["a"] == 1


def test_both_colours_have_the_same_names():
    def names(kind):
        return {name for name in dir(kind) if not name.startswith("_")}

    assert names(RequestSession) == names(AsyncRequestSession)
