"""The project's settings for the servers of the tests, but passwords cost next to nothing.

Django hashes with a million rounds of PBKDF2, a third of a second for each login, and hashes a cheaper password again.
"""

from nexgent.settings import *  # noqa: F403

PASSWORD_HASHERS = ["tests.hashing.CheapPBKDF2"]
