"""Tracking of a pruning run in MLflow: its parameters, curves and model, all in one folder.

The folder has a database, ``mlflow.db``, and ``artifacts/``; no server is needed and nothing leaves the machine.
It may be moved or copied: `load_tracked` still finds the models. To look at it (where it was written, MLflow's page
finds the files as well):

    mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db

A run ends as FINISHED; as FAILED after an error, and as KILLED when it was interrupted (Ctrl-C, the notebook's
stop button). A process that is killed outright can't say so: its run stays RUNNING.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .. import metrics
from ..gpt2 import GPT2
from ..pruning.gradual import GradualRun
from ..pruning.pruner import prunable_weights
from ..storage.packed import load_packed, save_packed
from ..train import Callback, Run, fit
from .extras import DeployError, need

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "model.gpt2pack"  # the artifact, as save_packed writes it


def track_gradual(run: GradualRun, ids: Tensor, held_out: Tensor, every: int, folder: str | Path, name: str) -> int:
    """Train and prune as `train.fit` does, with tracking; returns the version of the registered model.

    It logs the recipe, the schedule and the model's sizes; at each measurement (``every`` so many steps) the row
    that fit logs, and the prunable weights' sparsity; at the end the packed model, as a new version of the
    registered model ``name``. A run that continues from a snapshot logs its earlier rows too, without sparsity.

    Raises as `tracked_run` does, and whatever the training raises.
    """
    with tracked_run(folder, name, _parameters(run)) as tracked:
        for row in run.log:
            tracked.log(**row)

        fit(run, ids, held_out, every, [tracked])
        return tracked.register(run.model)


@contextmanager
def tracked_run(folder: str | Path, name: str, parameters: Mapping[str, object]) -> Iterator[TrackedRun]:
    """Open a run of the experiment ``name`` for a custom training loop; it is closed at the end of the block.

    With `train.fit` it is one of the callbacks: ``fit(run, ids, held_out, every, [tracked])``.

    >>> with tracked_run("runs", "my-model", {"sparsity": 0.6}) as tracked:
    ...     for step in range(steps):
    ...         tracked.log(step, loss=train())
    ...     tracked.register(model)

    Raises MissingExtraError without the extra ``mlops``, DeployError if the folder can't be written, ValueError
    for a name that MLflow doesn't take.
    """
    if not name or set(name) & set("/:"):
        raise ValueError(f"A name without / and : is needed, for the experiment and the model; got {name!r}.")
    folder = Path(folder).resolve()
    mlflow = _import_quietly()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        client = _client(mlflow, folder)
        experiment = client.get_experiment_by_name(name)
        experiment_id = (
            experiment.experiment_id
            if experiment
            else client.create_experiment(name, artifact_location=(folder / "artifacts").as_uri())
        )
        run_id = client.create_run(experiment_id, run_name=name).info.run_id
        for key, value in parameters.items():
            client.log_param(run_id, key, value)
    except (OSError, mlflow.exceptions.MlflowException) as error:
        raise DeployError(f"Can't track in {folder}: {error}. Choose a folder you may write to.") from error
    try:
        yield TrackedRun(client, run_id, name)
    except Exception:
        client.set_terminated(run_id, "FAILED")
        raise
    except BaseException:  # KeyboardInterrupt, SystemExit
        client.set_terminated(run_id, "KILLED")
        raise
    client.set_terminated(run_id, "FINISHED")


class TrackedRun:
    """An open run, made by `tracked_run`."""

    def __init__(self, client: MlflowClient, run_id: str, name: str) -> None:
        self.client, self.run_id, self.name = client, run_id, name

    def __call__(self, run: Run, row: dict) -> None:
        """Log one point on each curve, as a callback of `train.fit`."""
        self.log(**_with_sparsity(run, row))

    def log(self, step: int, **values: float) -> None:
        """Log one point, at ``step``, on the curve of each of ``values``."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, [Metric(key, float(v), now, step) for key, v in values.items()])

    def register(self, model: GPT2) -> int:
        """Store ``model``, packed, with this run as a new version of the registered model; returns the version.

        Raises ValueError or TypeError for a model that `packed.save_packed` can't store.
        """
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as scratch:
            sizes = save_packed(model, Path(scratch, MODEL))
            self.client.log_artifact(self.run_id, str(Path(scratch, MODEL)))
        self.client.set_tag(self.run_id, "bytes_dense", sizes.dense)
        self.client.set_tag(self.run_id, "bytes_packed_file", sizes.file)
        try:
            self.client.get_registered_model(self.name)
        except MlflowException:  # there is none yet
            self.client.create_registered_model(self.name)
        source = f"runs:/{self.run_id}/{MODEL}"
        return int(self.client.create_model_version(self.name, source, self.run_id).version)


def tensorboard(writer: Any) -> Callback:
    """Return a callback of `train.fit` for TensorBoard: each value of a row, and the sparsity, as a curve.

    ``writer``: a torch.utils.tensorboard.SummaryWriter, or what has its add_scalar(tag, value, step).
    """

    def write(run: Run, row: dict) -> None:
        for name, value in _with_sparsity(run, row).items():
            if name != "step":
                writer.add_scalar(name, value, row["step"])

    return write


def load_tracked(folder: str | Path, name: str, version: int | None = None) -> GPT2:
    """Return the model registered as ``name`` in ``folder``, by default its last version, as `load_packed` does.

    Raises MissingExtraError without the extra ``mlops``, DeployError if nothing of that name and version is there,
    CheckpointError if the file is missing or damaged.
    """
    folder = Path(folder).resolve()
    if not (folder / "mlflow.db").is_file():
        raise DeployError(f"Nothing is tracked in {folder}: it has no mlflow.db. Was it another folder?")
    mlflow = _import_quietly()
    try:
        registered = [(v.name, int(v.version), v.run_id) for v in _client(mlflow, folder).search_model_versions()]
    except mlflow.exceptions.MlflowException as error:
        raise DeployError(f"Can't read {folder / 'mlflow.db'}: {error}. Copy the folder again.") from error
    versions = {number: run_id for model, number, run_id in registered if model == name}
    if not versions or version not in (None, *versions):
        known = ", ".join(f"{model} version {number}" for model, number, _ in registered) or "none"
        wanted = name if version is None else f"{name} version {version}"
        raise DeployError(f"No model {wanted} is registered in {folder}. There are: {known}.")
    run_id = versions[version or max(versions)]
    return load_packed(folder / "artifacts" / str(run_id) / "artifacts" / MODEL)


def _with_sparsity(run: Run, row: dict) -> dict:
    return row | {"sparsity": metrics.sparsity(prunable_weights(run.model).values())}


def _import_quietly():  # -> the module mlflow
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else MLflow logs every table of a new database
    return need("mlflow", "mlops")


def _client(mlflow, folder: Path) -> MlflowClient:
    return mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")


def _parameters(run: GradualRun) -> dict[str, object]:
    identity = run.identity()
    groups = {group: identity[group] for group in ("recipe", "schedule", "config")}
    flat = {f"{group}.{key}": value for group, values in groups.items() for key, value in values.items()}
    return flat | {"select": identity["select"]}
