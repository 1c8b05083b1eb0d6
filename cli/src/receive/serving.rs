//! The ports, from their binding until the last request is answered.

use super::arguments::Receiving;
use super::guard::Guard;
use super::intake::Intake;
use super::refusal::Refusal;
use super::tls::Certificate;
use super::{door, grpc, listen};
use crate::{Fallible, memory};
use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The ports, bound.
pub struct Listening {
    grpc: TcpListener,
    http: TcpListener,
    /// Further ports, with what each is for.
    further: Vec<(&'static str, TcpListener)>,
    limits: listen::Limits,
}

/// The ports, served.
pub struct Serving {
    intake: Arc<Intake>,
    health: HealthReporter,
    stop: watch::Sender<bool>,
    servers: Vec<JoinHandle<()>>,
}

async fn bind(address: SocketAddr, what: &str, flag: &str) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| format!("{what} on {address}: {error}; give another {flag}"))
}

impl Listening {
    pub async fn bind(receiving: &Receiving) -> Fallible<Self> {
        let grpc = bind(receiving.grpc, "OTLP/gRPC", "--grpc").await?;
        let http = bind(receiving.http, "OTLP/HTTP", "--http").await?;
        Ok(Self { grpc, http, further: Vec::new(), limits: receiving.limits() })
    }

    /// Binds a further port.
    pub async fn also_bind(
        &mut self,
        what: &'static str,
        flag: &str,
        address: SocketAddr,
    ) -> Fallible<()> {
        self.further.push((what, bind(address, what, flag).await?));
        Ok(())
    }

    /// Returns the addresses for gRPC and HTTP.
    pub fn addresses(&self) -> Fallible<[SocketAddr; 2]> {
        Ok([self.grpc.local_addr()?, self.http.local_addr()?])
    }

    /// Begins to serve. `others` makes what is answered over HTTP beside OTLP; it is given what
    /// tells that the program stops. `further` has the routes of the further ports, in the order in
    /// which they were bound.
    pub async fn serve(
        self,
        intake: Arc<Intake>,
        guard: &Guard,
        others: impl FnOnce(watch::Receiver<bool>) -> Router<Arc<Intake>>,
        further: Vec<Router<Arc<Intake>>>,
    ) -> Fallible<Serving> {
        let at = self.addresses()?;
        let _ = intake.listens.set(at);
        let tls = guard.certificate.as_ref().map(Certificate::acceptor).transpose()?;
        let has_tls = tls.is_some();
        let (stop, stopped) = watch::channel(false);
        let of_http = door::routes(Arc::clone(&intake), others(stopped.clone()));
        let (health, service) = tonic_health::server::health_reporter();
        let of_grpc = grpc::routes(Arc::clone(&intake))
            .route_service("/grpc.health.v1.Health/{method}", service);
        let tell = teller(Arc::clone(&intake), has_tls);
        let scheme = if has_tls { "https" } else { "http" };
        let mut ports = vec![(self.grpc, of_grpc), (self.http, of_http)];
        let mut listens = at.to_vec();
        for ((what, listener), routes) in self.further.into_iter().zip(further) {
            let at = listener.local_addr()?;
            tracing::info!("{what} on {scheme}://{at}");
            listens.push(at);
            ports.push((listener, door::guarded(Arc::clone(&intake), routes)));
        }
        say(&health, &intake, ServingStatus::Serving).await;
        let spawn = |(listener, routes)| {
            let port = listen::Port { listener, tls: tls.clone() };
            tokio::spawn(listen::run(port, routes, self.limits, tell.clone(), stopped.clone()))
        };
        let servers = ports.into_iter().map(spawn).collect();
        tokio::spawn(give_memory_back(Arc::clone(&intake)));
        let [grpc_at, http_at] = at;
        tracing::info!("OTLP/gRPC on {grpc_at}, OTLP/HTTP and questions on {scheme}://{http_at}");
        guard.warn(&listens);
        Ok(Serving { intake, health, stop, servers })
    }
}

impl Serving {
    /// Takes no more requests, and answers those that are under way.
    pub async fn stop(self) -> Fallible<()> {
        tracing::info!("stopping; requests under way are answered");
        self.intake.stop();
        say(&self.health, &self.intake, ServingStatus::NotServing).await;
        let _ = self.stop.send(true);
        for server in self.servers {
            server.await?;
        }
        Ok(())
    }
}

/// Says over gRPC whether requests are taken.
async fn say(health: &HealthReporter, intake: &Intake, status: ServingStatus) {
    for service in grpc::services(intake.about).chain([""]) {
        health.set_service_status(service, status).await;
    }
}

/// Counts and logs what is wrong with peers.
fn teller(intake: Arc<Intake>, has_tls: bool) -> impl listen::Tell {
    move |from, wrong| {
        let refusal = match wrong {
            listen::Wrong::Request(refusal) => refusal,
            listen::Wrong::NoHttp(wrong) if has_tls => Refusal::Malformed(format!(
                "this port speaks TLS: {wrong}; the sender is to be given https://, and to trust the certificate"
            )),
            listen::Wrong::NoHttp(wrong) => Refusal::Malformed(format!(
                "this is no HTTP: {wrong}; a sender that speaks TLS is to be given http://, not https://"
            )),
        };
        intake.refuse(refusal, Some(from));
    }
}

/// Returns the allocator's free memory to the system when no request is in flight any more.
async fn give_memory_back(intake: Arc<Intake>) {
    const LOOK: Duration = Duration::from_secs(5);
    let mut before = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        let requests = intake.counts.all();
        if requests != before && intake.in_flight() == 0 {
            before = requests;
            let _ = tokio::task::spawn_blocking(memory::give_back).await;
        }
    }
}
