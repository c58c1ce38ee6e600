"""Tests of gradual pruning tracked in MLflow: the data come back, and the end of a run is recorded truly."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch

from gpt2_lib import CheckpointError, metrics
from gpt2_lib.deploy.extras import DeployError, MissingExtraError
from gpt2_lib.deploy.tracking import load_tracked, track_gradual, tracked_run
from gpt2_lib.pruning.gradual import GradualRun
from gpt2_lib.pruning.pruner import prunable_weights
from gpt2_lib.pruning.schedules import Schedule
from gpt2_lib.train import Recipe

IDS = tiny.random_ids(tiny.TINY, 1, 400)[0]
HELD_OUT = tiny.random_ids(tiny.TINY, 2, 16, seed=1)
RECIPE = Recipe(steps=6, batch=2)
SCHEDULE = Schedule(final=0.6, steps=4, every=2)


def gradual_run(snapshot: Path | None = None) -> GradualRun:
    model = tiny.random_model()
    model.tokenizer = tiny.tokenizer()
    return GradualRun(model, RECIPE, SCHEDULE, snapshot)


@pytest.fixture(scope="module", autouse=True)
def tracker() -> None:
    """MLflow takes two seconds to import: only where these tests run."""
    pytest.importorskip("mlflow", reason="needs the extra mlops")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new database: making one takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    with tracked_run(folder, "nothing", {}):
        pass
    return folder


@pytest.fixture
def folder(empty: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(empty, tmp_path / "runs"))


def last_run(folder: Path, name: str):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return client, client.search_runs([experiment.experiment_id])[0]


def test_a_gradual_run_is_there_with_parameters_curves_and_its_model(folder: Path):
    run = gradual_run()
    assert track_gradual(run, IDS, HELD_OUT, 2, folder, "tiny") == 1
    client, logged = last_run(folder, "tiny")
    assert logged.info.status == "FINISHED"
    assert logged.data.params["schedule.final"] == "0.6"
    assert logged.data.params["schedule.curve"] == "cubic_sparsity"
    assert logged.data.params["recipe.steps"] == "6"
    assert logged.data.params["select"] == "layer_masks"
    for key in ("train_loss", "held_out_loss", "accuracy"):
        curve = [(m.step, m.value) for m in client.get_metric_history(logged.info.run_id, key)]
        assert curve == [(row["step"], row[key]) for row in run.log]
        assert [step for step, _ in curve] == [2, 4, 6]
    sparsity = [m.value for m in client.get_metric_history(logged.info.run_id, "sparsity")]
    assert sparsity == sorted(sparsity)
    assert sparsity[0] < sparsity[-1] == metrics.sparsity(prunable_weights(run.model).values())
    assert sparsity[-1] == pytest.approx(0.6, abs=1e-3)

    loaded = load_tracked(folder, "tiny")
    ids = tiny.random_ids(tiny.TINY, 2, 20)
    with torch.inference_mode():
        assert torch.equal(loaded(ids), run.model.eval()(ids))
    assert loaded.tokenizer is not None
    assert run.model.tokenizer is not None
    assert loaded.tokenizer.encode("To be") == run.model.tokenizer.encode("To be")


def test_versions_count_up_and_the_folder_can_move(folder: Path, tmp_path: Path):
    models = [tiny.random_model(seed=seed) for seed in (1, 2)]
    for expected, model in enumerate(models, start=1):
        with tracked_run(folder, "tiny", {"seed": expected}) as tracked:
            assert tracked.register(model) == expected
    moved = Path(shutil.copytree(folder, tmp_path / "moved"))
    shutil.rmtree(folder, ignore_errors=True)  # Windows keeps the database, which MLflow still has open
    for loaded, model in (
        (load_tracked(moved, "tiny"), models[1]),
        (load_tracked(moved, "tiny", 1), models[0]),
    ):
        assert torch.equal(loaded.wte.weight, model.wte.weight)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (RuntimeError, "FAILED")])
def test_an_interrupted_run_is_not_finished_and_registers_nothing(
    folder: Path, error: type[BaseException], status: str
):
    run = gradual_run()
    advance: Callable = run.advance

    def interrupted(ids: torch.Tensor) -> float:
        if run.step == 3:
            raise error("stop")
        return advance(ids)

    run.advance = interrupted
    with pytest.raises(error, match="stop"):
        track_gradual(run, IDS, HELD_OUT, 2, folder, "tiny")
    client, logged = last_run(folder, "tiny")
    assert logged.info.status == status
    assert [m.step for m in client.get_metric_history(logged.info.run_id, "held_out_loss")] == [2]
    with pytest.raises(DeployError, match="No model tiny is registered"):
        load_tracked(folder, "tiny")


def test_a_run_that_goes_on_from_a_snapshot_has_the_whole_curve(folder: Path, tmp_path: Path):
    first = gradual_run(tmp_path / "snapshot.pt")
    for _ in range(2):
        first.advance(IDS)
    first.log.append({"step": 2, "held_out_loss": 5.5, "seconds": 0})
    first.save()
    track_gradual(gradual_run(tmp_path / "snapshot.pt"), IDS, HELD_OUT, 2, folder, "tiny")
    client, logged = last_run(folder, "tiny")
    assert [m.step for m in client.get_metric_history(logged.info.run_id, "held_out_loss")] == [2, 4, 6]


def test_a_missing_model_is_reported(folder: Path, tmp_path: Path):
    with tracked_run(folder, "tiny", {}) as tracked:
        tracked.register(tiny.random_model())
    with pytest.raises(DeployError, match=r"No model tiny version 7.*tiny version 1"):
        load_tracked(folder, "tiny", 7)
    with pytest.raises(DeployError, match=r"no mlflow\.db"):
        load_tracked(tmp_path, "tiny")
    assert not (tmp_path / "mlflow.db").exists()
    for file in folder.rglob("*.gpt2pack"):
        file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="cut short"):
        load_tracked(folder, "tiny")
    (folder / "mlflow.db").write_bytes(b"no database " * 100)
    with pytest.raises(DeployError, match="Can't read"):
        load_tracked(folder, "tiny")


def test_a_folder_that_cannot_be_written_and_a_bad_name_are_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(DeployError, match="Can't track"), tracked_run(tmp_path / "file" / "runs", "tiny", {}):
        pass
    for name in ("", "a/b"):
        with pytest.raises(ValueError, match="name"), tracked_run(tmp_path, name, {}):
            pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_without_the_extra_the_command_that_adds_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    missing = pytest.raises(MissingExtraError, match=r"pip install 'gpt2-pruning-course\[mlops\]'")
    with missing, tracked_run(tmp_path, "tiny", {}):
        pass
    assert not list(tmp_path.iterdir())
