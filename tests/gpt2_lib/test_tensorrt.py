"""Tests of TensorRT's preparation: the 2:4 pattern is checked and never made, and the report is true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from gpt2_lib import GPT2, GPT2Config, ModelPruner
from gpt2_lib.deploy import semi_structured
from gpt2_lib.deploy import tensorrt as target
from gpt2_lib.deploy.extras import DeployError
from gpt2_lib.deploy.tensorrt import PACKAGES, TensorRTReport, check_2_4, convert_to_tensorrt

onnx = pytest.importorskip("onnx", reason="needs the extra deploy")

NAMES = [f"h.{i}.{part}.weight" for i in range(2) for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")]


@pytest.fixture(autouse=True)
def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if neither package were installed, whatever is."""
    for package in PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)


@pytest.fixture
def rtx(no_tensorrt: None, monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The real tensorrt_rtx."""
    monkeypatch.delitem(sys.modules, "tensorrt_rtx")
    return pytest.importorskip("tensorrt_rtx", reason="needs the extra tensorrt")


def pruned() -> GPT2:
    model = tiny.random_model()
    ModelPruner(model).prune_n_m(2, 4)
    return model


def report_of(model: GPT2) -> TensorRTReport:
    assert isinstance(model.tensorrt, TensorRTReport)
    return model.tensorrt


def test_the_pattern_is_checked_group_by_group_along_the_inputs():
    model = pruned()
    assert check_2_4(model) == dict.fromkeys(NAMES, True)
    weight = model.h[1].mlp.c_fc.weight
    with torch.no_grad():
        weight[3, 8:12] = torch.tensor([1.0, 0.0, 2.0, 3.0])  # one group of one row
    assert check_2_4(model) == dict.fromkeys(NAMES, True) | {"h.1.mlp.c_fc.weight": False}
    assert not any(check_2_4(tiny.random_model()).values())

    columns = tiny.random_model()
    with torch.no_grad():  # 2:4 along the outputs helps nobody
        columns.h[0].mlp.c_fc.weight[0::2] = 0
    assert not check_2_4(columns)["h.0.mlp.c_fc.weight"]

    odd = tiny.random_model(replace(tiny.TINY, neurons=(42, 42)))  # 42 inputs: no groups of four
    with torch.no_grad():
        odd.h[0].mlp.c_proj.weight.zero_()
    assert not check_2_4(odd)["h.0.mlp.c_proj.weight"]


def test_a_dense_model_is_left_as_it_is_and_told_so(tmp_path: Path, capsys: pytest.CaptureFixture):
    model = tiny.random_model()
    before = {name: p.clone() for name, p in model.named_parameters()}
    assert convert_to_tensorrt(model, tmp_path / "out") is model
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    report = report_of(model)
    assert report.eligible == 0
    assert report.engine is None
    said = capsys.readouterr().out
    assert "0 of 8" in said
    assert "No weight was changed" in said
    assert "No engine was built: TensorRT is not installed" in said
    assert "pip install 'gpt2-pruning-course[tensorrt]'" in said
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["build_engine.sh", "model.onnx", "report.json"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["says"] == report.says == said.strip()


def test_the_onnx_weights_have_the_pattern_that_the_report_claims(tmp_path: Path):
    model = convert_to_tensorrt(pruned(), tmp_path)
    report = report_of(model)
    assert report.eligible == 1
    graph = onnx.load(report.onnx).graph
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in graph.initializer}
    products = [weights[n.input[1]] for n in graph.node if n.op_type == "MatMul" and n.input[1] in weights]
    groups_fit = [  # (in, out): the product runs along the first axis
        all((column[i : i + 4] != 0).sum() <= 2 for column in w.T for i in range(0, len(column), 4)) for w in products
    ]
    assert sorted(groups_fit) == [False] + [True] * 8  # the head is not pruned


def test_polygraphy_finds_the_pattern_in_the_same_matrices(tmp_path: Path):
    pytest.importorskip("polygraphy", reason="needs the extra tensorrt")
    model = tiny.random_model(tiny.UNEVEN)
    weights = {name: dict(model.named_parameters())[name].detach() for name in NAMES}
    for weight in weights.values():
        if weight.shape[1] % 4 == 0:
            weight.unflatten(1, (-1, 4))[..., 1:3] = 0
    weights["h.1.mlp.c_fc.weight"][3, 9] = 1.0  # one group of one row: three of four
    weights["h.1.attn.c_attn.weight"].copy_(torch.randn(18, 24))
    weights["h.1.attn.c_attn.weight"][0::2] = 0  # half of it, but along the outputs
    ours = report_of(convert_to_tensorrt(model, tmp_path)).is_2_4
    assert {name for name in NAMES if ours[name]} == {
        "h.0.attn.c_attn.weight",
        "h.0.mlp.c_fc.weight",
        "h.0.mlp.c_proj.weight",
    }

    program = "import sys; from polygraphy.tools import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "inspect", "sparsity", tmp_path / "model.onnx"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sparse = set(re.findall(r"Found sparse tensor: (constant\.\d+)", said))
    arrays = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(tmp_path / "model.onnx").graph.initializer}

    def in_the_file(name: str) -> str:
        (found,) = (n for n, array in arrays.items() if np.array_equal(array, weights[name].T))
        return found

    assert {name for name in NAMES if in_the_file(name) in sparse} == {name for name in NAMES if ours[name]}
    assert len(sparse) == 3  # and nothing else


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script, for Linux")
@pytest.mark.parametrize("version", [10, 11])
def test_the_script_runs_trtexec_with_shapes_of_every_input(version: int, tmp_path: Path):
    convert_to_tensorrt(tiny.random_model(tiny.UNEVEN), tmp_path / "out")
    tools = tmp_path / "bin"
    tools.mkdir()
    usage = "--onnx=<file> --fp16 Enable fp16 precision" if version == 10 else "--onnx=<file>"
    (tools / "trtexec").write_text(
        f'#!/bin/sh\nif [ "$1" = --help ]; then echo "{usage}"; exit; fi\npwd\nfor a in "$@"; do echo "$a"; done\n'
    )
    (tools / "trtexec").chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run([tmp_path / "out" / "build_engine.sh"], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    where, *arguments = run.stdout.splitlines()
    assert Path(where) == (tmp_path / "out").resolve()
    assert {"--onnx=model.onnx", "--sparsity=enable"} <= set(arguments)
    assert ("--fp16" in arguments) == (version == 10)
    assert "" not in arguments
    assert ("keeps the float32" in run.stderr) == (version == 11)
    longest = next(a for a in arguments if a.startswith("--maxShapes="))
    inputs = [i.name for i in onnx.load(tmp_path / "out" / "model.onnx").graph.input]
    assert [part.split(":")[0] for part in longest.removeprefix("--maxShapes=").split(",")] == inputs
    assert "past_key_values.0.key:8x3x32x6" in longest
    assert "past_key_values.1.key:8x1x32x6" in longest
    assert longest.endswith(",last:32")  # a size: its largest value, not its shape


class FakeTensorRT(types.ModuleType):
    """Records what is asked of it; ``engine`` is what building gives."""

    def __init__(self, engine: bytes | None) -> None:
        super().__init__("tensorrt_rtx")
        self.__version__ = "0.0"
        self.calls: dict[str, Any] = {"shapes": {}}
        calls = self.calls

        class Anything:
            ERROR = STRONGLY_TYPED = 0
            SPARSE_WEIGHTS = "sparse weights"

            def __init__(self, *args: object) -> None:
                pass

            def create_network(self, flags: int) -> Anything:
                return self

            create_builder_config = create_optimization_profile = lambda self: self

            def parse_from_file(self, path: str) -> bool:
                calls["onnx"] = path
                return True

            def set_flag(self, flag: object) -> None:
                calls["flag"] = flag

            def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
                calls["shapes"][name] = shapes

            set_shape_input = set_shape

            def add_optimization_profile(self, profile: object) -> None:
                calls["profile"] = profile

            def build_serialized_network(self, network: object, config: object) -> bytes | None:
                return engine

        self.Logger = self.Builder = self.OnnxParser = Anything
        self.NetworkDefinitionCreationFlag = self.BuilderFlag = Anything


def test_an_engine_is_built_with_sparse_weights_if_tensorrt_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fake = FakeTensorRT(b"engine")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    report = report_of(convert_to_tensorrt(pruned(), tmp_path))
    assert report.engine is not None
    assert Path(report.engine).read_bytes() == b"engine"
    assert fake.calls["flag"] == "sparse weights"
    assert fake.calls["onnx"] == report.onnx
    graph = onnx.load(report.onnx).graph
    assert set(fake.calls["shapes"]) == {i.name for i in graph.input}
    assert fake.calls["shapes"]["input_ids"] == ((1, 1), (1, 32), (8, 32))
    assert report.error is None
    assert "It was not run: there is no NVIDIA GPU here" in report.says


class Strange(types.ModuleType):
    """A TensorRT that gives no engine, or no context, for the bytes it is given."""

    def __init__(self, gives: str) -> None:
        super().__init__("tensorrt")
        context = types.SimpleNamespace(create_execution_context=lambda: None)
        runtime = types.SimpleNamespace(deserialize_cuda_engine=lambda _: context if gives == "engine" else None)
        self.Runtime = lambda _: runtime
        self.Logger = type("Logger", (), {"ERROR": 0, "__init__": lambda *_: None})


@pytest.mark.parametrize(("gives", "words"), [("nothing", "can't read the engine"), ("engine", "can't run the engine")])
def test_an_engine_that_does_not_run_here_is_told_in_words(
    gives: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(DeployError, match=words):
        target._largest_error(Strange(gives), b"engine", tiny.random_model())
    fake: Any = FakeTensorRT(b"engine")
    fake.Runtime = Strange(gives).Runtime
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    report = report_of(convert_to_tensorrt(pruned(), tmp_path))
    assert words in report.says
    assert report.error is None
    assert report.engine is not None
    assert (tmp_path / "report.json").is_file()


def test_tensorrt_11_has_no_switch_for_strong_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fake: Any = FakeTensorRT(b"engine")
    fake.NetworkDefinitionCreationFlag = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert report_of(convert_to_tensorrt(pruned(), tmp_path)).engine is not None


def test_an_engine_that_could_not_be_built_is_not_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", FakeTensorRT(None))
    report = report_of(convert_to_tensorrt(pruned(), tmp_path))
    assert report.engine is None
    assert "No engine was built: tensorrt_rtx 0.0 is installed, but failed" in report.says
    assert not (tmp_path / "model.engine").exists()


@pytest.mark.parametrize("config", [tiny.TINY, tiny.UNEVEN], ids=["even", "uneven"])
def test_tensorrt_rtx_builds_an_engine_with_the_models_weights_in_it(
    rtx: types.ModuleType, config: GPT2Config, tmp_path: Path, capsys: pytest.CaptureFixture
):
    model = convert_to_tensorrt(tiny.random_model(config), tmp_path)
    report = report_of(model)
    assert report.engine == str(tmp_path / "model.engine")
    engine = (tmp_path / "model.engine").read_bytes()
    said = capsys.readouterr().out
    assert (
        f"tensorrt_rtx {rtx.__version__} built an engine, {len(engine) / 1e6:.1f} MB; sparse kernels were allowed"
        in said
    )
    assert json.loads((tmp_path / "report.json").read_text())["says"] == report.says == said.strip()
    if torch.cuda.is_available():
        assert report.error is not None
        assert report.error < 1e-2
    else:
        assert report.error is None
        assert "It was not run: there is no NVIDIA GPU here, so nothing was timed either." in said

    # Embeddings and what follows GELU are stored as they are; it may rearrange others.
    for name in ("wte.weight", "wpe.weight", "h.0.mlp.c_proj.weight", "h.1.mlp.c_proj.weight"):
        weight = dict(model.named_parameters())[name].detach()
        assert weight.T.contiguous().numpy().tobytes() in engine, name


def test_tensorrts_own_reader_takes_the_engine_for_a_whole_one(rtx: types.ModuleType, tmp_path: Path):
    """Without a driver it reads the engine's header and stops at the GPU."""

    class Log(rtx.ILogger):
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[str] = []

        def log(self, severity: object, message: str) -> None:
            self.lines.append(message)

    def complaints(engine: bytes) -> list[str]:
        log = Log()
        rtx.Runtime(log).deserialize_cuda_engine(engine)
        return [line for line in log.lines if "Assertion" in line or "assertion" in line]

    built = report_of(convert_to_tensorrt(pruned(), tmp_path)).engine
    assert built is not None
    engine = Path(built).read_bytes()
    assert complaints(engine) == []
    assert complaints(engine[:-1]) != []
    assert complaints(b"engine") != []


@pytest.mark.usefixtures("rtx")
def test_an_onnx_file_that_tensorrt_rtx_cannot_read_makes_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def damaged(model: GPT2, path: Path) -> Path:
        path.write_bytes(b"no ONNX")
        return path

    monkeypatch.setattr(target, "export_onnx", damaged)
    report = report_of(convert_to_tensorrt(pruned(), tmp_path))
    assert report.engine is None
    assert re.search(r"No engine was built: tensorrt_rtx \S+ is installed, but failed: it can't read", report.says)
    assert not (tmp_path / "model.engine").exists()


def test_a_folder_that_cannot_be_written_and_another_module_are_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(DeployError, match="Can't write"):
        convert_to_tensorrt(tiny.random_model(), tmp_path / "file" / "folder")
    with pytest.raises(ValueError, match="Linear"):
        convert_to_tensorrt(torch.nn.Linear(4, 4), tmp_path)  # pyright: ignore[reportArgumentType]  # no GPT2
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_without_a_gpu_the_2_4_benchmark_says_that_nothing_was_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert semi_structured.main() == 1
    assert "Nothing was measured" in capsys.readouterr().out
