"""The move from a former engine: nobody is signed out by it."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from django.conf import settings
from django.test import AsyncClient, Client
from django.views.debug import ExceptionReporter
from django_kit import UNKNOWN_TOKEN

from redisess_core import StoreUnavailable
from redisess_django import manager, migrate, session_created
from redisess_django.migrate import take_over
from redisess_django.sessions import SessionStore
from redisess_django.state import Key
from support.django_project import DJANGOS, OURS

DB, CACHED, CACHE, FILE, SIGNED = (
    f"django.contrib.sessions.backends.{name}" for name in ("db", "cached_db", "cache", "file", "signed_cookies")
)


@pytest.fixture(params=[1, 8])
def shards(request):
    return request.param


@pytest.fixture(params=[OURS, DJANGOS], ids=["ours", "django's"])
def middleware(request):
    return request.param


@pytest.fixture
def former_cookie(set_up, ada):
    """Sign ada in under the former engine, with a cart; gives the cookie's value."""

    def former_cookie(engine=DB):
        set_up(SESSION_ENGINE=engine, session_middleware=DJANGOS)
        client = Client()
        client.get("/put/cart/tea")
        client.get("/sign-in/ada")
        assert client.get("/me").json() == {"user": "ada", "data": {"cart": "tea"}}
        return client.cookies["sessionid"].value

    return former_cookie


def browser(colour, cookie, **options):
    client = Client(**options) if colour == "blocking" else AsyncClient(**options)
    client.cookies["sessionid"] = cookie

    def get(path):
        return client.get(f"/{path}") if colour == "blocking" else asyncio.run(client.get(f"/async/{path}"))

    return get, client.cookies


@pytest.mark.parametrize("engine", [DB, CACHED, CACHE, FILE, SIGNED])
def test_a_session_is_taken_over_at_first_sight(set_up, former_cookie, engine, middleware, shards, colour, ada):
    cookie = former_cookie(engine)
    set_up(migrate_from=engine, session_middleware=middleware, shards=shards)
    get, cookies = browser(colour, cookie)
    assert get("me").json() == {"user": "ada", "data": {"cart": "tea"}}
    key = cookies["sessionid"].value
    assert manager().get_user_sessions(ada.pk) == [SessionStore(key).session_id]
    assert get("me").json() == {"user": "ada", "data": {"cart": "tea"}}
    assert cookies["sessionid"].value == key
    assert manager().count() == 1


def test_visitors_whose_signed_cookies_are_the_same_get_a_session_each(set_up, database, middleware, shards):
    set_up(SESSION_ENGINE=SIGNED, session_middleware=DJANGOS)
    client = Client()
    client.get("/put/banner/seen")
    cookie = client.cookies["sessionid"].value
    set_up(migrate_from=SIGNED, session_middleware=middleware, shards=shards)
    (one, _), (other, _) = browser("blocking", cookie), browser("blocking", cookie)
    one("put/address/elm-street")
    other("put/cart/tea")
    assert one("me").json()["data"] == {"banner": "seen", "address": "elm-street"}
    assert other("me").json()["data"] == {"banner": "seen", "cart": "tea"}


def test_requests_under_way_with_the_old_key_go_on_in_the_same_session(set_up, former_cookie, middleware, shards, ada):
    cookie = former_cookie()
    set_up(migrate_from=DB, session_middleware=middleware, shards=shards)
    keys = set()
    for _ in range(3):
        get, cookies = browser("blocking", cookie)
        assert get("me").json()["user"] == "ada"
        keys.add(cookies["sessionid"].value)
    assert len(keys) == manager().count() == 1


def test_what_was_signed_out_does_not_come_back_by_the_old_key(set_up, former_cookie, middleware, shards):
    cookie = former_cookie()
    set_up(migrate_from=DB, session_middleware=middleware, shards=shards)
    get, _ = browser("blocking", cookie)
    get("me")
    get("sign-out")
    late, _ = browser("blocking", cookie)
    assert late("me").json() == {"user": None, "data": {}}
    assert manager().count() == 0


def test_the_old_key_is_worth_nothing_to_the_former_engine(set_up, former_cookie):
    cookie = former_cookie()
    set_up(migrate_from=DB)
    browser("blocking", cookie)[0]("me")
    left = dict(import_module(DB).SessionStore(cookie).load())
    assert list(left) == ["_redisess_moved", "_session_expiry"]


@pytest.mark.parametrize("engine", [DB, CACHED, CACHE, FILE])
def test_what_is_left_of_it_leads_on_for_ten_minutes_only(set_up, former_cookie, engine, clock):
    cookie = former_cookie(engine)
    set_up(migrate_from=engine)
    browser("blocking", cookie)[0]("me")
    left = import_module(engine).SessionStore(cookie)
    assert left.get_expiry_age() == 600


def dead_stays_dead(set_up, former_cookie, monkeypatch, engine, colour, between):
    """Let a request read the former session, then *between*, then take it over."""
    cookie = former_cookie(engine)
    set_up(migrate_from=engine)
    store_class, read = import_module(engine).SessionStore, []

    def load(self):
        found = plain(self)
        if not read:
            read.append(found)
            between(cookie)
        return found

    async def aload(self):
        found = await aplain(self)
        if not read:
            read.append(found)
            await asyncio.to_thread(between, cookie)
        return found

    plain, aplain = store_class.load, store_class.aload
    monkeypatch.setattr(store_class, *(("load", load) if colour == "blocking" else ("aload", aload)))
    late, _ = browser(colour, cookie)
    assert late("me").json() == {"user": None, "data": {}}
    assert read
    assert manager().count() == 0
    assert browser("blocking", cookie)[0]("me").json() == {"user": None, "data": {}}


def sign_out(cookie):
    other, _ = browser("blocking", cookie)
    assert other("me").json()["user"] == "ada"
    other("sign-out")
    assert manager().count() == 0


def forget_it(cookie):
    """Sign out in a process that still runs the former engine."""
    import_module(settings.REDISESS["MIGRATE_FROM"]).SessionStore(cookie).delete()


@pytest.mark.parametrize("engine", [DB, CACHED, CACHE, FILE])
@pytest.mark.parametrize("between", [sign_out, forget_it])
def test_what_ended_while_a_request_took_it_over_is_dead(set_up, former_cookie, monkeypatch, engine, colour, between):
    dead_stays_dead(set_up, former_cookie, monkeypatch, engine, colour, between)


@pytest.mark.parametrize("moved", [False, True])
def test_a_former_session_can_be_ended_before_it_is_read(set_up, former_cookie, middleware, shards, colour, moved):
    cookie = former_cookie()
    set_up(migrate_from=DB, session_middleware=middleware, shards=shards)
    if moved:
        browser("blocking", cookie)[0]("me")
    store = SessionStore(cookie)
    if colour == "blocking":
        store.flush()
    else:
        asyncio.run(store.aflush())
    assert manager().count() == 0
    assert browser("blocking", cookie)[0]("me").json() == {"user": None, "data": {}}
    assert dict(import_module(DB).SessionStore(cookie).load()) == {}


def test_where_redis_goes_away_meanwhile_nothing_seems_taken_over(set_up, former_cookie, start_server, colour):
    server = start_server()
    cookie = former_cookie(CACHE)
    set_up(server.url, migrate_from=CACHE)
    server.stop()
    store = SessionStore(cookie)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            asyncio.run(store.aget("cart")) if colour == "async" else store.get("cart")
    assert dict(import_module(CACHE).SessionStore(cookie).load())["cart"] == "tea"


def test_who_is_taken_over_beside_another_request_sees_what_that_changed(set_up, former_cookie, monkeypatch, colour):
    cookie = former_cookie(CACHE)
    set_up(migrate_from=CACHE)
    beside = SessionStore(cookie)
    taking = migrate._taking

    def late(*args):
        monkeypatch.setattr(migrate, "_taking", taking)
        beside["cart"] = "coffee"
        beside.save()
        return taking(*args)

    monkeypatch.setattr(migrate, "_taking", late)
    store = SessionStore(cookie)
    found = asyncio.run(store.aget("cart")) if colour == "async" else store["cart"]
    assert found == "coffee"
    assert store.session_id == beside.session_id
    assert manager().count() == 1


def test_a_former_session_that_is_over_is_nobodys(set_up, ada, colour):
    set_up(migrate_from=SIGNED)
    former = import_module(SIGNED).SessionStore()
    former["_auth_user_id"] = str(ada.pk)
    former.set_expiry(datetime.now(UTC) - timedelta(seconds=1))
    former.save()
    store = SessionStore(former.session_key)
    found = asyncio.run(store.aget("_auth_user_id")) if colour == "async" else store.get("_auth_user_id")
    assert found is None
    assert store.user_id is None


def test_a_max_lifetime_counts_from_the_takeover(set_up, former_cookie, ada):
    cookie = former_cookie()
    set_up(migrate_from=DB, max_lifetime=3600)
    store = SessionStore(cookie)
    store.set_expiry(600)
    store.save()
    (session,) = manager().list_user_sessions(ada.pk)
    assert session.ttl == 600


def test_a_request_that_comes_late_leaves_the_browsers_new_cookie_alone(set_up, former_cookie, monkeypatch):
    cookie = former_cookie()
    set_up(migrate_from=DB)
    real = migrate._taking

    def late(*args):
        monkeypatch.setattr(migrate, "_taking", real)
        beside, _ = browser("blocking", cookie)
        beside("sign-in/ada")
        return real(*args)

    monkeypatch.setattr(migrate, "_taking", late)
    get, cookies = browser("blocking", cookie)
    assert get("me").json()["user"] is None
    assert cookies["sessionid"].value == cookie


def test_to_be_taken_over_is_no_sign_in(set_up, former_cookie, ada, colour):
    cookie = former_cookie()
    set_up(migrate_from=DB, max_lifetime=3600)
    browser(colour, cookie)[0]("me")
    (session,) = manager().list_user_sessions(ada.pk)
    store = SessionStore(browser(colour, cookie)[1]["sessionid"].value)
    assert session.created - session.authenticated_at >= 24 * 3600
    assert not store.authenticated_within(600)
    assert session.expires <= session.created + 3600


@pytest.mark.parametrize(
    ("options", "why"),
    [({"max_data_bytes": 10}, "10"), ({"max_sessions_per_user": 1, "on_limit": "refuse"}, "most allowed")],
)
def test_what_cannot_be_taken_over_is_nobodys_and_stays(set_up, former_cookie, ada, colour, caplog, options, why):
    cookie = former_cookie()
    set_up(migrate_from=DB, **options)
    if "on_limit" in options:
        manager().create(str(ada.pk))
    get, cookies = browser(colour, cookie)
    for _ in range(2):
        assert get("me").json() == {"user": None, "data": {}}
    assert cookies["sessionid"].value == cookie
    assert "cannot be taken over" in caplog.text
    assert why in caplog.text
    assert cookie not in caplog.text
    set_up(migrate_from=DB)
    assert get("me").json() == {"user": "ada", "data": {"cart": "tea"}}


def test_a_takeover_is_told_once_also_where_the_view_fails(set_up, former_cookie, colour, ada):
    cookie = former_cookie()
    set_up(migrate_from=DB)
    told = []

    def hear(user_id, **_):
        told.append(user_id)

    session_created.connect(hear)
    try:
        get, cookies = browser(colour, cookie, raise_request_exception=False)
        assert get("fail").status_code == 500
        assert cookies["sessionid"].value != cookie  # nobody is signed out by an error
        get("me")
    finally:
        session_created.disconnect(hear)
    assert told == [str(ada.pk)]


def test_a_report_shows_neither_key(set_up, former_cookie, start_server):
    server = start_server()
    cookie = former_cookie()
    set_up(server.url, migrate_from=DB)
    assert manager().count() == 0
    server.stop()
    for call in (
        SessionStore(cookie).load,
        SessionStore(UNKNOWN_TOKEN).delete,
        lambda: SessionStore().delete(UNKNOWN_TOKEN),
        lambda: take_over(SessionStore(), Key(cookie)),
    ):
        try:
            call()
        except StoreUnavailable:
            report = "".join(
                f"{name}={value}"
                for frame in ExceptionReporter(None, *sys.exc_info()).get_traceback_data()["frames"]
                for name, value in frame["vars"]
                if "/redisess_django/" in frame["filename"]
            )
            assert "session key" in report
            assert cookie not in report
            assert not re.search(r"1[a-z2-7]{28}", report)
        else:
            pytest.fail("no error")


def test_a_key_that_the_former_engine_does_not_know_is_nobodys(set_up, database):
    set_up(migrate_from=DB)
    for cookie in ("a" * 32, "x", "1aa" + "a" * 26):
        get, cookies = browser("blocking", cookie)
        assert get("me").json() == {"user": None, "data": {}}
        assert cookies["sessionid"].value == cookie
    assert manager().count() == 0


def test_without_the_option_an_old_key_is_nobodys(set_up, former_cookie):
    cookie = former_cookie()
    set_up()
    assert browser("blocking", cookie)[0]("me").json() == {"user": None, "data": {}}


def test_an_expiry_of_its_own_is_kept(set_up, ada):
    set_up(SESSION_ENGINE=DB, session_middleware=DJANGOS)
    former = import_module(DB).SessionStore()
    former["_auth_user_id"] = str(ada.pk)
    former.set_expiry(300)
    former.save()
    set_up(migrate_from=DB)
    browser("blocking", former.session_key)[0]("untouched")
    (session,) = manager().list_user_sessions(ada.pk)
    assert session.ttl == 300


def test_a_value_that_cannot_be_stored_is_left_behind_and_said(set_up, ada, caplog, monkeypatch):
    set_up(migrate_from=DB)
    former = import_module(DB).SessionStore()
    former["_auth_user_id"] = str(ada.pk)
    former.save()
    held = {**former.load(), "odd": object()}
    monkeypatch.setattr(import_module(DB).SessionStore, "load", lambda self: dict(held))
    with caplog.at_level(logging.WARNING, "redisess"):
        browser("blocking", former.session_key)[0]("untouched")
    assert manager().count_for_user(ada.pk) == 1
    assert "'odd'" in caplog.text
    assert former.session_key not in caplog.text
