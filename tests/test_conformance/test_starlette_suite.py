"""Starlette's own tests of its session middleware, over ours."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from source_distribution import fetch, run

pytestmark = pytest.mark.conformance

TESTS = 29
SUITE = "tests/middleware/test_session.py"


def test_starlettes_own_tests_of_its_session_middleware_pass_over_ours(redis_url, redis_client, tmp_path):
    report = tmp_path / "report.xml"
    said = run(
        *(sys.executable, "-m", "pytest", "-p", "starlette_swap", SUITE, f"--junitxml={report}"),
        folder=fetch("starlette", tmp_path),
        REDISESS_SWAP_URL=redis_url,
        PYTHONPATH=str(Path(__file__).parent),
    )
    (suite,) = ET.parse(report).iter("testsuite")
    counted = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": TESTS, "failures": 0, "errors": 0, "skipped": 0}, said
    assert "deselected" not in said
    assert redis_client.keys("{sessions*"), "no session was stored: ours did not run"
    names = {case.get("name").partition("[")[2] for case in suite.iter("testcase")}
    assert {"asyncio", "trio"} <= {part for name in names for part in name.removesuffix("]").split("-")}
