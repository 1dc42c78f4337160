"""A test runner of Django that says in JSON what ran and how it ended, into `REDISESS_SWAP_REPORT`."""

from __future__ import annotations

import json
import os
from pathlib import Path

from django.test.runner import DiscoverRunner
from django.test.utils import iter_test_cases


class ReportingRunner(DiscoverRunner):
    """Reports each test by its full name."""

    def run_suite(self, suite, **options):
        found = [test.id() for test in iter_test_cases(suite)]  # a suite forgets its tests as they run
        result = super().run_suite(suite, **options)
        report = {
            "found": found,
            "run": result.testsRun,
            "failed": [test.id() for test, _ in result.failures],
            "broken": [test.id() for test, _ in result.errors],
            "skipped": [test.id() for test, _ in result.skipped],
            "failed as expected": {test.id(): traceback for test, traceback in result.expectedFailures},
            "passed unexpectedly": [test.id() for test in result.unexpectedSuccesses],
        }
        Path(os.environ["REDISESS_SWAP_REPORT"]).write_text(json.dumps(report))
        return result
