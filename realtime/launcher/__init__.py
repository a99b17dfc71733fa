"""`manage.py up`: a message server, a broadcaster and a server as children of one process. Imports no other wing."""
