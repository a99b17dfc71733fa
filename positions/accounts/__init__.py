"""Authentication and authorisation: log-in and its lock-out, sessions, tokens, scopes, throttling.

Above `api`, whose serializers and errors its views use. Imported by the admin's log-in, the settings and `realtime`.
"""
