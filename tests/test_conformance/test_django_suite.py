"""Django's own tests of sessions, and of all that signs in and out by them, over our engine and our middleware."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import django
import pytest
from source_distribution import fetch, run

pytestmark = pytest.mark.conformance

SWAPPED = Path(__file__).with_name("redisess_swapped")
# How many tests there are on each Django; another Django has others: count them, and say so here.
TESTS = {
    "redisess_swapped.tests.SessionStoreTests": {"5.2": 65, "6.1": 65},
    "sessions_tests.tests.SessionMiddlewareTests": {"5.2": 12, "6.1": 12},
    "auth_tests.test_auth_backends.ImportedBackendTests": {"5.2": 1, "6.1": 1},
    "auth_tests.test_auth_backends.SelectingBackendTests": {"5.2": 4, "6.1": 4},
    "auth_tests.test_auth_backends.UUIDUserTests": {"5.2": 2, "6.1": 2},
    "auth_tests.test_basic": {"5.2": 17, "6.1": 17},
    "auth_tests.test_context_processors": {"5.2": 10, "6.1": 10},
    "auth_tests.test_decorators": {"5.2": 29, "6.1": 29},
    "auth_tests.test_login": {"5.2": 5, "6.1": 3},
    "auth_tests.test_middleware": {"5.2": 16, "6.1": 24},
    "auth_tests.test_remote_user": {"5.2": 104, "6.1": 140},
    "auth_tests.test_signals": {"5.2": 6, "6.1": 6},
    "auth_tests.test_views": {"5.2": 119, "6.1": 119},
    "async.test_async_auth": {"5.2": 13, "6.1": 11},
    "messages_tests.test_fallback": {"5.2": 30, "6.1": 30},
    "messages_tests.test_session": {"5.2": 25, "6.1": 25},
    "test_client.tests.AsyncClientTest": {"5.2": 9, "6.1": 9},
    "test_client.tests.ClientTest": {"5.2": 91, "6.1": 92},
    "test_client_regress.tests.LoginTests": {"5.2": 1, "6.1": 1},
    "test_client_regress.tests.SessionTests": {"5.2": 9, "6.1": 9},
}
# Tests of classes for async requests, that skip themselves.
SKIPPED = {"5.2": 0, "6.1": 18}
DJANGOS = "django.contrib.sessions.middleware.SessionMiddleware"
OURS = "redisess_django.middleware.SessionMiddleware"


def different(middleware, release):
    """Name the tests that we differ from on purpose, each with what its failure says."""
    tests = {}
    if release != "5.2":
        # It counts a query for the session; ours is in no database.
        name = "auth_tests.test_middleware.TestLoginRequiredMiddleware.test_protected_view_logged_in_performance"
        tests[name] = "1 queries executed, 2 expected"
    if middleware == OURS:
        # It wants the key kept when who is signed in signs in again; ours gives a new one at every sign-in, so that
        # the key from before it, which somebody else may know, is worth nothing.
        name = "auth_tests.test_views.LoginTest.test_session_key_flushed_on_login_after_password_change"
        tests[name] = "self.assertEqual(original_session_key, self.client.session.session_key)"
        # They set another engine; ours is for our engine alone, whose keys it knows by their form, and says so.
        for test in (
            "test_logout_cookie_sessions",
            "test_sessions_app_is_not_installed",
            "test_view_with_login_when_sessions_app_is_not_installed",
        ):
            tests[f"test_client.tests.ClientTest.{test}"] = "this middleware wants redisess_django.sessions"
    return tests


@pytest.mark.parametrize("middleware", [DJANGOS, OURS])
def test_djangos_own_tests_of_sessions_pass_over_ours(middleware, redis_url, redis_client, namespace, tmp_path):
    release = ".".join(map(str, django.VERSION[:2]))
    differences = different(middleware, release)
    project = fetch("django", tmp_path) / "tests"
    shutil.copytree(SWAPPED, project / SWAPPED.name)
    report = tmp_path / "report.json"

    said = run(
        *(sys.executable, "runtests.py", "--parallel=1", "--settings=redisess_swapped.settings", *TESTS),
        folder=project,
        REDISESS_SWAP_URL=redis_url,
        REDISESS_SWAP_NAMESPACE=namespace,
        REDISESS_SWAP_MIDDLEWARE=middleware,
        REDISESS_SWAP_DIFFERENT=" ".join(differences),
        REDISESS_SWAP_REPORT=str(report),
    )

    told = json.loads(report.read_text())
    found = told["found"]
    counted = {label: sum(name.startswith(f"{label}.") for name in found) for label in TESTS}
    assert counted == {label: counts[release] for label, counts in TESTS.items()}, said
    assert told["run"] == len(found) == sum(counted.values()), said
    assert [told[bad] for bad in ("failed", "broken", "passed unexpectedly")] == [[], [], []], said
    assert told["failed as expected"].keys() == differences.keys(), said
    assert all(differences[name] in traceback for name, traceback in told["failed as expected"].items()), told
    assert len(told["skipped"]) == SKIPPED[release], said
    assert all("ASGISyncPathRemoteUserTest" in name for name in told["skipped"]), told
    assert redis_client.zcard(f"{{{namespace}:0}}:users"), "nobody is signed in by our engine: it did not run"
