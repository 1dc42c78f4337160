"""The session middleware: what a request needs, and what its response says; each over WSGI and over ASGI."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from asgiref.sync import iscoroutinefunction
from django.contrib.auth import alogin, get_user_model, login, logout
from django.contrib.sessions.middleware import SessionMiddleware as DjangosMiddleware
from django.core.exceptions import ImproperlyConfigured
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.utils.decorators import sync_only_middleware
from django_kit import BACKEND, UNKNOWN_TOKEN, Browser, bearer, by_cookie, cookies_set, stored_keys, vary_of

from redisess_core import SessionDataTooLarge
from redisess_core.tokens import session_id_of
from redisess_django import manager
from redisess_django.middleware import SessionMiddleware
from support.django_project import AFTER_SESSIONS, DJANGOS, OURS
from support.django_site import both
from support.django_site import urlpatterns as site_urls


def public(request):
    """Say of itself that it may be cached, whatever becomes of the session."""
    if "write" in request.GET:
        request.session["write"] = request.GET["write"]
    if "read" in request.GET:
        request.session.get("write")
    headers = {"Vary": "Accept-Language", "Cache-Control": request.GET.get("cache", "public, max-age=600")}
    return HttpResponse("public", headers=headers)


def expire(request, secs):
    request.session.set_expiry(timedelta(seconds=secs) if "date" in request.GET else secs)
    return JsonResponse({"age": request.session.get_expiry_age()})


def big(request):
    request.session["small"] = 1
    request.session["big"] = "x" * 1000
    return JsonResponse({})


def spoil(request):
    request.session["other"] = 1
    request.session["list"].append(object())
    return JsonResponse({})


opened = []


def killed(request):
    """End this request's session as somebody else does, then go on."""
    manager().kill(request.session.session_id)
    if "write" in request.GET:
        request.session["late"] = 1
    if "save" in request.GET:
        request.session.save()
    if "file" in request.GET:
        opened.append(Path(__file__).open("rb"))  # noqa: SIM115  the response closes it
        return FileResponse(opened[-1])
    return JsonResponse({})


def renewed(request):
    """Meet a user of an old `SECRET_KEY`, as a request beside this one does."""
    name = request.user.get_username()
    manager().kill(request.session.current.session_id)
    return JsonResponse({"user": name})


async def arenewed(request):
    user = await request.auser()
    manager().kill(request.session.current.session_id)
    return JsonResponse({"user": user.get_username()})


def leave(request):
    logout(request)
    if "write" in request.GET:
        request.session["goodbye"] = 1
    if "fail" in request.GET:
        raise ValueError("on purpose")
    return JsonResponse({})


def clear(request):
    request.session.clear()
    if "write" in request.GET:
        request.session["note"] = 1
    if "fail" in request.GET:
        raise ValueError("on purpose")
    return JsonResponse({})


def answer(request, status):
    request.session["answer"] = status
    return HttpResponse("answer", status=status)


def token(request, name):
    login(request, get_user_model().objects.get(username=name), BACKEND)
    request.session.transport = "header"
    return JsonResponse({"token": request.session.session_key})


def saves(request):
    request.session["saved"] = 1
    request.session.save()
    return JsonResponse({"key": request.session.session_key})


def set_field(request):
    request.session.set_fields(device="laptop")
    if "leave" in request.GET:
        request.session.flush()
    return JsonResponse({})


def cycle(request):
    request.session.cycle_key()
    return JsonResponse({"key": request.session.session_key})


async def acycle(request):
    await request.session.acycle_key()
    return JsonResponse({"key": request.session.session_key})


def no_session(request):
    del request.session
    return JsonResponse({})


def stream(request):
    request.session["before"] = 1

    def chunks():
        yield request.session["before"]
        for change in (request.session.cycle_key, request.session.clear, lambda: request.session.update({"after": 1})):
            try:
                change()
            except RuntimeError as error:
                yield f" {error}"
        assert request.session["before"] == 1

    return StreamingHttpResponse(chunks())


async def atoken(request, name):
    await alogin(request, await get_user_model().objects.aget(username=name), BACKEND)
    request.session.transport = "header"
    return JsonResponse({"token": request.session.session_key})


async def asaves(request):
    await request.session.aset("saved", 1)
    await request.session.asave()
    return JsonResponse({"key": request.session.session_key})


async def astream(request):
    await request.session.aset("before", 1)

    async def chunks():
        yield await request.session.aget("before")
        try:
            await request.session.aset("after", 1)
        except RuntimeError as error:
            yield f" {error}"

    return StreamingHttpResponse(chunks())


def as_async(view):
    async def aview(request, *args, **named):
        return view(request, *args, **named)

    return aview


SAME = [
    ("public", public),
    ("expire/<str:secs>", lambda request, secs: expire(request, int(secs))),
    ("big", big),
    ("spoil", spoil),
    ("clear", clear),
    ("answer/<int:status>", answer),
    ("no-session", no_session),
    ("set-field", set_field),
]
ROUTES = [
    *((route, view, as_async(view)) for route, view in SAME),
    ("killed", killed, killed),
    ("leave", leave, leave),
    ("renewed", renewed, arenewed),
    ("token/<name>", token, atoken),
    ("saves", saves, asaves),
    ("stream", stream, astream),
    ("cycle", cycle, acycle),
]
urlpatterns = [*site_urls, *(url for route in ROUTES for url in both(*route))]


@pytest.fixture
def make_site(set_up, ada, bob):
    def make_site(*args, **changed):
        set_up(*args, ROOT_URLCONF=__name__, **changed)

    return make_site


@pytest.fixture
def site(make_site, clock):
    make_site(clock=clock)


@pytest.fixture
def browse(colour):
    """Make a browser of the colour."""
    return lambda **options: Browser(colour, **options)


@pytest.fixture
def browser(site, browse):
    return browse()


def data_of(token):
    return dict(manager().get(session_id_of(token), touch=False).data)


def new_token(user=None, **data):
    return manager().create(user, data=data).token


# What a request does to its session


def test_each_request_with_a_key_is_an_access(browser, clock):
    browser.get("put/a/b")
    session_id = session_id_of(browser.token)
    for path in ("untouched", "me", "put/a/c", "/nowhere"):
        clock.advance(100)
        browser.get(path)
        found = manager().get(session_id, touch=False)
        assert found.last_access == clock()
        assert found.expires == clock() + 14 * 24 * 3600


def test_a_visitor_may_have_fields_and_no_data(make_site, browse):
    make_site(additional_fields=["device"])
    browser = browse()
    browser.get("set-field")
    assert manager().get(session_id_of(browser.token), touch=False).fields == {"device": "laptop"}


def test_a_field_that_was_set_before_a_sign_out_goes_with_it(make_site, browse):
    make_site(additional_fields=["device"])
    browser = browse()
    browser.get("sign-in/ada")
    browser.get("set-field", data={"leave": 1})
    assert browser.token is None
    assert manager().count() == 0


def test_a_visitor_may_ask_for_a_key(browser):
    key = browser.get("cycle").json()["key"]
    assert browser.token == key
    assert manager().exists(session_id_of(key))


def test_a_session_that_is_used_goes_on_and_one_that_is_not_ends(make_site, browse, clock):
    make_site(clock=clock, SESSION_COOKIE_AGE=100)
    browser = browse()
    browser.get("sign-in/ada")
    for _ in range(3):
        clock.advance(99)
        assert browser.get("me").json()["user"] == "ada"
    clock.advance(100)
    assert browser.get("me").json()["user"] is None


def test_a_visitor_who_writes_nothing_costs_nothing(browser, wire, redis_client):
    with wire() as seen:
        for path in ("untouched", "me", "/nowhere"):
            assert not cookies_set(browser.get(path))
    assert seen.names == []
    assert stored_keys(redis_client) == []


@pytest.mark.parametrize("views", ["blocking", "async"])
@pytest.mark.parametrize("between", [False, True], ids=["", "blocking middleware between"])
def test_views_of_both_kinds_work_under_both_handlers(make_site, colour, views, between):
    if between:
        make_site(MIDDLEWARE=[OURS, f"{__name__}.blocking_only", *AFTER_SESSIONS])
    else:
        make_site()
    browser = Browser(colour, views=views)
    browser.get("append/cart/tea")
    browser.get("sign-in/ada")
    browser.get("append/cart/milk")
    assert browser.get("me").json() == {"user": "ada", "data": {"cart": ["tea", "milk"]}}
    assert manager().count_for_user(get_user_model().objects.get(username="ada").pk) == 1
    assert browser.get("saves").json() == {"key": browser.token}
    browser.get("sign-out")
    assert (browser.token, manager().count()) == (None, 0)


@sync_only_middleware
def blocking_only(get_response):
    def middleware(request):
        request.session.get("a")
        response = get_response(request)
        request.session.get("a")
        return response

    return middleware


def test_the_middleware_is_djangos_and_async_where_what_is_inside_is(site):
    async def inside(request):
        return HttpResponse()

    assert issubclass(SessionMiddleware, DjangosMiddleware)
    assert iscoroutinefunction(SessionMiddleware(inside))
    assert not iscoroutinefunction(SessionMiddleware(lambda request: HttpResponse()))


def test_another_engine_is_refused_when_the_middleware_is_made(make_site):
    make_site(SESSION_ENGINE="django.contrib.sessions.backends.cache")
    with pytest.raises(ImproperlyConfigured, match="SESSION_ENGINE"):
        SessionMiddleware(lambda request: HttpResponse())


def test_a_view_may_take_the_session_away(browser):
    assert browser.get("no-session").status_code == 200


# Where the key comes from


def test_a_key_may_come_in_a_header_and_its_client_gets_no_cookie(browser):
    token = new_token(a=1)
    for path in ("me", "put/b/2", "append/list/x"):
        response = browser.get(path, bearer(token))
        assert response.status_code == 200
        assert not cookies_set(response)
    assert data_of(token) == {"a": 1, "b": "2", "list": ["x"]}


def test_a_client_signs_in_reads_its_key_and_gets_no_cookie(browser):
    response = browser.get("token/ada")
    assert not cookies_set(response)
    assert response.headers["Cache-Control"] == "no-store"
    token = response.json()["token"]
    assert browser.get("me", bearer(token)).json()["user"] == "ada"
    again = browser.get("sign-in/ada", bearer(token))
    assert not cookies_set(again)
    assert again.headers["Cache-Control"] == "no-store"
    assert browser.get("me", bearer(token)).json()["user"] is None


def test_a_sign_out_by_header_removes_no_cookie(browser):
    browser.get("sign-in/bob")
    token = browser.get("token/ada", {"Cookie": ""}).json()["token"]
    response = browser.get("sign-out", bearer(token))
    assert not cookies_set(response)
    assert manager().authenticate(token) is None
    assert browser.get("me").json()["user"] == "bob"


def test_another_header_may_carry_the_key(make_site, browse):
    make_site(header="X-Session")
    browser, token = browse(), new_token(a=1)
    response = browser.get("me", {"X-Session": token})
    assert response.json()["data"] == {"a": 1}
    assert vary_of(response) == ["x-session"]
    assert browser.get("me", bearer(token)).json()["data"] == {}
    assert vary_of(browser.get("me")) == ["x-session", "cookie"]


def test_the_header_can_be_turned_off(make_site, browse):
    make_site(header=None)
    assert browse().get("me", bearer(new_token(a=1))).json()["data"] == {}


def test_the_header_goes_first_and_the_cookie_is_not_tried_after_it(browser):
    adas, bobs = new_token(a="header"), new_token(a="cookie")
    assert browser.get("me", {**bearer(adas), **by_cookie(bobs)}).json()["data"] == {"a": "header"}
    assert browser.get("me", {**bearer(UNKNOWN_TOKEN), **by_cookie(bobs)}).json()["data"] == {}
    assert browser.get("me", {**bearer("another app's"), **by_cookie(bobs)}).json()["data"] == {"a": "cookie"}


def test_with_a_key_in_a_header_django_asks_for_no_csrf_token_and_with_one_in_a_cookie_it_does(make_site, browse):
    make_site(MIDDLEWARE=[OURS, "django.middleware.csrf.CsrfViewMiddleware", *AFTER_SESSIONS])
    browser, token = browse(enforce_csrf_checks=True), new_token()
    assert browser.post("put/a/b", by_cookie(token)).status_code == 403
    assert browser.post("put/a/b", bearer(token)).status_code == 200
    assert browser.post("put/a/b", bearer(UNKNOWN_TOKEN)).status_code == 403
    assert browser.post("put/a/b", {**bearer("another app's"), **by_cookie(token)}).status_code == 403


@pytest.mark.parametrize("kind", ["equal", "different", "other first"])
def test_two_cookies_of_the_name_are_none(browser, kind):
    token = new_token(a=1)
    other = {"equal": token, "different": UNKNOWN_TOKEN, "other first": token}[kind]
    first = UNKNOWN_TOKEN if kind == "other first" else token
    response = browser.get("me", {"Cookie": f"sessionid={first}; sessionid={other}"})
    assert response.json()["data"] == {}
    assert not cookies_set(response)


NEAR_NAMES = ["\xa0sessionid", "sessionid\xa0", "\x85sessionid", "SessionID", '"sessionid"', "\u2003sessionid"]


@pytest.mark.parametrize("name", NEAR_NAMES, ids=ascii)
def test_a_cookie_whose_name_only_looks_like_ours_is_not_ours(browser, name):
    planted, own = new_token(a="planted"), new_token(a="own")
    sent = name.encode().decode("latin-1") if name > "\xff" else name
    assert browser.get("me", {"Cookie": f"{sent}={planted}"}).json()["data"] == {}
    both = {"Cookie": f"sessionid={own}; {sent}={planted}"}
    assert browser.get("me", both).json()["data"] == {"a": "own"}


@pytest.mark.parametrize(
    "value", ["", '""', "none", "a" * 32, "%31aa", "x" * 5000, '"{token}"', "{token} x", "{token},x"]
)
def test_what_has_not_the_form_of_a_key_never_reaches_redis(browser, wire, value):
    token = new_token(a=1)
    with wire() as seen:
        response = browser.get("me", by_cookie(value.format(token=token)))
    assert response.json()["data"] == {}
    assert seen.names == []
    assert not cookies_set(response)


@sync_only_middleware
def cookie_from_query(get_response):
    def middleware(request):
        if "key" in request.GET:
            request.COOKIES["sessionid"] = request.GET["key"]
        return get_response(request)

    return middleware


def test_a_key_that_another_middleware_put_among_the_cookies_is_taken(make_site, browse):
    make_site(MIDDLEWARE=[f"{__name__}.cookie_from_query", OURS, *AFTER_SESSIONS])
    browser, token, other = browse(), new_token(a=1), new_token(a=2)
    assert browser.get("me", data={"key": token}).json()["data"] == {"a": 1}
    assert browser.get("me", data={"key": "no key"}).json()["data"] == {}
    assert browser.get("me", by_cookie("no key"), data={"key": token}).json()["data"] == {"a": 1}
    assert browser.get("me", {"Cookie": f"sessionid={other}; sessionid={other}"}).json()["data"] == {}


def test_a_dead_key_that_is_only_read_is_left_alone_in_the_browser_too(browser):
    token = new_token("ada")
    manager().kill_all()
    for dead in (token, UNKNOWN_TOKEN):
        for path in ("untouched", "me", "/nowhere", "leave"):
            response = browser.get(path, by_cookie(dead))
            if path != "leave":
                assert not cookies_set(response)
                assert "Clear-Site-Data" not in response.headers
    assert manager().count() == 0


def test_who_comes_with_a_dead_key_and_writes_gets_a_new_session(browser):
    response = browser.get("put/a/b", by_cookie(UNKNOWN_TOKEN))
    (cookie,) = cookies_set(response)
    assert cookie.value not in ("", UNKNOWN_TOKEN)
    assert data_of(cookie.value) == {"a": "b"}


# Where no session is needed


def skips(request):
    return request.path.endswith("untouched") or "skip" in request.GET


def test_a_page_that_is_skipped_opens_no_session_before_it_is_asked_for(make_site, browse, wire, clock):
    make_site(skip=skips, clock=clock)
    browser, token = browse(), new_token(a=1)
    browser.get("me", by_cookie(token))
    clock.advance(100)
    with wire() as seen:
        assert browser.get("untouched", by_cookie(token)).status_code == 200
    assert seen.names == []
    assert manager().get(session_id_of(token), touch=False).idle == 100
    assert Browser("blocking").get("me", by_cookie(token), data={"skip": 1}).json()["data"] == {"a": 1}


def test_a_file_opens_no_session(browser, wire):
    token = new_token(a=1)
    with wire() as seen:
        for path in ("/static/style.css", "/static/"):
            response = browser.get(path, by_cookie(token))
            assert not cookies_set(response)
            assert vary_of(response) == []
    assert seen.names == []


def test_a_page_that_is_called_as_a_folder_of_another_hosts_files_is_a_page(make_site, browse, clock):
    make_site(clock=clock, STATIC_URL="https://files.example.com/untouched")
    token = new_token(a=1)
    clock.advance(100)
    browse().get("/untouched", by_cookie(token))
    assert manager().get(session_id_of(token), touch=False).idle == 0


@pytest.mark.parametrize("path", ["/static/style.css", "untouched"])
@pytest.mark.parametrize("key", ["live", "dead"])
def test_a_page_without_a_session_is_answered_alike_where_every_request_saves(make_site, browse, path, key):
    make_site(skip=skips, SESSION_SAVE_EVERY_REQUEST=True)
    token = new_token(a=1) if key == "live" else UNKNOWN_TOKEN
    response = browse().get(path, by_cookie(token))
    assert response.status_code == (200 if path == "untouched" else 404)


# What the response says


def test_the_cookie_is_what_djangos_settings_say(make_site, browse):
    make_site(
        SESSION_COOKIE_NAME="__Secure-sid",
        SESSION_COOKIE_AGE=600,
        SESSION_COOKIE_DOMAIN="example.com",
        SESSION_COOKIE_PATH="/async" if browse().blocking is False else "/",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
    )
    response = browse().get("put/a/b")
    (cookie,) = cookies_set(response)
    assert cookie.name == "__Secure-sid"
    expires = parsedate_to_datetime(cookie.attributes.pop("expires")).timestamp()
    assert expires == pytest.approx(time.time() + 600, abs=5)
    assert cookie.attributes == {
        "domain": "example.com",
        "httponly": "",
        "max-age": "600",
        "path": "/async" if browse().blocking is False else "/",
        "samesite": "Strict",
        "secure": "",
    }


def test_the_cookie_lacks_what_the_settings_turn_off(make_site, browse):
    make_site(SESSION_COOKIE_HTTPONLY=False, SESSION_COOKIE_SAMESITE=False, SESSION_EXPIRE_AT_BROWSER_CLOSE=True)
    (cookie,) = cookies_set(browse().get("put/a/b"))
    assert cookie.attributes == {"path": "/"}


def test_a_cookie_of_the_browser_session_has_no_expiry_and_its_session_has(make_site, browse, clock):
    make_site(SESSION_EXPIRE_AT_BROWSER_CLOSE=True, clock=clock, SESSION_COOKIE_AGE=100)
    browser = browse()
    (cookie,) = cookies_set(browser.get("put/a/b"))
    assert {"max-age", "expires"}.isdisjoint(cookie.attributes)
    assert manager().get(session_id_of(cookie.value)).ttl == 100
    (cookie,) = cookies_set(browser.get("expire/50"))
    assert cookie.attributes["max-age"] == "50"
    (cookie,) = cookies_set(browser.get("expire/0"))
    assert {"max-age", "expires"}.isdisjoint(cookie.attributes)


def test_an_expiry_of_its_own_is_the_cookies_too(make_site, browse, clock):
    clock.set(time.time())
    make_site(clock=clock)
    browser = browse()
    (cookie,) = cookies_set(browser.get("expire/50"))
    assert cookie.attributes["max-age"] == "50"
    (cookie,) = cookies_set(browser.get("expire/70", data={"date": 1}))
    assert int(cookie.attributes["max-age"]) in (69, 70)
    session_id = session_id_of(browser.token)
    clock.advance(40)
    browser.get("me")
    assert manager().get(session_id, touch=False).expires_in == pytest.approx(30, abs=2)


def test_an_age_below_0_ends_the_session_and_takes_the_cookie_along(browser):
    browser.get("put/a/b")
    response = browser.get("expire/-5")
    assert response.status_code == 200
    (cookie,) = cookies_set(response)
    assert int(cookie.attributes["max-age"]) <= 0
    assert manager().count() == 0


def test_what_only_reads_sets_no_cookie(browser):
    browser.get("put/a/b")
    for path in ("me", "untouched"):
        assert not cookies_set(browser.get(path))


def test_where_every_request_saves_each_rolls_the_cookie(make_site, browse, clock):
    make_site(SESSION_SAVE_EVERY_REQUEST=True, clock=clock)
    browser = browse()
    assert not cookies_set(browser.get("me"))
    browser.get("put/a/b")
    token = browser.token
    for path in ("me", "untouched"):
        (cookie,) = cookies_set(browser.get(path))
        assert cookie.value == token
    for path in ("me", "untouched"):
        response = browser.get(path, by_cookie(UNKNOWN_TOKEN))
        assert (response.status_code, cookies_set(response)) == (200, [])
    assert manager().count() == 1


@pytest.mark.parametrize("query", ["read", "write"])
def test_vary_names_the_cookie_where_the_session_was_looked_at(browser, query):
    assert vary_of(browser.get("public")) == ["accept-language"]
    response = browser.get("public", data={query: 1})
    assert vary_of(response) == ["accept-language", "cookie"]
    assert len(response.headers.get("Vary").split(",")) == 2


def test_vary_names_the_header_that_the_key_came_in(browser):
    assert vary_of(browser.get("public", bearer(new_token()), data={"read": 1})) == ["accept-language", "authorization"]


@pytest.mark.parametrize("cache", ["public, max-age=600", "max-age=1", "no-cache"])
def test_a_response_that_sets_a_new_key_is_not_to_be_stored(browser, cache):
    response = browser.get("public", data={"write": 1, "cache": cache})
    assert response.headers["Cache-Control"] == "no-store"
    assert browser.get("public", data={"read": 1, "cache": cache}).headers["Cache-Control"] == cache


@pytest.mark.parametrize("cache", ["private, max-age=60", "no-store", "no-cache, no-store"])
def test_a_response_that_is_kept_from_shared_caches_already_stays_as_it_is(browser, cache):
    assert browser.get("public", data={"write": 1, "cache": cache}).headers["Cache-Control"] == cache


def test_a_response_that_sends_the_same_key_again_is_not_to_be_stored_either(browser):
    browser.get("put/a/b")
    response = browser.get("public", data={"write": 2})
    assert [cookie.value for cookie in cookies_set(response)] == [browser.token]
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("status", [200, 302, 404, 499])
def test_what_an_answer_below_500_changed_is_saved(browser, status):
    (cookie,) = cookies_set(browser.get(f"answer/{status}"))
    assert data_of(cookie.value) == {"answer": status}


@pytest.mark.parametrize("path", ["fail", "answer/500", "answer/503"])
def test_what_an_answer_of_500_changed_is_not_saved(browser, path):
    assert not cookies_set(browser.get(path))
    assert manager().count() == 0
    browser.get("put/a/b")
    token = browser.token
    response = browser.get(path)
    assert response.status_code >= 500
    assert not cookies_set(response)
    assert data_of(token) == {"a": "b"}


def test_a_sign_out_is_carried_out_even_where_the_view_fails(browser):
    for extra in ({"fail": 1}, {"fail": 1, "write": 1}):
        browser.get("sign-in/ada")
        response = browser.get("leave", data=extra)
        assert response.status_code == 500
        (cookie,) = cookies_set(response)
        assert cookie.removes
        assert manager().count() == 0


def test_a_sign_out_removes_the_cookie_and_what_comes_after_it_has_a_new_one(browser):
    browser.get("sign-in/ada")
    signed_in = browser.token
    (cookie,) = cookies_set(browser.get("leave"))
    assert cookie.removes
    browser.get("sign-in/ada")
    (cookie,) = cookies_set(browser.get("leave", data={"write": 1}))
    assert cookie.value not in ("", signed_in)
    assert browser.get("me").json() == {"user": None, "data": {"goodbye": 1}}


def test_to_clear_a_signed_in_session_is_to_sign_out(browser, ada):
    browser.get("sign-in/ada")
    (cookie,) = cookies_set(browser.get("clear"))
    assert cookie.removes
    assert manager().count() == 0


@pytest.mark.parametrize("queries", [["fail"], ["fail", "write"]])
def test_a_sign_out_by_clear_is_carried_out_though_the_view_fails(browser, ada, queries):
    browser.get("sign-in/ada")
    assert browser.get("clear", data=dict.fromkeys(queries, 1)).status_code == 500
    assert manager().count() == 0
    assert browser.token is None


@pytest.mark.parametrize("path", ["leave", "clear"])
@pytest.mark.parametrize("query", ["", "write"])
def test_a_sign_out_may_clear_what_the_browser_holds(make_site, browse, query, path):
    make_site(clear_site_data=True)
    browser = browse()
    browser.get("sign-in/ada")
    cleared = browser.get(path, data={query: 1} if query else {}).headers.get("Clear-Site-Data", "")
    assert '"storage"' in cleared
    assert ('"cookies"' in cleared) is (query == "")


def test_a_stream_has_what_was_written_before_it_and_refuses_what_comes_later(browser, colour):
    response = browser.get("stream")
    (cookie,) = cookies_set(response)
    assert data_of(cookie.value) == {"before": 1}

    async def consume():
        return [chunk async for chunk in response.streaming_content]

    chunks = list(response.streaming_content) if colour == "blocking" else asyncio.run(consume())
    said = b"".join(chunks).decode()
    assert said.startswith("1 the session was changed after its response began")
    assert said.count("save()") == (3 if colour == "blocking" else 1)
    assert data_of(cookie.value) == {"before": 1}


# What goes wrong


def test_a_session_that_ends_while_its_request_runs_is_interrupted(browser, caplog):
    browser.get("sign-in/ada")
    token = browser.token
    with caplog.at_level(logging.DEBUG):
        response = browser.get("killed", data={"write": 1})
    assert response.status_code == 400
    assert not cookies_set(response)
    assert manager().count() == 0
    assert session_id_of(token) in caplog.text
    assert token not in caplog.text


def test_to_save_a_session_that_ended_is_an_interruption_in_the_view_too(browser):
    browser.get("sign-in/ada")
    assert browser.get("killed", data={"write": 1, "save": 1}).status_code == 400


def test_what_a_response_holds_open_is_closed_where_another_takes_its_place(browser):
    browser.get("sign-in/ada")
    assert browser.get("killed", data={"write": 1, "file": 1}).status_code == 400
    assert opened.pop().closed


def test_requests_side_by_side_with_an_old_secret_are_answered_all(make_site, browse):
    make_site(SECRET_KEY="of old")
    browser = browse()
    browser.get("sign-in/ada")
    make_site(SECRET_KEY="of now", SECRET_KEY_FALLBACKS=["of old"])
    response = browser.get("renewed")
    assert (response.status_code, response.json()) == (200, {"user": "ada"})
    assert not cookies_set(response)


def test_a_client_by_header_is_told_where_its_key_was_not_renewed(make_site, browse):
    make_site(SECRET_KEY="of old")
    browser = browse()
    token = browser.get("token/ada").json()["token"]
    make_site(SECRET_KEY="of now", SECRET_KEY_FALLBACKS=["of old"])
    assert browser.get("renewed", bearer(token)).status_code == 400


def test_a_request_that_only_read_a_session_that_ended_is_answered_as_ever(browser):
    browser.get("sign-in/ada")
    response = browser.get("killed")
    assert (response.status_code, cookies_set(response)) == (200, [])


def test_a_sign_in_that_the_limit_refuses_is_forbidden_and_keeps_what_there_was(make_site, browse):
    make_site(max_sessions_per_user=1, on_limit="refuse")
    browse().get("sign-in/ada")
    browser = browse()
    browser.get("put/cart/tea")
    token = browser.token
    response = browser.get("sign-in/ada")
    assert response.status_code == 403
    assert "sessionid" not in response.cookies
    assert browser.get("me").json() == {"user": None, "data": {"cart": "tea"}}
    assert browser.token == token
    assert browse().get("sign-in/ada").status_code == 403
    assert browse().get("sign-in/bob").status_code == 200


def test_too_much_data_is_the_programs_error_and_nothing_is_lost(make_site, browse, caplog):
    make_site(max_data_bytes=500)
    browser = browse()
    assert browser.get("big").status_code == 500
    assert manager().count() == 0
    browser.get("put/a/b")
    token = browser.token
    response = browser.get("big")
    assert response.status_code == 500
    assert not cookies_set(response)
    assert data_of(token) == {"a": "b"}
    assert SessionDataTooLarge.__name__ in caplog.text


def test_a_value_that_was_made_unstorable_in_place_is_the_programs_error_and_nothing_is_lost(browser, caplog):
    browser.get("append/list/x")
    token = browser.token
    response = browser.get("spoil")
    assert response.status_code == 500
    assert not cookies_set(response)
    assert data_of(token) == {"list": ["x"]}
    assert "'list'" in caplog.text


@pytest.fixture
def away(make_site, start_server, browse):
    """A browser that is signed in, and a function that takes Redis away."""
    server = start_server()
    make_site(server.url)
    browser = browse()
    browser.get("sign-in/ada")
    return browser, server


def test_redis_away_is_a_503_and_leaves_the_cookie_alone(away, browse, caplog):
    browser, server = away
    token = browser.token
    server.stop()
    response = browser.get("me")
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert response.headers["Cache-Control"] == "no-store"
    assert "session store" in response.content.decode()
    assert str(server.port) not in response.content.decode()
    assert browse().get("me").status_code == 200
    assert browser.get("/static/x.css").status_code == 404
    stranger = browse()
    for path in ("put/a/b", "sign-in/ada"):
        refused = stranger.get(path)
        assert (refused.status_code, cookies_set(refused)) == (503, [])
    for refused in (response, browser.get("sign-out")):
        assert not cookies_set(refused)
    assert browser.token == token
    assert "answered with 503" in caplog.text
    assert token not in caplog.text


def test_a_project_may_have_a_page_of_its_own_for_redis_away(make_site, browse, tmp_path):
    (tmp_path / "503.html").write_text("<p>We are mending it</p>")
    engine = {"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [str(tmp_path)]}
    make_site("redis://127.0.0.1:1", TEMPLATES=[engine])
    response = browse().get("me", by_cookie(UNKNOWN_TOKEN))
    assert (response.status_code, response.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert "We are mending it" in response.content.decode()


def test_under_djangos_middleware_redis_away_signs_nobody_out_either(make_site, start_server, browse):
    server = start_server()
    make_site(server.url, session_middleware=DJANGOS)
    browser = browse()
    browser.get("sign-in/ada")
    server.stop()
    response = browser.get("me")
    assert response.status_code == 500
    assert not cookies_set(response)
