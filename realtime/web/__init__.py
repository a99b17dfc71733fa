"""What is answered over HTTP besides the REST API: the page, health, metrics, the headers of all answers."""
