"""How the demo says who a client is, and how long ago something was."""

from __future__ import annotations

import time

import pytest

from redisess_cli.demo import words

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPAD = IPHONE.replace("iPhone", "iPad")
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
ANDROID = f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Mobile Safari/537.36"
WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36"
LINUX = f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "name", "kind"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox on Linux", "desktop"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15) Gecko/20100101 Firefox/143.0", "Firefox on macOS", "desktop"),
        ("Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0", "Firefox on Android", "phone"),
        (f"{IPHONE} FxiOS/143.0 Mobile/15E148 Safari/605.1.15", "Firefox on iPhone", "phone"),
        (ANDROID, "Chrome on Android", "phone"),
        (WINDOWS, "Chrome on Windows", "desktop"),
        (LINUX, "Chrome on Linux", "desktop"),
        (LINUX.replace("Linux x86_64", "CrOS x86_64 14541.0.0"), "Chrome on ChromeOS", "desktop"),
        (f"{IPAD} CriOS/140.0 Mobile/15E148 Safari/604.1", "Chrome on iPad", "phone"),
        (LINUX.replace("Chrome/", "HeadlessChrome/"), "Headless Chrome on Linux", "desktop"),
        (f"{WINDOWS} Edg/140.0.0.0", "Edge on Windows", "desktop"),
        (f"{ANDROID} EdgA/140.0.0.0", "Edge on Android", "phone"),
        (f"{WINDOWS} OPR/120.0.0.0", "Opera on Windows", "desktop"),
        (ANDROID.replace("Chrome/", "SamsungBrowser/28.0 Chrome/"), "Samsung Internet on Android", "phone"),
        (f"{IPHONE} Version/18.0 Mobile/15E148 Safari/604.1", "Safari on iPhone", "phone"),
        (f"{MAC} Version/18.0 Safari/605.1.15", "Safari on macOS", "desktop"),
        ("Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer on Windows", "desktop"),
        ("Mozilla/5.0 (X11; Linux x86_64) Something/1.0", "Unknown browser on Linux", "desktop"),
        ("Mozilla/5.0", "Unknown browser", "desktop"),
        ("curl/8.5.0", "curl", "terminal"),
        ("Wget/1.21.4", "Wget", "terminal"),
        ("python-requests/2.32.3", "python-requests", "terminal"),
        ("Python-urllib/3.11", "Python-urllib", "terminal"),
        ("Go-http-client/1.1", "Go-http-client", "terminal"),
        ("HTTPie/3.2.2", "HTTPie", "terminal"),
        ("my-app", "my-app", "terminal"),
        ("<script>alert(1)</script>", "Unknown program", "terminal"),
        ("a" * 256, "Unknown program", "terminal"),
        ("  ", "Unknown program", "terminal"),
        ("", "Unknown program", "terminal"),
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
