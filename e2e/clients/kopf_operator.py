"""Handlers of an operator written with kopf; `kopf_drive.py` runs it and looks at what it does."""
import kopf

GROUP = "kopf.example.com"


@kopf.on.startup()
def configure(settings, **_):
    settings.posting.enabled = True
    settings.watching.server_timeout = 60


@kopf.on.create(GROUP, "v1", "gardens")
def planted(spec, name, namespace, patch, **_):
    kopf.info({"apiVersion": f"{GROUP}/v1", "kind": "Garden", "metadata": {"name": name, "namespace": namespace}},
              reason="Planted", message=f"{spec['trees']} trees")
    patch.status["trees"] = spec["trees"]
    return {"planted": spec["trees"]}


@kopf.on.update(GROUP, "v1", "gardens", field="spec.trees")
def grown(old, new, patch, **_):
    patch.status["trees"] = new
    patch.status["history"] = f"{old} to {new}"


@kopf.on.delete(GROUP, "v1", "gardens")
def felled(name, namespace, logger, **_):
    logger.info("felled %s", name)
