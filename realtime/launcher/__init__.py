"""`manage.py up`: Valkey, the price broadcaster and the server as children of one process. Imports no other wing."""
