"""HTTP front of served models: Starlette on uvicorn, httptools and uvloop."""
