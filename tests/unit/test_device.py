"""What a user agent says of the program and the system that sent a request."""

from __future__ import annotations

import pytest

from redisess_core.web import Device, device_of

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
IPAD = IPHONE.replace("iPhone", "iPad")
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
ANDROID = f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Mobile Safari/537.36"
WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36"
LINUX = f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Safari/537.36"


@pytest.mark.parametrize(
    ("user_agent", "program", "system"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox", "Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox", "Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15) Gecko/20100101 Firefox/143.0", "Firefox", "macOS"),
        ("Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0", "Firefox", "Android"),
        (f"{IPHONE} FxiOS/143.0 Mobile/15E148 Safari/605.1.15", "Firefox", "iPhone"),
        (ANDROID, "Chrome", "Android"),
        (WINDOWS, "Chrome", "Windows"),
        (LINUX, "Chrome", "Linux"),
        (LINUX.replace("Linux x86_64", "CrOS x86_64 14541.0.0"), "Chrome", "ChromeOS"),
        (f"{IPAD} CriOS/140.0 Mobile/15E148 Safari/604.1", "Chrome", "iPad"),
        (LINUX.replace("Chrome/", "HeadlessChrome/"), "Headless Chrome", "Linux"),
        (LINUX.replace("Chrome/", "Ubuntu Chromium/140.0 Chrome/"), "Chromium", "Linux"),
        (f"{WINDOWS} Edg/140.0.0.0", "Edge", "Windows"),
        (f"{ANDROID} EdgA/140.0.0.0", "Edge", "Android"),
        (f"{WINDOWS} OPR/120.0.0.0", "Opera", "Windows"),
        (ANDROID.replace("Chrome/", "SamsungBrowser/28.0 Chrome/"), "Samsung Internet", "Android"),
        (f"{IPHONE} Version/18.0 Mobile/15E148 Safari/604.1", "Safari", "iPhone"),
        (f"{MAC} Version/18.0 Safari/605.1.15", "Safari", "macOS"),
        ("Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer", "Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64) Something/1.0", None, "Linux"),
        ("Mozilla/5.0 (compatible; SomeBot/1.0)", None, None),
        ("Mozilla/5.0", None, None),
    ],
)
def test_a_browser_is_called_by_its_name_and_its_system(user_agent, program, system):
    assert device_of(user_agent) == Device(program, system, browser=True)


@pytest.mark.parametrize(
    ("user_agent", "program", "system"),
    [
        ("curl/8.5.0", "curl", None),
        ("Wget/1.21.4", "Wget", None),
        ("python-requests/2.32.3", "python-requests", None),
        ("Go-http-client/1.1", "Go-http-client", None),
        ("my-app", "my-app", None),
        ("ShopApp 2.1 (build 7)", "ShopApp", None),
        ("ShopApp/2.1 (iPhone; iOS 18.0)", "ShopApp", "iPhone"),
        ("Dalvik/2.1.0 (Linux; U; Android 15; Pixel 9)", "Dalvik", "Android"),
    ],
)
def test_another_program_is_called_by_its_first_product(user_agent, program, system):
    assert device_of(user_agent) == Device(program, system, browser=False)


@pytest.mark.parametrize(
    "user_agent",
    [
        None,
        "",
        "  ",
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>/1.0',
        "\x1b[2J\x1b[H",
        "\u202etxt.exe",
        "\ufb01refox/1.0",
        "a\nb/1.0",
        "a" * 256,
        "a" * 1_000_000,
    ],
)
def test_what_says_nothing_or_is_no_name_is_unknown(user_agent):
    assert device_of(user_agent) == Device(None, None, browser=False)
