"""Django's tests of a session engine, on ours."""

from __future__ import annotations

from django.test import SimpleTestCase
from sessions_tests.tests import SessionTestsMixin

from redisess_django.sessions import SessionStore


class SessionStoreTests(SessionTestsMixin, SimpleTestCase):
    """A SimpleTestCase, which lets nobody use the database."""

    backend = SessionStore
