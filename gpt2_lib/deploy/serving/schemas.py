"""The body of a request: reading up to a limit, and validation; a fault is a 4xx with a helpful sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from .generation import GenerationRequest, Service
from .settings import Settings

if TYPE_CHECKING:
    from pydantic import BaseModel
    from starlette.requests import Request

DISCARDED_BYTES = 8 * 2**20  # of a body over the limit this much is read, so that its sender can read the answer
COLDEST = 0.001  # logits over a smaller temperature overflow


STOPS, LONGEST_STOP = 4, 200  # of a request; characters


def stop_field() -> Any:
    """Return the type of the field ``stop``: a string, a few, or None."""
    import pydantic

    string: Any = Annotated[str, pydantic.Field(min_length=1, max_length=LONGEST_STOP)]
    return string | Annotated[list[string], pydantic.Field(max_length=STOPS)] | None


def body_schema(settings: Settings) -> type[BaseModel]:
    """Return the fields of a body and their bounds, for `parse` and for the description in /openapi.json."""
    import pydantic

    class Generate(pydantic.BaseModel):
        """The body of a request to /generate."""

        model_config = pydantic.ConfigDict(strict=True, extra="forbid")
        prompt: str
        max_new_tokens: int = pydantic.Field(min(100, settings.max_new_tokens), ge=1, le=settings.max_new_tokens)
        temperature: float = pydantic.Field(0.8, ge=0, le=10, allow_inf_nan=False, description="0 is greedy")
        top_k: int | None = pydantic.Field(40, ge=1, le=2**31)
        seed: int | None = pydantic.Field(None, ge=0, lt=2**63)
        # Made here, since pydantic is an extra.
        stop: stop_field() = pydantic.Field(  # pyright: ignore[reportInvalidTypeForm]
            None, description="the text ends before the first of these strings"
        )
        stream: bool = pydantic.Field(False, description="server-sent events, one a piece of text")

    return Generate


async def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body of ``request``. Raises HTTPException with 413 if it exceeds ``limit`` bytes."""
    from starlette.exceptions import HTTPException

    too_large = HTTPException(413, f"The body is larger than {limit:,} bytes: send a shorter prompt.")
    if int(request.headers.get("content-length", 0)) > DISCARDED_BYTES:
        raise too_large
    body, size = bytearray(), 0
    async for chunk in request.stream():  # what comes is counted, whatever was announced
        size += len(chunk)
        if size <= limit:
            body += chunk
        elif size > DISCARDED_BYTES:
            break
    if size > limit:
        raise too_large
    return bytes(body)


def parse(body: bytes, schema: type[BaseModel]) -> dict[str, Any]:
    """Return the fields of ``body``. Raises HTTPException with 422 if it does not match ``schema``."""
    import pydantic
    from starlette.exceptions import HTTPException

    try:
        return schema.model_validate_json(body).model_dump()
    except pydantic.ValidationError as error:
        raise HTTPException(422, _sentence(error.errors(include_input=False)[0], list(schema.model_fields))) from None


def to_request(
    service: Service, prompt: str | list[int], temperature: float, stop: str | Sequence[str] | None, **fields: Any
) -> GenerationRequest:
    """Return the request with these fields. Raises HTTPException with 422 if it does not fit the model."""
    from starlette.exceptions import HTTPException

    if not prompt:
        raise HTTPException(422, "The prompt is empty: give the model at least one character to start from.")
    if 0 < temperature < COLDEST:
        raise HTTPException(422, f"temperature: should be 0 (greedy) or at least {COLDEST}.")
    allowed, config = service.settings.prompt_characters, service.model.config
    if isinstance(prompt, str) and len(prompt) > allowed:
        raise HTTPException(422, f"The prompt has {len(prompt):,} characters; {allowed:,} are allowed.")
    assert service.model.tokenizer is not None  # `serve.main` takes no file without one
    ids = service.model.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
    if len(ids) > config.n_positions:
        raise HTTPException(
            422, f"The prompt has {len(ids):,} tokens; this model sees {config.n_positions:,}: shorten it."
        )
    if not isinstance(prompt, str) and not all(0 <= number < config.vocab_size for number in ids):
        raise HTTPException(422, f"prompt: token ids lie in 0 to {config.vocab_size - 1}.")
    strings = (stop,) if isinstance(stop, str) else tuple(stop or ())
    return GenerationRequest(ids=ids, temperature=temperature, stop=strings, **fields)


def _sentence(error: Mapping[str, Any], fields: list[str]) -> str:
    """Return a sentence on the first of pydantic's errors."""
    if error["type"] == "json_invalid":
        return f"The body is not JSON in UTF-8: {error['ctx']['error']}."
    name = str(error["loc"][0])[:40] if error["loc"] else ""
    if not name:
        return f"Send a JSON object with the fields {', '.join(fields)}."
    if error["type"] == "missing":
        return f"The field {name!r} is missing."
    if error["type"] == "extra_forbidden":
        return f"There is no field {name!r}; the fields are {', '.join(fields)}."
    return f"{name}: {error['msg'].removeprefix('Input ')}."
