"""Real servers to run this project on, for the tests and the benchmarks.

Owns scratch folders that end with their process, private PostgreSQL and Valkey servers, and the command lines
of the servers that serve the project. Knows neither `tests` nor `benchmarks`; nothing else imports it.
"""
