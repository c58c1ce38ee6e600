"""Tests of the server with OpenAI's own client: the completions API, the end of a text and its reason."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from typing import Any, cast

import openai
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import JSON, MINI, TOKENIZER, Scripted, endless, events, generate, metrics, until

from gpt2_lib import GPT2, deploy_to_production, load_pretrained_gpt2
from gpt2_lib import generate as in_torch
from gpt2_lib.deploy.onnx import export_onnx
from gpt2_lib.deploy.serving.generation import UntilStop
from gpt2_lib.deploy.serving.load_test import ask
from gpt2_lib.deploy.serving.service import Deployment
from gpt2_lib.generate import generate_ids
from gpt2_lib.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deploy_to_production(export_onnx(MINI, tmp_path_factory.mktemp("served") / "mini.onnx")) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def client(served: Deployment) -> Iterator[openai.OpenAI]:
    with client_of(served.url) as client:
        yield client


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)


def test_openais_client_gets_the_text_of_the_model(client: openai.OpenAI):
    got = client.completions.create(model="gpt2", prompt="To be", max_tokens=24, temperature=0)
    (choice,) = got.choices
    assert "To be" + choice.text == in_torch(MINI, "To be", 24, temperature=0)
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "length", None)
    assert got.object == "text_completion"
    assert got.usage is not None
    prompt = len(TOKENIZER.encode("To be"))
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (prompt, 24, prompt + 24)


def test_openais_client_gets_it_as_a_stream(client: openai.OpenAI):
    asked: Any = {"model": "gpt2", "prompt": "To be", "max_tokens": 60, "seed": 3, "temperature": 0.8}
    whole = client.completions.create(**asked, extra_body={"top_k": 40})
    chunks = list(
        client.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}, extra_body={"top_k": 40}
        )
    )
    assert len({chunk.id for chunk in chunks}) == 1
    *pieces, last, counts = chunks
    assert "".join(chunk.choices[0].text for chunk in [*pieces, last]) == whole.choices[0].text
    assert "To be" + whole.choices[0].text == in_torch(MINI, "To be", 60, seed=3)
    assert {chunk.choices[0].finish_reason for chunk in pieces} == {None}
    assert last.choices[0].finish_reason == "length"
    assert counts.choices == []
    assert counts.usage == whole.usage


def test_the_defaults_are_that_apis(client: openai.OpenAI):
    got = client.completions.create(model="any", prompt="To be")
    assert got.usage is not None
    assert got.usage.completion_tokens == 16
    values: Any = dict.fromkeys(("max_tokens", "temperature", "seed", "stop", "stream", "n", "top_p", "logprobs"))
    again = client.completions.create(model="any", prompt="To be", **values)
    assert again.usage == got.usage


def test_a_prompt_may_be_token_ids_or_a_list_of_one_text(client: openai.OpenAI):
    asked: Any = {"model": "gpt2", "max_tokens": 8, "temperature": 0}
    text = client.completions.create(prompt="To be", **asked).choices[0].text
    assert client.completions.create(prompt=["To be"], **asked).choices[0].text == text
    assert client.completions.create(prompt=TOKENIZER.encode("To be"), **asked).choices[0].text == text
    for stream in (False, True):
        got: Any = client.completions.create(prompt=TOKENIZER.encode("To be"), echo=True, stream=stream, **asked)
        chunks = list(got) if stream else [got]
        assert "".join(chunk.choices[0].text for chunk in chunks) == "To be" + text


def test_a_field_at_its_usual_value_changes_nothing(client: openai.OpenAI):
    usual: Any = {"n": 1, "best_of": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "logit_bias": {}}
    got = client.completions.create(model="gpt2", prompt="To be", max_tokens=2, user="me", suffix="", **usual)
    assert got.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": ""}, "The prompt is empty"),
        ({"prompt": []}, "The prompt is empty"),
        ({"prompt": [""]}, "The prompt is empty"),
        ({"prompt": ["a", "b"]}, "one text a request; got 2"),
        ({"prompt": [1, 99999]}, "token ids lie in 0 to 2047"),
        ({"prompt": [-1]}, "token ids lie in"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": "to be " * 500}, "this model sees 256"),
        ({"prompt": [1] * 257}, "this model sees 256"),
        ({"max_tokens": 513}, "less than or equal to 512"),
        ({"max_tokens": 0}, "greater than or equal to 1"),
        ({"temperature": -1}, "greater than or equal to 0"),
        ({"temperature": 1e-310}, "at least 0.001"),
        ({"n": 2}, "n: this server can do no other than 1: leave it out"),
        ({"n": True}, "n: this server"),
        ({"best_of": 3}, "best_of: "),
        ({"top_p": 0.9}, "top_p: "),
        ({"logprobs": 0}, "logprobs: this server can do no other than 'null'"),
        ({"logit_bias": {"50256": -100}}, "logit_bias: "),
        ({"presence_penalty": 0.5}, "presence_penalty: "),
        ({"suffix": "end"}, "suffix: "),
        ({"stop": [""]}, "stop: "),
        ({"stop": ["a"] * 5}, "stop: "),
        ({"stop": 5}, "stop: "),
        ({"temprature": 1}, "no field 'temprature'"),
    ],
)
def test_an_unsupported_field_is_refused_in_that_apis_words(client: openai.OpenAI, fields: dict, words: str):
    with pytest.raises(openai.BadRequestError) as refusal:
        client.completions.create(model="gpt2", prompt="To be", extra_body=fields)
    body = cast(dict[str, Any], refusal.value.body)
    assert words in body["message"]
    assert body["type"] == "invalid_request_error"
    assert len(body["message"]) < 250


def test_the_list_of_models_names_the_one(client: openai.OpenAI):
    (model,) = client.models.list().data
    assert client.completions.create(model=model.id, prompt="a", max_tokens=1).model == model.id


def test_other_routes_are_refused_in_that_apis_words(client: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as refusal:
        client.chat.completions.create(model="gpt2", messages=[{"role": "user", "content": "To be?"}])
    assert cast(dict[str, Any], refusal.value.body)["message"]


def test_a_queue_that_is_full_and_time_over_are_that_apis_errors():
    with Scripted(endless, request_seconds=0.2) as server, client_of(server.url) as client:
        with pytest.raises(openai.InternalServerError, match="ask for fewer tokens") as late:
            client.completions.create(model="gpt2", prompt="a")
        assert late.value.status_code == 504
        pieces = []
        with pytest.raises(openai.APIError, match="ask for fewer tokens"):
            pieces += client.completions.create(model="gpt2", prompt="a", stream=True)
        until(server.stands_still, "it generates on")
        server.service.draining = True
        with pytest.raises(openai.InternalServerError, match="Shutting down") as refused:
            client.completions.create(model="gpt2", prompt="a")
        assert refused.value.status_code == 503


def test_a_client_that_leaves_a_stream_stops_the_generation():
    with Scripted(endless) as server, client_of(server.url) as client:
        with client.completions.create(model="gpt2", prompt="a", stream=True, max_tokens=512) as stream:
            next(iter(stream))
        until(server.stands_still, "it generates for nobody")
        assert metrics(server.url)['gpt2_requests_total{status="499"}'] == 1


# Where a text ends.


@pytest.fixture(scope="module")
def ending() -> Iterator[tuple[GPT2, Deployment]]:
    """A model that soon ends its text: with the fourth token that it would greedily write."""
    model = load_pretrained_gpt2()
    start = torch.tensor([TOKENIZER.encode("To be")])
    fourth = [int(token) for token in generate_ids(model, start, 4, temperature=0)][3]
    copy = tokenizers.Tokenizer.from_str(TOKENIZER.bpe.to_str())
    model.tokenizer = Tokenizer(copy, {"eos_token": copy.id_to_token(fourth) or ""})
    with deploy_to_production(model, int8=False) as deployment:
        yield model, deployment


def test_the_end_of_a_text_is_not_shown_and_is_why_it_ended(ending: tuple[GPT2, Deployment]):
    model, served = ending
    expected = in_torch(model, "To be", 20, temperature=0)
    assert expected == in_torch(MINI, "To be", 3, temperature=0)
    asked = {"prompt": "To be", "max_new_tokens": 20, "temperature": 0}
    status, answer = ask(served.url, "/generate", asked)
    assert status == 200
    counts = {"new_tokens": 3, "finish_reason": "stop", "prompt_tokens": len(TOKENIZER.encode("To be"))}
    assert json.loads(answer) == {"text": expected.removeprefix("To be")} | counts
    *pieces, last = events(served.url, **asked)
    assert "To be" + "".join(piece["text"] for piece in pieces) == expected
    assert last == {"done": True} | counts
    assert served.generate("To be", 20, temperature=0) == expected
    with client_of(served.url) as client:
        got = client.completions.create(model="gpt2", prompt="To be", max_tokens=20, temperature=0)
        assert got.choices[0].finish_reason == "stop"
        assert got.usage is not None
        assert got.usage.completion_tokens == 3
        exact = client.completions.create(model="gpt2", prompt="To be", max_tokens=3, temperature=0)
        assert exact.choices[0].finish_reason == "length"


def test_a_text_that_ends_at_once_is_empty():
    with Scripted(lambda: iter(())) as server, client_of(server.url) as client:
        assert generate(server.url)[1]["text"] == ""
        assert generate(server.url)[1]["finish_reason"] == "stop"
        got = list(client.completions.create(model="gpt2", prompt="a", stream=True))
        assert "".join(chunk.choices[0].text for chunk in got) == ""
        assert got[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("cuts", [[(30, 31)], [(40, 48), (20, 25)], [(5, 60), (24, 27)]])
def test_a_text_ends_before_a_string_that_stops_it(
    client: openai.OpenAI, served: Deployment, cuts: list[tuple[int, int]]
):
    whole = in_torch(MINI, "To be", 40, seed=1).removeprefix("To be")
    strings = [whole[start:end] for start, end in cuts] + ["\0"]
    stop = strings if len(cuts) > 1 else strings[0]
    end = min((whole.find(string) + len(string), whole.find(string)) for string in strings[:-1])[1]
    assert served.generate("To be", 40, seed=1, stop=stop) == "To be" + whole[:end]
    assert "".join(served.stream("To be", 40, seed=1, stop=stop)) == whole[:end]
    asked: Any = {"model": "gpt2", "prompt": "To be", "max_tokens": 40, "seed": 1, "temperature": 0.8}
    got = client.completions.create(**asked, stop=stop, extra_body={"top_k": 40})
    assert got.choices[0].text == whole[:end]
    assert got.choices[0].finish_reason == "stop"
    assert got.usage is not None
    assert 0 < got.usage.completion_tokens < 40
    *pieces, last = client.completions.create(**asked, stop=stop, stream=True, extra_body={"top_k": 40})
    assert "".join(piece.choices[0].text for piece in pieces) == whole[:end]
    assert last.choices[0].finish_reason == "stop"


def test_a_string_that_only_begins_is_given_at_the_end(served: Deployment):
    whole = in_torch(MINI, "To be", 20, seed=1)
    stop = whole[-3:] + "\0"
    assert served.generate("To be", 20, seed=1, stop=stop) == whole


@settings(max_examples=300, deadline=None)
@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3), st.integers())
def test_a_text_ends_at_the_same_place_however_it_is_cut(text: str, stop: list[str], seed: int):
    ends = [(i + len(string), i) for string in stop if (i := text.find(string)) >= 0]
    expected = text[: min(ends)[1]] if ends else text
    draw, until, got, rest = random.Random(seed), UntilStop(stop), "", text
    while rest and not until.found:
        size = draw.randint(1, 5)
        got += until.add(rest[:size])
        rest = rest[size:]
        assert expected.startswith(got)
    assert got + until.rest() == expected
    assert until.found == bool(ends)


# Before a proxy, and asked by probes.


def head(url: str, path: str, method: str = "HEAD") -> HTTPResponse:
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        return answer


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/models"])
def test_a_request_for_the_head_gets_the_answers_headers_alone(served: Deployment, path: str):
    alone, whole = head(served.url, path), head(served.url, path, "GET")
    assert alone.status == whole.status == 200
    assert alone.getheader("Content-Type") == whole.getheader("Content-Type")


def test_the_head_says_that_it_is_not_ready():
    with Scripted(endless) as server:
        server.service.draining = True
        assert head(server.url, "/readyz").status == 503
        assert head(server.url, "/healthz").status == 200


@pytest.mark.parametrize("path", ["/generate", "/v1/completions"])
def test_a_proxy_is_told_to_pass_a_stream_on_as_it_comes(served: Deployment, path: str):
    with closing(HTTPConnection(served.url.removeprefix("http://"), timeout=30)) as connection:
        connection.request("POST", path, json.dumps({"prompt": "To be", "stream": True}), JSON)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("X-Accel-Buffering") == "no"
        assert answer.getheader("Cache-Control") == "no-store"
        assert answer.read().decode().rstrip().endswith("data: [DONE]" if path.startswith("/v1") else "}")


def test_the_description_of_the_routes_can_be_read(served: Deployment):
    status, text = ask(served.url, "/openapi.json")
    assert status == 200
    paths = json.loads(text)["paths"]
    assert set(paths) == {"/healthz", "/readyz", "/metrics", "/generate", "/v1/completions", "/v1/models"}


def test_its_requests_are_counted(served: Deployment, client: openai.OpenAI):
    before = metrics(served.url)
    client.completions.create(model="gpt2", prompt="To be", max_tokens=5)
    after = metrics(served.url)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown['gpt2_requests_total{status="200"}'] == 1
    assert grown["gpt2_new_tokens_total"] == 5
