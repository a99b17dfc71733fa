"""What daphne and uvicorn lack, and their graceful shutdown. Imported by the ASGI application and by `apps`."""
