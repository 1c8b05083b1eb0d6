//! The running instances of the services, and the resources and scopes that their telemetry shares.

use std::ops::Range;

use slipring::attribute::{Attributes, KeyValue};
use slipring::resource::EntityRef;
use slipring::{Resource, Scope, Source, Value};

use crate::rng::{Rng, mix};
use crate::service::Service;

/// A process.
pub(crate) struct Instance {
    pub service: Service,
    /// The sources, one for each [`Library`].
    sources: [Source; 5],
    /// The start time in Unix nanoseconds, from which its cumulative metrics count.
    pub started: u64,
}

/// The library within a process that created a record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Library {
    /// The service's own code.
    App,
    Http,
    Rpc,
    Database,
    Messaging,
}

/// The processes of the shop.
pub(crate) struct Fleet {
    instances: Vec<Instance>,
    /// The range of each service's instances, by the service's number.
    of: [Range<usize>; Service::ALL.len()],
}

impl Fleet {
    /// Creates the processes of the shop with this seed. Their instance ids are unique to the seed.
    pub fn new(seed: u64, now: u64) -> Self {
        let mut rng = Rng::new(seed, 0x666c_6565_7400);
        let mut instances = Vec::new();
        let of = Service::ALL.map(|service| {
            let first = instances.len();
            instances.extend(
                (0..service.facts().instances)
                    .map(|number| Instance::new(service, number, now, &mut rng)),
            );
            first..instances.len()
        });
        Self { instances, of }
    }

    /// Draws an instance of this service, as a load balancer does.
    pub fn pick(&self, service: Service, rng: &mut Rng) -> &Instance {
        let those = &self.instances[self.of[service as usize].clone()];
        &those[rng.below(those.len() as u64) as usize]
    }

    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }
}

impl Instance {
    fn new(service: Service, number: u64, now: u64, rng: &mut Rng) -> Self {
        let facts = service.facts();
        let id = rng.next();
        let pod = format!("{}-{:08x}-{number}", facts.name, mix(id) as u32);
        let arguments: Vec<Value> = facts.command.iter().map(|word| Value::from(*word)).collect();
        let attributes = [
            ("service.name", Value::from(facts.name)),
            ("service.namespace", "shop".into()),
            ("service.version", facts.version.into()),
            ("service.instance.id", format!("{id:016x}").into()),
            ("deployment.environment.name", "production".into()),
            ("cloud.region", "eu-central-1".into()),
            ("k8s.namespace.name", "shop".into()),
            ("k8s.pod.name", pod.into()),
            ("host.name", format!("node-{:02}", rng.below(12)).into()),
            ("os.type", "linux".into()),
            ("process.pid", Value::Int(rng.between(1, 40) as i64)),
            ("process.command_args", arguments.into()),
            ("telemetry.sdk.name", "opentelemetry".into()),
            ("telemetry.sdk.language", facts.language.into()),
        ];
        let entity = EntityRef {
            kind: "service".into(),
            id_keys: ["service.instance.id".into()].into(),
            description_keys: ["service.name".into(), "service.version".into()].into(),
            ..EntityRef::default()
        };
        let resource = Resource::new(Attributes::from(attributes))
            .with_schema_url("https://opentelemetry.io/schemas/1.37.0")
            .with_entity_refs([entity]);
        let source = |library| Source::new(&resource, &scope(service, library));
        let sources = ["", "http", "rpc", "database", "messaging"].map(source);
        // The process started up to three days ago.
        let started = now.saturating_sub(rng.below(3 * 86_400) * 1_000_000_000);
        Self { service, sources, started }
    }

    pub fn source(&self, library: Library) -> &Source {
        &self.sources[library as usize]
    }
}

fn scope(service: Service, library: &str) -> Scope {
    let facts = service.facts();
    if library.is_empty() {
        let attributes = [KeyValue::new("app.team", "shop")].into_iter().collect();
        return Scope {
            name: facts.name.into(),
            version: facts.version.into(),
            attributes,
            ..Scope::default()
        };
    }
    let name = format!("io.opentelemetry.{}.{library}", facts.language).into();
    Scope { name, version: "2.1.0".into(), ..Scope::default() }
}
