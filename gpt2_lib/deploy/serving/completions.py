"""/v1/completions and /v1/models: OpenAI's completions API, streaming included.

The API: https://platform.openai.com/docs/api-reference/completions. A field of it that asks for something this server
can't do is refused, unless it has the value at which it changes nothing; ``top_k`` is there besides.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from .generation import GenerationRequest, Made, Service
from .schemas import stop_field, to_request
from .settings import Settings

if TYPE_CHECKING:
    from pydantic import BaseModel

MODEL = "gpt2"  # the name of what is served; a request may name any, since there is one alone
# Fields that this server takes at the values which change nothing.
FIXED: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "top_p": (None, 1),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "logprobs": (None,),
    "suffix": (None, ""),
}


def completion_schema(settings: Settings) -> type[BaseModel]:
    """Return the fields of a body and their bounds. Null means the default."""
    import pydantic

    class StreamOptions(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(strict=True)
        include_usage: bool | None = None

    class Completion(pydantic.BaseModel):
        """The body of a request to /v1/completions."""

        model_config = pydantic.ConfigDict(strict=True, extra="forbid")
        prompt: str | list[str] | list[int] = pydantic.Field(description="a text, or its token ids")
        model: str | None = None
        max_tokens: int | None = pydantic.Field(None, ge=1, le=settings.max_new_tokens, description="16 by default")
        temperature: float | None = pydantic.Field(None, ge=0, le=10, allow_inf_nan=False, description="1 by default")
        top_k: int | None = pydantic.Field(None, ge=1, le=2**31)
        seed: int | None = pydantic.Field(None, ge=-(2**63), lt=2**63)
        stop: stop_field() = None  # pyright: ignore[reportInvalidTypeForm]  # made here: pydantic is an extra
        stream: bool | None = None
        stream_options: StreamOptions | None = None
        echo: bool | None = None
        user: str | None = None
        n: Any = None
        best_of: Any = None
        top_p: Any = None
        presence_penalty: Any = None
        frequency_penalty: Any = None
        logit_bias: Any = None
        logprobs: Any = None
        suffix: Any = None

    return Completion


class CompletionForm:
    """The response of /v1/completions. ``echo`` is the text in front of the completion."""

    def __init__(self, prompt_tokens: int, echo: str = "", usage: bool = False) -> None:
        self.prompt_tokens, self.usage = prompt_tokens, usage
        self._echo = echo  # until it was given
        self._id, self._created = f"cmpl-{uuid.uuid4().hex}", int(time.time())

    def _object(self, *choices: dict[str, Any]) -> dict[str, Any]:
        head = {"id": self._id, "object": "text_completion", "created": self._created, "model": MODEL}
        return head | {"choices": list(choices)}

    def _choice(self, text: str, finish_reason: str | None) -> dict[str, Any]:
        text, self._echo = self._echo + text, ""
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}

    def _usage(self, made: Made) -> dict[str, Any]:
        counts = {"prompt_tokens": self.prompt_tokens, "completion_tokens": made.new_tokens}
        return {"usage": counts | {"total_tokens": self.prompt_tokens + made.new_tokens}}

    def whole(self, text: str, made: Made) -> dict[str, Any]:
        return self._object(self._choice(text, made.finish_reason)) | self._usage(made)

    def piece(self, text: str) -> dict[str, Any]:
        return self._object(self._choice(text, None))

    def ending(self, made: Made) -> list[dict[str, Any] | str]:
        counts = [self._object() | self._usage(made)] if self.usage else []
        return [self._object(self._choice("", made.finish_reason)), *counts, "[DONE]"]

    def error(self, sentence: str, status: int) -> dict[str, Any]:
        return error_object(sentence, status)


def error_object(sentence: str, status: int) -> dict[str, Any]:
    """Return an error in the API's format."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": sentence, "type": kind, "param": None, "code": None}}


def to_completion(service: Service, fields: dict[str, Any]) -> tuple[GenerationRequest, CompletionForm]:
    """Return the request in a parsed body, and the format of its response. Raises HTTPException with 422."""
    from starlette.exceptions import HTTPException

    for name, allowed in FIXED.items():
        if fields[name] not in allowed or isinstance(fields[name], bool):
            usual = "null" if allowed == (None,) else allowed[1]
            raise HTTPException(422, f"{name}: this server can do no other than {usual!r}: leave it out.")
    prompt = fields["prompt"]
    if prompt and isinstance(prompt, list) and isinstance(prompt[0], str):
        if len(prompt) > 1:
            raise HTTPException(422, f"prompt: one text a request; got {len(prompt)}. Send a request for each.")
        prompt = prompt[0]
    asked = to_request(
        service,
        prompt,
        temperature=1.0 if fields["temperature"] is None else fields["temperature"],
        stop=fields["stop"],
        max_new_tokens=fields["max_tokens"] or min(16, service.settings.max_new_tokens),
        top_k=fields["top_k"],
        seed=fields["seed"],
        stream=bool(fields["stream"]),
    )
    assert service.model.tokenizer is not None
    text = prompt if isinstance(prompt, str) else service.model.tokenizer.decode(prompt)
    usage = bool((fields["stream_options"] or {}).get("include_usage"))
    return asked, CompletionForm(len(asked.ids), text if fields["echo"] else "", usage)


def models() -> dict[str, Any]:
    """Return the response of /v1/models: the model that is served."""
    return {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "gpt2_lib"}]}
