"""Puts our names in the place of Django's before its tests import them."""

from __future__ import annotations

import os
from importlib import import_module
from types import SimpleNamespace
from unittest import expectedFailure

from django.apps import AppConfig
from django.contrib.sessions import middleware
from django.utils.module_loading import import_string

from redisess_django.sessions import SessionStore


class Swapped(AppConfig):
    """Whoever imports Django's session middleware gets the one that `REDISESS_SWAP_MIDDLEWARE` names."""

    name = "redisess_swapped"

    def ready(self):
        middleware.SessionMiddleware = import_string(os.environ["REDISESS_SWAP_MIDDLEWARE"])
        swap_the_database_engine()
        for name in os.environ["REDISESS_SWAP_DIFFERENT"].split():
            expect_to_fail(name)


def swap_the_database_engine():
    """Put ours where the tests of the middleware name the engine in the database, and its model."""
    tests = import_module("sessions_tests.tests")
    tests.DatabaseSession = SessionStore
    tests.Session = SimpleNamespace(objects=SimpleNamespace(get=stored))


def stored(session_key):
    """Give what is stored as that session, as a row of the model does; with none there is, raise."""
    session = SessionStore(session_key)
    if not session.exists(session_key):
        raise LookupError(f"No session is stored under {session_key!r}")
    return SimpleNamespace(get_decoded=lambda: dict(session.items()))


def expect_to_fail(name):
    """Mark that test of Django's as one that ours differs from on purpose."""
    case, _, method = name.rpartition(".")
    expectedFailure(getattr(import_string(case), method))
