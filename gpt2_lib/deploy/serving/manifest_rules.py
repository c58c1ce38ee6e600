"""Rules for Kubernetes manifests that neither the schema nor kubectl checks.

Each takes manifests that the schema let through, and yields a sentence for each fault. How names and quantities are
spelt: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and
https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from .settings import Settings

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


def unique(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield a fault for two manifests of one kind with the same name."""
    seen = set()
    for manifest in manifests:
        key = (manifest["kind"], manifest["metadata"].get("namespace"), manifest["metadata"]["name"])
        if key in seen:
            yield f"{title_of(manifest)} is there twice."
        seen.add(key)


def names(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield a fault for each name that the API server would reject."""
    for manifest in manifests:
        title, name = title_of(manifest), manifest["metadata"]["name"]
        if not (SERVICE_NAME if manifest["kind"] == "Service" else DNS_SUBDOMAIN).fullmatch(name):
            yield f"{title}: bad name {name!r}: small letters, digits and '-' only, starting with a letter."
    for title, _, container in _containers(manifests):
        if not DNS_LABEL.fullmatch(container["name"]):
            yield f"{title}: bad name {container['name']!r} of a container: small letters, digits and '-' only."
        for port in container.get("ports", []):
            if "name" in port and not PORT_NAME.fullmatch(port["name"]):
                yield f"{title}: bad name {port['name']!r} of a port: at most 15 small letters, digits and '-'."


def labels(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield a fault for each label or label value that the API server would reject."""
    for manifest in manifests:
        places = {"metadata": manifest["metadata"].get("labels", {})}
        places |= {"the selector": _selector(manifest), "the pods": _pod_labels(manifest)}
        for where, found in places.items():
            for key, value in found.items():
                prefix, slash, rest = key.rpartition("/")
                if not rest or not LABEL.fullmatch(rest) or (slash and not DNS_SUBDOMAIN.fullmatch(prefix)):
                    yield f"{title_of(manifest)}: bad label {key!r} in {where}."
                if not LABEL.fullmatch(value):
                    yield f"{title_of(manifest)}: bad value {value!r} of the label {key!r} in {where}."


def quantities(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield faults of CPU and memory: no quantity above 0, a request above its limit, no memory limit."""
    for title, _, container in _containers(manifests):
        resources = container.get("resources", {})
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
    """Yield a fault for a Deployment that does not select its own pods, or a selector without any pods here."""
    for manifest in manifests:
        title, selector, chosen = title_of(manifest), _selector(manifest), _chosen(manifest, manifests)
        if manifest["kind"] in WORKLOADS and manifest not in chosen:
            yield f"{title}: its selector {selector} doesn't match its own pods, {_pod_labels(manifest)}."
        elif selector and not chosen and not _template(manifest):
            yield f"{title}: no pods here have the labels of its selector {selector}."


def ports(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield faults of ports: a probe or Service that names none of a container's, or a port listed twice."""
    for title, _, container in _containers(manifests):
        numbers = [port["containerPort"] for port in container.get("ports", [])]
        if len(set(numbers)) < len(numbers):
            yield f"{title}: a port is there twice: {numbers}."
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for way in ("httpGet", "tcpSocket", "grpc"):
                port = container.get(probe, {}).get(way, {}).get("port")
                if port is not None and port not in _ports(container):
                    yield f"{title}: {probe} asks port {port!r}, which is none of the container's: {_ports(container)}."
    for service in (manifest for manifest in manifests if manifest["kind"] == "Service"):
        for workload in _chosen(service, manifests):
            own = [port for _, _, container in _containers([workload]) for port in _ports(container)]
            for port in service["spec"].get("ports", []):
                target = port.get("targetPort", port["port"])
                if target not in own:
                    title = title_of(service)
                    yield f"{title}: targetPort {target!r} is no port of the containers of {title_of(workload)}."


def volumes(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield a fault for each mount that is no volume of the pod."""
    for title, pod, container in _containers(manifests):
        there = {volume["name"] for volume in pod.get("volumes", [])}
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in there:
                yield f"{title} mounts {mount['name']!r}, no volume."


def images(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield a fault for an image without a tag or digest of its own, which a rollback needs."""
    for title, _, container in _containers(manifests):
        image = container.get("image", "")
        tag = image.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in image and tag in ("", "latest"):
            yield f"{title}: image {image!r} needs a tag, not 'latest'."


def local_images(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield a note for each image that names no registry: no fault on a machine that has built it, so not in RULES."""
    for title, _, container in _containers(manifests):
        first, slash, _ = container.get("image", "").partition("/")
        if not slash or not (set(first) & set(".:") or first == "localhost"):
            yield f"{title}: image {container.get('image', '')!r} names no registry: nodes must have it already."


def rights(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield a fault for a container that may run as root, gain privileges, or write to its own file system."""
    for title, pod, container in _containers(manifests):
        context = pod.get("securityContext", {}) | container.get("securityContext", {})
        if context.get("runAsUser") == 0 or not context.get("runAsNonRoot"):
            yield f"{title} may run as root: set runAsNonRoot, and a runAsUser that isn't 0."
        if context.get("allowPrivilegeEscalation", True):
            yield f"{title} may gain rights: set allowPrivilegeEscalation to false."
        if not context.get("readOnlyRootFilesystem"):
            yield f"{title} may write to its file system: set readOnlyRootFilesystem."


def grace(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield a fault where the pod is killed before preStop's sleep and the server's drain are over."""
    for title, pod, container in _containers(manifests):
        args = [str(arg) for arg in (*container.get("command", []), *container.get("args", []))]
        drain = Settings().drain_seconds
        if "--drain-seconds" in args[:-1]:
            written = args[args.index("--drain-seconds") + 1]
            if not re.fullmatch(r"\d+(\.\d+)?", written):
                yield f"{title}: --drain-seconds {written} is no number of seconds."
                continue
            drain = float(written)
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        given = pod.get("terminationGracePeriodSeconds", 30)
        if given <= sleep + drain:
            yield (
                f"{title}: killed after {given} seconds (terminationGracePeriodSeconds), but preStop takes {sleep} "
                f"and the drain up to {drain:g}."
            )


def budgets(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield a fault for a disruption budget that never lets a pod go, so that no node can be drained."""
    for budget in (manifest for manifest in manifests if manifest["kind"] == "PodDisruptionBudget"):
        spec = budget.get("spec", {})
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        replicas = sum(workload["spec"].get("replicas", 1) for workload in _chosen(budget, manifests))
        if most in (0, "0%") or least == "100%" or (isinstance(least, int) and 0 < replicas <= least):
            yield f"{title_of(budget)}: of {replicas} pods none may be moved: nodes can't be emptied."


RULES = (unique, names, labels, quantities, selectors, ports, volumes, images, rights, grace, budgets)


def quantity(written: object) -> Decimal | None:
    """Return the value of a quantity such as ``500m`` or ``1.5Gi``, or None if it is none (or below 0)."""
    found = QUANTITY.fullmatch(str(written))
    if not found:
        return None
    number, unit = Decimal(found[1]), found[2] or ""
    return number * UNITS[unit] if unit in UNITS else number.scaleb(int(unit[1:]))


# What the rules ask of a manifest.


def title_of(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def _template(manifest: Manifest) -> Manifest:
    """Return a workload's pod template, a pod itself, {} for all else."""
    return manifest if manifest["kind"] == "Pod" else manifest.get("spec", {}).get("template", {})


def _pod_labels(manifest: Manifest) -> dict[str, str]:
    return _template(manifest).get("metadata", {}).get("labels", {})


def _selector(manifest: Manifest) -> dict[str, str]:
    selector = manifest.get("spec", {}).get("selector", {})
    return selector if manifest["kind"] == "Service" else selector.get("matchLabels", {})


def _chosen(manifest: Manifest, manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return the workloads whose pods match the selector of ``manifest``; [] if it has no selector."""
    selector = _selector(manifest)
    return [m for m in manifests if selector and selector.items() <= _pod_labels(m).items()]


def _containers(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Yield each container with its title for messages and its pod: title, pod, container."""
    for manifest in manifests:
        pod = _template(manifest).get("spec", {})
        for container in pod.get("containers", []):
            yield f"{title_of(manifest)}: container {container['name']}", pod, container


def _ports(container: Manifest) -> list[int | str]:
    """Return the numbers and names of a container's ports."""
    ports = container.get("ports", [])
    return [port["containerPort"] for port in ports] + [port["name"] for port in ports if "name" in port]
