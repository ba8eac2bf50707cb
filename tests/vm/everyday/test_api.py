"""The API itself: types of the user's own, admission, ownership of fields, quotas, rights."""

from __future__ import annotations

import json
import time

import pytest

from tasks.lib.vm.patience import stretched
from tests.vm.everyday.conftest import MACHINE_SECONDS, Everyday, manifest

pytestmark = [pytest.mark.long, pytest.mark.timeout(MACHINE_SECONDS)]

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kettles.tests.kubesolo.io}
spec:
  group: tests.kubesolo.io
  scope: Namespaced
  names: {plural: kettles, singular: kettle, kind: Kettle, shortNames: [ke]}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}, scale: {specReplicasPath: .spec.cups, statusReplicasPath: .status.cups}}
      additionalPrinterColumns: [{name: Cups, type: integer, jsonPath: .spec.cups}]
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [cups]
              properties:
                cups: {type: integer, minimum: 1}
                most: {type: integer, default: 8}
              x-kubernetes-validations: [{rule: self.cups <= self.most, message: the kettle is too small}]
            status: {type: object, properties: {cups: {type: integer}}}
"""
KETTLE = """
apiVersion: tests.kubesolo.io/v1
kind: Kettle
metadata: {name: mine}
spec: {cups: %s}
"""
RESTRICTED = """
apiVersion: v1
kind: Namespace
metadata:
  name: restricted
  labels: {pod-security.kubernetes.io/enforce: restricted}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: restricted}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: "@image@"
      command: [sleep, infinity]
      securityContext: %s
"""
CONFINED = (
    "{runAsNonRoot: true, runAsUser: 1000, allowPrivilegeEscalation: false, "
    "capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}"
)
POLICIES = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-purple}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: policed}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  validations: [{expression: "!has(object.data) || object.data.colour != 'purple'",
                 message: purple is not for us}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-purple}
spec: {policyName: no-purple, validationActions: [Deny]}
---
apiVersion: v1
kind: Namespace
metadata: {name: policed}
"""
LIMITED = """
apiVersion: v1
kind: Namespace
metadata: {name: limited}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: two, namespace: limited}
spec: {hard: {count/configmaps: "3", requests.memory: 64Mi}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: usual, namespace: limited}
spec: {limits: [{type: Container, defaultRequest: {memory: 48Mi}, default: {memory: 48Mi}}]}
"""
RIGHTS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: looks}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: looks}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: looks}
subjects: [{kind: User, name: jane}]
"""
SHARED = """
apiVersion: v1
kind: ConfigMap
metadata: {name: shared}
data: {%s}
"""
WAIT_SECONDS = 60


def test_types_of_the_users_own(everyday: Everyday) -> None:
    kubectl = everyday.kubectl
    everyday.apply(CRD)
    kubectl(
        "wait", "--for=condition=Established", "crd/kettles.tests.kubesolo.io", "--timeout=5m", timeout=300
    )
    everyday.until("apply", "-f", "-", text=KETTLE % 3)
    assert "greater than or equal to 1" in kubectl.refused("apply", "-f", "-", text=KETTLE % 0)
    assert "too small" in kubectl.refused("apply", "-f", "-", text=KETTLE % 9)
    head, row = kubectl("get", "ke").splitlines()
    assert head.split() == ["NAME", "CUPS"]
    assert row.split() == ["mine", "3"]
    kubectl("scale", "kettle/mine", "--replicas=5")
    found = json.loads(kubectl("get", "kettle", "mine", "-o", "json"))
    assert found["spec"] == {"cups": 5, "most": 8}
    everyday.until("explain", "kettle.spec", wanted="cups")
    kubectl("delete", "crd", "kettles.tests.kubesolo.io", timeout=120)
    assert "the server" in kubectl.refused("get", "kettles")


def test_pods_are_held_to_a_standard(everyday: Everyday) -> None:
    """Pod Security admission, level restricted."""
    everyday.apply(RESTRICTED)
    everyday.until("apply", "-f", "-", text=manifest(POD % ("confined", CONFINED)))
    refused = everyday.kubectl.refused("apply", "-f", "-", text=manifest(POD % ("open", "{}")))
    for word in (
        'violates PodSecurity "restricted:latest"',
        "runAsNonRoot",
        "seccompProfile",
        "capabilities",
    ):
        assert word in refused
    everyday.kubectl(
        "wait", "-n", "restricted", "--for=condition=Ready", "pod/confined", "--timeout=5m", timeout=300
    )
    everyday.kubectl("delete", "namespace", "restricted", "--wait=false")


def test_a_policy_judges_what_is_created(everyday: Everyday) -> None:
    """ValidatingAdmissionPolicy; it counts some seconds after it has been made."""
    everyday.apply(POLICIES)
    words = ("create", "configmap", "-n", "policed", "--from-literal=colour=purple")
    deadline = time.monotonic() + stretched(WAIT_SECONDS)
    for number in range(1000):
        ended = everyday.kubectl.run(*words, f"purple-{number}")
        if ended.returncode or time.monotonic() > deadline:
            break
        time.sleep(1)
    assert "purple is not for us" in ended.stderr
    everyday.kubectl("create", "configmap", "-n", "policed", "--from-literal=colour=green", "green")
    everyday.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "no-purple")
    everyday.kubectl("delete", "namespace", "policed", "--wait=false")


def test_a_namespace_has_quotas_and_defaults(everyday: Everyday) -> None:
    kubectl = everyday.kubectl
    everyday.apply(LIMITED)
    everyday.cluster.wait(
        "/api/v1/namespaces/limited/resourcequotas/two",
        lambda found: "count/configmaps" in found.get("status", {}).get("used", {}),
        WAIT_SECONDS,
        "the quota is counted",
    )
    image = everyday.pod("asks")["spec"]["containers"][0]["image"]
    run = ("run", "-n", "limited", "--image", image, "--image-pull-policy=Never", "--restart=Never")
    everyday.until(*run, "first", "--command", "--", "sleep", "infinity")
    first = everyday.cluster.get("/api/v1/namespaces/limited/pods/first")
    assert first["spec"]["containers"][0]["resources"]["limits"] == {"memory": "48Mi"}
    assert "exceeded quota: two" in kubectl.refused(*run, "second", "--command", "--", "sleep", "infinity")
    kubectl("delete", "namespace", "limited", "--wait=false")


def test_fields_have_owners(everyday: Everyday) -> None:
    """Server-side apply: who sets another's field is told so, and may insist."""
    kubectl = everyday.kubectl
    apply = ("apply", "--server-side", "-f", "-", "--field-manager")
    kubectl(*apply, "one", text=SHARED % "a: '1', b: '1'")
    kubectl(*apply, "two", text=SHARED % "c: '2'")
    refused = kubectl.refused(*apply, "two", text=SHARED % "b: '2', c: '2'")
    assert 'conflict with "one"' in refused
    assert ".data.b" in refused
    kubectl(*apply, "two", "--force-conflicts", text=SHARED % "b: '2', c: '2'")
    kubectl(*apply, "one", text=SHARED % "a: '3'")
    found = json.loads(kubectl("get", "configmap", "shared", "-o", "json"))
    assert found["data"] == {"a": "3", "b": "2", "c": "2"}


def test_rights_are_checked(everyday: Everyday) -> None:
    kubectl = everyday.kubectl
    everyday.apply(RIGHTS)
    assert kubectl("auth", "can-i", "list", "pods", "--as", "jane") == "yes\n"
    assert kubectl.run("auth", "can-i", "delete", "pods", "--as", "jane").stdout.startswith("no")
    assert "asks" in kubectl("get", "pods", "--as", "jane")
    assert "Forbidden" in kubectl.refused("get", "secrets", "--as", "jane")
