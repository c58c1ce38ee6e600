"""The web application: its routes, in FastAPI."""

# No `from __future__ import annotations`: FastAPI must see the types of the routes, which are local names here.

import asyncio
from typing import TYPE_CHECKING

from ..extras import need
from .answers import CLIENT_GONE, RETRY, Plain, answer
from .completions import completion_schema, error_object, models, to_completion
from .generation import Service
from .middleware import Watch
from .schemas import body_schema, parse, read_body, to_request

if TYPE_CHECKING:
    from fastapi import FastAPI
    from pydantic import BaseModel
    from starlette.requests import Request


def create_app(service: Service) -> "FastAPI":
    """Return the FastAPI application: routes, limits, and a 4xx with a helpful sentence for every faulty request."""
    for package in ("fastapi", "pydantic", "starlette"):
        need(package, "deploy")
    from fastapi import FastAPI, Request, responses
    from starlette.exceptions import HTTPException

    app = FastAPI(title="Pruned GPT-2", docs_url=None, redoc_url=None)  # the page of docs needs the Internet
    app.add_middleware(Watch, service=service)

    @app.exception_handler(HTTPException)
    async def in_one_sentence(request: Request, error: HTTPException) -> responses.JSONResponse:
        status = error.status_code
        if not request.url.path.startswith("/v1/"):
            return responses.JSONResponse({"error": error.detail}, status, error.headers)
        status = 400 if status == 422 else status  # as that API has it
        return responses.JSONResponse(error_object(error.detail, status), status, error.headers)

    _add_probes(app, service)
    _add_generate(app, service)
    _add_completions(app, service)
    return app


def _add_probes(app: "FastAPI", service: Service) -> None:
    """Add GET and HEAD of /healthz, /readyz and /metrics, for operators."""
    from fastapi import responses
    from starlette.exceptions import HTTPException

    @app.get("/healthz")
    @app.head("/healthz", include_in_schema=False)
    async def live() -> dict:
        return {"status": "alive"}

    @app.get("/readyz")
    @app.head("/readyz", include_in_schema=False)
    async def ready() -> dict:
        if service.draining:
            raise HTTPException(503, "Shutting down: no new work.", RETRY)
        return {"status": "ready"}

    @app.get("/metrics")
    @app.head("/metrics", include_in_schema=False)
    async def metrics() -> responses.Response:
        text, media_type = service.metrics.exposition()
        return responses.Response(text, media_type=media_type)


def _add_generate(app: "FastAPI", service: Service) -> None:
    """Add POST /generate, for clients."""
    from fastapi import Request, responses

    schema = body_schema(service.settings)

    @app.post("/generate", openapi_extra=_described(schema))
    async def generate(request: Request) -> responses.Response:
        deadline = _deadline(service)
        body = await _body(request, service, deadline)
        if body is None:
            return responses.Response(status_code=CLIENT_GONE)
        asked = to_request(service, **parse(body, schema))
        return await answer(request, asked, Plain(len(asked.ids)), service, deadline)


def _add_completions(app: "FastAPI", service: Service) -> None:
    """Add POST /v1/completions and GET /v1/models, for clients of OpenAI's API."""
    from fastapi import Request, responses

    schema = completion_schema(service.settings)

    @app.post("/v1/completions", openapi_extra=_described(schema))
    async def complete(request: Request) -> responses.Response:
        deadline = _deadline(service)
        body = await _body(request, service, deadline)
        if body is None:
            return responses.Response(status_code=CLIENT_GONE)
        asked, form = to_completion(service, parse(body, schema))
        return await answer(request, asked, form, service, deadline)

    @app.get("/v1/models")
    @app.head("/v1/models", include_in_schema=False)
    async def served() -> dict:
        return models()


def _described(schema: "type[BaseModel]") -> dict:
    return {"requestBody": {"content": {"application/json": {"schema": schema.model_json_schema()}}}}


def _deadline(service: Service) -> float:
    return asyncio.get_running_loop().time() + service.settings.request_seconds


async def _body(request: "Request", service: Service, deadline: float) -> bytes | None:
    """Return the body of a request for text, or None if the client disconnected. Raises HTTPException."""
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    settings = service.settings
    if service.draining:
        raise HTTPException(503, "Shutting down: send this to another server.", RETRY | {"Connection": "close"})
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send JSON, with the header 'Content-Type: application/json'.")
    try:
        async with asyncio.timeout_at(deadline):
            return await read_body(request, settings.body_bytes)
    except TimeoutError:
        raise HTTPException(408, f"The body had not come after {settings.request_seconds:g} seconds.") from None
    except ClientDisconnect:
        return None
