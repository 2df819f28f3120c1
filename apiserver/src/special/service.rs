//! Service: kept for clients that expect the kind. Nothing routes to it: there are no cluster
//! addresses, so a Service is a name with ports and a selector.

use serde_json::{Map, Value, json};

use crate::status::Cause;

/// The defaults of `pkg/apis/core/v1/defaults.go` that do not depend on a network.
pub fn complete(object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    default(spec, "type", json!("ClusterIP"));
    default(spec, "sessionAffinity", json!("None"));
    if spec["type"] != "ExternalName" {
        default(spec, "internalTrafficPolicy", json!("Cluster"));
    }
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        default(port, "protocol", json!("TCP"));
        let own = port.get("port").cloned().unwrap_or_default();
        if matches!(port.get("targetPort"), None | Some(Value::Null)) || port["targetPort"] == 0 {
            port.insert("targetPort".into(), own);
        }
    }
}

fn default(map: &mut Map<String, Value>, field: &str, value: Value) {
    if matches!(map.get(field), None | Some(Value::Null)) || map[field] == "" {
        map.insert(field.to_owned(), value);
    }
}

/// Judges type and ports.
#[must_use]
pub fn check(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = &object["spec"];
    if !matches!(
        spec["type"].as_str(),
        Some("ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName")
    ) {
        const TEXT: &str = "supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \
                            \"NodePort\"";
        causes.push(Cause::of(
            "spec.type",
            format!("Unsupported value: {}: {TEXT}", spec["type"]),
        ));
    }
    let ports = spec["ports"].as_array().map_or(&[][..], Vec::as_slice);
    let headless = spec["clusterIP"] == "None" || spec["type"] == "ExternalName";
    if ports.is_empty() && !headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (n, port) in ports.iter().enumerate() {
        if !port["port"]
            .as_i64()
            .is_some_and(|number| (1..=65_535).contains(&number))
        {
            let place = format!("spec.ports[{n}].port");
            causes.push(Cause::invalid(
                place,
                &port["port"],
                "must be between 1 and 65535, inclusive",
            ));
        }
        if ports.len() > 1 && port["name"].as_str().unwrap_or_default().is_empty() {
            causes.push(Cause::required(format!("spec.ports[{n}].name"), ""));
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_rules() {
        let mut service = json!({"metadata": {"name": "x"}, "spec": {"ports": [{"port": 80}]}});
        complete(&mut service);
        let expected = json!({
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        });
        assert_eq!(service["spec"], expected);
        assert!(check(&service).is_empty());
        for (spec, fields) in [
            (json!({"type": "ClusterIP"}), vec!["spec.ports"]),
            (json!({"type": "ClusterIP", "clusterIP": "None"}), vec![]),
            (
                json!({"type": "X", "ports": [{"port": 0}]}),
                vec!["spec.type", "spec.ports[0].port"],
            ),
        ] {
            let service = json!({"metadata": {"name": "x"}, "spec": spec});
            let found: Vec<String> = check(&service).into_iter().map(|c| c.field).collect();
            assert_eq!(found, fields, "{service}");
        }
    }
}
