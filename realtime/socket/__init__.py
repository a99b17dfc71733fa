"""One socket's life: routed, authenticated, accepted, begun, served, closed. Imports `hub`; imported by `servers`."""
