"""Runs the operator of `kopf_operator.py` against a cluster and looks at what it does."""
import pathlib
import subprocess
import sys
import time

from kubernetes import client, config

GROUP = "kopf.example.com"
WHERE = (GROUP, "v1", "default", "gardens")
FINALIZER = "kopf.zalando.org/KopfFinalizerMarker"
config.load_kube_config()
custom, extensions = client.CustomObjectsApi(), client.ApiextensionsV1Api()


def until(what, look, limit=40):
    """Waits until `look` finds something, and returns it."""
    end, last = time.monotonic() + limit, None
    while time.monotonic() < end:
        last = look()
        if last:
            return last
        time.sleep(0.1)
    raise AssertionError(f"waited for {what}; the operator said:\n{log.read_text()}")


def install():
    schema = {"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"trees": {"type": "integer"}}},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "gardens", "singular": "garden", "kind": "Garden"}
    extensions.create_custom_resource_definition({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"gardens.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]}})


def garden():
    return custom.get_namespaced_custom_object(*WHERE, "eden")


def gone():
    try:
        garden()
    except client.ApiException as e:
        return e.status == 404
    return False


def live():
    custom.create_namespaced_custom_object(*WHERE, {
        "apiVersion": f"{GROUP}/v1", "kind": "Garden", "metadata": {"name": "eden"}, "spec": {"trees": 2}})
    made = until("the status of creation", lambda: garden() if garden().get("status", {}).get("planted") else None)
    assert made["status"]["trees"] == 2 and made["status"]["planted"] == {"planted": 2}, made
    assert made["metadata"]["finalizers"] == [FINALIZER], made
    assert made["metadata"]["generation"] == 1, made
    custom.patch_namespaced_custom_object(*WHERE, "eden", {"spec": {"trees": 3}})
    until("the status of the change", lambda: garden()["status"].get("history") == "2 to 3")
    until("its event", lambda: any(
        e.reason == "Planted" and e.message == "2 trees" for e in
        client.CoreV1Api().list_namespaced_event("default", field_selector="involvedObject.name=eden").items))
    custom.delete_namespaced_custom_object(*WHERE, "eden")
    until("its end", gone)
    assert "felled eden" in log.read_text()


install()
log = pathlib.Path("kopf.log")
here = pathlib.Path(__file__).parent
command = [pathlib.Path(sys.executable).with_name("kopf"), "run", "--standalone", "-n", "default", here / "kopf_operator.py"]
operator = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT)
try:
    live()
finally:
    operator.terminate()
    operator.wait(20)
print("the operator lived and let die")
