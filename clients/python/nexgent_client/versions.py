"""Which version of the protocol the server speaks, as its own description of the socket says."""

from __future__ import annotations

import re

from nexgent_client.errors import IncompatibleServer
from nexgent_client.rest import Rest

MAJOR, WATCHERS_SINCE = 1, 1


async def check_version(rest: Rest, *, watch: bool) -> None:
    """Raise IncompatibleServer where this client could do harm, or understand nothing. One request, without a token."""
    text = await rest.description()
    found = re.search(r"^  version: ['\"]?(\d+)(?:\.(\d+))?", text, re.MULTILINE)
    if found is None:
        raise IncompatibleServer(
            "the server does not describe its socket: it is no Nexgent, or older than this client"
        )
    major, minor = int(found[1]), int(found[2] or 0)
    if major != MAJOR:
        raise IncompatibleServer(
            f"the server is {'newer' if major > MAJOR else 'older'} than this client: it speaks version {major} of the"
            f" protocol, the client {MAJOR}"
        )
    if watch and minor < WATCHERS_SINCE:
        raise IncompatibleServer(
            "the server is older than this client: it has no watchers, and a socket would take the agent from its owner"
        )
