"""What every test shares: hypothesis without deadlines, since a busy machine is no failure; one flag for goldens; Ctrl-C.

In CI the examples are the same in every run, so that a change is judged by what it changes; everywhere else they are new
each time, and what they find becomes an `@example`.
"""

from __future__ import annotations

import os
import signal

import pytest
import structlog
from hypothesis import settings

settings.register_profile("rollout", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("rollout")

# A shell's background job ignores Ctrl-C, and so would all that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens", action="store_true", help="write the golden files anew, drop stale ones"
    )


structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        ),
    ]
)
