"""The picture of the house in the documents is that of today's imports."""

from __future__ import annotations

from typing import Any

import pytest

from load_script import load_script


@pytest.fixture(scope="module")
def script() -> Any:
    return load_script("house_picture")


def test_the_picture_shows_every_room_and_only_arrows_that_run_down(script: Any) -> None:
    graph = script.rooms()
    at = script.places(graph)
    assert set(at) == set(graph) >= {"form", "data", "models", "reading", "cli"}
    assert all(at[room][1] < at[other][1] for room, other in script.shown(graph))


def test_an_arrow_that_a_longer_way_says_is_left_out(script: Any) -> None:
    graph = {"top": frozenset({"middle", "ground"}), "middle": frozenset({"ground"}), "ground": frozenset[str]()}
    assert script.shown(graph) == [("middle", "ground"), ("top", "middle")]


def test_the_picture_in_the_documents_has_the_rooms_and_arrows_of_today(script: Any) -> None:
    kept = script.PICTURE.read_text(encoding="utf-8")
    assert script.arrows_in(kept) == script.arrows_in(script.draw()), "run python scripts/house_picture.py"
