"""The location of a model's folder: bundled, on this machine, or on the Hugging Face Hub."""

# huggingface_hub gives types in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import os
from pathlib import Path

from .. import tokenizer
from ..config import PRESETS
from ..system.extras import install_command
from .errors import CheckpointError

BUNDLED = {"gpt2-mini": Path(__file__).parents[1] / "weights" / "gpt2-mini"}
HUB = {name: f"openai-community/{name}" for name in PRESETS} | {"distilgpt2": "distilbert/distilgpt2"}
PREFIX = f".{os.sep}"  # makes a path of a name
FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*.safetensors",
    *tokenizer.FILES,
)


def folder_of(name: str | Path) -> Path:
    """Return the folder of the model ``name``, downloaded if needed. A Path is a folder, never a name on the Hub."""
    if not isinstance(name, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]  of who uses no type checker
        raise TypeError(f"A model's name or folder is needed; got a {type(name).__name__}.")
    path = Path(name)
    if isinstance(name, str) and name in BUNDLED | HUB and path.is_dir():
        raise CheckpointError(
            f"{name!r} is a published model, and a folder in {Path.cwd()} has that name, too: write {PREFIX}{name} for "
            "the folder. For the published one, rename the folder first."
        )
    if isinstance(name, str) and name in BUNDLED:
        return BUNDLED[name]
    if path.is_dir():
        return path
    if path.suffix in (".txt", ".jsonl", ".parquet") and path.is_file():
        raise CheckpointError(f"{path} is a text, and a model's name or folder is needed. Were arguments swapped?")
    if path.is_file():
        raise CheckpointError(
            f"{path} is a file: give the model's folder. gpt2_lib.storage.packed.load_packed opens a packed file."
        )
    if isinstance(name, Path):
        raise CheckpointError(f"There is no folder {path} (looked for in {Path.cwd()}): check its spelling.")
    repository = HUB.get(name, name)
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise CheckpointError(
            f"No model named {name!r}, and no such folder. Names: {', '.join([*BUNDLED, *HUB])}; "
            "or give a folder, or a Hub repository as 'owner/name'."
        )
    return _download(repository)


def _download(repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
        )
    except ImportError as error:
        raise CheckpointError(
            f"There is no folder {repository!r}, and looking for it on the Hugging Face Hub needs the package "
            f"huggingface_hub: {install_command('hub')}. The bundled model needs neither: load_pretrained_gpt2()."
        ) from error
    try:
        return Path(snapshot_download(repository, allow_patterns=[*FILES]))
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise CheckpointError(
            f"There is no folder {repository!r}, and the Hugging Face Hub has no public model of that name: "
            "check its spelling."
        ) from error
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"Can't reach the Hugging Face Hub for {repository}, and it is not in the local cache. "
            "Check the network and try again, or use the bundled model: load_pretrained_gpt2()."
        ) from error
    except HfHubHTTPError as error:
        raise CheckpointError(
            f"The Hugging Face Hub refused {repository}: {str(error).splitlines()[0]}. With 401 or 403 the model is "
            "private, or the token saved on this machine is wrong (hf auth logout); else try again later, or use "
            "the bundled model: load_pretrained_gpt2()."
        ) from error
    except Exception as error:  # of the system, or of the client's own HTTP library
        raise CheckpointError(
            f"Downloading {repository} broke off: {error}. Check the network and the space on the disk, and try "
            "again (what is there is kept), or use the bundled model: load_pretrained_gpt2()."
        ) from error
