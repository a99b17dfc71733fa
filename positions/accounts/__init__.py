"""Who someone is, and what a token lets them do: log-in and its lock, sessions, tokens, scopes, throttle.

Above `api`, whose serializers and errors its views use. Imported by the admin's log-in, the settings and `realtime`.
"""
