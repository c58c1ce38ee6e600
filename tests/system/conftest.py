"""These tests need Linux with bubblewrap, and a Chromium: `make test-all` sees to that, and so nothing is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from needs import missing

HERE = Path(__file__).parent
SECONDS = 7200  # until a test is given up: the first that asks for a whole class waits until it is graded


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.slow)  # `make test-all` runs these after what `make test` runs
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session", autouse=True)
def what_they_need() -> None:
    if packages := missing():
        pytest.fail(f"{' and '.join(packages)} must be there: `make test-all` installs them or says how")
