"""The pictures of the pages are states of the views."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Error

from tests.browser import pictures


def test_pages_ask_for_pictures_by_the_names_of_states() -> None:
    """A picture that a page shows is drawn without standing in a list."""
    assert {"installed", "catalog", "pulls"} <= set(pictures.asked_for())


def test_a_picture_of_no_state_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page cannot show a state that the views have lost."""
    (tmp_path / "page.md").write_text("![](pictures/lost.png)")
    monkeypatch.setattr(pictures, "DOCS", tmp_path)

    with pytest.raises(Error, match="there is no state lost"):
        pictures.draw_site(tmp_path / "out")


def test_a_readme_picture_of_yesterday_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the view says something else than its picture in the README, no site is built."""
    for picture in pictures.README_STATES:
        words = (pictures.DOCS / f"{picture}.txt").read_text("utf-8")
        (tmp_path / f"{picture}.txt").write_text(words.replace("Installed", "Available"))
    monkeypatch.setattr(pictures, "DOCS", tmp_path)

    with pytest.raises(SystemExit, match="make pictures"):
        pictures.draw_site(tmp_path / "out")
