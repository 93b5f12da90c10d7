"""How requests come in: gRPC and HTTP, over one ASGI application and one server."""
