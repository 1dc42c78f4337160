"""The demo in a real browser: two profiles, a keyboard, a phone. Run with `uv run pytest -m browser`."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import expect

import redisess_cli.demo
from redisess_cli.demo import words
from support.demo import Demo

pytestmark = pytest.mark.browser

PHONE = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36"
STATIC = Path(redisess_cli.demo.__file__).parent / "static"
_users = count(1)
SHOTS = os.environ.get("REDISESS_SCREENSHOTS")  # a folder: every page is kept there, to be looked at


@pytest.fixture(scope="module")
def demo():
    with Demo() as running:
        yield running


@pytest.fixture
def user():
    """A name that no other test signs in under."""
    return f"user-{next(_users):03}"


@pytest.fixture
def complaints():
    """What browsers wrote to their consoles, and every request that did not go to the demo."""
    found = []
    yield found
    assert found == []


@pytest.fixture
def profile(chromium, demo, tmp_path_factory, complaints):
    """Open profiles of the browser, each with a folder, cookies and a page of its own."""
    opened = []

    def open_profile(**options):
        context = chromium(tmp_path_factory.mktemp("profile"), base_url=demo.url, **options)
        opened.append(context)
        context.on("console", lambda message: complaints.append(message.text))
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("request", lambda asked: asked.url.startswith(demo.url) or complaints.append(asked.url))
        page = context.pages[0]
        page.set_default_timeout(20_000)
        return page

    yield open_profile
    for context in opened:
        context.close()


def sign_in(page, name):
    page.goto("/")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Your devices")).to_be_visible()


def sign_in_elsewhere(demo, name, user_agent="curl/8.5.0"):
    headers = {"Content-Type": "application/json", "User-Agent": user_agent}
    asked = urllib.request.Request(f"{demo.url}/api/sign-in", json.dumps({"name": name}).encode(), headers)
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return json.load(answer)["token"]


def devices(page):
    return page.get_by_role("list", name="Devices").get_by_role("listitem")


def expect_ended(page):
    """The page is the form, and says why."""
    expect(page).to_have_url(re.compile(r"/sign-in$"))
    expect(page.get_by_role("status")).to_contain_text("This session was ended.")
    expect(page.get_by_label("Name")).to_be_visible()


def shoot(page, name):
    if SHOTS:
        Path(SHOTS, f"{name}.png").write_bytes(page.screenshot(full_page=True))


def test_two_profiles_sign_in_as_one_user_and_one_ends_the_other(profile, user):
    laptop, phone = profile(), profile(user_agent=PHONE)
    sign_in(laptop, user)
    sign_in(phone, user)

    laptop.reload()
    expect(devices(laptop)).to_have_count(2)
    expect(devices(laptop).nth(0)).to_contain_text("This device")
    expect(devices(laptop).nth(1)).to_contain_text("Chrome on Android")
    expect(devices(phone).nth(0)).to_contain_text("Chrome on Android This device")

    devices(laptop).nth(1).get_by_role("button", name="End").click()
    expect(laptop.get_by_role("status")).to_contain_text("signed out at its next click")
    expect(devices(laptop)).to_have_count(1)

    phone.get_by_role("link", name="Overview").click()
    expect_ended(phone)
    phone.reload()
    expect_ended(phone)

    laptop.reload()  # who ended the other stays
    expect(laptop.get_by_role("heading", name="Your devices")).to_be_visible()
    sign_in(phone, user)
    expect(devices(phone)).to_have_count(2)


def test_a_form_sent_by_a_browser_that_was_signed_out_leads_to_the_same_words(profile, user):
    laptop, phone = profile(), profile(user_agent=PHONE)
    sign_in(laptop, user)
    sign_in(phone, user)
    phone.get_by_role("button", name="End all others").click()
    expect(devices(phone)).to_have_count(1)
    laptop.get_by_role("button", name="Sign out everywhere").click()
    expect_ended(laptop)
    phone.reload()
    expect(devices(phone)).to_have_count(1)


def test_all_others_are_ended(profile, demo, user):
    laptop, phone = profile(), profile(user_agent=PHONE)
    sign_in(laptop, user)
    sign_in(phone, user)
    sign_in_elsewhere(demo, user)
    laptop.reload()
    expect(devices(laptop)).to_have_count(3)
    laptop.get_by_role("button", name="End all others").click()
    expect(laptop.get_by_role("status")).to_have_text("Ended 2 other sessions.")
    expect(devices(laptop)).to_have_count(1)
    expect(laptop.get_by_role("button", name="End all others")).to_have_count(0)
    phone.get_by_role("link", name="Your devices").click()
    expect_ended(phone)


def test_signing_out_everywhere_takes_the_own_browser_along(profile, user):
    laptop, phone = profile(), profile(user_agent=PHONE)
    sign_in(laptop, user)
    sign_in(phone, user)
    laptop.get_by_role("button", name="Sign out everywhere").click()
    expect(laptop.get_by_role("status")).to_have_text("You are signed out.")
    phone.reload()
    expect_ended(phone)
    laptop.go_back()  # nothing of what was shown is kept
    expect(laptop.get_by_role("heading", name="Your devices")).to_have_count(0)


def test_the_overview_kills_a_session_and_a_user(profile, demo, user):
    laptop, phone = profile(), profile(user_agent=PHONE)
    other = f"{user}-2"
    sign_in(laptop, user)
    sign_in(phone, other)
    laptop.get_by_role("link", name="Overview").click()
    row = laptop.get_by_role("row", name=f"{other} Chrome on Android")
    row.get_by_role("button", name="End").click()
    expect(laptop.get_by_role("status")).to_contain_text("signed out at its next click")
    expect(row).to_have_count(0)
    phone.get_by_role("link", name="Overview").click()
    expect_ended(phone)

    sign_in(phone, other)
    sign_in_elsewhere(demo, other)
    views = laptop.get_by_role("navigation", name="What is listed")
    views.get_by_role("link", name="Users").click()
    views.get_by_role("link", name="Active in the last 60 seconds").click()
    expect(views.locator("[aria-current]")).to_have_text(["Users", "Active in the last 60 seconds"])
    laptop.get_by_role("button", name=f"End all sessions of {other}").click()
    expect(laptop.get_by_role("status")).to_have_text(f"Ended 2 sessions of {other}.")
    expect(laptop).to_have_url(f"{demo.url}/overview?show=users&active=60")
    phone.reload()
    expect_ended(phone)


def test_the_last_access_counts_up(profile, demo, user):
    sign_in_elsewhere(demo, user)
    page = profile()
    page.clock.install()
    sign_in(page, user)
    page.wait_for_load_state("load")  # the script runs last
    other = devices(page).nth(1).locator("time.ago")
    idle = float(other.get_attribute("data-idle"))
    page.clock.run_for(90_000)
    said = {words.ago(idle + 90 + late) for late in (0, 1, 2, 3)}
    assert other.inner_text() in said


def test_the_script_counts_in_the_words_of_the_server(profile):
    page = profile()
    page.clock.install()
    page.goto("/sign-in")
    seconds = [0.5, 1.5, 58.5, 59.5, 3598.5, 3599.5, 86_398.5, 86_399.5, 1_000_000.5]
    page.evaluate(
        """seconds => document.querySelector("main").replaceChildren(...seconds.map((idle) => {
            const time = document.createElement("time");
            time.className = "ago";
            time.dataset.idle = idle;
            return time;
        }))""",
        seconds,
    )
    page.evaluate(STATIC.joinpath("ago.js").read_text())
    page.clock.run_for(1000)
    counted = page.locator("time.ago").all_inner_texts()
    for said, idle in zip(counted, seconds, strict=True):
        assert said in {words.ago(idle + 1), words.ago(idle + 1.4)}


def test_everything_works_without_scripts(profile, demo, user):
    page = profile(java_script_enabled=False)
    sign_in_elsewhere(demo, user)
    sign_in(page, user)
    expect(devices(page)).to_have_count(2)
    expect(devices(page).nth(1)).to_contain_text(re.compile(r"Last access\s+(just now|\d+ s ago)"))
    devices(page).nth(1).get_by_role("button", name="End").click()
    expect(devices(page)).to_have_count(1)


def focused(page):
    return page.evaluate("document.activeElement.textContent.trim().replace(/\\s+/g, ' ') || document.activeElement.id")


def tab_to(page, text):
    for _ in range(30):
        page.keyboard.press("Tab")
        if focused(page) == text:
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"  # one sees where one is
            return
    pytest.fail(f"Tab does not lead to {text!r}")


def test_a_keyboard_alone_signs_in_ends_a_device_and_signs_out(profile, demo, user):
    sign_in_elsewhere(demo, user)
    page = profile()
    page.goto("/")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert focused(page) == "name"
    page.keyboard.type(user)
    page.keyboard.press("Enter")
    expect(devices(page)).to_have_count(2)
    tab_to(page, "End curl, 127.0.0.1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Ended.")
    tab_to(page, "Overview")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    tab_to(page, "Users")
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Live sessions")).to_be_visible()
    tab_to(page, "Sign out")
    page.keyboard.press("Space")
    expect(page.get_by_role("status")).to_have_text("You are signed out.")


WIDTHS = {"phone": (360, 740), "tablet": (768, 1024), "desktop": (1280, 900)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", WIDTHS)
def test_every_page_fits_its_screen_and_can_be_read(profile, demo, user, complaints, screen, scheme):
    width, height = WIDTHS[screen]
    page = profile(viewport={"width": width, "height": height}, color_scheme=scheme)
    long_name = f"{user}-{'w' * 40}"
    for name, agent in ((user, PHONE), (user, "curl/8.5.0"), (long_name, "a-program-of-a-rather-long-name-indeed/1.0")):
        sign_in_elsewhere(demo, name, agent)
    page.goto("/sign-in")
    looked_at(page, f"sign-in-{screen}-{scheme}")
    page.get_by_label("Name").evaluate("field => field.removeAttribute('maxlength')")
    page.get_by_label("Name").fill("w" * 70)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("A name has 1 to 64 visible characters.")).to_be_visible()
    looked_at(page, f"refused-{screen}-{scheme}")
    sign_in(page, user)
    looked_at(page, f"devices-{screen}-{scheme}")
    devices(page).nth(1).get_by_role("button", name="End").click()
    expect(page.get_by_role("status")).to_be_visible()
    looked_at(page, f"ended-{screen}-{scheme}")
    for path in ("overview", "overview?show=users", "nowhere"):
        page.goto(f"/{path}")
        looked_at(page, f"{path.replace('?', '-')}-{screen}-{scheme}")
    sign_in_elsewhere(demo, user)
    page.goto("/")
    token = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "redisess_demo")
    ended = urllib.request.Request(
        f"{demo.url}/api/sign-out", method="POST", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(ended, timeout=20):
        pass
    page.goto("/")
    expect_ended(page)
    looked_at(page, f"was-ended-{screen}-{scheme}")
    # A browser writes to its console that a page is an error; it is meant to be one.
    assert len(complaints) == 2
    assert all(re.search(r"status of (404|422)", complaint) for complaint in complaints)
    complaints.clear()


SEEN = """() => {
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) =>
    0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const [red, green, blue, alpha = 1] = numbers(getComputedStyle(one).backgroundColor);
      if (alpha === 1) return [red, green, blue];
    }
    return [255, 255, 255];
  };
  const faint = [], small = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const box = element.getBoundingClientRect();
    if (text && box.width > 1) {
      const [one, other] = [numbers(getComputedStyle(element).color), behind(element)].map(luminance);
      const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      if (contrast < 4.5) faint.push([element.textContent.trim().slice(0, 40), contrast.toFixed(2)]);
    }
    if (element.matches("button, input:not([type=hidden]), nav a") && box.height < 32) {
      small.push([element.textContent.trim(), box.height]);
    }
  }
  return { faint, small, beyond: document.documentElement.scrollWidth - document.documentElement.clientWidth };
}"""


def looked_at(page, name):
    """Nothing scrolls sideways, every text stands out from what is behind it, everything to press can be hit."""
    page.wait_for_load_state("load")  # a page is there before its style sheet is
    shoot(page, name)
    assert page.evaluate(SEEN) == {"faint": [], "small": [], "beyond": 0}, name
