from __future__ import annotations

import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from one_request import Line, OneRequest

from redisess_core import RedisessError, SessionDataTooLarge, SessionLimitReached, StoreUnavailable
from redisess_core.events import EventKind
from redisess_core.tokens import session_id_of
from redisess_core.web import (
    AsyncRequestSession,
    CookieChange,
    CookiePolicy,
    Found,
    Happening,
    RequestSession,
    Source,
    is_token_of,
)
from support.both import open_manager, unwrap

POLICY = CookiePolicy("session", secure=False)
UNKNOWN = "1aa" + "a" * 26


@pytest.fixture(params=[1, 4])
def shards(request):
    """One shard, where every operation is one step; or four, where a sign-in may change the shard."""
    return request.param


@pytest.fixture
def make_memory(colour, namespace, clock):
    """Make managers in memory, all in the test's namespace."""
    opened = []

    def make(**options):
        opening = open_manager(colour, "memory://", **{"namespace": namespace, "clock": clock, **options})
        opened.append(opening)
        return opening.__enter__()

    yield make
    for opening in opened:
        opening.__exit__(None, None, None)


@pytest.fixture
def memory(make_memory):
    return make_memory()


@pytest.fixture
def ada(memory):
    """A stored session of ada with a cart."""
    return memory.create("ada", data={"cart": ["tea"]})


@pytest.fixture
def visitor(memory):
    """A stored session of nobody with a cart."""
    return memory.create(None, data={"cart": ["tea"]})


def told(outcome):
    return [(happening.kind and happening.kind.value, happening.user_id) for happening in outcome.happened]


NOTHING = (CookieChange.KEEP, False, False, [])


def said(outcome):
    return outcome.cookie, outcome.token_shown, outcome.signed_out, told(outcome)


# The start


def test_without_a_token_nothing_is_asked(memory):
    line = Line(memory)
    with line.seen() as scripts:
        request = OneRequest(memory).open()
        assert request.session.new
        outcome = request.close()
    assert scripts == []
    assert said(outcome) == NOTHING


def test_a_token_is_authenticated_touched_and_loaded_in_one_step(memory, ada, clock):
    line = Line(memory)
    clock.advance(5)
    with line.seen() as scripts:
        request = OneRequest(memory, ada.token).open()
        assert request.session == {"cart": ["tea"]}
        outcome = request.close()
    assert scripts == ["open"]
    assert memory.get(ada.session_id, touch=False).last_access == clock()
    assert said(outcome) == NOTHING


def test_opening_twice_asks_once(memory, ada):
    line = Line(memory)
    with line.seen() as scripts:
        OneRequest(memory, ada.token).open().open()
    assert scripts == ["open"]


@pytest.mark.parametrize("end", ["unknown", "killed", "expired"])
def test_a_token_that_names_no_live_session_is_a_session_of_nobody(memory, ada, clock, end):
    if end == "killed":
        memory.kill(ada.session_id)
    elif end == "expired":
        clock.advance(1800)
    request = OneRequest(memory, UNKNOWN if end == "unknown" else ada.token).open()
    assert (request.session.user_id, request.session.new, dict(request.session)) == (None, True, {})
    assert said(request.close()) == NOTHING


@pytest.mark.parametrize("colour", ["blocking"])
def test_a_blocking_request_that_was_not_opened_opens_at_its_first_access(memory, ada):
    line = Line(memory)
    request = OneRequest(memory, ada.token)
    with line.seen() as scripts:
        assert said(OneRequest(memory, ada.token).close()) == NOTHING
        assert scripts == []
        assert request.session["cart"] == ["tea"]
    assert scripts == ["open"]


@pytest.mark.parametrize("colour", ["blocking"])
@pytest.mark.parametrize("second_finds_redis_away", [False, True])
def test_who_comes_second_to_the_first_access_sees_what_the_first_one_did(memory, ada, second_finds_redis_away):
    request = OneRequest(memory, ada.token)
    both_ask, first_is_done = threading.Barrier(2), threading.Event()
    execute = memory.store.execute

    def execute_side_by_side(operation):
        reply = execute(operation)
        if both_ask.wait(20) == 1:  # one of the two, whichever it is
            assert first_is_done.wait(20)
            if second_finds_redis_away:
                raise StoreUnavailable("away")
        return reply

    def change(key):
        request.session[key] = key
        first_is_done.set()

    memory.store.execute = execute_side_by_side
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(change, ["a", "b"]))
    memory.store.execute = execute
    request.close()
    assert dict(memory.get(ada.session_id).data) == {"cart": ["tea"], "a": "a", "b": "b"}


@pytest.mark.parametrize("colour", ["async"])
def test_an_async_request_that_was_not_opened_says_so_at_its_first_access(memory, ada):
    request = OneRequest(memory, ada.token)
    with pytest.raises(RuntimeError, match="skip"):
        _ = request.session["cart"]
    with pytest.raises(RuntimeError, match="skip"):
        request.session["a"] = 1


def test_redis_away_at_the_start_is_an_error_each_time_never_an_empty_session(memory, ada):
    line = Line(memory)
    request = OneRequest(memory, ada.token)
    with line.cut(), pytest.raises(StoreUnavailable):
        request.open()
    with line.seen() as scripts, pytest.raises(StoreUnavailable):
        request.open()
    assert scripts == []
    assert said(request.close()) == NOTHING


def test_what_answers_a_failed_start_may_use_the_session_and_nothing_of_it_is_stored(memory, ada):
    line = Line(memory)
    request = OneRequest(memory, ada.token)
    with line.cut(), pytest.raises(StoreUnavailable):
        request.open()
    request.exchange.give_up()
    request.session["a"] = 1
    request.session.login("eve")
    assert request.session["a"] == 1
    with line.seen() as scripts:
        with pytest.raises(StoreUnavailable):
            request.save()
        with pytest.raises(StoreUnavailable):
            request.logout_everywhere()
        outcome = request.close()
    assert scripts == []
    assert said(outcome) == NOTHING
    assert OneRequest(memory, ada.token).open().session == {"cart": ["tea"]}


# The end


def test_access_is_noted(memory, ada):
    for token in (None, ada.token):
        unread, read = OneRequest(memory, token).open(), OneRequest(memory, token).open()
        _ = "cart" in read.session
        assert (unread.close().accessed, read.close().accessed) == (False, True)


def test_access_is_noted_where_nothing_can_be_stored(memory, ada):
    line = Line(memory)
    unread, read, late = (OneRequest(memory, ada.token) for _ in range(3))
    for request in (unread, read):
        with line.cut(), pytest.raises(StoreUnavailable):
            request.open()
        request.exchange.give_up()
    _ = "cart" in read.session
    assert (unread.close().accessed, read.close().accessed) == (False, True)
    late.open().close()
    _ = "cart" in late.session
    assert late.close().accessed


def test_only_what_changed_is_written_in_one_step(memory, ada):
    line = Line(memory)
    request = OneRequest(memory, ada.token).open()
    request.session["cart"].append("milk")
    memory.get(ada.session_id).set("other", "tab")
    with line.seen() as scripts:
        outcome = request.close()
    assert scripts == ["store"]
    assert said(outcome) == NOTHING
    assert dict(memory.get(ada.session_id).data) == {"cart": ["tea", "milk"], "other": "tab"}


def test_a_first_write_begins_an_anonymous_session(memory):
    line = Line(memory)
    request = OneRequest(memory).open()
    request.session["a"] = 1
    with line.seen() as scripts:
        outcome = request.close()
    assert scripts == ["create"]
    assert said(outcome) == (CookieChange.SET, True, False, [("created", None)])
    created = memory.authenticate(request.session.token)
    assert (created.user_id, dict(created.data)) == (None, {"a": 1})


def test_a_write_with_a_dead_token_begins_a_session_of_another(memory):
    request = OneRequest(memory, UNKNOWN).open()
    request.session["a"] = 1
    assert said(request.close()) == (CookieChange.SET, True, False, [("created", None)])
    assert request.session.token != UNKNOWN
    assert memory.authenticate(UNKNOWN) is None


def test_closing_twice_stores_and_says_the_same_once(memory):
    line = Line(memory)
    request = OneRequest(memory).open()
    request.session["a"] = 1
    with line.seen() as scripts:
        first, second = request.close(), request.close()
    assert scripts == ["create"]
    assert first is second


def test_the_client_is_recorded_when_a_session_begins_or_its_user_signs_in(memory):
    client = {"ip": "192.0.2.1", "user_agent": "x" * 300}
    request = OneRequest(memory, **client).open()
    request.session["a"] = 1
    request.close()
    found = memory.get(request.session.session_id)
    assert (found.ip, found.user_agent) == ("192.0.2.1", "x" * 256)
    other = {"ip": "192.0.2.2", "user_agent": None}
    for change, expected in ((lambda session: session.update(b=1), "192.0.2.1"), (_sign_in, "192.0.2.2")):
        request = OneRequest(memory, request.session.token, **other).open()
        change(request.session)
        request.close()
        assert memory.get(request.session.session_id).ip == expected


def _sign_in(session):
    session.login("ada")


def test_the_client_is_not_recorded_where_that_is_turned_off(make_memory):
    memory = make_memory(record_client=False)
    request = OneRequest(memory, ip="192.0.2.1", user_agent="Firefox").open()
    request.session.login("ada")
    request.close()
    found = memory.get(request.session.session_id)
    assert (found.ip, found.user_agent) == (None, None)


# Signing in


def test_a_sign_in_of_a_visitor_without_a_session_creates_one(memory):
    line = Line(memory)
    request = OneRequest(memory).open()
    request.session.login("ada", ttl=60)
    announced = request.session.token
    with line.seen() as scripts:
        outcome = request.close()
    assert scripts == ["create"]
    assert said(outcome) == (CookieChange.SET, True, False, [("created", "ada")])
    created = memory.authenticate(announced)
    assert (created.user_id, created.ttl) == ("ada", 60)


def test_a_sign_in_over_an_anonymous_session_keeps_its_cart_under_another_token(make_memory, shards):
    memory = make_memory(shards=shards)
    visitor = memory.create(None, data={"cart": ["tea"]}, ttl=90)
    line = Line(memory)
    request = OneRequest(memory, visitor.token).open()
    request.session.login("ada")
    request.session["more"] = 1
    with line.seen() as scripts:
        outcome = request.close()
    assert scripts in (["rotate"], ["create", "kill"])
    assert said(outcome) == (CookieChange.SET, True, False, [("rotated", None)])
    assert outcome.happened == [
        Happening(EventKind.ROTATED, visitor.session_id, None, session_id_of(request.session.token))
    ]
    assert memory.authenticate(visitor.token) is None
    now = memory.authenticate(request.session.token)
    assert (now.user_id, dict(now.data), now.ttl) == ("ada", {"cart": ["tea"], "more": 1}, 90)
    assert memory.count() == 1


def test_a_second_sign_in_of_the_same_user_gives_another_token_and_keeps_the_data(memory, ada, clock):
    clock.advance(60)
    request = OneRequest(memory, ada.token).open()
    request.session.login("ada")
    outcome = request.close()
    assert said(outcome) == (CookieChange.SET, True, False, [("rotated", "ada")])
    now = memory.authenticate(request.session.token)
    assert (dict(now.data), now.authenticated_at, now.created) == ({"cart": ["tea"]}, clock(), ada.created)
    assert memory.authenticate(ada.token) is None


def test_a_sign_in_of_another_user_ends_the_first_users_session_and_begins_another(make_memory, shards, clock):
    memory = make_memory(shards=shards, additional_fields=("name",))
    ada = memory.create("ada", data={"cart": ["tea"]}, ttl=90, name="Ada", ip="192.0.2.1")
    clock.advance(60)
    request = OneRequest(memory, ada.token).open()
    request.session["more"] = 1
    request.session.login("bob")
    request.session["bobs"] = 1
    assert said(request.close()) == (CookieChange.SET, True, False, [("killed", "ada"), ("created", "bob")])
    now = memory.authenticate(request.session.token)
    assert (now.user_id, dict(now.data), now.fields) == ("bob", {"bobs": 1}, {"name": None})
    assert (now.created, now.ttl, now.ip) == (clock(), 1800, None)
    assert memory.authenticate(ada.token) is None
    assert memory.get_all_users() == ["bob"]


def test_a_sign_out_and_in_again_in_one_request_keeps_nothing(memory, ada, visitor):
    for token in (ada.token, visitor.token):
        request = OneRequest(memory, token).open()
        request.session.logout()
        request.session.login("ada")
        outcome = request.close()
        assert (outcome.cookie, outcome.signed_out) == (CookieChange.SET, False)
        assert dict(memory.authenticate(request.session.token).data) == {}
        assert memory.authenticate(token) is None


def test_a_sign_in_and_out_again_in_one_request_ends_what_was_there(memory, ada):
    line = Line(memory)
    visitor, user = OneRequest(memory).open(), OneRequest(memory, ada.token).open()
    for request in (visitor, user):
        request.session.login("ada")
        request.session.logout()
    with line.seen() as scripts:
        assert said(visitor.close()) == NOTHING
        assert said(user.close()) == (CookieChange.REMOVE, False, True, [("killed", "ada")])
    assert scripts == ["kill"]
    assert memory.count() == 0


def test_a_rotation_gives_another_token_and_keeps_user_data_and_times(memory, ada, clock):
    clock.advance(60)
    line = Line(memory)
    request = OneRequest(memory, ada.token).open()
    request.session.rotate()
    announced = request.session.token
    with line.seen() as scripts:
        outcome = request.close()
    assert scripts == ["rotate"]
    assert said(outcome) == (CookieChange.SET, True, False, [("rotated", "ada")])
    now = memory.authenticate(announced)
    assert (now.user_id, now.created, now.authenticated_at) == ("ada", ada.created, ada.authenticated_at)
    assert dict(now.data) == {"cart": ["tea"]}
    assert memory.authenticate(ada.token) is None


# Signing out


@pytest.mark.parametrize("failed", [False, True])
def test_a_sign_out_kills_and_removes_the_cookie_even_of_a_request_that_failed(memory, ada, failed):
    line = Line(memory)
    request = OneRequest(memory, ada.token).open()
    request.session["lost"] = 1
    request.session.logout()
    with line.seen() as scripts:
        outcome = request.close(failed=failed)
    assert scripts == ["kill"]
    assert said(outcome) == (CookieChange.REMOVE, False, True, [("killed", "ada")])
    assert memory.authenticate(ada.token) is None


CHANGES = {
    "write": lambda session: session.update(lost=1),
    "login": lambda session: session.login("bob"),
    "rotate": lambda session: session.rotate(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("leaving", [False, True])
def test_of_a_failed_request_nothing_but_a_sign_out_is_carried_out(memory, ada, change, leaving):
    request = OneRequest(memory, ada.token).open()
    if leaving:
        request.session.logout()
    CHANGES[change](request.session)
    outcome = request.close(failed=True)
    assert outcome.cookie is (CookieChange.REMOVE if leaving else CookieChange.KEEP)
    assert memory.count() == (0 if leaving else 1)
    assert leaving or dict(memory.get(ada.session_id).data) == {"cart": ["tea"]}


def test_sign_ins_of_a_failed_request_end_no_session_of_those_before(memory, ada, visitor):
    for token in (ada.token, visitor.token):
        request = OneRequest(memory, token).open()
        for user in ("bob", "eve", "ada"):
            request.session.login(user)
        assert said(request.close(failed=True)) == NOTHING
        assert dict(memory.authenticate(token).data) == {"cart": ["tea"]}
    assert memory.count() == 2
    request = OneRequest(memory, UNKNOWN).open()
    for user in ("bob", "eve"):
        request.session.login(user)
    assert said(request.close(failed=True)) == NOTHING


def test_a_sign_out_after_a_sign_in_is_one_of_a_failed_request_too(memory, ada):
    request = OneRequest(memory, ada.token).open()
    request.session.login("bob")
    request.session.logout()
    request.session.login("eve")
    assert said(request.close(failed=True)) == (CookieChange.REMOVE, False, True, [("killed", "ada")])
    assert memory.count() == 0


def test_a_sign_out_followed_by_a_message_begins_a_session_of_nobody(memory, ada):
    line = Line(memory)
    request = OneRequest(memory, ada.token).open()
    request.session.clear()
    request.session["message"] = "bye"
    with line.seen() as scripts:
        outcome = request.close()
    assert scripts == ["rotate"]
    assert said(outcome) == (CookieChange.SET, True, True, [("killed", "ada"), ("created", None)])
    now = memory.authenticate(request.session.token)
    assert (now.user_id, dict(now.data), now.authenticated_at) == (None, {"message": "bye"}, None)
    assert memory.authenticate(ada.token) is None


@pytest.mark.parametrize("token", [None, UNKNOWN])
def test_a_sign_out_without_a_live_session_removes_the_cookie_that_was_sent(memory, token):
    line = Line(memory)
    for present in (False, True):
        request = OneRequest(memory, token, cookie_present=present).open()
        with line.seen() as scripts:
            request.session.logout()
            outcome = request.close()
        assert scripts == []
        assert outcome.cookie is (CookieChange.REMOVE if present else CookieChange.KEEP)


def test_a_sign_in_with_the_cookie_of_a_dead_session_after_a_sign_out_sets_one(memory):
    request = OneRequest(memory, UNKNOWN).open()
    request.session.logout()
    request.session.login("ada")
    assert said(request.close()) == (CookieChange.SET, True, False, [("created", "ada")])


def test_an_anonymous_session_emptied_by_deletions_is_ended_and_is_no_sign_out(memory, visitor):
    line = Line(memory)
    request = OneRequest(memory, visitor.token).open()
    del request.session["cart"]
    with line.seen() as scripts:
        outcome = request.close()
    assert scripts == ["store"]
    assert said(outcome) == (CookieChange.REMOVE, False, False, [("killed", None)])
    assert memory.count() == 0


def test_a_users_session_emptied_by_deletions_stays(memory, ada):
    request = OneRequest(memory, ada.token).open()
    del request.session["cart"]
    assert said(request.close()) == NOTHING
    assert memory.exists(ada.session_id)


def test_an_emptied_session_that_another_request_filled_stays(memory, visitor):
    request = OneRequest(memory, visitor.token).open()
    del request.session["cart"]
    memory.get(visitor.session_id).set("other", "tab")
    assert said(request.close()) == NOTHING
    assert dict(memory.get(visitor.session_id).data) == {"other": "tab"}


@pytest.mark.parametrize("rotate_first", [False, True])
def test_an_anonymous_session_emptied_by_deletions_is_ended_even_where_it_was_to_rotate(memory, visitor, rotate_first):
    request = OneRequest(memory, visitor.token).open()
    if rotate_first:
        request.session.rotate()
    del request.session["cart"]
    request.session.rotate()
    assert said(request.close()) == (CookieChange.REMOVE, False, False, [("killed", None)])
    assert memory.count() == 0


def test_an_emptied_session_that_was_to_rotate_and_that_another_request_filled_rotates(memory, visitor):
    request = OneRequest(memory, visitor.token).open()
    del request.session["cart"]
    request.session.rotate()
    announced = request.session.token
    memory.get(visitor.session_id).set("other", "tab")
    assert said(request.close()) == (CookieChange.SET, True, False, [("rotated", None)])
    assert dict(memory.authenticate(announced).data) == {"other": "tab"}
    assert memory.authenticate(visitor.token) is None


def test_an_emptied_session_is_kept_for_who_signs_in(memory, visitor):
    request = OneRequest(memory, visitor.token).open()
    del request.session["cart"]
    request.session.login("ada")
    assert said(request.close()) == (CookieChange.SET, True, False, [("rotated", None)])
    assert memory.authenticate(request.session.token).user_id == "ada"


def session_with(memory, **members):
    """Make a class of request sessions of *memory*'s colour, as an adapter does."""
    base = RequestSession if type(memory).__name__ != "Driven" else AsyncRequestSession
    return type("Session", (base,), members)


@pytest.mark.parametrize("shown", [None, True])
def test_an_emptied_session_that_another_request_filled_keeps_the_frameworks_keys(memory, shown):
    kept = session_with(memory, incidental_keys=frozenset({"_permanent", "_fresh"}))
    visitor = memory.create(None, data={"cart": ["tea"], "_permanent": True})
    request = OneRequest(memory, visitor.token, session_class=kept).open()
    del request.session["cart"]
    if shown is not None:
        request.session["_fresh"] = shown
    memory.get(visitor.session_id).set("other", "tab")
    assert said(request.close()) == NOTHING
    fresh = {} if shown is None else {"_fresh": shown}
    assert dict(memory.get(visitor.session_id).data) == {"_permanent": True, "other": "tab", **fresh}


def test_an_anonymous_session_that_never_held_data_is_not_ended_by_the_frameworks_keys(memory):
    kept = session_with(memory, incidental_keys=frozenset({"_fresh"}))
    visitor = memory.create(None)
    request = OneRequest(memory, visitor.token, session_class=kept).open()
    request.session["_fresh"] = True
    assert request.close().cookie is CookieChange.KEEP
    assert dict(memory.get(visitor.session_id).data) == {"_fresh": True}


@pytest.mark.parametrize("left", [{}, {"_permanent": True}, {"_permanent": True, "_fresh": False}])
def test_an_anonymous_session_left_with_nothing_but_the_frameworks_keys_is_ended(memory, left):
    kept = session_with(memory, incidental_keys=frozenset({"_permanent", "_fresh"}))
    visitor = memory.create(None, data={"cart": ["tea"], **left})
    request = OneRequest(memory, visitor.token, session_class=kept).open()
    del request.session["cart"]
    request.session["_fresh"] = True
    assert said(request.close()) == (CookieChange.REMOVE, False, False, [("killed", None)])
    assert memory.count() == 0


# Header clients


def test_a_request_by_header_changes_no_cookie_whatever_it_does(memory):
    for change in (
        lambda session: session.login("ada"),
        lambda session: session.rotate(),
        lambda session: session.logout(),
        lambda session: (session.logout(), session.update(a=1)),
        lambda session: session.login("bob"),
    ):
        token = memory.create("ada").token
        request = OneRequest(memory, token, Source.HEADER, cookie_present=True).open()
        change(request.session)
        outcome = request.close()
        assert outcome.cookie is CookieChange.KEEP
        assert request.exchange.cookie_header(POLICY) is None
        assert outcome.token_shown is (request.session.token is not None)
        assert memory.authenticate(token) is None


def test_a_sign_in_may_say_where_its_token_goes(memory, ada):
    for source, transport, cookie in (
        (Source.COOKIE, "header", CookieChange.KEEP),
        (Source.COOKIE, "cookie", CookieChange.SET),
        (Source.COOKIE, None, CookieChange.SET),
        (Source.HEADER, "cookie", CookieChange.SET),
        (Source.HEADER, None, CookieChange.KEEP),
    ):
        request = OneRequest(memory, memory.create("ada").token, source).open()
        request.session.login("ada", transport=transport)
        outcome = request.close()
        assert (outcome.cookie, outcome.token_shown) == (cookie, True)


# A session that dies while its request runs

DEATHS = {
    "killed": lambda memory, ada, clock: memory.kill(ada.session_id),
    "expired": lambda memory, ada, clock: clock.advance(1800),
    "rotated": lambda memory, ada, clock: memory.rotate(memory.get(ada.session_id)),
}
LATE = {
    **CHANGES,
    "mutate": lambda session: session["cart"].append("milk"),
    "delete": lambda session: session.pop("cart"),
    "same user": lambda session: session.login("ada"),
    "logout": lambda session: session.logout(),
    "clear and write": lambda session: (session.clear(), session.update(a=1)),
}


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("change", LATE)
def test_what_it_changed_is_dropped_and_the_client_is_told_nothing(memory, ada, clock, caplog, death, change):
    request = OneRequest(memory, ada.token).open()
    LATE[change](request.session)
    DEATHS[death](memory, ada, clock)
    with caplog.at_level(logging.WARNING, "redisess"):
        outcome = request.close()
    assert said(outcome) == (CookieChange.KEEP, False, False, [(None, "ada")])
    assert outcome.happened[0].session_id == ada.session_id
    assert request.exchange.cookie_header(POLICY) is None
    assert memory.authenticate(ada.token) is None
    assert [dict(memory.get(alive).data) for alive in memory.get_all_sessions()] == (
        [{"cart": ["tea"]}] if death == "rotated" else []
    )
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "redisess"]
    assert ada.session_id in warning
    assert ada.token not in warning


def test_a_session_that_dies_across_shards_while_it_signs_in_leaves_nobody_signed_in(make_memory, caplog):
    memory = make_memory(shards=16)
    for n in range(8):
        visitor = memory.create(None, data={"cart": ["tea"]})
        request = OneRequest(memory, visitor.token).open()
        request.session.login(f"user{n}")
        memory.kill(visitor.session_id)
        assert said(request.close()) == (CookieChange.KEEP, False, False, [(None, None)])
    assert memory.count() == 0
    assert memory.count_users() == 0


def test_what_save_had_done_before_the_session_died_is_told(memory):
    request = OneRequest(memory).open()
    request.session["a"] = 1
    request.save()
    memory.kill(request.session.session_id)
    request.session["b"] = 2
    outcome = request.close()
    assert said(outcome) == (CookieChange.KEEP, False, False, [("created", None), (None, None)])


# A cookie that rolls


def rolling(memory, token, source=Source.COOKIE):
    base = RequestSession if type(memory).__name__ != "Driven" else AsyncRequestSession

    class Rolling(base):
        def rolls(self):
            return True

    return OneRequest(memory, token, source, session_class=Rolling).open()


def test_a_rolling_cookie_is_sent_again_after_a_look_whether_its_session_lives(memory, ada):
    line = Line(memory)
    request = rolling(memory, ada.token)
    with line.seen() as scripts:
        outcome = request.close()
    assert scripts == ["exists"]
    assert said(outcome) == (CookieChange.SET, True, False, [])
    assert not outcome.accessed
    assert f"session={ada.token}; " in request.exchange.cookie_header(POLICY, max_age=60)


def test_a_rolling_cookie_needs_no_look_where_something_was_stored(memory, ada):
    line = Line(memory)
    request = rolling(memory, ada.token)
    request.session["a"] = 1
    with line.seen() as scripts:
        assert request.close().cookie is CookieChange.SET
    assert scripts == ["store"]


@pytest.mark.parametrize("death", DEATHS)
def test_a_rolling_cookie_of_a_session_that_died_meanwhile_is_not_sent(memory, ada, clock, death):
    request = rolling(memory, ada.token)
    DEATHS[death](memory, ada, clock)
    assert said(request.close()) == (CookieChange.KEEP, False, False, [(None, "ada")])


def test_a_rolling_cookie_that_cannot_be_looked_up_is_not_sent_and_no_error(memory, ada):
    line = Line(memory)
    request = rolling(memory, ada.token)
    with line.cut():
        assert said(request.close()) == NOTHING


def test_no_cookie_rolls_for_header_clients_visitors_and_after_a_sign_out(memory, ada):
    line = Line(memory)
    with line.seen() as scripts:
        assert said(rolling(memory, None).close()) == NOTHING
    assert scripts == []
    assert said(rolling(memory, ada.token, Source.HEADER).close()) == NOTHING
    request = rolling(memory, ada.token)
    request.session.logout()
    assert request.close().cookie is CookieChange.REMOVE


def test_no_cookie_rolls_after_a_failed_request_stored_nothing(memory, ada):
    request = rolling(memory, ada.token)
    request.session["list"] = values = []
    values.append(object())
    with pytest.raises(TypeError):
        request.close()
    assert said(request.close()) == NOTHING


# What is refused, and Redis away


def test_redis_away_at_the_end_is_an_error_and_the_client_is_told_nothing(memory, ada):
    line = Line(memory)
    for change in LATE.values():
        request = OneRequest(memory, ada.token).open()
        change(request.session)
        with line.cut(), pytest.raises(StoreUnavailable):
            request.close()
        with line.seen() as scripts:
            assert said(request.close()) == NOTHING
        assert scripts == []
    assert memory.get(ada.session_id).data == {"cart": ["tea"]}


def test_what_redis_away_kept_from_being_saved_is_tried_again_at_the_end(memory, ada):
    line = Line(memory)
    request = OneRequest(memory, ada.token).open()
    request.session["a"] = 1
    with line.cut(), pytest.raises(StoreUnavailable):
        request.save()
    assert request.session["a"] == 1
    request.close()
    assert memory.get(ada.session_id).data["a"] == 1


@pytest.fixture
def strict(make_memory):
    """A manager that refuses a user's second session, and more than 50 bytes."""
    memory = make_memory(max_sessions_per_user=1, on_limit="refuse", max_data_bytes=50)
    memory.create("ada")
    return memory


def test_a_refused_sign_in_raises_at_the_end_and_leaves_everything_as_it_was(strict):
    visitor = strict.create(None, data={"cart": 1})
    for token in (None, visitor.token):
        request = OneRequest(strict, token).open()
        request.session.login("ada")
        with pytest.raises(SessionLimitReached) as refused:
            request.close()
        assert (refused.value.user_id, refused.value.limit) == ("ada", 1)
        assert said(request.close()) == NOTHING
    assert strict.authenticate(visitor.token).data == {"cart": 1}
    assert strict.count_for_user("ada") == 1


def test_what_answers_a_refused_sign_in_is_stored_but_no_second_one_is_tried_for_ever(strict):
    request = OneRequest(strict, strict.create(None, data={"cart": 1}).token).open()
    for note in ("first", "second"):
        request.session["note"] = note
        request.session.login("ada")
        with pytest.raises(SessionLimitReached):
            request.close()
    line = Line(strict)
    request.session.login("ada")
    with line.seen() as scripts:
        assert said(request.close()) == NOTHING
    assert scripts == []
    answered = OneRequest(strict).open()
    answered.session.login("ada")
    with pytest.raises(SessionLimitReached):
        answered.close()
    answered.session["message"] = "too many"
    assert said(answered.close()) == (CookieChange.SET, True, False, [("created", None)])


def test_a_refused_sign_in_that_was_caught_waits_no_longer_and_the_rest_is_stored(strict):
    visitor = strict.create(None, data={"cart": 1})
    request = OneRequest(strict, visitor.token).open()
    request.session["note"] = 1
    request.session.login("ada", transport="header")
    with pytest.raises(SessionLimitReached):
        request.save()
    assert (request.session.user_id, request.session.token) == (None, visitor.token)
    assert said(request.close()) == NOTHING
    assert dict(strict.authenticate(visitor.token).data) == {"cart": 1, "note": 1}


@pytest.mark.parametrize("twice", [False, True])
def test_a_refused_switch_of_users_that_was_caught_leaves_the_first_one_signed_in(strict, twice):
    bob = strict.create("bob", data={"a": 1})
    request = OneRequest(strict, bob.token).open()
    if twice:
        request.session.login("eve")
    request.session.login("ada")
    request.session["b"] = 1
    with pytest.raises(SessionLimitReached):
        request.save()
    assert (request.session.user_id, request.session.token, dict(request.session)) == ("bob", bob.token, {"a": 1})
    assert said(request.close()) == NOTHING
    assert strict.authenticate(bob.token).data == {"a": 1}


@pytest.mark.parametrize("twice", [False, True])
def test_a_sign_out_before_a_refused_sign_in_that_was_caught_stays_one(strict, twice):
    bob = strict.create("bob", data={"a": 1})
    request = OneRequest(strict, bob.token).open()
    request.session.logout()
    if twice:
        request.session.login("eve")
    request.session.login("ada")
    with pytest.raises(SessionLimitReached):
        request.save()
    assert request.session.user_id is None
    assert said(request.close()) == (CookieChange.REMOVE, False, True, [("killed", "bob")])


def test_refused_data_that_was_caught_waits_no_longer_and_the_rest_is_done(strict):
    request = OneRequest(strict, strict.create(None, data={"a": 1}).token).open()
    request.session["a"] = "x" * 100
    request.session.login("bob")
    announced = request.session.token
    with pytest.raises(SessionDataTooLarge):
        request.save()
    assert request.session["a"] == 1
    request.session["b"] = 2
    assert request.close().cookie is CookieChange.SET
    assert dict(strict.authenticate(announced).data) == {"a": 1, "b": 2}


def test_oversized_data_raises_at_the_end_and_stores_nothing(strict):
    session = strict.create("bob", data={"a": 1})
    for token in (None, session.token):
        request = OneRequest(strict, token).open()
        request.session["big"] = "x" * 100
        with pytest.raises(SessionDataTooLarge):
            request.close()
        assert said(request.close()) == NOTHING
    assert dict(strict.get(session.session_id).data) == {"a": 1}
    assert strict.count() == 2


@pytest.mark.parametrize("signs_in", [False, True])
def test_more_keys_than_a_session_holds_raise_at_the_end_and_store_nothing(memory, visitor, signs_in):
    for token in (None, visitor.token):
        request = OneRequest(memory, token).open()
        request.session.update(dict.fromkeys([f"k{number}" for number in range(1001)]))
        if signs_in:
            request.session.login("bob")
        with pytest.raises(SessionDataTooLarge, match="keys; a session holds at most 1000"):
            request.close()
        assert said(request.close()) == NOTHING
    assert dict(memory.get(visitor.session_id).data) == {"cart": ["tea"]}
    assert memory.count() == 1


def test_what_save_had_stored_is_told_the_client_even_when_the_end_fails(strict):
    request = OneRequest(strict).open()
    request.session.login("bob")
    request.save()
    request.session["big"] = "x" * 100
    with pytest.raises(SessionDataTooLarge):
        request.close()
    assert said(request.close()) == (CookieChange.SET, True, False, [("created", "bob")])
    assert request.session.token in request.exchange.cookie_header(POLICY)


def test_what_was_made_unstorable_in_place_raises_at_the_end_and_stores_nothing(memory, ada):
    request = OneRequest(memory, ada.token).open()
    request.session["other"] = 1
    request.session["cart"].append(object())
    with pytest.raises(TypeError, match="session data 'cart'"):
        request.close()
    assert said(request.close()) == NOTHING
    assert dict(memory.get(ada.session_id).data) == {"cart": ["tea"]}


def oversized(session):
    session["big"] = "x" * 100


def unstorable(session):
    session["list"] = values = []
    values.append(object())


def too_deep(session):
    session["list"] = values = []
    values.append(values)


@pytest.mark.parametrize("leave", ["logout", "clear"])
@pytest.mark.parametrize("refused", [oversized, unstorable, too_deep])
@pytest.mark.parametrize("signs_in", [False, True])
def test_a_sign_out_is_carried_out_even_where_the_data_beside_it_is_refused(strict, leave, refused, signs_in):
    bob = strict.create("bob", data={"a": 1})
    line = Line(strict)
    request = OneRequest(strict, bob.token).open()
    getattr(request.session, leave)()
    if signs_in:
        request.session.login("eve")
    refused(request.session)
    with line.seen() as scripts, pytest.raises((SessionDataTooLarge, TypeError, ValueError)):
        request.close()
    assert scripts[-1] == "kill"
    assert said(request.close()) == (CookieChange.REMOVE, False, True, [("killed", "bob")])
    assert strict.authenticate(bob.token) is None
    assert strict.get_all_users() == ["ada"]


@pytest.mark.parametrize("refused", [oversized, unstorable])
def test_a_sign_in_of_another_user_that_is_refused_for_its_data_leaves_the_first_one_signed_in(strict, refused):
    bob = strict.create("bob", data={"a": 1})
    request = OneRequest(strict, bob.token).open()
    request.session.login("eve")
    refused(request.session)
    with pytest.raises((SessionDataTooLarge, TypeError)):
        request.close()
    assert said(request.close()) == NOTHING
    assert dict(strict.authenticate(bob.token).data) == {"a": 1}


def test_a_sign_out_before_a_sign_in_that_is_refused_again_and_again_is_carried_out(strict):
    bob = strict.create("bob")
    request = OneRequest(strict, bob.token).open()
    request.session.logout()
    for _ in range(2):
        request.session.login("ada")
        with pytest.raises(SessionLimitReached):
            request.close()
    assert said(request.close()) == (CookieChange.REMOVE, False, True, [("killed", "bob")])
    assert strict.authenticate(bob.token) is None


def test_a_session_that_died_before_the_sign_out_beside_refused_data_is_told_of(strict):
    bob = strict.create("bob")
    request = OneRequest(strict, bob.token).open()
    request.session.logout()
    unstorable(request.session)
    strict.kill(bob.session_id)
    with pytest.raises(TypeError):
        request.close()
    assert said(request.close()) == (CookieChange.KEEP, False, False, [(None, "bob")])


def test_redis_away_for_the_sign_out_beside_refused_data_is_the_error(strict):
    bob = strict.create("bob")
    line = Line(strict)
    request = OneRequest(strict, bob.token).open()
    request.session.logout()
    unstorable(request.session)
    with line.cut(), pytest.raises(StoreUnavailable):
        request.close()
    assert said(request.close()) == NOTHING
    assert strict.authenticate(bob.token).user_id == "bob"


# Ending others


def test_ending_another_session_tells_of_it_and_leaves_the_cookie(memory, ada):
    other = memory.create("ada")
    request = OneRequest(memory, ada.token).open()
    request.end_session(other.session_id)
    outcome = request.close()
    assert (outcome.cookie, outcome.signed_out) == (CookieChange.KEEP, False)
    assert outcome.happened == [Happening(EventKind.KILLED, other.session_id, "ada")]


@pytest.mark.parametrize("everywhere", [False, True])
def test_ending_ones_own_session_removes_the_cookie(memory, ada, everywhere):
    request = OneRequest(memory, ada.token).open()
    assert request.logout_everywhere() if everywhere else request.end_session(ada.session_id)
    assert said(request.close()) == (CookieChange.REMOVE, False, True, [("killed", "ada")])
    assert memory.authenticate(ada.token) is None


def test_logout_everywhere_of_a_visitor_ends_the_session_at_once(memory, visitor):
    request = OneRequest(memory, visitor.token).open()
    assert request.logout_everywhere() == 0
    assert not memory.exists(visitor.session_id)
    assert said(request.close()) == (CookieChange.REMOVE, False, True, [("killed", None)])


def test_a_session_that_begins_after_an_end_gets_a_cookie(memory, ada):
    request = OneRequest(memory, ada.token).open()
    request.logout_everywhere()
    request.session["message"] = "bye"
    assert said(request.close()) == (CookieChange.SET, True, True, [("killed", "ada"), ("created", None)])


def test_an_immortal_session_signs_in_and_out_like_any(make_memory):
    memory = make_memory(ttl=0)
    visitor = memory.create(None, data={"a": 1})
    request = OneRequest(memory, visitor.token).open()
    assert request.session.expires_in == math.inf
    request.session.login("ada")
    request.close()
    request = OneRequest(memory, request.session.token).open()
    request.session.logout()
    request.close()
    assert memory.count() == 0


# The cookie


def test_the_cookies_header_is_what_the_outcome_says(memory, ada):
    begun = OneRequest(memory).open()
    assert begun.exchange.cookie_header(POLICY) is None
    begun.session["a"] = 1
    begun.close()
    assert begun.exchange.cookie_header(POLICY).startswith(f"session={begun.session.token}; Path=/")
    assert "Max-Age=60" in begun.exchange.cookie_header(POLICY, max_age=60)
    left = OneRequest(memory, ada.token).open()
    left.session.logout()
    left.close()
    assert left.exchange.cookie_header(POLICY) == POLICY.delete_header()


def test_a_token_has_the_form_that_the_managers_shards_give(make_memory):
    one, four = make_memory(namespace="one"), make_memory(namespace="four", shards=4)
    assert is_token_of(unwrap(one))("1aa" + "a" * 26)
    assert not is_token_of(unwrap(one))("1ab" + "a" * 26)
    assert is_token_of(unwrap(four))("1ad" + "a" * 26)
    assert not is_token_of(unwrap(four))("1ae" + "a" * 26)


def test_what_was_found_shows_no_token_in_its_representation():
    assert UNKNOWN not in repr(Found(UNKNOWN, Source.COOKIE, cookie_present=True))


def test_every_error_of_the_end_is_ours_or_the_programs():
    for error in (StoreUnavailable, SessionLimitReached, SessionDataTooLarge):
        assert issubclass(error, RedisessError)
