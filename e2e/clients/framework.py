"""An external framework in one file: it waits for an offer, accepts it with two tasks, sees them finish."""
import json
import sys

from kubernetes import client, config, watch
GROUP, VERSION = "stoa.dev", "v1"
NAMESPACE = sys.argv[1] if len(sys.argv) > 1 else "default"
NAME = "python"
config.load_kube_config()
api = client.CustomObjectsApi()

def ensure(call, *where, body):
    try:
        call(GROUP, VERSION, *where, body)
    except client.ApiException as e:
        if e.status != 409:  # exists already
            raise

def meta(kind, **spec):
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": {"name": NAME}, "spec": spec}

def events(plural, field_selector):
    where = (GROUP, VERSION, NAMESPACE, plural)
    for event in watch.Watch().stream(
        api.list_namespaced_custom_object, *where, field_selector=field_selector, timeout_seconds=60
    ):
        yield event["object"]

def accept(offer, tasks):
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/offers/{offer}/accept"
    http, headers = api.api_client, {"Content-Type": "application/json", "Accept": "application/json"}
    answer = http.call_api("POST", http.configuration.host + path, headers, {"tasks": tasks})
    if answer.status != 200:
        raise SystemExit(f"accept: {answer.status} {answer.read().decode()}")
    return json.loads(answer.read())

ensure(api.create_cluster_custom_object, "resourcepools", body=meta("ResourcePool"))
ensure(api.create_namespaced_custom_object, NAMESPACE, "frameworks", body=meta("Framework", pool=NAME, scheduler="External"))

offer = next(o["metadata"]["name"] for o in events("offers", f"spec.framework={NAME}")
             if o.get("status", {}).get("phase", "Open") == "Open")
spec = {"command": ["/bin/sh", "-c", "echo hello from $STOA_TASK"], "resources": {"cpus": "0.1", "mem": "16Mi"}}
accepted = accept(offer, [{"metadata": {"name": f"python-{n}"}, "spec": spec} for n in (1, 2)])
waiting = {task["name"] for task in accepted["status"]["launched"]}
print(f"launched {sorted(waiting)} with {offer}")

for task in events("tasks", f"spec.framework={NAME}"):
    name, state = task["metadata"]["name"], task.get("status", {}).get("state")
    if state in ("Failed", "Error", "Lost", "Killed"):
        sys.exit(f"{name} is {state}: {task['status'].get('message')}")
    if state == "Finished":
        print(f"{name} finished")
        waiting.discard(name)
    if not waiting:
        sys.exit(0)
sys.exit(f"still waiting for {sorted(waiting)}")
