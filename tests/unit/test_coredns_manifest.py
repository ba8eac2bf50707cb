import re
from typing import Any

import yaml

from tasks.addons import COREDNS_SOURCE
from tasks.lib.paths import TOP
from tasks.lib.release.imagenames import reference

MANIFEST = TOP / "payload" / "manifests" / "coredns.yaml"


def objects() -> dict[str, dict[str, Any]]:
    return {value["kind"]: value for value in yaml.safe_load_all(MANIFEST.read_text())}


def corefile() -> str:
    return str(objects()["ConfigMap"]["data"]["Corefile"])


def container() -> dict[str, Any]:
    (only,) = objects()["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def test_the_preloaded_image_is_used_and_never_pulled() -> None:
    assert container()["image"] == reference("coredns")
    assert container()["imagePullPolicy"] == "Never"


def test_the_service_has_the_address_that_pods_are_told() -> None:
    service = objects()["Service"]
    assert service["spec"]["clusterIP"] == "10.43.0.10"
    labels = objects()["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    ports = {port["name"] for port in container()["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_every_plugin_of_the_corefile_is_compiled_in() -> None:
    used = set(re.findall(r"^ {4}(\w+)", corefile(), re.MULTILINE)) - {"import"} | {"forward", "loop"}
    imported = set(re.findall(r"coredns/plugin/(\w+)", (COREDNS_SOURCE / "main.go").read_text()))
    names = {"metrics": "prometheus"}
    assert used <= {names.get(plugin, plugin) for plugin in imported}


def test_name_servers_come_from_the_folder_that_the_pod_mounts() -> None:
    folder = "/run/kubesolo/dns"
    assert f"import {folder}/*.conf" in corefile()
    volumes = objects()["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "upstream", "hostPath": {"path": folder, "type": "DirectoryOrCreate"}} in volumes
    assert {"name": "upstream", "mountPath": folder, "readOnly": True} in container()["volumeMounts"]


def test_it_runs_without_rights() -> None:
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
