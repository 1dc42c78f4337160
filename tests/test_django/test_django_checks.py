"""What the system checks find."""

from __future__ import annotations

import importlib.util
import math

import pytest
import redis.asyncio
from django.contrib.sessions.serializers import JSONSerializer
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from redis.exceptions import RedisClusterException

from redisess_django import async_manager, manager
from support.django_project import AFTER_SESSIONS, DJANGOS, OURS


@pytest.fixture
def found(set_up):
    """Give the ids of what is found with these settings, with the messages."""

    def found(**changed):
        changed.setdefault("SESSION_COOKIE_SECURE", True)
        set_up(**changed)
        return {each.id: str(each.msg) for each in run_checks() if each.id.startswith("redisess.")}

    return found


def test_good_settings_are_found_good(found):
    assert found() == {}
    assert found(SESSION_COOKIE_NAME="__Host-sessionid") == {}


@pytest.mark.parametrize(
    ("changed", "check", "says"),
    [
        ({"namespase": "x"}, "redisess.E001", "NAMESPASE given; known are URL"),
        ({"namespace": "{x}"}, "redisess.E001", "without braces"),
        ({"ttl": "1800"}, "redisess.E001", "ttl: str given"),
        ({"url": "http://localhost"}, "redisess.E001", "begins with"),
        ({"client": object()}, "redisess.E001", "client: builtins.object given"),
        ({"skip": "static"}, "redisess.E001", "SKIP: str given"),
        ({"end_on_password_change": 1}, "redisess.E001", "END_ON_PASSWORD_CHANGE: int given"),
        ({"fresh": None}, "redisess.E001", "FRESH: NoneType given"),
        ({"migrate_from": "no.such.engine"}, "redisess.E001", "MIGRATE_FROM: "),
        ({"migrate_from": "redisess_django.sessions"}, "redisess.E001", "MIGRATE_FROM: "),
        ({"header": "a b"}, "redisess.E001", "header is 'a b'"),
        ({"header": "HTTP_X_SESSION"}, "redisess.E001", "HEADER: 'HTTP_X_SESSION' given, 'X-Session' wanted"),
        ({"header": "x_session"}, "redisess.E001", "HEADER: 'x_session' given, 'X-Session' wanted"),
        ({"SESSION_COOKIE_AGE": "1800"}, "redisess.E001", "SESSION_COOKIE_AGE: str given, a number of seconds wanted"),
        ({"SESSION_COOKIE_AGE": True}, "redisess.E001", "SESSION_COOKIE_AGE: bool given"),
        ({"SESSION_COOKIE_AGE": math.inf}, "redisess.E001", "SESSION_COOKIE_AGE: inf given"),
        ({"SESSION_COOKIE_AGE": None, "ttl": 1800}, "redisess.E001", "SESSION_COOKIE_AGE: NoneType given"),
        ({"migrate_from": 1}, "redisess.E001", "MIGRATE_FROM: int given"),
        ({"SESSION_COOKIE_NAME": "__Host-s", "SESSION_COOKIE_DOMAIN": "a.b"}, "redisess.E003", "no domain"),
        ({"SESSION_COOKIE_NAME": "csrftoken"}, "redisess.E004", "SESSION_COOKIE_NAME and CSRF_COOKIE_NAME"),
        ({"SESSION_SERIALIZER": "no.Such"}, "redisess.E005", "SESSION_SERIALIZER: 'no.Such' given"),
        ({"SESSION_SERIALIZER": JSONSerializer}, "redisess.E005", "SESSION_SERIALIZER: <class"),
        ({"SESSION_ENGINE": "no.such"}, "redisess.E002", "No module named 'no'"),
        ({"SESSION_ENGINE": "django.contrib.sessions.backends.db"}, "redisess.W001", "backends.db"),
        ({"session_middleware": DJANGOS}, "redisess.W002", "MIDDLEWARE"),
        ({"SESSION_COOKIE_SECURE": False}, "redisess.W003", "SECURE"),
        ({"SESSION_COOKIE_HTTPONLY": False}, "redisess.W004", "HTTPONLY"),
        ({"SESSION_COOKIE_SAMESITE": None}, "redisess.W005", "SAMESITE"),
        ({"SESSION_COOKIE_AGE": 0}, "redisess.W007", "SESSION_COOKIE_AGE is 0"),
        ({"SESSION_COOKIE_AGE": -1, "ttl": 1800}, "redisess.W007", "SESSION_COOKIE_AGE is -1"),
        ({"SESSION_COOKIE_AGE": 0, "SESSION_EXPIRE_AT_BROWSER_CLOSE": True}, "redisess.W007", "COOKIE_AGE is 0"),
        ({"MIDDLEWARE": [OURS, DJANGOS, *AFTER_SESSIONS]}, "redisess.W009", DJANGOS),
        ({"MIDDLEWARE": [DJANGOS, OURS, *AFTER_SESSIONS]}, "redisess.W009", DJANGOS),
    ],
)
def test_what_is_wrong_or_not_safe_is_said(found, changed, check, says):
    messages = found(**changed)
    assert list(messages) == [check]
    assert says in messages[check]


@pytest.mark.parametrize("given", [None, "redis://localhost", [("URL", "redis://localhost")]])
def test_what_is_no_dictionary_is_said_from_the_first_look(given):
    found = importlib.util.find_spec("redisess_django.conf")
    conf = importlib.util.module_from_spec(found)
    found.loader.exec_module(conf)
    message = f"REDISESS: {type(given).__name__} given, a dictionary wanted"
    with override_settings(REDISESS=given), pytest.raises(ImproperlyConfigured, match=message):
        conf.options()


def test_a_csrf_token_that_is_kept_in_sessions_needs_no_cookie_of_its_own(found):
    assert found(SESSION_COOKIE_NAME="csrftoken", CSRF_USE_SESSIONS=True) == {}


def test_where_nothing_goes_by_the_age_of_cookies_it_may_be_any(found):
    assert found(SESSION_COOKIE_AGE=0, SESSION_EXPIRE_AT_BROWSER_CLOSE=True, ttl=1800) == {}


def test_an_asgi_site_with_a_client_for_blocking_code_alone_is_found(found, redis_client):
    site = {"client": redis_client, "ASGI_APPLICATION": "site.asgi.application"}
    messages = found(**site)
    assert list(messages) == ["redisess.W008"]
    assert "ASYNC_CLIENT" in messages["redisess.W008"]
    assert found(**site, async_client=redis.asyncio.Redis()) == {}
    assert found(**{**site, "ASGI_APPLICATION": None}) == {}
    assert found(client=redis_client) == {}


def test_a_cookie_that_is_not_secure_is_nothing_to_a_developer(found):
    assert found(SESSION_COOKIE_SECURE=False, DEBUG=True) == {}


def test_a_cluster_that_is_away_is_no_finding(found, redis_client, monkeypatch):
    def away(*_):
        raise RedisClusterException("Redis Cluster cannot be connected.")

    monkeypatch.setattr(redis_client, "info", away)
    assert found(client=redis_client) == {}


def test_a_redis_that_evicts_sessions_is_found(found, start_server):
    server = start_server("--maxmemory-policy", "allkeys-lru")
    assert "allkeys-lru" in found(url=server.url)["redisess.W006"]
    server.stop()
    assert found(url=server.url) == {}


def test_a_dictionary_is_wanted(set_up):
    with override_settings(REDISESS=["redis://"]), pytest.raises(ImproperlyConfigured, match="list given"):
        manager()


def test_a_client_for_each_colour_is_wanted(set_up, redis_client):
    set_up(client=redis_client)
    assert manager().count() == 0
    with pytest.raises(ImproperlyConfigured, match="ASYNC_CLIENT wanted"):
        async_manager()
