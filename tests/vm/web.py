"""The tests' workload: nginx as a Deployment behind a Service, and pods that run a few lines of shell."""

from __future__ import annotations

from tasks.lib.vm.kube import Object
from tasks.testimages import nginx_reference

PAGE = "nginx runs on KubeSolo OS"
NODE_PORT = 30080
LABELS = {"app": "web"}


def container(name: str, **more: object) -> Object:
    return {"name": name, "image": nginx_reference(), "imagePullPolicy": "Never", **more}


def deployment() -> Object:
    probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 2, "timeoutSeconds": 10}
    pod = {"containers": [container("nginx", ports=[{"containerPort": 80}], readinessProbe=probe)]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
        },
    }


def service() -> Object:
    port = {"port": 80, "targetPort": 80, "nodePort": NODE_PORT}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"type": "NodePort", "selector": LABELS, "ports": [port]},
    }


def shell_pod(name: str, script: str, *, privileged: bool = False, host_network: bool = False) -> Object:
    """A pod that runs the script to its end; a privileged one has the node's root at /host
    and sees its processes."""
    spec: Object = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
    spec["hostNetwork"] = host_network
    more: Object = {"command": ["sh", "-c", script]}
    if privileged:
        more["securityContext"] = {"privileged": True}
        more["volumeMounts"] = [{"name": "host", "mountPath": "/host"}]
        spec["hostPID"] = True
        spec["volumes"] = [{"name": "host", "hostPath": {"path": "/"}}]
    spec["containers"] = [container("shell", **more)]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def tidy_pod(name: str, seconds: int) -> Object:
    """A pod that needs so many seconds to tidy up when told to end; its diary, on a volume, is its log."""
    script = (
        "echo started >>/diary/text; cat /diary/text; "
        f"trap 'sleep {seconds}; echo tidied >>/diary/text; exit 0' TERM; "
        "while :; do sleep 1 & wait $!; done"
    )
    volume: Object = {"name": "diary", "emptyDir": {}}
    main = container(
        "main", command=["sh", "-c", script], volumeMounts=[{"name": "diary", "mountPath": "/diary"}]
    )
    spec: Object = {"containers": [main], "volumes": [volume]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
