"""Counters, log lines, and tasks that run as long as their process. Imports `protocol` only; `web` serves them."""
