"""The API's documentation page: for everyone, with this origin's files only."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse


def test_docs_page_is_for_everyone_and_names_the_document(client: Client):
    answer = client.get("/api/docs/")
    assert answer.status_code == 200
    assert f'data-schema="{reverse("nexgent:schema")}"' in answer.content.decode()


def test_docs_page_lets_no_script_in_but_this_origins_files(client: Client):
    answer = client.get("/api/docs/")
    policy = dict(part.split(" ", 1) for part in answer["Content-Security-Policy"].split("; "))
    assert (policy["default-src"], policy["script-src"]) == ("'none'", "'self'")
    assert policy["connect-src"] == "'self'"
    assert "<script>" not in answer.content.decode()
    assert "://" not in answer.content.decode()
