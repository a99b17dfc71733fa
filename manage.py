#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys


def main() -> None:
    try:
        from django.core.management import execute_from_command_line

        from nexgent.start import read_settings
    except ImportError as error:
        raise SystemExit(
            "Django is not installed here: run `make setup`, then `.venv/bin/python manage.py …`."
        ) from error
    read_settings()
    if "collectstatic" not in sys.argv[1:2]:
        os.umask(os.umask(0) | 0o077)  # dumps and exports are for their owner; a proxy serves static files
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
