"""The REST API. Reads models and history, writes through `services`; imported by `accounts` and the URLs only."""
