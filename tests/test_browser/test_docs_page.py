"""FastAPI's docs page in a real browser: its Authorize button takes a token. Run with `uv run pytest -m browser`."""

from __future__ import annotations

from importlib.resources import files
from mimetypes import guess_type

import httpx2
import pytest
from playwright.sync_api import expect

from support.example import running

pytestmark = pytest.mark.browser

SWAGGER = files("fastapi_offline").joinpath("static")  # what the page gets from a CDN, which tests do not ask


@pytest.fixture
def site(redis_server, redis_url, tmp_path):
    with running("fastapi_app", tmp_path / "output", REDIS_URL=redis_server.url) as address:
        yield address


@pytest.fixture
def docs_page(chromium, site, tmp_path):
    context = chromium(tmp_path / "profile", base_url=site)
    context.route("**/swagger-ui*", from_package)
    page = context.pages[0]
    page.set_default_timeout(20_000)
    page.goto("/docs")
    yield page
    context.close()


def from_package(route):
    name = route.request.url.rpartition("/")[2]
    route.fulfill(body=SWAGGER.joinpath(name).read_bytes(), content_type=guess_type(name)[0])


def token_for(site, name, password):
    answer = httpx2.post(f"{site}/token", json={"name": name, "password": password})
    answer.raise_for_status()
    return answer.json()["token"]


def ask_who_i_am(page):
    """Press Execute at `GET /me`; returns what the page shows of the answer."""
    operation = page.locator(".opblock", has_text="/me")
    if not operation.get_by_role("button", name="Execute").count():
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    return operation.locator(".live-responses-table .response")


def test_the_authorize_button_takes_the_token_of_a_header_client(site, docs_page):
    expect(ask_who_i_am(docs_page)).to_contain_text("401")

    docs_page.get_by_role("button", name="Authorize").first.click()
    dialog = docs_page.locator(".auth-container", has_text="SessionToken")
    dialog.get_by_role("textbox").fill(token_for(site, "ada", "engine"))
    dialog.get_by_role("button", name="Apply credentials").click()
    docs_page.get_by_role("button", name="Close").first.click()

    answer = ask_who_i_am(docs_page)
    expect(answer).to_contain_text("200")
    expect(answer).to_contain_text('"user": "ada"')


def test_the_dialog_names_both_schemes(docs_page):
    docs_page.get_by_role("button", name="Authorize").first.click()
    expect(docs_page.locator(".auth-container")).to_have_count(2)
    expect(docs_page.locator(".auth-container", has_text="SessionCookie")).to_contain_text("session")
    expect(docs_page.locator(".auth-container", has_text="SessionToken")).to_contain_text("http, Bearer")
