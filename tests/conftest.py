"""What several test files share."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import nbgrader.api
import pytest


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this repository."""
    return Path(__file__).parent.parent


@pytest.fixture(scope="session", autouse=True)
def quick_gradebooks() -> Iterator[None]:
    """nbgrader starts the command `alembic` for every new gradebook; once is enough for all of these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nbgrader.api, "get_alembic_version", functools.cache(nbgrader.api.get_alembic_version))
        yield
