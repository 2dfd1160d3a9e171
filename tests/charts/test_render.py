"""The chart renders, for every opening, to what Kubernetes accepts and the restricted Pod Security level lets in."""

import importlib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from helm_python import Chart, lint, package

from chart_bench import CHART, FILES, OPENING, jobs, named, notes, offline, pods, render
from mstar_coordinator.config import CoordinatorSettings

SETTINGS = {
    "MSTAR_POLICY_": ("mstar_policy.config", "PolicySettings"),
    "MSTAR_PRM_": ("mstar_prm.config", "PrmSettings"),
    "MSTAR_COORDINATOR_": ("mstar_coordinator.config", "CoordinatorSettings"),
    "MSTAR_WORKER_": ("mstar_coordinator.worker.main", "StepWorkerSettings"),
    "MSTAR_TRAINER_": ("mstar_trainer.config", "TrainerSettings"),
}

ALL_KEYS = {name: name[0] * 20 for name in ("runAdmin", "score", "internal", "weightsAdmin", "metrics")}


@pytest.fixture(params=OPENING)
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return render(OPENING[request.param])


@pytest.mark.parametrize("version", ["1.30", "1.34", "1.37"])
def test_kubernetes_accepts_every_object(objects: list[dict[str, Any]], version: str) -> None:
    assert len(objects) > 15
    elsewhere = {"monitoring.coreos.com/v1", "trainer.kubeflow.org/v1alpha1"}
    for one in [*objects, *jobs(objects)]:
        # Pods share devices from Kubernetes 1.34 on.
        too_new = version == "1.30" and one["metadata"]["name"].startswith("demo-mstar-gpus")
        if one["apiVersion"] not in elsewhere and not too_new:
            kubernetes_validate.validate(one, version, strict=True)


@pytest.mark.parametrize("version", ["v1.30.0", "v1.37.0"])
@pytest.mark.parametrize("opening", OPENING)
def test_helm_lint_finds_nothing(opening: str, version: str) -> None:
    report = lint(CHART, offline(OPENING[opening]), strict=True, namespace="ns", kube_version=version)
    assert report["errors"] == []
    assert [said["error"] for said in report["messages"]] == ["icon is recommended"]


def test_the_packed_chart_renders_as_the_folder_does(tmp_path: Path) -> None:
    packed = package(CHART, destination=tmp_path)
    given = OPENING["full"] | {"keys": {"existingSecret": "k"}, "redis": {"existingSecret": "r"}}
    rendered = [Chart.load(path).render(given, name="demo", namespace="ns") for path in (CHART, packed)]
    assert rendered[0] == rendered[1]


def test_every_variable_is_a_setting_of_the_service_that_gets_it(objects: list[dict[str, Any]]) -> None:
    seen = 0
    for name, pod in pods(objects).items():
        given = (entry["name"] for container in pod["containers"] for entry in container.get("env", []))
        for variable in given:
            if variable.startswith("MSTAR_"):
                prefix = next((prefix for prefix in SETTINGS if variable.startswith(prefix)), "none")
                module, kind = SETTINGS[prefix]
                fields = getattr(importlib.import_module(module), kind).model_fields
                assert variable.removeprefix(prefix).lower() in fields, f"{name}: {variable}"
                seen += 1
    assert seen > 25


def test_pods_pass_the_restricted_level(objects: list[dict[str, Any]]) -> None:
    for name, pod in pods(objects).items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["enableServiceLinks"] is False, name
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["requests"] and container["resources"]["limits"]["memory"], name
            assert not container["image"].endswith(":latest") and ":" in container["image"], name


def test_services_select_pods_and_ports_exist(objects: list[dict[str, Any]]) -> None:
    makers = [*(one for one in objects if one["kind"] in ("Deployment", "StatefulSet")), *jobs(objects)]
    for name, service in named(objects, "Service").items():
        chosen = [
            maker["spec"]["template"]
            for maker in makers
            if service["spec"]["selector"].items() <= maker["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert len(chosen) == 1, name
        containers = chosen[0]["spec"]["containers"]
        ports = {port["name"] for container in containers for port in container.get("ports", ())}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name
    for maker in makers:
        labels = maker["spec"]["template"]["metadata"]["labels"]
        assert maker["spec"].get("selector", {"matchLabels": {}})["matchLabels"].items() <= labels.items()


def test_secrets_are_never_in_a_pod(objects: list[dict[str, Any]]) -> None:
    values = [value for secret in named(objects, "Secret").values() for value in secret["stringData"].values()]
    assert all(value not in str(pods(objects)) for value in values)


def test_gpu_pods_are_replaced_not_rolled_and_have_shared_memory() -> None:
    objects = render(OPENING["dedicated"])
    for component in ("policy", "prm", "trainer"):
        deployment = named(objects, "Deployment")[f"demo-mstar-{component}"]
        assert deployment["spec"]["strategy"] == {"type": "Recreate"}
        pod = deployment["spec"]["template"]["spec"]
        assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
        assert {"name": "shm", "mountPath": "/dev/shm"} in pod["containers"][0]["volumeMounts"]
    on_cpu = pods(render(OPENING["CPU"]))["demo-mstar-policy"]["containers"][0]
    assert "nvidia.com/gpu" not in on_cpu["resources"]["limits"]


def test_an_image_may_have_a_tag_of_its_own() -> None:
    cpu = {name: {"image": {"tag": "2-cpu"}} for name in ("policy", "prm", "trainer")}
    images = {
        container["image"]
        for name, pod in pods(render(OPENING["dedicated"] | cpu | {"image": {"tag": "2"}})).items()
        for container in pod["containers"]
        if "redis" not in name
    }
    assert images == {"mstar-coordinator:2", "mstar-policy:2-cpu", "mstar-prm:2-cpu", "mstar-trainer:2-cpu"}
    pinned = {"image": {"tag": "2-cpu", "digest": "sha256:" + "a" * 64}}
    (container,) = pods(render({"policy": pinned}))["demo-mstar-policy"]["containers"]
    assert container["image"] == "mstar-policy@sha256:" + "a" * 64


def test_the_values_for_a_laptop_fit_one_and_name_the_images_that_compose_builds() -> None:
    found = pods(render(FILES["values-cpu.yaml"]))
    running = [container for name, pod in found.items() if "-test-" not in name for container in pod["containers"]]
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    images = {container["image"] for container in running}
    models = {f"mstar-{name}:{version}-cpu" for name in ("policy", "prm", "trainer")}
    assert {image for image in images if image.startswith("mstar-")} == models | {f"mstar-coordinator:{version}"}
    requests = [container["resources"]["requests"] for container in running]
    # A control plane on the same two cores takes nearly one of them.
    assert sum(int(one["cpu"].removesuffix("m")) for one in requests) <= 900
    assert not any("nvidia.com/gpu" in container["resources"]["limits"] for container in running)


@pytest.mark.parametrize(("name", "gpus"), [("values-gpu-1.yaml", 1), ("values-gpu-8.yaml", 8)])
def test_the_values_for_a_node_of_gpus_give_each_in_turn_all_of_them(name: str, gpus: int) -> None:
    objects = render(FILES[name])
    own = pods(objects)["demo-mstar-coordinator"]["containers"][0]["env"]
    counts = {entry["name"]: entry.get("value") for entry in own}
    for component in ("policy", "prm"):
        (container,) = pods(objects)[f"demo-mstar-{component}"]["containers"]
        replicas = int(counts[f"MSTAR_COORDINATOR_{component.upper()}_REPLICAS"])
        assert container["resources"]["limits"]["nvidia.com/gpu"] * replicas == gpus
    (job,) = jobs(objects)
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == gpus


def test_with_only_the_gpus_set_to_0_all_pods_fit_a_node_of_two_cores() -> None:
    found = pods(render({name: {"gpus": 0} for name in ("policy", "prm", "trainer")}))
    requests = {name: pod["containers"][0]["resources"]["requests"]["cpu"] for name, pod in found.items()}
    counts = {"coordinator": 1, "redis": 1, "worker-rollout": 2, "worker-score": 2}
    in_turn = max(int(requests[name].removesuffix("m")) for name in ("demo-mstar-policy", "trainer-job"))
    together = sum(int(requests[f"demo-mstar-{name}"].removesuffix("m")) * count for name, count in counts.items())
    assert together + in_turn <= 1000


def test_no_process_of_ours_is_the_first_of_its_pod(objects: list[dict[str, Any]]) -> None:
    # The first process of a namespace gets no SIGTERM that it has no handler for yet.
    assert all(pod["shareProcessNamespace"] is True for pod in pods(objects).values())


def test_slow_starts_are_waited_for_and_hangs_are_not() -> None:
    for component, seconds in (("policy", 1800), ("prm", 1800), ("coordinator", 120)):
        container = pods(render())[f"demo-mstar-{component}"]["containers"][0]
        startup = container["startupProbe"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= seconds
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_a_database_that_takes_long_to_change_is_waited_for() -> None:
    startup = pods(render({"coordinator": {"startupSeconds": 3600}}))["demo-mstar-coordinator"]["containers"][0]
    assert startup["startupProbe"]["failureThreshold"] == 720


def test_in_place_three_containers_have_the_shared_memory_of_all_three() -> None:
    mode = {"gpuSharing": {"mode": "colocated"}}
    sizes = [("16Gi", "2Gi", "16Gi", 34 * 1024), ("512Mi", "1.5Gi", "1G", 512 + 1536 + 954), ("1Ki", "0", "1m", 2)]
    for policy, prm, trainer, together in sizes:
        values = {"policy": {"shmSize": policy}, "prm": {"shmSize": prm}, "trainer": {"shmSize": trainer}}
        volumes = {one["name"]: one for one in pods(render(mode | values))["demo-mstar-gpus"]["volumes"]}
        assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": f"{together}Mi"}


def test_in_place_a_volume_of_two_components_is_there_once() -> None:
    volume, mount = {"name": "models", "emptyDir": {}}, {"name": "models", "mountPath": "/models"}
    more = {"extraVolumes": [volume], "extraVolumeMounts": [mount]}
    pod = pods(render({"gpuSharing": {"mode": "colocated"}, "policy": more, "trainer": more}))["demo-mstar-gpus"]
    assert pod["volumes"].count(volume) == 1
    assert [mount in container["volumeMounts"] for container in pod["containers"]] == [True, False, True]


def test_a_policy_without_weights_is_reached_so_that_it_can_get_them() -> None:
    services = named(render(), "Service")
    for name in ("demo-mstar-policy", "demo-mstar-prm-replicas"):
        assert services[name]["spec"]["publishNotReadyAddresses"] is True
        assert services[name]["spec"]["clusterIP"] == "None"


def test_what_was_made_with_care_is_kept_on_uninstall() -> None:
    kept = {
        (one["kind"], one["metadata"]["name"])
        for one in render()
        if one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    }
    assert kept == {
        ("PersistentVolumeClaim", "demo-mstar-artefacts"),
        ("PersistentVolumeClaim", "demo-mstar-database"),
        ("Secret", "demo-mstar-keys"),
        ("Secret", "demo-mstar-redis"),
    }


def test_two_releases_share_no_name_and_select_nothing_of_each_other() -> None:
    first, second = render(name="one"), render(name="two")
    names = [{(one["kind"], one["metadata"]["name"]) for one in objects} for objects in (first, second)]
    assert not names[0] & names[1]
    labels = [maker["spec"]["template"]["metadata"]["labels"] for maker in second if maker["kind"] == "Deployment"]
    for service in named(first, "Service").values():
        assert not any(service["spec"]["selector"].items() <= own.items() for own in labels)


def test_an_upgrade_changes_nothing_that_cannot_change() -> None:
    before, after = render(is_install=True, revision=1), render(is_upgrade=True, revision=2)
    for kind in ("Deployment", "StatefulSet"):
        for name, one in named(before, kind).items():
            assert one["spec"]["selector"] == named(after, kind)[name]["spec"]["selector"]
    for name, one in named(before, "PersistentVolumeClaim").items():
        assert one["spec"] == named(after, "PersistentVolumeClaim")[name]["spec"]


def test_the_clients_secret_comes_from_a_secret_and_all_else_is_a_setting() -> None:
    values = {"issuer": "https://login.example.org", "publicUrl": "https://mstar.example.org", "clientId": "mstar"}
    values |= {"existingSecret": "login", "roles": "staff=read", "projectClaim": "team", "projects": "b=blue"}
    (container,) = pods(render({"signIn": values}))["demo-mstar-coordinator"]["containers"]
    told = {one["name"]: one for one in container["env"] if "OIDC" in one["name"] or "PUBLIC" in one["name"]}
    secret = told.pop("MSTAR_COORDINATOR_OIDC_CLIENT_SECRET")["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "login", "key": "client-secret"}
    fields = {name.removeprefix("MSTAR_COORDINATOR_").lower(): one["value"] for name, one in told.items()}
    whole = CoordinatorSettings(
        broker_url="redis://unused",
        run_admin_key="k" * 16,
        internal_key="i" * 16,
        oidc_client_secret="s",
        home="/data",
        **fields,
    )
    assert whole.claim_rules().projects == {"b": "blue"}
    assert "OIDC" not in str(render({}))


def test_every_process_of_ours_is_told_where_traces_go() -> None:
    values = {"traces": {"endpoint": "http://collector:4318", "share": 0.25, "headersSecret": "collector"}}
    for extra in ({}, {"gpuSharing": {"mode": "dedicated"}}, {"gpuSharing": {"mode": "colocated", "gpus": 0}}):
        seen = set()
        for pod, spec in pods(render(values | extra)).items():
            for container in spec["containers"]:
                told = {one["name"]: one for one in container.get("env", []) if one["name"].startswith("OTEL_")}
                if any(one["name"].startswith("MSTAR_") for one in container.get("env", [])):
                    seen.add(pod)
                    assert told["OTEL_EXPORTER_OTLP_ENDPOINT"]["value"] == "http://collector:4318"
                    assert told["OTEL_TRACES_SAMPLER_ARG"]["value"] == "0.25"
                    secret = told["OTEL_EXPORTER_OTLP_HEADERS"]["valueFrom"]["secretKeyRef"]
                    assert secret == {"name": "collector", "key": "headers"}
        assert len(seen) >= 4
    assert "OTEL_" not in str(render({}))


def test_made_keys_restart_no_pod_on_an_upgrade() -> None:
    # Each of these renderings makes other keys, as one that cannot see the cluster does.
    before, after = (
        named(render(is_install=True), "Deployment"),
        named(render(is_upgrade=True, revision=2), "Deployment"),
    )
    for name, deployment in before.items():
        assert deployment["spec"]["template"] == after[name]["spec"]["template"], name


def test_keys_that_change_restart_the_pods_that_read_them() -> None:
    def checksum(**keys: str) -> str:
        deployment = named(render({"keys": {"internal": "x" * 20, **keys}}), "Deployment")["demo-mstar-policy"]
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["checksum/keys"])

    fixed = {"runAdmin": "a" * 20, "score": "b" * 20, "weightsAdmin": "c" * 20}
    assert checksum(**fixed) == checksum(**fixed) != checksum(**fixed | {"score": "d" * 20})


def test_prometheus_reaches_every_pod_that_it_is_told_of_and_once() -> None:
    scraping = {"metrics": {"serviceMonitor": True, "fromNamespaces": {"team": "watch"}}}
    objects = render(scraping)
    services, policies = named(objects, "Service").values(), named(objects, "NetworkPolicy")
    peer = {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
        "namespaceSelector": {"matchLabels": {"team": "watch"}},
    }
    monitors = named(objects, "ServiceMonitor")
    assert set(monitors) == {"demo-mstar-coordinator", "demo-mstar-policy", "demo-mstar-prm"}
    for name, monitor in monitors.items():
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = (one for one in services if wanted <= one["metadata"]["labels"].items())
        assert service["spec"]["selector"]["app.kubernetes.io/component"] == name.removeprefix("demo-mstar-")
        assert peer in policies[name]["spec"]["ingress"][0]["from"]
    assert peer not in policies["demo-mstar-redis"]["spec"]["ingress"][0]["from"]
    assert "prometheus" not in str(named(render(), "NetworkPolicy"))


def test_more_volumes_and_spread_reach_the_component_they_are_given_to() -> None:
    spread = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    volume, mount = {"name": "models", "emptyDir": {}}, {"name": "models", "mountPath": "/models"}
    more = {"extraVolumes": [volume], "extraVolumeMounts": [mount], "topologySpreadConstraints": [spread]}
    for component in ("coordinator", "workers", "policy", "prm", "trainer"):
        objects = render(OPENING["dedicated"] | {component: more})
        for name, deployment in named(objects, "Deployment").items():
            pod, given = deployment["spec"]["template"]["spec"], component.removesuffix("s") in name
            assert (volume in pod["volumes"]) is (mount in pod["containers"][0]["volumeMounts"]) is given, name
            assert (pod.get("topologySpreadConstraints") == [spread]) is given, name
            kubernetes_validate.validate(deployment, "1.37", strict=True)


def test_the_queue_is_placed_by_its_own_values() -> None:
    place = {"nodeSelector": {"pool": "cpu"}, "tolerations": [{"operator": "Exists"}], "priorityClassName": "high"}
    affinity = {"nodeAffinity": {}}
    placed = pods(render({"redis": place | {"affinity": affinity}}))
    given = {name: placed["demo-mstar-redis"][name] for name in (*place, "affinity")}
    assert given == place | {"affinity": affinity}
    assert not any("nodeSelector" in pod for name, pod in placed.items() if name != "demo-mstar-redis")


def test_a_platform_may_choose_the_users_of_all_pods() -> None:
    objects = render({"podSecurityContext": dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"))})
    for name, pod in pods(objects).items():
        context = pod["securityContext"]
        assert context["runAsNonRoot"] and not {"runAsUser", "runAsGroup", "fsGroup"} & set(context), name
    for one in [*objects, *jobs(objects)]:
        kubernetes_validate.validate(one, "1.37", strict=True)
    own = pods(render({"podSecurityContext": {"runAsUser": 4711}}))
    assert {pod["securityContext"]["runAsUser"] for pod in own.values()} == {4711}


def test_one_pod_reads_what_another_has_written() -> None:
    checks = {name: one for name, one in named(render(), "Pod").items() if "-test-storage-" in name}
    weights = {name: int(one["metadata"]["annotations"]["helm.sh/hook-weight"]) for name, one in checks.items()}
    assert weights["demo-mstar-test-storage-write"] < weights["demo-mstar-test-storage-read"]


def test_with_an_object_store_only_the_coordinators_pod_has_a_claim() -> None:
    objects = render(OPENING["object store"])
    claims = named(objects, "PersistentVolumeClaim")
    assert (
        claims["demo-mstar-home"]["spec"]["accessModes"] == ["ReadWriteOnce"] and "demo-mstar-artefacts" not in claims
    )
    for name, pod in pods(objects).items():
        (data,) = [one for one in pod.get("volumes", []) if one["name"] == "artefacts"] or [{}]
        assert ("persistentVolumeClaim" in data) is (name == "demo-mstar-coordinator"), name
        assert data.get("emptyDir", {"sizeLimit": "40G"}) == {"sizeLimit": "40G"}, name


def test_with_an_object_store_every_service_knows_it_and_its_own_credentials() -> None:
    seen = set()
    for pod in pods(render(OPENING["object store"])).values():
        for container in pod["containers"]:
            given = {entry["name"]: entry for entry in container.get("env", [])}
            for name in [name for name in given if name.startswith("MSTAR_") and name.endswith("_HOME")]:
                prefix = name.removesuffix("HOME")
                assert given[f"{prefix}ARTEFACTS"]["value"] == "s3://bucket/below"
                assert given[f"{prefix}ARTEFACTS_ENDPOINT"]["value"] == "http://minio.storage:9000"
                secret = given["AWS_SECRET_ACCESS_KEY"]["valueFrom"]["secretKeyRef"]
                assert secret == {"name": "my-s3", "key": "secret-access-key"}
                seen.add(prefix)
    assert seen == set(SETTINGS)


def test_with_an_object_store_who_prepares_and_publishes_is_in_the_coordinators_pod() -> None:
    found = pods(render(OPENING["object store"]))
    queues = {
        name: [c["args"][2] for c in pod["containers"] if c.get("args", [""])[0] == "worker"]
        for name, pod in found.items()
    }
    assert {name: own for name, own in queues.items() if own} == {
        "demo-mstar-coordinator": ["control"],
        "demo-mstar-worker-rollout": ["rollout"],
        "demo-mstar-worker-score": ["score"],
    }
    beside = pods(render())["demo-mstar-worker-score"]["containers"][0]["args"]
    assert beside == ["worker", "--queues", "control,score"]


def test_the_notes_say_what_to_type_next() -> None:
    said = notes()
    assert "port-forward svc/demo-mstar-coordinator 8400" in said and "helm -n ns test demo" in said
    assert "svc/demo-mstar-prm 8402" in said and "\n\n\n" not in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "keys that no value gives, the queue's password."),
        ({"keys": {"score": "s" * 20}}, "keys that no value gives, the queue's password."),
        ({"keys": ALL_KEYS}, "uninstall: the queue's password."),
        ({"keys": ALL_KEYS, "redis": {"existingSecret": "r"}}, ""),
        ({"keys": {"existingSecret": "k"}}, "uninstall: the queue's password."),
        ({"redis": {"existingSecret": "r"}}, "uninstall: keys that no value gives."),
        (OPENING["everything elsewhere"], ""),
    ],
)
def test_the_notes_say_what_was_made_at_install_and_nothing_else(values: dict[str, Any], said: str) -> None:
    assert said in notes(values) and ("Made at install" in notes(values)) is bool(said)
    wanted = {"keys.existingSecret": "keys that" in said, "redis.existingSecret": "password" in said}
    assert {name: name in notes(values) for name in wanted} == wanted


def test_the_coordinator_knows_the_gpus_that_train_and_whether_they_have_four_bits() -> None:
    def known(values: dict[str, Any]) -> dict[str, str]:
        pod = pods(render(values))["demo-mstar-coordinator"]
        return {one["name"]: one.get("value", "") for one in pod["containers"][0]["env"]}

    assert "MSTAR_COORDINATOR_TRAINING_GPU_GB" not in known({})
    assert "MSTAR_COORDINATOR_UNTRIED_MODELS" not in known({})
    allowed = known({"coordinator": {"untriedModels": ["llama4", "lfm2_vl"]}})
    assert allowed["MSTAR_COORDINATOR_UNTRIED_MODELS"] == "llama4,lfm2_vl"
    told = known({"trainer": {"gpuGigabytes": 80, "fourBit": True}})
    assert told["MSTAR_COORDINATOR_TRAINING_GPU_GB"] == "80"
    assert told["MSTAR_COORDINATOR_TRAINING_FOUR_BIT"] == "true"
