"""The project's settings for the servers of the tests, but passwords and static files cost next to nothing.

Django hashes with a million rounds of PBKDF2, a third of a second for each login, and hashes a cheaper password again.
A page in a browser has 50 static files. For each, servestatic looks in every folder while debugging, in a thread, and
three times for a library that is not installed: nearly a millisecond of CPU.
"""

import os
import sys

from nexgent.settings import *  # noqa: F403
from tests.deadlines import SERVERS_WANT

PASSWORD_HASHERS = ["tests.hashing.CheapPBKDF2"]
MIDDLEWARE = [
    name.replace("realtime.web.refusals.StaticFiles", "tests.static_files.StaticFilesWhenAsked")
    for name in MIDDLEWARE  # noqa: F405
]
if os.environ.get(SERVERS_WANT):
    INSTALLED_APPS = [*INSTALLED_APPS, "tests.deadlines.Deadlines"]  # noqa: F405
SERVESTATIC_AUTOREFRESH = False
SERVESTATIC_MAX_AGE = 3600  # nobody edits them meanwhile: a browser need not ask again
# Not to be looked for.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
