"""The fenced blocks of this project's pages, for the tests that run them."""

from __future__ import annotations

import re
from typing import NamedTuple

from tests.live import ROOT


class Block(NamedTuple):
    language: str
    title: str
    """The words before it, where they are a line of their own that ends in a colon; a file's name stands in `…`."""
    text: str


def blocks(page: str, language: str = "") -> list[Block]:
    """Return the page's blocks, of one language if it is named, in order. A page without any fails."""
    text = (ROOT / page).read_text()
    found = [
        Block(match["language"], (match["title"] or "").strip(), match["text"])
        for match in FENCED.finditer(text)
        if not language or match["language"] == language
    ]
    assert found, f"{page} has no {language} block"
    return found


FENCED = re.compile(
    r"(?:^(?P<title>[^\n]*):\n\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
