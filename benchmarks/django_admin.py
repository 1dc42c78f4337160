"""What a page of the admin's live sessions takes in a browser, beside one of Django's own users.

    uv run python benchmarks/django_admin.py [--sessions 100000] [--pages 20]

The example `examples/django_app` under Django's own server, and Debian's chromium: a page's time is that from the
browser's request to its `load` event. The list of sessions and the admin's list of users are opened in turn.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from redisess_core import SessionManager

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from support.example import running
from support.server import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAVIGATION = "performance.getEntriesByType('navigation')[0].duration"


def sign_in(page: Page) -> None:
    """Sign in as the example's administrator."""
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("compiler")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="Live sessions", exact=True).wait_for()


def measure(page: Page, pages: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds of each page of sessions, one after the other, and of as many of users."""
    sessions: list[float] = []
    users: list[float] = []
    following = "/admin/redisess_django/session/"
    for _ in range(pages):
        page.goto("/admin/auth/user/")
        users.append(page.evaluate(NAVIGATION))
        page.goto(following)
        sessions.append(page.evaluate(NAVIGATION))
        following = page.get_by_role("link", name="Next page").get_attribute("href") or following
        following = following if following.startswith("/") else f"/admin/redisess_django/session/{following}"
    return sessions, users


def main() -> None:
    """Measure, and print."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    arguments.add_argument("--sessions", type=int, default=100_000)
    arguments.add_argument("--pages", type=int, default=20)
    given = arguments.parse_args()
    with ExitStack() as ends:
        url = ends.enter_context(Server()).url
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        environment = {"REDISESS_URL": url, "SHOP_DATABASE": str(folder / "database")}
        address = ends.enter_context(running("django_app", folder / "output", **environment))
        with SessionManager(url, namespace="django-shop") as manager:
            for number in range(given.sessions):
                manager.create(f"user {number % max(1, given.sessions // 5)}", user_agent="Firefox/140.0")
        chromium = ends.enter_context(sync_playwright()).chromium
        browser = chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        ends.callback(browser.close)
        page = browser.new_page(base_url=address)
        sign_in(page)
        sessions, users = measure(page, given.pages)
    for name, taken in (("live sessions", sessions), ("users", users)):
        print(f"{name:14} median {statistics.median(taken):6.0f} ms, slowest {max(taken):6.0f} ms")
    print(f"live sessions / users: {statistics.median(sessions) / statistics.median(users):.2f}")


if __name__ == "__main__":
    main()
