"""The README and docs: their code runs and does what they say, and their links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from doc_pages import PAGES, ROOT, URL_IN_PAGES, code_of, page_run
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from redisess_starlette import SESSION_ENDED
from support import django_project  # first: it configures what the next ones need

from django.conf import settings  # isort: skip
from django.contrib.auth import get_user_model  # isort: skip
from django.test import Client  # isort: skip

LINK = re.compile(r"\]\(([^)#:]*)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_code_of_a_page_runs(page, redis_url):
    for _ in range(2):  # somebody who tries a page runs it again
        with page_run(page, redis_url):
            pass


def test_the_tests_that_the_docs_show_pass(tmp_path):
    tests = tmp_path / "test_shown.py"
    tests.write_text(code_of(ROOT / "docs" / "testing.md", URL_IN_PAGES), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tests)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "4 passed" in result.stdout


def test_the_readmes_flask_app_does_what_the_readme_says(redis_url):
    with page_run(ROOT / "README.md", redis_url, "## Flask in twenty lines") as module:
        laptop, phone = module["app"].test_client(), module["app"].test_client()
        assert laptop.get("/devices").status_code == 401
        for client in (laptop, phone):
            assert client.post("/sign-in", data={"name": "ada"}).status_code == 200
        devices = phone.get("/devices").json
        assert len(devices) == 2
        assert laptop.post(f"/devices/{devices[0]['id']}/end").json == {"ended": True}  # the one that looked last
        assert phone.get("/devices").status_code == 401
        laptop.post("/sign-out")
        assert laptop.get("/devices").status_code == 401


def test_the_flask_page_does_what_it_says(redis_url):
    with page_run(ROOT / "docs" / "flask.md", redis_url) as module:
        app = module["app"]
        browser, script = app.test_client(), app.test_client()
        assert browser.get("/").text == "Hello stranger"
        browser.post("/sign-in", data={"name": "ada"})
        assert browser.get("/").text == "Hello ada"
        answer = script.post("/api/sign-in", json={"name": "ada"})
        assert "Set-Cookie" not in answer.headers
        bearer = {"Authorization": f"Bearer {answer.json['token']}"}
        devices = script.get("/devices", headers=bearer).json
        assert [device["this"] for device in devices].count(True) == 1
        assert browser.post("/password").status_code == 200
        assert script.get("/devices", headers=bearer).status_code == 401
        assert browser.post("/sign-in-once", data={"name": "ada"}).status_code == 200
        assert browser.post("/sign-out").status_code == 200
        assert browser.get("/").text == "Hello stranger"


def test_the_readmes_fastapi_app_does_what_the_readme_says(redis_url):
    with (
        page_run(ROOT / "README.md", redis_url, "## FastAPI in twenty lines") as module,
        TestClient(module["app"]) as laptop,
    ):
        phone = TestClient(module["app"])
        assert laptop.get("/devices").status_code == 401
        for client in (laptop, phone):
            assert client.post("/sign-in", json={"name": "ada"}).status_code == 200
        devices = phone.get("/devices").json()
        assert len(devices) == 2
        assert laptop.post(f"/devices/{devices[0]['id']}/end").json() == {"ended": True}  # the one that looked last
        assert phone.get("/devices").status_code == 401
        laptop.post("/sign-out")
        assert laptop.get("/devices").status_code == 401


def test_the_starlette_page_does_what_it_says(redis_url):
    with page_run(ROOT / "docs" / "starlette.md", redis_url) as module, TestClient(module["app"]) as browser:
        assert browser.get("/").json() == {"user": None, "visits": 1}
        browser.post("/sign-in", json={"name": "ada"})
        assert browser.get("/").json() == {"user": "ada", "visits": 2}
        assert browser.post("/theme/dark").json() == {"theme": "dark"}
        script = TestClient(module["app"])
        answer = script.post("/api/sign-in", json={"name": "ada"})
        assert "Set-Cookie" not in answer.headers
        script.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        devices = script.get("/devices").json()
        assert [device["this"] for device in devices].count(True) == 1
        with browser.websocket_connect("/live") as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "ada: hello"
            assert script.post(f"/devices/{devices[1]['id']}/end").json() == {"ended": True}
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_text()
        assert closed.value.code == SESSION_ENDED
        assert browser.post("/sign-in-once", json={"name": "ada"}).status_code == 200
        assert script.post("/password").json() == {"signed out": 1}
        assert browser.get("/devices").status_code == 401
        browser.post("/sign-out")
        with TestClient(module["site"]) as visitor:
            assert visitor.get("/private").status_code == 403
            visitor.headers["Authorization"] = script.headers["Authorization"]
            assert visitor.get("/private").text == "Only for ada"


def test_the_django_page_does_what_it_says(redis_url):
    with (
        page_run(ROOT / "docs" / "django.md", redis_url) as module,
        django_project.project(redis_url, additional_fields=["device"], ROOT_URLCONF=tuple(module["urlpatterns"])),
        django_project.database(),
    ):
        get_user_model().objects.create_user("ada", password="secret")
        laptop, phone = Client(headers={"User-Agent": "Firefox"}), Client()
        assert phone.post("/devices/end-others").status_code == 401
        laptop_id = laptop.get("/sign-in/ada").json()["id"]
        phone_id = phone.get("/sign-in/ada").json()["id"]
        devices = {each["id"]: each for each in laptop.get("/devices").json()["devices"]}
        assert devices.keys() == {laptop_id, phone_id}
        assert devices[laptop_id] == {"id": laptop_id, "device": "laptop", "browser": "Firefox"}
        assert laptop.get("/active").json() == {"sessions": 2, "users": 1}
        assert laptop.post(f"/devices/{phone_id}/end").json() == {"ended": True}
        phone.get("/sign-in/ada")
        assert "Other devices" in laptop.get("/account/sessions/").content.decode()
        assert laptop.post("/devices/end-others").json() == {"ended": 1}
        answer = Client().post("/api/sign-in", {"name": "ada", "password": "secret"}, "application/json")
        assert not answer.cookies.get("sessionid")
        api = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {answer.json()['token']}"})
        assert api.post(f"/devices/{laptop_id}/end").json() == {"ended": True}
        ends = (f"/devices/{laptop_id}/end", "/devices/end-others", "/throw-out/ada")
        assert [api.get(end).status_code for end in ends] == [405, 405, 405]
        assert [each.post("/throw-out/ada").status_code for each in (api, Client())] == [403, 403]
        admin = Client()
        admin.force_login(get_user_model().objects.create_superuser("root"))
        assert admin.post("/throw-out/ada").json() == {"ended": 1}
        assert {laptop_id, phone_id} <= set(module["seen"])
        assert module["SESSION_ENGINE"] == settings.SESSION_ENGINE
        assert set(module["MIDDLEWARE"]) == set(settings.MIDDLEWARE)
        assert set(module["INSTALLED_APPS"]) <= set(settings.INSTALLED_APPS)


def test_a_link_leads_to_a_page_and_a_heading():
    for page in PAGES:
        for target, anchor in LINK.findall(page.read_text("utf-8")):
            linked = page.parent / target if target else page
            assert linked.exists(), f"{page.name}: {target}"
            if anchor:
                assert anchor in map(slug, HEADING.findall(linked.read_text("utf-8"))), (
                    f"{page.name}: {target}#{anchor}"
                )


def slug(heading: str) -> str:
    """Give the anchor of a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
