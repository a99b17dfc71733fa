"""The past: an agent's results. Read by the API; imports models, prices and books."""
