"""The move from a former engine: nobody is signed out by it."""

from __future__ import annotations

import asyncio
import logging
from importlib import import_module

import pytest
from django.test import AsyncClient, Client

from redisess_django import manager
from redisess_django.sessions import SessionStore
from support.django_project import DJANGOS, OURS

DB, CACHED, SIGNED = (f"django.contrib.sessions.backends.{name}" for name in ("db", "cached_db", "signed_cookies"))


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


def browser(colour, cookie):
    client = Client() if colour == "blocking" else AsyncClient()
    client.cookies["sessionid"] = cookie

    def get(path):
        return client.get(f"/{path}") if colour == "blocking" else asyncio.run(client.get(f"/async/{path}"))

    return get, client.cookies


@pytest.mark.parametrize("engine", [DB, CACHED, SIGNED])
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
    assert list(left) == ["_redisess_shard"]


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
