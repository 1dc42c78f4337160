"""The move from a former engine: nobody is signed out by it."""

from __future__ import annotations

import asyncio
import logging
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.backends.base import UpdateError
from django.core.cache.backends import locmem
from django.http import HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.test import AsyncClient, Client, RequestFactory
from django.utils import timezone
from django.views.debug import ExceptionReporter

from redisess_core import StoreUnavailable
from redisess_django import manager, migrate, session_created, session_killed, session_required
from redisess_django.conf import option
from redisess_django.sessions import SessionStore
from redisess_django.views import _device
from support.django_project import DJANGOS, OURS
from support.django_site import both
from support.django_site import urlpatterns as site_urls

DB, CACHED, CACHE, FILE, SIGNED = (
    f"django.contrib.sessions.backends.{name}" for name in ("db", "cached_db", "cache", "file", "signed_cookies")
)
STORED = [DB, CACHED, CACHE, FILE]
ENGINES = [*STORED, SIGNED]


def flush(request):
    request.session.flush()
    return JsonResponse({})


async def aflush(request):
    await request.session.aflush()
    return JsonResponse({})


def clear(request):
    request.session.clear()
    return JsonResponse({})


def fresh(request):
    return JsonResponse(
        {"fresh": request.session.authenticated_within(600), "at": request.session.current.authenticated_at}
    )


def unavailable(request):
    request.user.get_username()
    return HttpResponse(status=503)


async def aunavailable(request):
    await request.auser()
    return HttpResponse(status=503)


def sign_out_there(request):
    request.user.get_username()
    key = request.COOKIES["sessionid"]
    former(option("MIGRATE_FROM"), key).delete(key)  # as a process does that has the former engine yet
    return JsonResponse({})


urlpatterns = [
    *site_urls,
    *both("flush", flush, aflush),
    *both("clear", clear, clear),
    *both("fresh", fresh, sync_to_async(fresh)),
    *both("guarded", session_required(fresh=600)(fresh), session_required(fresh=600)(sync_to_async(fresh))),
    *both("unavailable", unavailable, aunavailable),
    *both("sign-out-there", sign_out_there, sync_to_async(sign_out_there)),
]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module(FILE).SessionStore, "_storage_path", str(tmp_path), raising=False)


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


def former(engine, key):
    return import_module(engine).SessionStore(key)


def later(monkeypatch, secs):
    """Let so many seconds pass for the former engine."""
    now, clock = timezone.now(), locmem.time.time()
    monkeypatch.setattr(timezone, "now", lambda: now + timezone.timedelta(seconds=secs))
    monkeypatch.setattr(locmem, "time", SimpleNamespace(time=lambda: clock + secs))


def meanwhile(monkeypatch, engine, happens):
    """Let something happen while a request is under way that has just read a session in the former engine."""
    kind = import_module(engine).SessionStore
    load, aload, pending = kind.load, kind.aload, [happens]

    def late(self):
        held, pending[:] = pending[:], []
        data = load(self)
        for each in held:
            each()
        return data

    async def alate(self):
        held, pending[:] = pending[:], []
        data = await aload(self)
        for each in held:
            await sync_to_async(each, thread_sensitive=False)()
        return data

    monkeypatch.setattr(kind, "load", late)
    monkeypatch.setattr(kind, "aload", alate)


@pytest.fixture
def hear():
    """Hear a signal: `hear(session_created)` gives what it will say."""
    receivers = []

    def hear(signal):
        said = []

        def receive(sender, **told):
            said.append(told)

        signal.connect(receive)
        receivers.append((signal, receive))
        return said

    yield hear
    for signal, receive in receivers:
        signal.disconnect(receive)


def report(store, name, given, colour):
    """Give the report of what a call raises, as administrators are sent it; without the frames of this test."""
    try:
        if colour == "blocking":
            getattr(store, name)(*given)
        else:
            asyncio.run(getattr(store, f"a{name}")(*given))
    except StoreUnavailable:
        kind, error, trace = sys.exc_info()
        reporter = ExceptionReporter(RequestFactory().get("/"), kind, error, trace.tb_next)
        return reporter.get_traceback_text() + reporter.get_traceback_html()
    return ""


@pytest.mark.parametrize("engine", ENGINES)
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


@pytest.mark.parametrize("engine", STORED)
def test_the_old_key_is_worth_nothing_to_the_former_engine(
    set_up, former_cookie, engine, middleware, colour, monkeypatch
):
    cookie = former_cookie(engine)
    set_up(migrate_from=engine, session_middleware=middleware)
    browser(colour, cookie)[0]("me")
    assert set(former(engine, cookie).load()) == {"_redisess_shard", "_session_expiry"}
    later(monkeypatch, 50)
    assert browser(colour, cookie)[0]("me").json()["user"] == "ada"
    later(monkeypatch, 15)
    assert former(engine, cookie).load() == {}
    assert browser(colour, cookie)[0]("me").json() == {"user": None, "data": {}}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_request_that_read_the_old_session_before_another_ended_it_finds_none(
    set_up, former_cookie, engine, middleware, shards, colour, monkeypatch
):
    cookie = former_cookie(engine)
    set_up(migrate_from=engine, session_middleware=middleware, shards=shards)
    other, _ = browser("blocking", cookie)
    meanwhile(monkeypatch, engine, lambda: (other("me"), other("sign-out")))
    get, _ = browser(colour, cookie)
    assert get("me").json() == {"user": None, "data": {}}
    assert manager().count() == 0
    assert browser(colour, cookie)[0]("me").json() == {"user": None, "data": {}}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_request_that_read_the_old_session_before_another_took_it_over_goes_on_in_that(
    set_up, former_cookie, engine, middleware, shards, colour, monkeypatch, hear
):
    cookie = former_cookie(engine)
    set_up(migrate_from=engine, session_middleware=middleware, shards=shards)
    (other, _), told = browser("blocking", cookie), hear(session_created)
    meanwhile(monkeypatch, engine, lambda: other("put/size/large"))
    get, cookies = browser(colour, cookie)
    assert get("me").json() == {"user": "ada", "data": {"cart": "tea", "size": "large"}}
    assert other("me").json() == get("me").json()
    assert manager().count() == 1
    assert [each["session_id"] for each in told] == [SessionStore(cookies["sessionid"].value).session_id]


def test_what_was_killed_stays_dead_where_an_old_process_writes_over_the_mark(
    set_up, former_cookie, middleware, colour
):
    cookie = former_cookie()
    late = former(DB, cookie)
    late["late"] = 1
    set_up(migrate_from=DB, session_middleware=middleware)
    browser(colour, cookie)[0]("me")
    manager().kill_all()
    late.save()
    assert browser(colour, cookie)[0]("me").json() == {"user": None, "data": {}}
    assert manager().count() == 0


@pytest.mark.parametrize("path", ["flush", "clear", "sign-out"])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_old_session_is_ended_for_good_before_it_was_read(
    set_up, former_cookie, engine, middleware, shards, colour, path
):
    cookie = former_cookie(engine)
    set_up(
        migrate_from=engine,
        session_middleware=middleware,
        shards=shards,
        skip=lambda request: request.path.endswith(path),
        ROOT_URLCONF=__name__,
    )
    assert browser(colour, cookie)[0](path).status_code == 200
    assert manager().count_users() == 0
    if engine in STORED:
        assert "_auth_user_id" not in former(engine, cookie).load()
    assert browser(colour, cookie)[0]("me").json() == {"user": None, "data": {}}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_an_old_key_has_become_is_ended_by_it(set_up, former_cookie, engine, shards, colour, hear):
    cookie = former_cookie(engine)
    set_up(migrate_from=engine, shards=shards)
    get, _ = browser(colour, cookie)
    get("me")
    told = hear(session_killed)
    if colour == "blocking":
        SessionStore().delete(cookie)
    else:
        asyncio.run(SessionStore().adelete(cookie))
    assert len(told) == 1
    assert get("me").json()["user"] is None
    assert former(engine, cookie).load() == {} or engine == SIGNED
    assert browser(colour, cookie)[0]("me").json()["user"] is None


def test_an_old_session_may_be_ended_late_by_a_request_that_read_it_before(
    set_up, former_cookie, middleware, colour, monkeypatch
):
    cookie = former_cookie()
    set_up(migrate_from=DB, session_middleware=middleware)
    meanwhile(monkeypatch, DB, lambda: SessionStore(cookie).flush())
    assert browser(colour, cookie)[0]("me").json() == {"user": None, "data": {}}
    assert manager().count() == 0


def test_who_is_taken_over_may_sign_in_as_another_at_once(set_up, former_cookie, middleware, shards, colour, bob):
    cookie = former_cookie()
    set_up(migrate_from=DB, session_middleware=middleware, shards=shards)
    get, _ = browser(colour, cookie)
    assert get("switch/bob").status_code == 200
    assert get("me").json() == {"user": "bob", "data": {}}
    assert manager().get_all_users() == [str(bob.pk)]
    assert former(DB, cookie).load() == {}


def test_a_session_that_is_saved_before_it_was_read_is_taken_over(set_up, former_cookie, middleware, colour):
    cookie = former_cookie()
    set_up(migrate_from=DB, session_middleware=middleware, SESSION_SAVE_EVERY_REQUEST=True)
    get, cookies = browser(colour, cookie)
    assert get("untouched").status_code == 200
    assert cookies["sessionid"].value != cookie
    assert get("me").json()["user"] == "ada"


def test_a_takeover_is_no_sign_in(set_up, former_cookie, middleware, shards, colour, ada):
    cookie = former_cookie()
    set_up(migrate_from=DB, session_middleware=middleware, shards=shards, max_lifetime=1000, ROOT_URLCONF=__name__)
    get, _ = browser(colour, cookie)
    assert get("fresh").json() == {"fresh": False, "at": 0}
    assert get("fresh").json() == {"fresh": False, "at": 0}
    assert get("guarded").status_code == 401
    (session,) = manager().list_user_sessions(ada.pk)
    assert 900 < session.expires_in <= 1000
    assert "Signed in" not in render_to_string("redisess/device.html", {"device": _device(session)})
    get("sign-in/ada")
    assert get("guarded").json()["fresh"] is True
    (session,) = manager().list_user_sessions(ada.pk)
    assert "Signed in" in render_to_string("redisess/device.html", {"device": _device(session)})


@pytest.mark.parametrize("engine", [DB, SIGNED])
@pytest.mark.parametrize(
    ("options", "reason"),
    [({"max_data_bytes": 20}, "SessionDataTooLarge"), ({"max_sessions_per_user": 1, "on_limit": "refuse"}, "limit")],
    ids=["too large", "refused"],
)
def test_what_cannot_be_taken_over_stays_where_it_is_and_its_visitor_is_nobody(
    set_up, former_cookie, middleware, shards, colour, caplog, ada, options, reason, engine
):
    cookie = former_cookie(engine)
    set_up(migrate_from=engine, session_middleware=middleware, shards=shards, **options)
    first = None if reason == "SessionDataTooLarge" else manager().create(str(ada.pk))
    held, (get, cookies) = former(engine, cookie).load(), browser(colour, cookie)
    with caplog.at_level(logging.WARNING, "redisess"):
        for _ in range(2):
            cookies["sessionid"] = cookie
            assert get("me").json() == {"user": None, "data": {}}
    assert manager().count() == (first is not None)
    assert cookies["sessionid"].value == (cookie if middleware == OURS else "")  # Django's removes what names nothing
    assert former(engine, cookie).load() == held
    said = [each.getMessage() for each in caplog.records if each.name == "redisess"]
    assert len(said) == 2
    assert all("not taken over" in each and ("bytes" in each or "sessions" in each) for each in said)
    assert cookie not in caplog.text
    if first is not None:
        first.kill()
        cookies["sessionid"] = cookie
        assert get("me").json()["user"] == "ada"


def test_who_cannot_be_taken_over_can_sign_out_and_in(set_up, former_cookie, middleware, colour):
    cookie = former_cookie()
    set_up(migrate_from=DB, session_middleware=middleware, max_data_bytes=20)
    browser(colour, cookie)[0]("sign-out")
    assert former(DB, cookie).load() == {}
    set_up(migrate_from=DB, session_middleware=middleware)
    get, _ = browser(colour, cookie)
    assert get("me").json()["user"] is None
    get("sign-in/ada")
    assert get("me").json()["user"] == "ada"


@pytest.mark.parametrize("debug", [False, True])
def test_no_report_of_an_error_shows_a_key(set_up, former_cookie, colour, monkeypatch, debug):
    cookie = former_cookie()
    set_up(migrate_from=DB, DEBUG=debug)
    token = migrate._token(former(DB, cookie), former(DB, cookie).load())

    def away(self, operation):
        raise StoreUnavailable("Redis is away")

    monkeypatch.setattr("redisess_core.store.Store.execute", away, raising=True)
    monkeypatch.setattr("redisess_core.store.AsyncStore.execute", away, raising=True)
    calls = [
        (SessionStore(cookie), "load", ()),
        (SessionStore(cookie), "delete", ()),
        (SessionStore(), "delete", (cookie,)),
        (SessionStore(), "delete", (str(token),)),
        (SessionStore(), "exists", (str(token),)),
    ]
    for store, name, given in calls:
        told = report(store, name, given, colour)
        assert "StoreUnavailable" in told
        assert f" in {'' if colour == 'blocking' else 'a'}{name}" in told
        assert str(token) not in told
        assert cookie not in told


@pytest.mark.parametrize("path", ["sign-out-there", "me"])
@pytest.mark.parametrize("engine", STORED)
def test_who_signs_out_of_the_former_engine_meanwhile_is_signed_out(
    set_up, former_cookie, engine, middleware, shards, colour, hear, path, monkeypatch
):
    cookie = former_cookie(engine)
    set_up(migrate_from=engine, session_middleware=middleware, shards=shards, ROOT_URLCONF=__name__)
    get, cookies = browser(colour, cookie)
    if path == "me":
        meanwhile(monkeypatch, engine, lambda: former(engine, cookie).delete(cookie))
    killed = hear(session_killed)
    response = get(path)
    assert response.status_code == (200 if middleware == OURS else 400)  # as of any session that ended meanwhile
    assert manager().count() == 0
    assert len(killed) == 1
    assert cookies["sessionid"].value == ("" if middleware == OURS else cookie)
    assert browser(colour, cookie)[0]("me").json() == {"user": None, "data": {}}


def test_a_mark_that_cannot_be_written_is_left_to_the_next_request(set_up, former_cookie, colour, monkeypatch):
    cookie = former_cookie()
    set_up(migrate_from=DB)

    def locked(self, must_create=False):
        raise UpdateError

    async def alocked(self, must_create=False):
        raise UpdateError

    with monkeypatch.context() as patch:
        patch.setattr(import_module(DB).SessionStore, "save", locked)
        patch.setattr(import_module(DB).SessionStore, "asave", alocked)
        get, cookies = browser(colour, cookie)
        assert get("me").json()["user"] == "ada"
        assert get("me").json()["user"] == "ada"
    other, same = browser(colour, cookie)
    assert other("me").json()["user"] == "ada"
    assert same["sessionid"].value == cookies["sessionid"].value
    assert "_redisess_shard" in former(DB, cookie).load()


def test_where_an_answer_fails_the_next_request_goes_on_in_the_session_that_was_told_of(
    set_up, former_cookie, middleware, shards, colour, monkeypatch, hear
):
    cookie = former_cookie()
    set_up(migrate_from=DB, session_middleware=middleware, shards=shards, ROOT_URLCONF=__name__)
    told, (get, cookies) = hear(session_created), browser(colour, cookie)
    assert get("unavailable").status_code == 503
    assert len(told) == 1
    later(monkeypatch, 61)
    assert get("me").json() == {"user": "ada", "data": {"cart": "tea"}}
    assert [each["session_id"] for each in told] == [SessionStore(cookies["sessionid"].value).session_id]


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


def test_two_tasks_that_read_an_old_session_side_by_side_read_the_same(set_up, former_cookie, shards):
    cookie = former_cookie()
    set_up(migrate_from=DB, shards=shards)
    store = SessionStore(cookie)

    async def read():
        return await asyncio.gather(store.aget("cart"), store.aget("_auth_user_id"), store.aget("cart"))

    assert asyncio.run(read()) == ["tea", store.user_id, "tea"]
    assert manager().count() == 1


def test_an_old_session_that_is_saved_after_load_keeps_what_it_holds(set_up, former_cookie, shards, colour):
    cookie = former_cookie()
    set_up(migrate_from=DB, shards=shards)
    for _ in range(3):  # taken over, and then found by the mark
        store = SessionStore(cookie)
        if colour == "blocking":
            store.load()
            store.save()
        else:
            asyncio.run(store.aload())
            asyncio.run(store.asave())
        assert store["cart"] == "tea"
    assert manager().count() == 1


def test_a_session_that_would_be_over_is_none(set_up, former_cookie, middleware, colour):
    cookie = former_cookie()
    set_up(migrate_from=DB, session_middleware=middleware, SESSION_COOKIE_AGE=0)
    assert browser(colour, cookie)[0]("me").json() == {"user": None, "data": {}}
    assert manager().count() == 0


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
