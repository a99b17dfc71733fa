"""A request leaves no connection to the database behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from django.contrib.auth.models import User
from django.core.signals import request_finished
from django.db import connection


def test_connection_of_a_request_is_closed_at_its_end(transactional_db):
    def request() -> object:
        User.objects.exists()
        assert connection.connection is not None
        request_finished.send(sender=None)
        return connection.connection

    with ThreadPoolExecutor(1) as thread:  # as Django has one for each request
        assert thread.submit(request).result() is None
