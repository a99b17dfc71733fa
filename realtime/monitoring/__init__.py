"""What everyone counts with and logs with. Imports `protocol` only; what answers HTTP about it is in `web`."""
