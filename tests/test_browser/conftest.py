"""A real browser."""

from __future__ import annotations

import os
import shutil

import pytest
from playwright.sync_api import sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium():
    found = os.environ.get("REDISESS_CHROMIUM") or shutil.which("chromium")
    if not found:
        pytest.fail("chromium is not on the PATH: apt-get install chromium, or say where it is in REDISESS_CHROMIUM")
    with sync_playwright() as playwright:
        launcher = playwright.chromium
        yield lambda profile, **options: launcher.launch_persistent_context(
            profile, executable_path=found, args=[*ARGUMENTS], headless=True, **options
        )
