//! The manifests for Kubernetes, against the part of its schema (`batch/v1`, `v1`) that they use: what is missing, misspelt or
//! of another type is an error. Required fields are those that are required there, or that this use needs.

use super::{RUN, command, folder, told};
use serde::Deserialize;
use serde_json::Value;
use yaml_rust2::{Yaml, YamlLoader};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Object<Spec> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
}

/// `ServiceSpec`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Service {
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    publish_not_ready_addresses: bool,
    selector: std::collections::BTreeMap<String, String>,
    ports: Vec<ServicePort>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServicePort {
    name: String,
    protocol: String,
    port: u16,
}

/// `JobSpec`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Job {
    completion_mode: String,
    completions: u32,
    parallelism: u32,
    backoff_limit: u32,
    template: PodTemplate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PodTemplate {
    spec: Pod,
}

/// `PodSpec`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Pod {
    subdomain: String,
    restart_policy: String,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Container {
    name: String,
    image: String,
    command: Vec<String>,
    env: Vec<Variable>,
    volume_mounts: Vec<Mount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Mount {
    name: String,
    mount_path: String,
    read_only: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Volume {
    name: String,
    secret: SecretSource,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SecretSource {
    secret_name: String,
    default_mode: u32,
}

/// A document as JSON, which is what Kubernetes makes of it first.
fn json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Integer(number) => (*number).into(),
        Yaml::Boolean(truth) => (*truth).into(),
        Yaml::String(text) => text.as_str().into(),
        Yaml::Array(items) => items.iter().map(json).collect(),
        Yaml::Hash(fields) => {
            fields.iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), json(value))).collect()
        }
        other => panic!("{other:?} does not belong into a manifest"),
    }
}

#[test]
fn the_manifests_are_those_of_an_indexed_job_with_a_headless_service() {
    let folder = folder("launch_kubernetes");
    let words = format!("launch --kubernetes --shards 3 --image r/me/tidelock:1 --name run-7 {RUN} --channels none");
    let output = command(&words, &folder).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<Value> = YamlLoader::load_from_str(&text).unwrap().iter().map(json).collect();
    let [service, job] = &documents[..] else { panic!("two documents") };
    let service: Object<Service> = serde_json::from_value(service.clone()).unwrap();
    let job: Object<Job> = serde_json::from_value(job.clone()).unwrap();
    assert_eq!((&*service.api_version, &*service.kind, &*service.metadata.name), ("v1", "Service", "run-7"));
    assert_eq!((&*job.api_version, &*job.kind, &*job.metadata.name), ("batch/v1", "Job", "run-7"));

    let Service { cluster_ip, publish_not_ready_addresses, selector, ports } = service.spec;
    // Pods have names in DNS only below a headless service, and before they are ready only with this.
    assert_eq!((&*cluster_ip, publish_not_ready_addresses), ("None", true));
    assert_eq!(selector.into_iter().collect::<Vec<_>>(), [("job-name".to_owned(), "run-7".to_owned())]);
    let [ServicePort { name, protocol, port }] = &ports[..] else { panic!("one port") };
    assert_eq!((&**name, &**protocol, *port), ("quic", "UDP", 7411));

    let Job { completion_mode, completions, parallelism, backoff_limit, template: PodTemplate { spec: pod } } =
        job.spec;
    assert_eq!((&*completion_mode, completions, parallelism, backoff_limit), ("Indexed", 3, 3, 0));
    assert_eq!((&*pod.subdomain, &*pod.restart_policy), ("run-7", "Never"));
    let [Container { name, image, command, env, volume_mounts }] = &pod.containers[..] else { panic!("one container") };
    assert_eq!((&**name, &**image), ("shard", "r/me/tidelock:1"));
    let expected = format!(
        "tidelock shard --shards 3 {RUN} --channels none --rendezvous run-7-0.run-7:7411 \
         --secret-file /run/secrets/tidelock/secret"
    );
    assert_eq!(command.join(" "), expected);
    let [Variable { name, value }] = &env[..] else { panic!("one variable") };
    assert_eq!((&**name, &**value), ("TIDELOCK_SHARDS", "3"));

    let ([mount], [volume]) = (&volume_mounts[..], &pod.volumes[..]) else { panic!("one volume") };
    assert_eq!((&mount.name, &*mount.mount_path, mount.read_only), (&volume.name, "/run/secrets/tidelock", true));
    assert_eq!((&*volume.secret.secret_name, volume.secret.default_mode), ("tidelock-secret", 0o400));
}
