"""The pages of the Django adapter in a real browser, in the example. Run with `uv run pytest -m browser`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from redisess_core import SessionManager
from support.example import running

pytestmark = pytest.mark.browser

PHONE = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36"
PASSWORDS = {"ada": "engine", "grace": "nanosecond", "admin": "compiler"}
SHOTS = os.environ.get("REDISESS_SCREENSHOTS")  # a folder: every page is kept there, to be looked at


@pytest.fixture(scope="module")
def start_shop(redis_server, tmp_path_factory):
    """Run the example, with other settings in its environment: `start_shop(SHOP_FRESH="0")`."""

    def start_shop(**environment):
        folder = tmp_path_factory.mktemp("shop")
        environment = {"REDISESS_URL": redis_server.url, "SHOP_DATABASE": str(folder / "database"), **environment}
        return running("django_app", folder / "output", **environment)

    return start_shop


@pytest.fixture(scope="module")
def running_shop(start_shop):
    with start_shop() as address:
        yield address


@pytest.fixture(scope="module")
def running_strict_shop(start_shop):
    with start_shop(SHOP_FRESH="0") as address:
        yield address


@pytest.fixture
def shop(running_shop, redis_url):
    """The example's address, with nobody signed in."""
    return running_shop


@pytest.fixture
def strict_shop(running_strict_shop, redis_url):
    """The same of an example where every sign-in is stale at once."""
    return running_strict_shop


@pytest.fixture
def sessions(redis_url):
    with SessionManager(redis_url, namespace="django-shop") as manager:
        yield manager


@pytest.fixture
def profile(chromium, tmp_path_factory):
    """Open profiles of the browser, each with cookies of its own; every complaint on a console is a failure."""
    opened, complaints = [], []

    def open_profile(address, **options):
        context = chromium(tmp_path_factory.mktemp("profile"), base_url=address, **options)
        opened.append(context)
        context.on("console", lambda message: is_fine(message) or complaints.append(message.text))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("request", lambda asked: asked.url.startswith(address) or complaints.append(asked.url))
        page = context.pages[0]
        page.set_default_timeout(20_000)
        return page

    yield open_profile
    for context in opened:
        context.close()
    assert complaints == []


def is_fine(message):
    """Tell what a browser says of Django's own admin pages, which have no icon, and of a page that it reloads."""
    return "Autofocus" in message.text or message.location["url"].endswith("/favicon.ico")


def sign_in(page, name="ada"):
    page.goto("/account/sessions/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORDS[name])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Your sessions")).to_be_visible()


def others(page):
    return page.get_by_role("region", name="Other devices").get_by_role("listitem")


def expect_signed_out(page):
    page.goto("/account/sessions/")
    expect(page).to_have_url(re.compile(r"/sign-in/\?next=/account/sessions/$"))


def shoot(page, name):
    if SHOTS:
        Path(SHOTS, f"{name}.png").write_bytes(page.screenshot(full_page=True))


def test_two_profiles_see_each_other_and_one_ends_the_other(profile, shop):
    laptop, phone = profile(shop), profile(shop, user_agent=PHONE)
    sign_in(laptop)
    expect(laptop.get_by_text("You are signed in nowhere else.")).to_be_visible()
    sign_in(phone)
    expect(others(phone)).to_contain_text("Headless Chrome on Linux")

    laptop.reload()
    this = laptop.get_by_role("region", name="This device")
    expect(this).to_contain_text("Headless Chrome on Linux")
    expect(this).to_contain_text("just now")
    expect(others(laptop)).to_have_count(1)
    expect(others(laptop)).to_contain_text("Chrome on Android")
    others(laptop).get_by_role("button", name="End Chrome on Android").click()
    expect(laptop.get_by_role("status")).to_have_text("The session has ended.")
    expect(others(laptop)).to_have_count(0)

    expect_signed_out(phone)
    laptop.reload()
    expect(laptop.get_by_role("heading", name="Your sessions")).to_be_visible()


def test_who_signed_in_lately_ends_all_others_without_a_question(profile, shop):
    laptop, phone = profile(shop), profile(shop, user_agent=PHONE)
    sign_in(phone)
    sign_in(laptop)
    laptop.get_by_role("button", name="End all others").click()
    expect(laptop.get_by_role("status")).to_have_text("1 other session has ended.")
    expect_signed_out(phone)


def test_who_did_not_is_asked_for_the_password(profile, strict_shop, sessions):
    laptop, phone = profile(strict_shop), profile(strict_shop, user_agent=PHONE)
    sign_in(phone)
    sign_in(laptop)
    laptop.get_by_role("button", name="End all others").click()
    expect(laptop.get_by_role("heading", name="End all other sessions")).to_be_visible()
    password = laptop.get_by_label("Password")
    expect(password).to_be_focused()
    laptop.keyboard.type("wrong")
    laptop.keyboard.press("Enter")
    expect(laptop.get_by_text("This is not your password.")).to_be_visible()
    expect(password).to_have_attribute("aria-invalid", "true")
    expect(password).to_be_empty()
    assert sessions.count() == 2

    laptop.get_by_role("link", name="Cancel").click()
    expect(others(laptop)).to_have_count(1)
    laptop.get_by_role("button", name="End all others").click()
    password.fill("engine")
    laptop.get_by_role("button", name="End all others").click()
    expect(laptop.get_by_role("status")).to_have_text("1 other session has ended.")
    expect(others(laptop)).to_have_count(0)
    expect_signed_out(phone)


def test_this_device_signs_out(profile, shop, sessions):
    laptop = profile(shop)
    sign_in(laptop)
    laptop.get_by_role("button", name="Sign out").click()
    expect(laptop.get_by_role("heading", name="Shop")).to_be_visible()
    assert sessions.count() == 0
    expect_signed_out(laptop)


def test_the_pages_need_no_mouse(profile, shop):
    laptop, phone = profile(shop), profile(shop, user_agent=PHONE)
    sign_in(phone)
    sign_in(laptop)
    end = laptop.get_by_role("button", name="End Chrome on Android")
    for _ in range(20):
        laptop.keyboard.press("Tab")
        if end.evaluate("button => button === document.activeElement"):
            break
    expect(end).to_be_focused()
    laptop.keyboard.press("Enter")
    expect(laptop.get_by_role("status")).to_have_text("The session has ended.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_a_page_fits_its_window(profile, strict_shop, sessions, width, scheme):
    page = profile(strict_shop, viewport={"width": width, "height": 800}, color_scheme=scheme)
    sign_in(page)
    user_id = sessions.get_all_users()[0]
    sessions.create(user_id, ip="2001:db8:85a3:1319:8a2e:370:7344:1", user_agent="x" * 40 + "/1.0")
    sessions.create(user_id, ip="198.51.100.7", user_agent=PHONE)
    page.reload()
    expect(others(page)).to_have_count(2)
    for name in ("sessions", "confirm"):
        shoot(page, f"django-{name}-{width}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if name == "sessions":
            page.get_by_role("button", name="End all others").click()
            expect(page.get_by_label("Password")).to_be_visible()


def open_admin(page):
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORDS["admin"])
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Live sessions", exact=True).click()
    expect(page.get_by_role("heading", name="Live sessions")).to_be_visible()


def rows(page):
    return page.locator("#result_list tbody tr")


def test_an_administrator_finds_a_session_and_ends_it(profile, shop):
    phone, desk = profile(shop, user_agent=PHONE), profile(shop)
    sign_in(phone)
    open_admin(desk)
    expect(rows(desk)).to_have_count(2)
    expect(rows(desk).first).to_contain_text("admin (this session)")
    desk.locator("#searchbar").fill("ada")
    desk.get_by_role("button", name="Search").click()
    expect(rows(desk)).to_have_count(1)
    expect(rows(desk)).to_contain_text("Chrome on Android")
    shoot(desk, "django-admin-search")

    desk.get_by_role("checkbox", name="Select ada").check()
    desk.get_by_label("Action").select_option("End selected sessions")
    desk.get_by_role("button", name=re.compile("Go|Run")).click()
    expect(desk.get_by_text("Are you sure you want to end these sessions?")).to_be_visible()
    shoot(desk, "django-admin-confirm")
    desk.get_by_role("button", name=re.compile("^Yes")).click()
    expect(desk.get_by_text("1 session was ended.")).to_be_visible()
    expect_signed_out(phone)


def test_the_page_of_a_user_shows_that_users_sessions(profile, shop):
    phone, desk = profile(shop, user_agent=PHONE), profile(shop)
    sign_in(phone)
    open_admin(desk)
    desk.get_by_role("link", name="ada", exact=True).click()
    panel = desk.get_by_role("link", name="End ada")
    expect(panel).to_be_visible()
    shoot(desk, "django-admin-user")
    panel.click()
    desk.get_by_role("button", name=re.compile("^Yes")).click()
    expect_signed_out(phone)


def test_an_administrator_pages_through_a_hundred_thousand_and_ends_one(profile, shop, sessions):
    for number in range(100_000):
        sessions.create(f"user {number % 20_000}", user_agent="Firefox/140.0")
    desk = profile(shop)
    open_admin(desk)
    expect(desk.get_by_text("100001 sessions of 20001 users")).to_be_visible()
    expect(rows(desk)).to_have_count(50)
    for _ in range(3):
        desk.get_by_role("link", name="Next page").click()
        expect(rows(desk)).to_have_count(50)
    shoot(desk, "django-admin-pages")
    rows(desk).first.get_by_role("checkbox").check()
    desk.get_by_label("Action").select_option("End selected sessions")
    desk.get_by_role("button", name=re.compile("Go|Run")).click()
    desk.get_by_role("button", name=re.compile("^Yes")).click()
    expect(desk.get_by_text("1 session was ended.")).to_be_visible()
    assert sessions.count() == 100_000
