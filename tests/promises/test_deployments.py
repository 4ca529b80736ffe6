"""The compose file and the Kubernetes manifests: their keys are known, their commands are ours, and they give no more than is needed.

The schemas have what the files use, with no other key allowed, so that a misspelled one is caught without an engine or a cluster.
"""

import argparse
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from vtep.app.commands import parser
from vtep.config import file as config
from vtep.feed.exabgp.config import render

PACKAGING = Path(__file__).parents[2] / "packaging"
KUBERNETES = PACKAGING / "kubernetes"
LISTED = sorted(KUBERNETES.glob("*.yaml"))
TEXT, FLAG, NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
WORDS = {"type": "array", "items": TEXT, "minItems": 1}
LABELS = {"type": "object", "additionalProperties": TEXT}


def keys(required="", **properties):
    """Return the schema of an object that has these keys and no other; a name ends with _ where Python has the word."""
    named = {name.rstrip("_"): found for name, found in properties.items()}
    return {"type": "object", "properties": named, "additionalProperties": False, "required": required.split()}


def each(item):
    return {"type": "array", "items": item, "minItems": 1}


def one_of(*values):
    return {"enum": list(values)}


METADATA = keys("name", name=TEXT, labels=LABELS, namespace=TEXT)
SELECTOR = keys("matchLabels", matchLabels=LABELS)
SECURITY = keys(
    "allowPrivilegeEscalation readOnlyRootFilesystem capabilities",
    runAsUser=NUMBER, runAsGroup=NUMBER, allowPrivilegeEscalation=one_of(False), readOnlyRootFilesystem=one_of(True),
    capabilities=keys("drop", drop={"const": ["ALL"]}, add={"const": ["NET_ADMIN"]}),
)  # fmt: skip
PROBE = keys(
    "httpGet", httpGet=keys("path port", host=TEXT, path=one_of("/livez", "/readyz"), port=TEXT),
    periodSeconds=NUMBER, failureThreshold=NUMBER,
)  # fmt: skip
CONTAINER = keys(
    "name image args securityContext volumeMounts",
    name=TEXT, image=TEXT, args=WORDS, securityContext=SECURITY, livenessProbe=PROBE, readinessProbe=PROBE,
    env=each(keys("name", name=TEXT, value=TEXT, valueFrom=keys(fieldRef=keys("fieldPath", fieldPath=TEXT)))),
    ports=each(keys("containerPort", name=TEXT, containerPort=NUMBER, protocol=one_of("TCP", "UDP"))),
    resources=keys("requests", requests=keys(cpu=TEXT, memory=TEXT), limits=keys(cpu=TEXT, memory=TEXT)),
    volumeMounts=each(keys("name mountPath", name=TEXT, mountPath=TEXT, subPathExpr=TEXT, readOnly=FLAG)),
)  # fmt: skip
POD = keys(
    "containers",
    hostNetwork=FLAG, dnsPolicy=one_of("ClusterFirstWithHostNet"), priorityClassName=TEXT, nodeSelector=LABELS,
    automountServiceAccountToken=one_of(False), terminationGracePeriodSeconds=NUMBER,
    tolerations=each(keys(key=TEXT, operator=one_of("Exists", "Equal"), value=TEXT, effect=TEXT)),
    securityContext=keys(
        supplementalGroups={"type": "array", "items": NUMBER}, seccompProfile=keys("type", type=one_of("RuntimeDefault"))
    ),
    initContainers=each(CONTAINER), containers=each(CONTAINER),
    volumes=each(
        keys(
            "name", name=TEXT, configMap=keys("name", name=TEXT), emptyDir=keys(medium=one_of("Memory")),
            hostPath=keys("path", path=TEXT, type=one_of("DirectoryOrCreate", "Directory")),
        )
    ),
)  # fmt: skip
SCHEMAS = {
    "Kustomization": keys("resources", apiVersion=TEXT, kind=TEXT, namespace=TEXT, resources=WORDS),
    "ConfigMap": keys("metadata data", apiVersion=one_of("v1"), kind=TEXT, metadata=METADATA, data=LABELS),
    "DaemonSet": keys(
        "metadata spec", apiVersion=one_of("apps/v1"), kind=TEXT, metadata=METADATA,
        spec=keys(
            "selector template", selector=SELECTOR, template=keys("metadata spec", metadata=keys(labels=LABELS), spec=POD),
            updateStrategy=keys(
                "type", type=one_of("RollingUpdate", "OnDelete"), rollingUpdate=keys(maxUnavailable=NUMBER)
            ),
        ),
    ),
    "PodMonitor": keys(
        "metadata spec", apiVersion=one_of("monitoring.coreos.com/v1"), kind=TEXT, metadata=METADATA,
        spec=keys(
            "selector podMetricsEndpoints", selector=SELECTOR,
            podMetricsEndpoints=each(keys("port", port=TEXT, interval=TEXT, path=TEXT)),
        ),
    ),
}  # fmt: skip
SERVICE = keys(
    "image command read_only cap_drop security_opt",
    image=TEXT, command=WORDS, network_mode=one_of("host", "none"), restart=one_of("on-failure", "always"), user=TEXT,
    group_add=WORDS, cap_drop={"const": ["ALL"]}, cap_add={"const": ["NET_ADMIN"]}, read_only=one_of(True), tmpfs=WORDS,
    security_opt={"const": ["no-new-privileges"]}, environment=LABELS, volumes=WORDS,
    healthcheck=keys(disable=FLAG),
    depends_on={"type": "object", "additionalProperties": keys(condition=one_of("service_completed_successfully"))},
)  # fmt: skip
COMPOSE = keys(
    "services volumes", name=TEXT, services={"type": "object", "additionalProperties": SERVICE},
    volumes={"type": "object", "additionalProperties": {"type": "null"}},
)  # fmt: skip


def read(path):
    return YAML(typ="safe", pure=True).load(path.read_text())


def wrong(schema, value):
    return [f"{error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(schema).iter_errors(value)]


def takes(words):
    """Return whether the program of the image takes these words; `exabgp` has options of its own."""
    if words[0] == "exabgp":
        return words[1] == "server"
    try:
        return isinstance(parser().parse_args(words), argparse.Namespace)
    except SystemExit:
        return False


@pytest.mark.parametrize("path", LISTED, ids=lambda path: path.name)
def test_a_manifest_has_known_keys_only(path):
    found = read(path)

    assert wrong(SCHEMAS[found["kind"]], found) == []


def test_a_misspelled_key_is_caught():
    found = read(KUBERNETES / "daemonset.yaml")
    found["spec"]["template"]["spec"]["hostNetwrok"] = True

    assert len(wrong(SCHEMAS["DaemonSet"], found)) == 1


def test_the_kustomization_lists_every_other_file():
    listed = read(KUBERNETES / "kustomization.yaml")["resources"]

    assert sorted([*listed, "kustomization.yaml"]) == [path.name for path in LISTED]


def test_the_pod_has_what_it_mounts_and_only_the_daemon_has_a_capability():
    pod = read(KUBERNETES / "daemonset.yaml")["spec"]["template"]["spec"]
    containers = [*pod["initContainers"], *pod["containers"]]
    volumes = {volume["name"] for volume in pod["volumes"]}

    assert {mount["name"] for one in containers for mount in one["volumeMounts"]} == volumes
    assert [one["name"] for one in containers if "add" in one["securityContext"]["capabilities"]] == ["vtep"]
    assert all(takes(one["args"]) for one in containers)


def test_the_file_of_a_node_is_a_configuration_from_which_exabgp_has_one():
    files = read(KUBERNETES / "configmap.yaml")["data"]

    for name, text in files.items():
        assert name.endswith(".toml")
        found = config.parse(text)
        assert "relay" in render(found)
        assert (found.feed.socket_group, found.vnis[0].manage) == ("exabgp", True)


def test_the_monitor_asks_the_port_of_the_daemon():
    daemon_set = read(KUBERNETES / "daemonset.yaml")
    monitor = read(KUBERNETES / "podmonitor.yaml")["spec"]
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    ports = {
        port["name"] for one in daemon_set["spec"]["template"]["spec"]["containers"] for port in one.get("ports", ())
    }

    assert monitor["selector"]["matchLabels"] == labels == daemon_set["spec"]["selector"]["matchLabels"]
    assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= ports


def test_the_compose_file_has_known_keys_only_and_its_commands_are_ours():
    found = read(PACKAGING / "compose.yaml")
    services = found["services"]

    assert wrong(COMPOSE, found) == []
    assert [name for name, one in services.items() if "cap_add" in one] == ["vtep"]
    assert all(takes(one["command"]) for one in services.values())
    named = {
        volume.split(":")[0] for one in services.values() for volume in one["volumes"] if not volume.startswith("/")
    }
    assert named == set(found["volumes"])
    assert set(services["exabgp"]["depends_on"]) <= set(services)


def test_the_containers_of_the_compose_file_are_those_of_the_guide():
    """docs/install.md has the same two containers as commands of docker."""
    guide = (Path(__file__).parents[2] / "docs/install.md").read_text()
    services = read(PACKAGING / "compose.yaml")["services"]

    for name, one in services.items():
        if name != "config":
            (line,) = [text for text in guide.replace("\\\n", " ").splitlines() if f"--name {name} " in text]
            assert f"--restart {one['restart']}" in line
            assert ("--cap-add NET_ADMIN" in line) is ("cap_add" in one)
            assert ("--user exabgp" in line) is (one.get("user") == "exabgp")
            assert line.split("vtep:dev")[1].split() == ([] if name == "vtep" else one["command"])
