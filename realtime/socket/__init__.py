"""One socket, from handshake to close: routing, authentication, stream start. Imports `hub`; imported by `servers`."""
