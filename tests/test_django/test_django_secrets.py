"""Whoever reads the database, a log line, a signal, an event, a repr or an error's report can sign in as nobody."""

from __future__ import annotations

import logging
import re
import sys
import threading

import pytest
from django.contrib.auth import get_user_model, login
from django.core.signals import got_request_exception
from django.http import JsonResponse
from django.views.debug import ExceptionReporter
from django_kit import BACKEND, UNKNOWN_TOKEN, Browser, bearer, by_cookie

from redisess_core.tokens import session_id_of
from redisess_django import helpers, manager, session_created, session_killed, session_rotated
from redisess_django.sessions import SessionStore
from support.django_project import DJANGOS, OURS
from support.django_site import both
from support.django_site import urlpatterns as site_urls

FORM = re.compile(r"1[a-z2-7]{28}")
SIGNALS = (session_created, session_rotated, session_killed)
shown: list[str] = []


def show(request):
    """Print whatever a program may print of a session, but for `session_key`."""
    session = request.session
    request.user.get_username()
    things = [
        session,
        session.current,
        session.fields,
        session.session_id,
        session.items(),
        request,
        request.META.get("redisess.found"),
    ]
    things += [vars(each) for each in helpers.sessions(session.user_id)] if session.user_id else []
    shown.extend([*map(repr, things), *map(str, things)])
    logging.getLogger("app").warning("the session is %s, %r", session, session)
    return JsonResponse({"devices": [each.session_id for each in helpers.sessions(session.user_id or "nobody")]})


def spoil(request):
    request.session["list"] = []
    request.session["list"].append(object())
    return JsonResponse({})


def big(request):
    request.session["big"] = "x" * 5000
    return JsonResponse({})


def killed(request):
    manager().kill(request.session.session_id)
    request.session["late"] = 1
    return JsonResponse({})


def saved_late(request):
    manager().kill(request.session.session_id)
    request.session["late"] = 1
    request.session.save()


def refused(request):
    login(request, get_user_model().objects.get(username="ada"), BACKEND)
    request.session["list"] = object()


def big_signed_in(request):
    login(request, get_user_model().objects.get(username="ada"), BACKEND)
    request.session["big"] = "x" * 5000
    return JsonResponse({})


def fail_signed_in(request):
    login(request, get_user_model().objects.get(username="ada"), BACKEND)
    request.session.cycle_key()
    raise ValueError("on purpose")


VIEWS = {"show": show, "spoil": spoil, "big": big, "killed": killed, "saved-late": saved_late}
VIEWS |= {"refused": refused, "fail-signed-in": fail_signed_in, "big-signed-in": big_signed_in}
urlpatterns = [*site_urls, *(url for path, view in VIEWS.items() for url in both(path, view, view))]
PATHS = [
    *("put/a/b", "sign-in/ada", "append/list/x"),
    *(path for view in VIEWS for path in ("sign-in/ada", view)),
    *("sign-in/ada", "switch/bob", "show", "fail", "sign-out"),
]


@pytest.fixture
def told():
    """Every text that signals and reports of errors hold: what pages and mails to administrators are made of."""
    texts = []

    def hear(sender, **said):
        texts.extend([repr(sender), repr(said)])

    def report(sender, request, **_):
        data = ExceptionReporter(request, *sys.exc_info()).get_traceback_data()
        texts.extend(f"{name}={value!s}" for name, value in data.items())

    for signal in SIGNALS:
        signal.connect(hear)
    got_request_exception.connect(report)
    yield texts
    got_request_exception.disconnect(report)
    for signal in SIGNALS:
        signal.disconnect(hear)


def strings(client):
    """Every text in the database."""
    for key in client.scan_iter():
        yield key.decode("latin-1")
        match client.type(key):
            case b"hash":
                yield from (word.decode("latin-1") for pair in client.hgetall(key).items() for word in pair)
            case b"zset":
                yield from (member.decode("latin-1") for member in client.zrange(key, 0, -1))
            case b"string":
                yield client.get(key).decode("latin-1")


@pytest.mark.parametrize(("middleware", "colour"), [(OURS, "blocking"), (OURS, "async"), (DJANGOS, "blocking")])
def test_no_token_is_written_anywhere(
    set_up, ada, bob, colour, middleware, told, wire, redis_client, caplog, start_server
):
    caplog.set_level(logging.DEBUG)
    shown.clear()
    tokens = {UNKNOWN_TOKEN}
    stored = set()
    set_up(session_middleware=middleware, ROOT_URLCONF=__name__, shards=8, max_data_bytes=1000)
    browser = Browser(colour)
    with wire() as seen:
        for path in PATHS:
            browser.get(path)
            tokens |= {browser.token} - {None}
            stored |= set(strings(redis_client))
        for headers in (by_cookie(UNKNOWN_TOKEN), bearer(UNKNOWN_TOKEN)):
            browser.get("show", headers)
            browser.get("fail", headers)
        browser.get("sign-in/ada")
        tokens.add(browser.token)
        for path in ("show", "killed"):
            browser.get(path, bearer(browser.token))
    server = start_server()
    set_up(server.url, session_middleware=middleware, ROOT_URLCONF=__name__)
    browser = Browser(colour)
    browser.get("sign-in/ada")
    server.stop()
    for path in ("show", "sign-out", "put/a/b"):
        browser.get(path)
    tokens.add(browser.token)

    words = [word for command in [*seen, *seen.in_scripts] for word in command.words]
    logged = [f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.records]
    assert all(FORM.fullmatch(token) for token in tokens)
    assert len(tokens) > 6
    assert min(map(len, (stored, shown, told, words, logged))) > 10
    for place, texts in {
        "Redis": stored,
        "the wire": words,
        "the log": logged,
        "signals and reports": told,
        "what was shown": shown,
    }.items():
        everything = "\n".join(texts)
        for token in tokens:
            assert token not in everything, place
            assert token[3:] not in everything, place


@pytest.mark.parametrize("header", ["Authorization", "X-Session"])
@pytest.mark.parametrize("debug", [False, True])
def test_a_report_to_administrators_does_not_show_the_header(set_up, ada, colour, header, debug):
    set_up(ROOT_URLCONF=__name__, header=header, DEBUG=debug)
    token = manager().create(str(ada.pk)).token
    scheme = "Bearer " if header == "Authorization" else ""
    reports = []

    def report(request, **_):
        reporter = ExceptionReporter(request, *sys.exc_info())
        reports.extend([reporter.get_traceback_text(), reporter.get_traceback_html()])

    got_request_exception.connect(report)
    try:
        assert Browser(colour).get("fail", {header: scheme + token}).status_code == 500
    finally:
        got_request_exception.disconnect(report)
    assert len(reports) == 2
    for each in reports:
        assert "HTTP_" + header.upper().replace("-", "_") in each
        assert token not in each


def test_events_tell_handles(set_up, ada, colour):
    set_up(ROOT_URLCONF=__name__)
    browser = Browser(colour)
    tokens, heard = set(), []
    with manager().events() as events:
        thread = threading.Thread(target=lambda: heard.extend(repr(next(events)) for _ in range(3)))
        thread.start()
        for path in ("put/a/b", "sign-in/ada", "sign-out"):
            browser.get(path)
            tokens |= {browser.token} - {None}
        thread.join(20)
    assert len(heard) == 3
    assert len(tokens) == 2
    for token in tokens:
        assert session_id_of(token) in "".join(heard)
        assert token not in "".join(heard)


def test_what_is_stored_opens_nothing(set_up, ada, colour, redis_client):
    set_up(ROOT_URLCONF=__name__)
    browser = Browser(colour)
    browser.get("put/a/b")
    browser.get("sign-in/ada")
    found = set(strings(redis_client))
    found |= {text.rpartition(":")[2] for text in found}
    assert browser.token not in found
    assert session_id_of(browser.token) in found
    for text in found:
        assert SessionStore(text).get("_auth_user_id") is None
        if text.isascii() and text.isprintable():
            for headers in (by_cookie(text.replace(";", "")), bearer(text)):
                assert Browser(colour).get("me", headers).json()["user"] is None
