"""HTTP other than the REST API: the page, health, metrics, and the headers of every response."""
