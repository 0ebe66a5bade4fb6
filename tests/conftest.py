"""What every test shares: hypothesis without deadlines, since a busy machine is no failure; one flag for goldens."""

from __future__ import annotations

import pytest
import structlog
from hypothesis import settings

settings.register_profile("rollout", deadline=None)
settings.load_profile("rollout")


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
