"""What everyone counts, logs and runs endless tasks with. Imports `protocol` only; `web` answers HTTP about it."""
