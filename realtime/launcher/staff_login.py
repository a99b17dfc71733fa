"""A login to the admin for whoever runs the project on this machine: made by `manage.py up`, in debug mode only.

Its password is random. It is shown once, on the terminal, and stays in a file of the data folder that only its owner
may read.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction

USERNAME = "admin"
FILE = "admin-password"
PASSWORD_BYTES = 12


def staff_login(folder: Path) -> str | None:
    """Return how to log in to the admin, in words; None where nobody can. Makes a login where nobody of the staff is.

    A name that is somebody's already is not made one of the staff. Raises OSError where the file cannot be written.
    """
    model: Any = get_user_model()
    users = model._default_manager
    path = folder / FILE
    name = model.USERNAME_FIELD
    if users.filter(is_staff=True, is_active=True).exists():
        known = users.filter(**{name: USERNAME}, is_staff=True, is_active=True).exists()
        return f"{USERNAME}, password in {path}" if known and path.exists() else ""
    if users.filter(**{name: USERNAME}).exists() or not {*model.REQUIRED_FIELDS} <= {"email"}:
        return None
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    with transaction.atomic():
        users.create_superuser(
            **{name: USERNAME}, **dict.fromkeys(model.REQUIRED_FIELDS, ""), password=password
        )
        _keep(path, password)  # without it, there is no such user either
    return f"{USERNAME}, password {password} (also in {path})"


def _keep(path: Path, password: str) -> None:
    path.unlink(missing_ok=True)  # of a database before
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{password}\n")
