"""How the demo says who a client is, and how long ago something was."""

from __future__ import annotations

import time

import pytest

from redisess_cli.demo import words

LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101"
ANDROID = "Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0"


@pytest.mark.parametrize(
    ("user_agent", "name", "kind"),
    [
        (f"{LINUX} Firefox/143.0", "Firefox on Linux", "desktop"),
        (f"{ANDROID} Firefox/143.0", "Firefox on Android", "phone"),
        (LINUX, "Unknown browser on Linux", "desktop"),
        ("Mozilla/5.0", "Unknown browser", "desktop"),
        ("ShopApp/2.1 (iPhone; iOS 18.0)", "ShopApp on iPhone", "phone"),
        ("curl/8.5.0", "curl", "terminal"),
        ("<script>alert(1)</script>", "Unknown program", "terminal"),
        (None, "Unknown program", "terminal"),
    ],
)
def test_a_user_agent_in_words(user_agent, name, kind):
    assert words.client(user_agent) == words.Client(name, kind)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "just now"),
        (0.9, "just now"),
        (1, "1 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min 0 s ago"),
        (3599, "59 min 59 s ago"),
        (3600, "1 h 0 min ago"),
        (86_399, "23 h 59 min ago"),
        (86_400, "1 d 0 h ago"),
        (40 * 86_400 + 3 * 3600, "40 d 3 h ago"),
    ],
)
def test_how_long_ago_in_words(seconds, said):
    assert words.ago(seconds) == said


@pytest.fixture
def in_berlin(monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
def test_a_time_for_people_is_this_machines_and_for_machines_universal():
    assert words.date_and_time(1_800_000_000.4) == "15 Jan 2027, 09:00"
    assert words.iso(1_800_000_000.4) == "2027-01-15T08:00:00Z"
