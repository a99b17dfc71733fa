"""For the tests of projects that have these apps: sockets without a server, prices without a feed, tokens.

`fixtures` is a pytest plugin (docs/building-on-it.md, "Test your own code"); the other modules do not need pytest.
Nothing of the apps imports any of it.
"""

from __future__ import annotations

import os

PATIENCE_SECONDS = float(os.environ.get("NEXGENT_TEST_PATIENCE", "20"))
"""How long to wait for anything. Slow machines raise it."""
