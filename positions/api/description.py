"""What drf-spectacular is told for the description of this API, in whatever project it is. Imported by settings: no
Django here."""

SPECTACULAR = {
    "TITLE": "Nexgent",
    "DESCRIPTION": (
        "The positions of trading agents and their value. Live: the socket at /ws, described at /api/asyncapi.yaml."
        " A token with the scope `read` can only read and watch: a write with it answers 403."
    ),
    # Of the API: the second number grows with what is added, the first with what old clients no longer understand.
    "VERSION": "1.2",
    "OAS_VERSION": "3.1.0",
    "ENFORCE_NON_BLANK_FIELDS": True,
    "POSTPROCESSING_HOOKS": ["positions.api.schema.add_components"],
}
