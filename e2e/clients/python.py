"""The Kubernetes client for Python against a cluster: typed, dynamic, custom objects and watches."""
import json
import threading

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

GROUP, NS = "python.example.com", "python"
config.load_kube_config()
core, custom = client.CoreV1Api(), client.CustomObjectsApi()
extensions = client.ApiextensionsV1Api()


def meta(name, **more):
    return {"metadata": {"name": name, **more}}


def refused(code, call, *args, **more):
    """The answer to a call that must be refused with this code."""
    try:
        call(*args, **more)
    except client.ApiException as e:
        assert e.status == code, (e.status, e.body)
        return e
    raise AssertionError(f"{call.__name__} was to be refused with {code}")


def typed():
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NS)))
    assert core.read_namespace(NS).status.phase == "Active"
    made = core.create_namespaced_config_map(NS, client.V1ConfigMap(
        metadata=client.V1ObjectMeta(name="a", labels={"x": "1"}), data={"k": "v"}))
    assert made.metadata.uid and made.data == {"k": "v"}
    e = refused(409, core.create_namespaced_config_map, NS, meta("a"))
    assert e.reason == "Conflict" and '"reason":"AlreadyExists"' in e.body

    # A dict is a strategic merge patch for typed kinds; a list is a JSON patch.
    assert core.patch_namespaced_config_map("a", NS, {"data": {"l": "w"}}).data == {"k": "v", "l": "w"}
    ops = [{"op": "remove", "path": "/data/l"}]
    assert core.patch_namespaced_config_map("a", NS, ops).data == {"k": "v"}
    made.data = {"k": "stale"}
    refused(409, core.replace_namespaced_config_map, "a", NS, made)
    fresh = core.read_namespaced_config_map("a", NS)
    fresh.data = {"k": "new"}
    assert core.replace_namespaced_config_map("a", NS, fresh).data == {"k": "new"}

    core.create_namespaced_secret(NS, client.V1Secret(
        metadata=client.V1ObjectMeta(name="s"), string_data={"p": "secret"}))
    assert core.read_namespaced_secret("s", NS).data == {"p": "c2VjcmV0"}
    listed = core.list_namespaced_config_map(NS, label_selector="x=1")
    assert [c.metadata.name for c in listed.items] == ["a"] and listed.metadata.resource_version != "0"
    assert core.list_config_map_for_all_namespaces(field_selector=f"metadata.namespace={NS}").items
    status = core.delete_namespaced_secret("s", NS, _preload_content=False).json()
    assert status["status"] == "Success" and status["details"]["name"] == "s", status
    refused(404, core.read_namespaced_secret, "s", NS)
    core.delete_collection_namespaced_config_map(NS, label_selector="x=1")
    assert not core.list_namespaced_config_map(NS, label_selector="x=1").items
    assert client.VersionApi().get_code().major == "1"


def watched():
    """A watch from a list's version sees each change once; one that expired lists anew by itself."""
    version = core.list_namespaced_config_map(NS).metadata.resource_version
    seen = []

    def follow():
        stream = watch.Watch().stream(core.list_namespaced_config_map, NS, resource_version=version, timeout_seconds=20)
        for event in stream:
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                return

    reader = threading.Thread(target=follow)
    reader.start()
    core.create_namespaced_config_map(NS, meta("w"))
    core.patch_namespaced_config_map("w", NS, {"data": {"a": "b"}})
    core.delete_namespaced_config_map("w", NS)
    reader.join(30)
    assert seen == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")], seen


CRD = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", **meta(f"widgets.{GROUP}"),
    "spec": {
        "group": GROUP, "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [{
            "name": "v1", "served": True, "storage": True,
            "subresources": {"status": {}, "scale": {
                "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {"replicas": {"type": "integer", "minimum": 0}}},
                "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}}}},
        }],
    },
}


def objects():
    made = extensions.create_custom_resource_definition(CRD)
    assert made.status.stored_versions == ["v1"], made.status
    for event in watch.Watch().stream(
        extensions.list_custom_resource_definition, field_selector=f"metadata.name=widgets.{GROUP}", timeout_seconds=20
    ):
        conditions = event["object"].status.conditions or []
        if any(c.type == "Established" and c.status == "True" for c in conditions):
            break
    where = (GROUP, "v1", NS, "widgets")
    body = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", **meta("a"), "spec": {"replicas": 1}}
    custom.create_namespaced_custom_object(*where, body)
    custom.patch_namespaced_custom_object(*where, "a", {"spec": {"replicas": 2}})
    got = custom.get_namespaced_custom_object(*where, "a")
    assert got["spec"] == {"replicas": 2} and got["metadata"]["generation"] == 2
    got["spec"]["replicas"] = 3
    assert custom.replace_namespaced_custom_object(*where, "a", got)["spec"] == {"replicas": 3}
    status = custom.patch_namespaced_custom_object_status(*where, "a", {"status": {"replicas": 3}, "spec": {"replicas": 9}})
    assert status["status"] == {"replicas": 3} and status["spec"] == {"replicas": 3}
    scale = custom.get_namespaced_custom_object_scale(*where, "a")
    assert scale["kind"] == "Scale" and scale["spec"] == {"replicas": 3} and scale["status"]["replicas"] == 3
    custom.patch_namespaced_custom_object_scale(*where, "a", {"spec": {"replicas": 4}})
    e = refused(422, custom.patch_namespaced_custom_object, *where, "a", {"spec": {"replicas": -1}})
    assert "spec.replicas in body should be greater than or equal to 0" in e.body, e.body
    assert [w["spec"]["replicas"] for w in custom.list_namespaced_custom_object(*where)["items"]] == [4]
    assert custom.list_cluster_custom_object(GROUP, "v1", "widgets")["kind"] == "WidgetList"


def dynamically():
    """By discovery in its older form, which this client caches in a file."""
    api = dynamic.DynamicClient(client.ApiClient())
    widgets = api.resources.get(api_version=f"{GROUP}/v1", kind="Widget")
    assert widgets.namespaced and widgets.short_names == ["wd"]
    made = widgets.create({"apiVersion": f"{GROUP}/v1", "kind": "Widget", **meta("d"), "spec": {"replicas": 1}}, namespace=NS)
    assert made.spec.replicas == 1
    try:
        widgets.create({"apiVersion": f"{GROUP}/v1", "kind": "Widget", **meta("d")}, namespace=NS)
        raise AssertionError("created twice")
    except ConflictError:
        pass
    patched = widgets.patch(body={"spec": {"replicas": 5}}, name="d", namespace=NS, content_type="application/merge-patch+json")
    assert patched.spec.replicas == 5
    assert widgets.status.get(name="d", namespace=NS).metadata.name == "d"
    first = next(e for e in widgets.watch(namespace=NS, name="d", timeout=20))
    assert (first["type"], first["object"].metadata.name) == ("ADDED", "d")
    widgets.delete(name="d", namespace=NS)
    try:
        widgets.get(name="d", namespace=NS)
        raise AssertionError("still there")
    except NotFoundError:
        pass
    maps = api.resources.get(api_version="v1", kind="ConfigMap")
    maps.create({"apiVersion": "v1", "kind": "ConfigMap", **meta("d")}, namespace=NS)
    assert maps.get(name="d", namespace=NS).kind == "ConfigMap"


def applied():
    """Server-side apply: a field has an owner, and another who wants it otherwise is refused unless it insists."""
    api = dynamic.DynamicClient(client.ApiClient())
    maps = api.resources.get(api_version="v1", kind="ConfigMap")

    def apply(owner, value, **more):
        body = {"apiVersion": "v1", "kind": "ConfigMap", **meta("owned"), "data": {"k": value}}
        return api.server_side_apply(maps, body, name="owned", namespace=NS, field_manager=owner, **more)

    assert apply("one", "v").metadata.managedFields[0].manager == "one"
    try:
        apply("two", "w")
        raise AssertionError("taken without force")
    except ConflictError as e:
        said = json.loads(e.body)["message"]
        assert said == 'Apply failed with 1 conflict: conflict with "one": .data.k', said
    forced = apply("two", "w", force_conflicts=True)
    assert forced.data.k == "w" and [m.manager for m in forced.metadata.managedFields] == ["two"]
    # The typed client applies, too, when its content type is named.
    made = core.patch_namespaced_config_map(
        "owned", NS, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"l": "x"}}, field_manager="three",
        _content_type="application/apply-patch+yaml")
    assert made.data == {"k": "w", "l": "x"}, made.data


def allowed():
    """What may be known of somebody: identity, and what a role grants."""
    auth, rbac = client.AuthorizationV1Api(), client.RbacAuthorizationV1Api()
    who = client.AuthenticationV1Api().create_self_subject_review({})
    assert who.status.user_info.username == "admin", who.status
    rbac.create_namespaced_role(NS, {**meta("reader"), "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]})
    rbac.create_namespaced_role_binding(NS, {
        **meta("reader"), "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": NS}]})

    def may(verb):
        asked = {"namespace": NS, "verb": verb, "resource": "configmaps"}
        user = f"system:serviceaccount:{NS}:default"
        return auth.create_subject_access_review({"spec": {"user": user, "resourceAttributes": asked}}).status.allowed

    assert may("get") and not may("delete")
    token = core.create_namespaced_service_account_token("default", NS, {"spec": {"expirationSeconds": 600}}).status.token
    settings = client.Configuration.get_default_copy()
    settings.cert_file = settings.key_file = None
    settings.api_key = {"authorization": f"Bearer {token}"}
    theirs = client.CoreV1Api(client.ApiClient(settings))
    assert theirs.read_namespaced_config_map("owned", NS).data["l"] == "x"
    e = refused(403, theirs.delete_namespaced_config_map, "owned", NS)
    assert 'cannot delete resource' in e.body, e.body


def from_files():
    """`create_from_dict` picks API classes by group and kind."""
    utils.create_from_dict(client.ApiClient(), {"apiVersion": "v1", "kind": "ConfigMap", **meta("made"), "data": {"a": "b"}}, namespace=NS)
    assert core.read_namespaced_config_map("made", NS).data == {"a": "b"}


def leases():
    """As leader election does it: read, create, and update at a version."""
    api = client.CoordinationV1Api()
    now = "2026-01-01T00:00:00.123456Z"
    body = {**meta("leader"), "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "acquireTime": now, "renewTime": now, "leaseTransitions": 0}}
    lease = api.create_namespaced_lease(NS, body)
    assert lease.spec.renew_time.microsecond == 123456
    old = lease.metadata.resource_version
    lease.spec.holder_identity = "b"
    api.replace_namespaced_lease("leader", NS, {**meta("leader", resourceVersion=old), "spec": {"holderIdentity": "b"}})
    refused(409, api.replace_namespaced_lease, "leader", NS, {**meta("leader", resourceVersion=old), "spec": {"holderIdentity": "c"}})


def cleared():
    gone = extensions.delete_custom_resource_definition(f"widgets.{GROUP}")
    assert gone is not None
    core.delete_namespace(NS)
    stream = watch.Watch().stream(core.list_namespace, field_selector=f"metadata.name={NS}", timeout_seconds=30)
    assert any(event["type"] == "DELETED" for event in stream), "the namespace stays"
    refused(404, core.read_namespace, NS)
    refused(404, custom.list_namespaced_custom_object, GROUP, "v1", NS, "widgets")


for part in (typed, watched, objects, dynamically, applied, allowed, from_files, leases, cleared):
    part()
    print(part.__name__, "holds", flush=True)
