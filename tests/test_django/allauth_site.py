"""A project with django-allauth's usersessions app on our engine, and a walk through it; run as a program.

    python allauth_site.py REDIS_URL

It walks with each middleware, in a namespace of one shard and of eight, and prints what it saw as a line of JSON each.
"""
# ruff: noqa: E402  what is imported below its settings needs them

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

import django
from django.conf import settings

FOLDER = tempfile.TemporaryDirectory(prefix="redisess-allauth-")
DJANGOS, OURS = "django.contrib.sessions.middleware.SessionMiddleware", "redisess_django.middleware.SessionMiddleware"
REST = [
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
]
settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    USE_TZ=True,
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.humanize",
        "allauth",
        "allauth.account",
        "allauth.usersessions",
        "redisess_django",
    ],
    MIDDLEWARE=[DJANGOS, *REST],
    SESSION_ENGINE="redisess_django.sessions",
    REDISESS={"URL": sys.argv[1]},
    USERSESSIONS_TRACK_ACTIVITY=True,
    ACCOUNT_EMAIL_VERIFICATION="none",
    ACCOUNT_RATE_LIMITS=False,
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(Path(FOLDER.name, "database"))}},
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
)
django.setup()

from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import include, path

from redisess_django import manager
from redisess_django.sessions import SessionStore

urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("accounts/sessions/", include("allauth.usersessions.urls")),
]


def signed_in(agent: str) -> Client:
    """Sign in by allauth's own page, with a session from before."""
    client = Client(headers={"User-Agent": agent}, enforce_csrf_checks=True)
    page = client.get("/accounts/login/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    form = {"login": "ada", "password": "secret", "csrfmiddlewaretoken": token[1]}
    answer = client.post("/accounts/login/", form)
    assert answer.status_code == 302, answer.content
    return client


def listed(client: Client) -> list[str]:
    """Give the user agents on allauth's page."""
    page = client.get("/accounts/sessions/")
    return sorted(re.findall(r"(Laptop|Phone|Tablet)", page.content.decode())) if page.status_code == 200 else []


def keys() -> tuple[int, int]:
    """Count allauth's records whose key names a live session of ada, and all live sessions of ada."""
    known = [session.session_key for session in UserSession.objects.all()]
    ids = {SessionStore(key).session_id for key in known if SessionStore().exists(key)}
    live = set(manager().get_user_sessions(User.objects.get().pk))
    return len(ids & live), len(live)


def walk() -> dict[str, object]:
    """Sign in on three devices, look, end the others, and end the own."""
    laptop, phone, tablet = (signed_in(agent) for agent in ("Laptop", "Phone", "Tablet"))
    seen: dict[str, object] = {"listed": listed(laptop), "keys": keys()}
    tablet.logout()
    seen["after a sign-out"] = listed(laptop)
    page = laptop.get("/accounts/sessions/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    ended = laptop.post("/accounts/sessions/", {"csrfmiddlewaretoken": token[1]})
    seen["ended"] = ended.status_code
    seen["left"] = listed(laptop), listed(phone)
    seen["keys left"] = keys()
    UserSession.objects.get().end()
    seen["after the end of the own"] = listed(laptop)
    seen["keys at the end"] = keys()
    return seen


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    for middleware in (DJANGOS, OURS):
        for shards in (1, 8):
            User.objects.all().delete()
            User.objects.create_user("ada", "ada@example.com", "secret")
            redisess = {"URL": sys.argv[1], "NAMESPACE": f"{middleware[:8]}{shards}", "SHARDS": shards}
            with override_settings(REDISESS=redisess, MIDDLEWARE=[middleware, *REST]):
                print(json.dumps(walk()))
