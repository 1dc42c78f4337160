"""What a client is called in the pages."""

from __future__ import annotations

import pytest

from redisess_django.devices import device_name

LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (f"{LINUX} Firefox/143.0", "Firefox on Linux"),
        (LINUX, "Unknown browser on Linux"),
        ("ShopApp/2.1 (iPhone; iOS 18.0)", "ShopApp on iPhone"),
        ("curl/8.5.0", "curl"),
        ("Mozilla/5.0", "Unknown device"),
        (None, "Unknown device"),
    ],
)
def test_a_client_is_called_by_its_program_and_its_system(user_agent, name):
    assert device_name(user_agent) == name


def test_the_names_can_be_translated(monkeypatch):
    monkeypatch.setattr(
        "redisess_django.devices._",
        {"%(browser)s on %(system)s": "%(browser)s unter %(system)s", "Unknown browser": "Browser"}.get,
    )
    assert device_name(LINUX) == "Browser unter Linux"
