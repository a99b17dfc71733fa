"""What daphne and uvicorn lack, and graceful shutdown. Imported by the ASGI application and by `apps`."""
