"""The ten thousand inputs wait for `make slow`, which asks for them with `-m slow`."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "slow" in config.getoption("markexpr", ""):
        return
    for item in items:
        if item.path.parent.name == "fuzz" and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="ten thousand inputs take long; run `make slow`"))
