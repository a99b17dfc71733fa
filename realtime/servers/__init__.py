"""What daphne and uvicorn lack, and the graceful shutdown of both. Nobody but the ASGI application imports it."""
