"""The web application: its routes, in FastAPI."""

# No `from __future__ import annotations`: FastAPI must see the types of the routes, which are local names here.

import asyncio
from typing import TYPE_CHECKING

from ..extras import need
from .answers import CLIENT_GONE, RETRY, answer
from .generation import Service
from .middleware import Watch
from .schemas import body_schema, parse, read_body

if TYPE_CHECKING:
    from fastapi import FastAPI


def create_app(service: Service) -> "FastAPI":
    """The FastAPI application: routes, limits, and for every fault of a request a 4xx with a sentence that helps."""
    for package in ("fastapi", "pydantic", "starlette"):
        need(package, "deploy")
    from fastapi import FastAPI, Request, responses
    from starlette.exceptions import HTTPException

    app = FastAPI(title="Pruned GPT-2", docs_url=None, redoc_url=None)  # the page of docs needs the Internet
    app.add_middleware(Watch, service=service)

    @app.exception_handler(HTTPException)
    async def in_one_sentence(_: Request, error: HTTPException) -> responses.JSONResponse:
        return responses.JSONResponse({"error": error.detail}, error.status_code, error.headers)

    _add_probes(app, service)
    _add_generate(app, service)
    return app


def _add_probes(app: "FastAPI", service: Service) -> None:
    """GET /healthz, /readyz and /metrics: for whoever runs the server."""
    from fastapi import responses
    from starlette.exceptions import HTTPException

    @app.get("/healthz")
    async def live() -> dict:
        return {"status": "alive"}

    @app.get("/readyz")
    async def ready() -> dict:
        if service.draining:
            raise HTTPException(503, "Shutting down: no new work.", RETRY)
        return {"status": "ready"}

    @app.get("/metrics")
    async def metrics() -> responses.Response:
        text, media_type = service.metrics.exposition()
        return responses.Response(text, media_type=media_type)


def _add_generate(app: "FastAPI", service: Service) -> None:
    """POST /generate: for clients."""
    from fastapi import Request, responses
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    settings = service.settings
    schema = body_schema(settings)
    described = {"application/json": {"schema": schema.model_json_schema()}}

    @app.post("/generate", openapi_extra={"requestBody": {"content": described}})
    async def generate(request: Request) -> responses.Response:
        deadline = asyncio.get_running_loop().time() + settings.request_seconds
        if service.draining:
            raise HTTPException(503, "Shutting down: send this to another server.", RETRY | {"Connection": "close"})
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise HTTPException(415, "Send JSON, with the header 'Content-Type: application/json'.")
        try:
            async with asyncio.timeout_at(deadline):
                body = await read_body(request, settings.body_bytes)
        except TimeoutError:
            raise HTTPException(408, f"The body had not come after {settings.request_seconds:g} seconds.") from None
        except ClientDisconnect:
            return responses.Response(status_code=CLIENT_GONE)
        return await answer(request, parse(body, schema, service), service, deadline)
