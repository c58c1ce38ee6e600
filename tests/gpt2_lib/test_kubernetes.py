"""Tests of the manifests: they have no fault that is detectable without a cluster, and every planted fault is found."""

from __future__ import annotations

import copy
from fnmatch import fnmatch
from pathlib import Path

import pytest

from gpt2_lib.deploy.extras import DeployError, MissingExtraError
from gpt2_lib.deploy.serving import kubernetes
from gpt2_lib.deploy.serving.kubernetes import MANIFESTS, OVERLAYS, check, main, read, validate
from gpt2_lib.deploy.serving.manifest_rules import local_images, quantity


@pytest.fixture(scope="module")
def course() -> list[dict]:
    """The pruned overlay, built."""
    manifests, faults = read(OVERLAYS[1])
    assert not faults
    return manifests


@pytest.fixture
def parts(course) -> tuple[list[dict], dict, dict, dict, dict]:
    """A copy to plant a fault in: all manifests, the Deployment, its container, the Service, the budget."""
    manifests = copy.deepcopy(course)
    kinds = {manifest["kind"]: manifest for manifest in manifests}
    deployment = kinds["Deployment"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    return manifests, deployment, container, kinds["Service"], kinds["PodDisruptionBudget"]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda folder: folder.name)
def test_the_overlays_have_no_fault(overlay):
    assert validate(overlay) == []


def test_the_overlays_differ_in_name_image_and_labels():
    built = [{m["kind"]: m for m in read(overlay)[0]} for overlay in OVERLAYS]
    deployments = [kinds["Deployment"] for kinds in built]
    assert [d["metadata"]["name"] for d in deployments] == ["gpt2-dense", "gpt2-pruned"]
    images = [d["spec"]["template"]["spec"]["containers"][0]["image"] for d in deployments]
    assert images == ["gpt2-served:dense", "gpt2-served:pruned"]
    assert (
        built[0]["Service"]["spec"]["selector"] != built[1]["Service"]["spec"]["selector"]
    )  # both may run side by side


def test_the_server_takes_the_arguments_of_the_deployment_and_of_the_containerfile(course, capsys):
    """Without a model it gets as far as looking for the file."""
    from gpt2_lib.deploy.serving import serve

    arguments = next(m for m in course if m["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0][
        "args"
    ]
    with pytest.raises(SystemExit) as end:
        serve.main(["--model", "no-such.onnx", "--host", "127.0.0.1", "--port", "0", *arguments])
    assert end.value.code == 2
    assert "no file no-such.onnx" in capsys.readouterr().err
    entry = next(
        line
        for line in (MANIFESTS / "Containerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("ENTRYPOINT")
    )
    assert entry.endswith(
        '"-m", "gpt2_lib.deploy", "serve", "--model", "model.onnx", "--host", "0.0.0.0", "--port", "8000"]'
    )


def test_probes_ask_the_routes_that_the_server_has(course):
    container = next(m for m in course if m["kind"] == "Deployment")["spec"]["template"]["spec"]["containers"][0]
    paths = {
        probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert paths == {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}


def twice(manifests, deployment, container, service, budget):
    manifests.append(copy.deepcopy(service))


def bad_name(manifests, deployment, container, service, budget):
    deployment["metadata"]["name"] = "GPT2_pruned"


def service_name_that_starts_with_a_digit(manifests, deployment, container, service, budget):
    service["metadata"]["name"] = "2gpt"


def bad_container_name(manifests, deployment, container, service, budget):
    container["name"] = "Serve"


def bad_label(manifests, deployment, container, service, budget):
    deployment["metadata"]["labels"]["app.kubernetes.io/version"] = "a b"


def bad_label_key(manifests, deployment, container, service, budget):
    deployment["metadata"]["labels"]["a/b/c"] = "x"


def long_port_name(manifests, deployment, container, service, budget):
    container["ports"].append({"name": "the-port-of-the-metrics", "containerPort": 9000})


def bad_quantity(manifests, deployment, container, service, budget):
    container["resources"]["limits"]["memory"] = "600MB"


def millibytes(manifests, deployment, container, service, budget):
    container["resources"]["requests"]["memory"] = "400m"


def request_over_limit(manifests, deployment, container, service, budget):
    container["resources"]["requests"]["memory"] = "2Gi"


def cpu_request_over_limit(manifests, deployment, container, service, budget):
    container["resources"]["requests"]["cpu"] = "2001m"


def no_memory_limit(manifests, deployment, container, service, budget):
    del container["resources"]["limits"]["memory"]


def selector_misses_its_own_pods(manifests, deployment, container, service, budget):
    deployment["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = "gpt3"


def service_selects_nothing(manifests, deployment, container, service, budget):
    service["spec"]["selector"] = {"app": "gpt2"}


def budget_selects_nothing(manifests, deployment, container, service, budget):
    budget["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] = "gpt3"


def probe_port_by_name(manifests, deployment, container, service, budget):
    container["livenessProbe"]["httpGet"]["port"] = "web"


def probe_port_by_number(manifests, deployment, container, service, budget):
    container["readinessProbe"]["httpGet"]["port"] = 8080


def port_twice(manifests, deployment, container, service, budget):
    container["ports"].append({"name": "again", "containerPort": 8000})


def target_port_by_name(manifests, deployment, container, service, budget):
    service["spec"]["ports"][0]["targetPort"] = "web"


def target_port_left_out(manifests, deployment, container, service, budget):
    del service["spec"]["ports"][0]["targetPort"]  # then it is the port itself, 80


def mount_without_volume(manifests, deployment, container, service, budget):
    container["volumeMounts"] = [{"name": "scratch", "mountPath": "/tmp"}]


def image_without_tag(manifests, deployment, container, service, budget):
    container["image"] = "localhost:5000/gpt2-served"


def image_latest(manifests, deployment, container, service, budget):
    container["image"] = "gpt2-served:latest"


def root(manifests, deployment, container, service, budget):
    container["securityContext"]["runAsUser"] = 0


def gains_rights(manifests, deployment, container, service, budget):
    del container["securityContext"]["allowPrivilegeEscalation"]


def writable_root(manifests, deployment, container, service, budget):
    container["securityContext"]["readOnlyRootFilesystem"] = False


def killed_while_it_drains(manifests, deployment, container, service, budget):
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 35


def drain_without_a_number(manifests, deployment, container, service, budget):
    container["args"][-1] = "half a minute"


def budget_that_moves_nothing(manifests, deployment, container, service, budget):
    del budget["spec"]["maxUnavailable"]
    budget["spec"]["minAvailable"] = 2


def unknown_field(manifests, deployment, container, service, budget):
    container["livenesProbe"] = container.pop("livenessProbe")


def wrong_type(manifests, deployment, container, service, budget):
    deployment["spec"]["replicas"] = "two"


def unknown_kind(manifests, deployment, container, service, budget):
    manifests.append({"apiVersion": "apps/v1", "kind": "Deploiment", "metadata": {"name": "x"}})


def no_kind(manifests, deployment, container, service, budget):
    del service["kind"]


def no_name(manifests, deployment, container, service, budget):
    del service["metadata"]["name"]


PLANTED = {
    twice: "is there twice",
    bad_name: "bad name 'GPT2_pruned'",
    service_name_that_starts_with_a_digit: "bad name '2gpt'",
    bad_container_name: "bad name 'Serve' of a container",
    bad_label: "bad value 'a b'",
    bad_label_key: "bad label 'a/b/c'",
    long_port_name: "bad name 'the-port-of-the-metrics' of a port",
    bad_quantity: "'600MB' is no quantity",
    millibytes: "less than a megabyte",
    request_over_limit: "requests 2Gi of memory, over its limit",
    cpu_request_over_limit: "requests 2001m of cpu, over its limit 2",
    no_memory_limit: "no limit of memory",
    selector_misses_its_own_pods: "doesn't match its own pods",
    service_selects_nothing: "Service gpt2-pruned: no pods here",
    budget_selects_nothing: "PodDisruptionBudget gpt2-pruned: no pods here",
    probe_port_by_name: "livenessProbe asks port 'web'",
    probe_port_by_number: "readinessProbe asks port 8080",
    port_twice: "a port is there twice",
    target_port_by_name: "targetPort 'web' is no port",
    target_port_left_out: "targetPort 80 is no port",
    mount_without_volume: "mounts 'scratch'",
    image_without_tag: "needs a tag",
    image_latest: "needs a tag",
    root: "may run as root",
    gains_rights: "may gain rights",
    writable_root: "may write to its file system",
    killed_while_it_drains: "killed after 35 seconds",
    drain_without_a_number: "half a minute is no number",
    budget_that_moves_nothing: "of 2 pods none may be moved",
    unknown_field: "livenesProbe",
    wrong_type: "spec.replicas",
    unknown_kind: "no kind Deploiment",
    no_kind: "lacks apiVersion or kind",
    no_name: "metadata.name is missing",
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_and_no_other(plant, parts):
    plant(*parts)
    found = check(parts[0])
    assert any(PLANTED[plant] in fault for fault in found), found
    follows = {  # what a fault brings with it
        selector_misses_its_own_pods: 1,
        unknown_field: 3,  # without the Deployment, Service and budget select nothing
        wrong_type: 3,
        bad_label: 1,
    }
    assert len(found) <= follows.get(plant, 1), found


def test_fields_that_are_null_count_as_left_out(parts):
    _, deployment, container, _, _ = parts
    deployment["spec"]["template"]["spec"]["volumes"] = container["volumeMounts"] = container["env"] = None
    assert check(parts[0]) == []


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("500m", 0.5),
        ("1.5", 1.5),
        (2, 2),
        ("1Ki", 1024),
        ("300Mi", 300 * 2**20),
        ("1e3", 1000),
        ("2G", 2e9),
        (".5", 0.5),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(written, amount):
    assert quantity(written) == pytest.approx(amount)


@pytest.mark.parametrize("written", ["", "Mi", "1 Gi", "1GiB", "-1", "1,5", "0x10", "ten", "1K"])
def test_an_invalid_quantity_is_none(written):
    assert quantity(written) is None


def test_a_broken_kustomization_is_a_fault_with_kubectls_words(tmp_path):
    (tmp_path / "kustomization.yaml").write_text("resources: [nothing.yaml]\n")
    (fault,) = validate(tmp_path)
    assert "can't build" in fault
    assert "nothing.yaml" in fault


def test_files_without_kustomization_are_read_as_they_are(tmp_path):
    for name in ("deployment", "service", "disruption"):
        (tmp_path / f"{name}.yaml").write_text((MANIFESTS / "base" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert sorted({fault.rpartition(": ")[2][:20] for fault in validate(tmp_path)}) == [
        "image 'gpt2-served' ",  # the overlays add the tag
        "one server could tak",  # and the limit of memory
    ]
    (tmp_path / "broken.yaml").write_text("a: [\n")
    assert any("broken.yaml is no YAML" in fault for fault in validate(tmp_path))


def test_a_folder_with_nothing_in_it_is_named(tmp_path):
    with pytest.raises(DeployError, match=r"has no kustomization\.yaml and no manifests"):
        validate(tmp_path)
    with pytest.raises(DeployError, match="There is no folder"):
        validate(tmp_path / "absent")


def test_without_kubectl_the_command_that_adds_it_is_named(monkeypatch):
    monkeypatch.setattr(kubernetes.shutil, "which", lambda *_, **__: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gpt2-pruning-course\[dev\]'"):
        validate(OVERLAYS[0])


def test_the_command_says_that_no_cluster_ran_them(capsys):
    main([])
    assert capsys.readouterr().out.splitlines() == [
        f"{name}: {said}"
        for name in ("dense", "pruned")
        for said in (
            "3 manifests, no fault found; not applied to any cluster",
            f"note: Deployment gpt2-{name}: container serve: image 'gpt2-served:{name}' names no registry: nodes must "
            "have it already.",
        )
    ]


@pytest.mark.parametrize(
    ("image", "pushed"),
    [
        ("gpt2-served:pruned", False),
        ("team/gpt2:1.0", False),
        ("registry.example.com/team/gpt2:1.0", True),
        ("localhost/gpt2:1.0", True),
        ("hub:5000/gpt2:1.0", True),
    ],
)
def test_an_image_without_a_registry_is_noted_and_is_no_fault(image, pushed, parts):
    manifests, _, container, *_ = parts
    container["image"] = image
    assert check(manifests) == []
    assert [image in note for note in local_images(manifests)] == ([] if pushed else [True])


def test_the_command_ends_with_1_for_faults_and_2_for_no_folder(tmp_path, capsys):
    (tmp_path / "service.yaml").write_text((MANIFESTS / "base" / "service.yaml").read_text(encoding="utf-8"))
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path)])
    assert end.value.code == 1
    assert "no pods here have the labels" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path / "absent")])
    assert end.value.code == 2


def test_the_containers_context_is_in_the_repository(repository: Path):
    """What the Containerfile copies exists, and .gitignore leaves its folder alone."""
    copied = [
        line.split()[1]
        for line in (MANIFESTS / "Containerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY")
    ]
    assert copied == ["gpt2_lib", "${MODEL}"]
    assert (repository / copied[0]).is_dir()
    ignored = [
        line.strip("/")
        for line in (repository / ".gitignore").read_text(encoding="utf-8").splitlines()
        if line[:1] != "!"
    ]
    folders = (MANIFESTS / "Containerfile").relative_to(repository).parts
    assert [part for part in folders for pattern in ignored if fnmatch(part, pattern)] == []
