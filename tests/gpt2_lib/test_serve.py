"""Tests of the server over real connections: right answers, clear refusals, limits, draining; and its handle.

What depends on time is tested with a model that follows a script, so that no test depends on this machine's speed.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import JSON, MINI, TOKENIZER, Scripted, endless, events, generate, metrics, post, until

from gpt2_lib import load_pretrained_gpt2
from gpt2_lib.deploy.extras import DeployError, MissingExtraError
from gpt2_lib.deploy.onnx import OnnxGPT2, export_onnx
from gpt2_lib.deploy.serving import generation, middleware
from gpt2_lib.deploy.serving import load_test as load_test_module
from gpt2_lib.deploy.serving.generation import Utf8Pieces
from gpt2_lib.deploy.serving.load_test import PROMPT, ask, load_test, percentile
from gpt2_lib.deploy.serving.load_test import main as load_test_main
from gpt2_lib.deploy.serving.serve import Settings, main
from gpt2_lib.deploy.serving.service import Deployment, deploy_to_production

# A server in a process of its own, with the bundled model.


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return export_onnx(MINI, tmp_path_factory.mktemp("served") / "mini.onnx", int8=True)


@pytest.fixture(scope="module")
def served(file) -> Iterator[Deployment]:
    with deploy_to_production(file) as deployment:
        yield deployment


def test_the_text_is_that_of_the_model_itself(served, file):
    expected = OnnxGPT2(file, threads=1).generate("To be", 40, temperature=0)
    assert served.generate("To be", 40, temperature=0) == expected
    assert "To be" + "".join(served.stream("To be", 40, temperature=0)) == expected


def test_a_seed_gives_the_same_text_again_and_another_one_another(served):
    first = served.generate("To be", 40, seed=1)
    assert served.generate("To be", 40, seed=1) == first
    assert served.generate("To be", 40, seed=2) != first


def test_an_answer_counts_its_tokens(served):
    status, answer, _ = generate(served.url, max_new_tokens=7)
    assert status == 200
    assert answer["new_tokens"] == 7
    assert answer["prompt_tokens"] == len(TOKENIZER.encode("To be"))


def test_the_server_is_alive_and_ready(served):
    assert [ask(served.url, path)[0] for path in ("/healthz", "/readyz")] == [200, 200]


def test_metrics_count_requests_tokens_and_memory(served):
    before = metrics(served.url)
    generate(served.url, max_new_tokens=7)
    generate(served.url, max_new_tokens=0)
    after = metrics(served.url)
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown['gpt2_requests_total{status="200"}'] == 1
    assert grown['gpt2_requests_total{status="422"}'] == 1
    assert grown["gpt2_new_tokens_total"] == 7
    assert grown["gpt2_request_seconds_count"] == 2
    assert after["gpt2_in_flight"] == after["gpt2_waiting"] == 0
    assert 50e6 < after["process_resident_memory_bytes"] < 1e9


BAD = {
    "no body": (b"", 422, "not JSON"),
    "half a body": (b'{"prompt": "a"', 422, "not JSON"),
    "no object": (b"[1]", 422, "Send a JSON object with the fields prompt, "),
    "no prompt": (b"{}", 422, "'prompt' is missing"),
    "empty prompt": (b'{"prompt": ""}', 422, "The prompt is empty"),
    "prompt of another type": (b'{"prompt": 5}', 422, "prompt: should be a valid string"),
    "null prompt": (b'{"prompt": null}', 422, "prompt: should be a valid string"),
    "unknown field": (b'{"prompt": "a", "temprature": 1}', 422, "no field 'temprature'; the fields are prompt"),
    "a number as text": (b'{"prompt": "a", "max_new_tokens": "5"}', 422, "max_new_tokens: should be a valid integer"),
    "half a token": (b'{"prompt": "a", "max_new_tokens": 1.5}', 422, "max_new_tokens: should be a valid integer"),
    "true tokens": (b'{"prompt": "a", "max_new_tokens": true}', 422, "max_new_tokens: should be a valid integer"),
    "no tokens": (b'{"prompt": "a", "max_new_tokens": 0}', 422, "greater than or equal to 1"),
    "too many tokens": (b'{"prompt": "a", "max_new_tokens": 513}', 422, "less than or equal to 512"),
    "huge number": (b'{"prompt": "a", "seed": 1' + b"0" * 400 + b"}", 422, "seed: should be"),
    "NaN": (b'{"prompt": "a", "temperature": NaN}', 422, "temperature: should be a finite number"),
    "Infinity": (b'{"prompt": "a", "temperature": Infinity}', 422, "temperature: should be"),
    "below zero": (b'{"prompt": "a", "temperature": -1}', 422, "greater than or equal to 0"),
    "temperature that overflows": (b'{"prompt": "a", "temperature": 1e-310}', 422, "0 (greedy) or at least 0.001"),
    "no candidates": (b'{"prompt": "a", "top_k": 0}', 422, "greater than or equal to 1"),
    "stream of another type": (b'{"prompt": "a", "stream": "yes"}', 422, "stream: should be a valid boolean"),
    "lone surrogate": (b'{"prompt": "\\ud800"}', 422, "not JSON in UTF-8"),
    "surrogate as a field": (b'{"prompt": "a", "\\udc00": 1}', 422, "not JSON in UTF-8"),
    "invalid UTF-8": (b'{"prompt": "\xff\xfe"}', 422, "not JSON in UTF-8"),
    "UTF-16": ('{"prompt": "a"}'.encode("utf-16"), 422, "not JSON in UTF-8"),
    "deeply nested": (b"[" * 100_000, 422, "recursion limit"),
    "long prompt, in tokens": (json.dumps({"prompt": "to be " * 500}).encode(), 422, "this model sees 256"),
    "long prompt, in characters": (json.dumps({"prompt": "a" * 20_001}).encode(), 422, "20,000 are allowed"),
    "a megabyte": (json.dumps({"prompt": "a" * 2**20}).encode(), 413, "larger than 262,144 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_gets_4xx_and_a_sentence_that_says_what_is_wrong(served, name):
    body, status, words = BAD[name]
    got, answer, _ = post(served.url, body)
    assert got == status, answer
    assert words in answer["error"]
    assert len(answer["error"]) < 200


def test_text_of_any_kind_is_taken(served):
    for prompt in ("\0", "naïve 漢字 🎭", "\ud83c\udfad", " ", "\n" * 100, "‮", "</script>"):
        assert generate(served.url, prompt=prompt, max_new_tokens=1)[0] == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_without_the_json_type_is_refused(served, kind):
    status, answer, _ = post(served.url, b'{"prompt": "a"}', {"Content-Type": kind})
    assert status == 415
    assert "Content-Type: application/json" in answer["error"]


def chunked(url: str, size: int) -> int:
    """Status for a body of ``size`` bytes whose length is not announced."""
    with closing(HTTPConnection(url.removeprefix("http://"), timeout=30)) as connection:
        connection.request("POST", "/generate", (b"x" * 2**14 for _ in range(size >> 14)), JSON, encode_chunked=True)
        return connection.getresponse().status


def test_a_body_is_counted_while_it_is_read(served):
    assert chunked(served.url, 2**20) == 413


def test_a_body_announced_as_huge_is_refused_before_it_is_sent(served):
    with closing(HTTPConnection(served.url.removeprefix("http://"), timeout=30)) as connection:
        connection.putrequest("POST", "/generate")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(10**12))
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_wrong_paths_and_methods_are_refused(served):
    assert ask(served.url, "/generate")[0] == 405
    assert ask(served.url, "/")[0] == 404


def test_the_server_had_no_internal_error_in_all_of_this(served):
    assert 'gpt2_requests_total{status="500"}' not in metrics(served.url)


@pytest.mark.slow
def test_200_requests_at_concurrency_16_lose_none_and_leave_the_memory_flat(served):
    load_test(served.url, 32, 16, max_new_tokens=4)
    result = load_test(served.url, 200, 16, max_new_tokens=4)
    assert result.statuses == {200: 200}
    assert result.lost == result.errors == 0
    assert result.resident_bytes_after - result.resident_bytes_before < 10 * 2**20
    assert result.server_cpu_seconds > 0
    assert 0 < result.median_seconds <= result.p95_seconds <= result.p99_seconds
    assert result.tokens_per_second == pytest.approx(200 * 4 / result.seconds)


def test_the_handle_measures_and_introduces_itself(served):
    measured = served.measure(requests=8, concurrency=2)
    assert measured["errors"] == 0
    assert measured["requests_per_second"] > 0
    assert measured["resident_bytes_after"] > 50e6
    assert served.url in repr(served)
    assert ".stop()" in repr(served)
    assert served.model is None  # a file was deployed


def test_the_handle_passes_on_what_the_server_refuses(served):
    with pytest.raises(ValueError, match="The prompt is empty"):
        served.generate("")
    with pytest.raises(ValueError, match="not JSON in UTF-8"):
        served.generate("\ud800")
    with pytest.raises(ValueError, match="less than or equal to 512"):
        next(served.stream("To be", 10_000))


def test_the_load_test_command_prints_its_table_and_knows_no_server(served, capsys):
    load_test_main(["--url", served.url, "--requests", "4", "--concurrency", "2", "--new-tokens", "1"])
    said = capsys.readouterr()
    assert "4 requests, 2 at a time: 0 lost; answered: 4 with 200" in said.out
    assert said.err == f"Sending 4 requests to {served.url}: the result comes at the end.\n"
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        free = taken.getsockname()[1]
    for url in (f"http://127.0.0.1:{free}", "ftp://x"):
        with pytest.raises(SystemExit) as end:
            load_test_main(["--url", url])
        assert end.value.code == 2


def test_a_load_test_sends_the_prompt_that_it_is_given(monkeypatch, capsys):
    sent: list[dict] = []
    old: Any = {"new_tokens": 2}
    monkeypatch.setattr(load_test_module, "server_resources", lambda _: (0, 0.0))

    def ask(url, path, body, timeout):
        sent.append(body)
        return 200, b'{"new_tokens": 2}'

    monkeypatch.setattr(load_test_module, "ask", ask)
    load_test_main(["--requests", "1", "--concurrency", "1", "--prompt", "Mine", "--max-new-tokens", "2"])
    assert sent == [{"prompt": "Mine", "max_new_tokens": 2, "seed": 0}]
    assert "answered: 1 with 200" in capsys.readouterr().out
    with pytest.warns(DeprecationWarning, match="now called max_new_tokens"):
        load_test("http://127.0.0.1", 1, 1, **old)
    for bad in (["--requests", "0"], ["--concurrency", "x"], ["--max-new-tokens", "-1"]):
        with pytest.raises(SystemExit):
            load_test_main(bad)


def test_a_load_test_counts_refusals_and_what_is_lost(served):
    refused = load_test(served.url, 4, 2, prompt="")
    assert (refused.statuses, refused.lost, refused.errors) == ({422: 4}, 0, 4)
    assert refused.median_seconds != refused.median_seconds  # NaN
    with Scripted(endless) as slow:
        lost = load_test(slow.url, 2, 2, timeout=0.2)
    assert (lost.statuses, lost.lost) == ({}, 2)


def test_percentiles_are_the_smallest_that_enough_do_not_exceed():
    hundred = list(range(1, 101))
    assert [percentile(hundred, share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert percentile([7.0], 0.95) == 7


# Starting and ending.


def test_sigterm_finishes_the_stream_refuses_new_work_and_exits_0(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where ONNX Runtime keeps what it has yet to report
    for switch in ("CI", "ORT_DISABLE_TELEMETRY"):
        monkeypatch.delenv(switch, raising=False)
    deployment = deploy_to_production(MINI)
    assert deployment.model is MINI
    assert list(tmp_path.iterdir()) == []  # the exported file is no longer needed
    process = deployment._server.process
    stream = deployment.stream("To be", 512, seed=1)
    text = next(stream)
    if sys.platform == "win32":  # has no SIGTERM that a process could see coming
        process.stdin.close()
    else:
        process.send_signal(signal.SIGTERM)
    until(lambda: ask(deployment.url, "/readyz")[0] == 503, "it says that it is ready")
    status, answer, headers = generate(deployment.url)
    assert status == 503
    assert "Shutting down" in answer["error"]
    assert "retry-after" in headers
    assert ask(deployment.url, "/healthz")[0] == 200
    text += "".join(stream)  # raises if the stream breaks off
    assert len(TOKENIZER.encode(text)) > 256
    assert process.wait(30) == 0
    served = deployment.stop()
    assert served["requests"] == {"200": 1, "503": 1}
    assert served["new_tokens"] == 512
    assert "stopped" in repr(deployment)
    assert deployment.stop() == served
    assert list(tmp_path.iterdir()) == []  # nothing was kept to be reported to anyone
    with pytest.raises(DeployError, match="was stopped"):
        deployment.generate("To be")


@pytest.mark.slow
@pytest.mark.parametrize("end", ["sys.exit()", "os.kill(os.getpid(), 9)"], ids=["ended", "killed"])
def test_the_server_ends_with_the_process_that_started_it(file, end):
    script = (
        "import os, sys; from gpt2_lib.deploy.serving.service import deploy_to_production\n"
        f"d = deploy_to_production({str(file)!r}); print(d._server.process.pid, flush=True); {end}"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == (0 if "exit" in end else 9 if sys.platform == "win32" else -9)
    until(lambda: not running(int(done.stdout)), "the server lives on")


def running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # ended, but not yet waited for
    except psutil.NoSuchProcess:
        return False


def test_a_port_in_use_is_named_and_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeployError, match=f"can't listen on 127.0.0.1 port {port}.*Choose another"):
            deploy_to_production(MINI, port=port)
    assert list(tmp_path.iterdir()) == []


def test_without_an_extra_the_command_that_adds_it_is_named(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gpt2-pruning-course\[deploy\]'"):
        deploy_to_production(file)


def test_an_object_that_is_no_model_is_refused():
    with pytest.raises(ValueError, match="got NoneType"):
        deploy_to_production(None)  # pyright: ignore[reportArgumentType]  # no model


def test_a_model_without_a_tokenizer_is_refused():
    model = load_pretrained_gpt2()
    model.tokenizer = None
    with pytest.raises(ValueError, match="no tokenizer"):
        deploy_to_production(model)


def refused(capsys, *argv: str) -> str:
    """The one line of a server that can't start."""
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    return error


def test_a_failure_to_serve_is_one_line_and_status_2(file, tmp_path, capsys):
    other = tmp_path / "other.onnx"
    other.write_bytes(file.read_bytes()[:1000])
    assert "no file" in refused(capsys, "--model", str(tmp_path / "none.onnx"), "--port", "0")
    assert "cut short" in refused(capsys, "--model", str(other), "--port", "0")
    assert "can't listen" in refused(capsys, "--model", str(file), "--port", "70000")
    assert "can't listen" in refused(capsys, "--model", str(file), "--port", "0", "--host", "no.such.host.invalid")
    assert "queued must be more than 0" in refused(capsys, "--model", str(file), "--port", "0", "--queued", "0")
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}" in refused(capsys, "--model", str(file), "--port", port)


def test_a_model_without_a_tokenizer_can_not_be_served(tmp_path, capsys):
    model = load_pretrained_gpt2()
    model.tokenizer = None
    silent = export_onnx(model, tmp_path / "silent.onnx")
    assert "holds no tokenizer" in refused(capsys, "--model", str(silent), "--port", "0")


# Limits, with a model that follows a script.


def test_time_over_is_504_and_the_generation_stops():
    with Scripted(endless, request_seconds=0.2) as server:
        status, answer, _ = generate(server.url)
        assert status == 504
        assert "ask for fewer tokens" in answer["error"]
        until(server.stands_still, "it generates on")
        assert metrics(server.url)['gpt2_requests_total{status="504"}'] == 1


def test_time_over_ends_a_stream_with_an_error_event():
    with Scripted(endless, request_seconds=0.2) as server:
        *texts, last = events(server.url)
        assert texts
        assert "ask for fewer tokens" in last["error"]
        until(server.stands_still, "it generates on")
        assert metrics(server.url)['gpt2_requests_total{status="504"}'] == 1


def test_a_body_that_does_not_come_is_408():
    with Scripted(endless, request_seconds=0.2) as server:
        with closing(socket.create_connection(server.socket.getsockname())) as client:
            head = (
                "POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
            client.sendall(head.encode())
            assert b" 408 " in client.recv(1000)
        assert server.given == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up_stops_its_generation(stream):
    with Scripted(endless) as server:
        with closing(HTTPConnection(server.url.removeprefix("http://"))) as connection:
            connection.request("POST", "/generate", json.dumps({"prompt": "a", "stream": stream}), JSON)
            if stream:
                connection.getresponse().readline()
            until(lambda: server.given > 20, "it doesn't generate")
        until(server.stands_still, "it generates for nobody")
        assert metrics(server.url)['gpt2_requests_total{status="499"}'] == 1
        assert not server.service._turns.locked()  # its place is free again


def test_the_queue_is_bounded_and_who_waits_gets_an_answer():
    gate = threading.Event()

    def one_when_the_gate_opens() -> Iterator[int]:
        gate.wait(30)
        yield 65

    with Scripted(one_when_the_gate_opens, queued=1) as server:
        answers: list[int] = []
        clients = [threading.Thread(target=lambda: answers.append(generate(server.url)[0])) for _ in range(2)]
        for client in clients:
            client.start()
        until(lambda: metrics(server.url)["gpt2_waiting"] == 1, "none waits")
        status, answer, headers = generate(server.url)
        assert status == 503
        assert "try again" in answer["error"]
        assert int(headers["retry-after"]) >= 1
        gate.set()
        for client in clients:
            client.join()
        assert answers == [200, 200]


def test_a_client_that_disconnects_while_waiting_leaves_the_queue():
    gate = threading.Event()

    def one_when_the_gate_opens() -> Iterator[int]:
        gate.wait(30)
        yield 65

    with Scripted(one_when_the_gate_opens) as server:
        first = threading.Thread(target=generate, args=(server.url,))
        first.start()
        until(lambda: server.service.in_flight == 1, "the first isn't there")
        with closing(HTTPConnection(server.url.removeprefix("http://"))) as connection:
            connection.request("POST", "/generate", json.dumps({"prompt": "a"}), JSON)
            until(lambda: metrics(server.url)["gpt2_waiting"] == 1, "none waits")
        until(lambda: metrics(server.url)["gpt2_waiting"] == 0, "it waits on")
        gate.set()
        first.join()
        assert server.given == 1


def test_a_client_that_does_not_take_its_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(middleware, "TAKING_SECONDS", 0.3)

    wordy = SimpleNamespace(encode=lambda text: [1], decode=lambda ids: "x" * 100_000 * len(ids))  # 100 kB a token
    with Scripted(endless, wordy, request_seconds=0.3) as server:
        with closing(socket.socket()) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(server.socket.getsockname())
            body = json.dumps({"prompt": "a", "stream": True})
            client.sendall(
                f"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            until(lambda: server.given > 0, "it doesn't generate")
            until(server.stands_still, "the client that reads nothing keeps its place", seconds=10)
        assert metrics(server.url)["gpt2_in_flight"] == 0


def test_characters_cut_between_tokens_arrive_whole():
    text = "naïve 漢字 🎭 ﷽ e\u0301"
    ids = TOKENIZER.encode(text)
    assert any("\N{REPLACEMENT CHARACTER}" in TOKENIZER.decode([i]) for i in ids)  # some are cut

    def one_by_one() -> Iterator[int]:
        for token in ids:
            time.sleep(2 * generation.PIECE_SECONDS)  # so that each is a piece of its own
            yield token

    with Scripted(one_by_one) as server:
        *pieces, last = events(server.url, max_new_tokens=len(ids))
    assert last["done"]
    assert "".join(piece["text"] for piece in pieces) == text
    assert not any("\N{REPLACEMENT CHARACTER}" in piece["text"] for piece in pieces)
    assert len(pieces) > 5


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=30) | st.lists(st.integers(0, 255), max_size=30))
def test_pieces_add_up_to_the_whole_text_whatever_the_tokens(ids):
    pieces = Utf8Pieces(TOKENIZER)
    assert "".join([*map(pieces.add, ids), pieces.rest()]) == TOKENIZER.decode(ids)


def test_a_limit_must_be_positive():
    with pytest.raises(ValueError, match="request_seconds must be more than 0"):
        Settings(request_seconds=0)


def test_an_unexpected_error_is_500_and_frees_its_place():
    def broken() -> Iterator[int]:
        raise RuntimeError("planted")
        yield

    with Scripted(broken) as server:
        for _ in range(3):
            assert ask(server.url, "/generate", {"prompt": PROMPT})[0] == 500
        assert metrics(server.url)['gpt2_requests_total{status="500"}'] == 3
        assert metrics(server.url)["gpt2_in_flight"] == 0
