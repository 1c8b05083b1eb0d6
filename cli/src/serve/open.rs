//! `slipring open`: the page on files.

use super::app::App;
use super::{holdings, page, routes};
use crate::files::size;
use crate::receive::signals::Signals;
use crate::receive::{Access, Bounds, listen};
use crate::{End, Fallible, Keeping};
use clap::Args;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Shows OTLP files in a browser: reads them, and serves the page and the API on a port of this
/// machine until it is interrupted.
///
/// Reads all that `replay` reads, into stores that are large enough for it. Prints the page's
/// address, and opens nothing unless `--browser` is given.
///
/// Example: slipring open --browser run.jsonl.zst
#[derive(Debug, Args)]
pub struct Arguments {
    /// Files to read; `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Port of this machine; 0 for any that is free
    #[arg(long, env = "SLIPRING_OPEN_PORT", value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Opens the page in the usual browser
    #[arg(long)]
    browser: bool,
    #[command(flatten)]
    keeping: Keeping,
}

const LIMITS: listen::Limits =
    listen::Limits { connections: 256, timeout: Duration::from_secs(10) };

pub fn run(arguments: &Arguments) -> Fallible<End> {
    let sizes = size::sizes(&arguments.files)?;
    let telemetry = arguments.keeping.build(size::capacities(&sizes))?;
    let loaded = holdings::load(&arguments.files, &sizes, &telemetry)?;
    eprintln!("{}", loaded.summary());
    for problem in loaded.problems() {
        eprintln!("{problem}");
    }
    let (max_body, max_in_flight) = (16 << 20, 64 << 20);
    let bounds = Bounds { max_body, max_in_flight, timeout: LIMITS.timeout };
    let app = Arc::new(App::new(telemetry, None, bounds, Access::default()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(arguments, &app))?;
    runtime.shutdown_timeout(LIMITS.timeout);
    app.telemetry.shutdown()?;
    Ok(if loaded.is_in_order() { End::Well } else { End::WithProblems })
}

async fn serve(arguments: &Arguments, app: &Arc<App>) -> Fallible<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("{address}: {error}; give another --port"))?;
    let page = page::address(listener.local_addr()?, false);
    // Before the address is said: whoever reads it may ask for the end at once.
    let signals = Signals::listen(false)?;
    let (stop, stopped) = watch::channel(false);
    let routes = routes(Arc::clone(app), stopped.clone());
    let tell = |_, wrong| tracing::debug!("{wrong}");
    let server = tokio::spawn(listen::run(listener, routes, LIMITS, tell, stopped));
    // Whoever has started this may read no further than the address.
    let _ = writeln!(std::io::stdout(), "{page}");
    if arguments.browser
        && let Err(error) = open::that_detached(&page)
    {
        eprintln!("no browser was opened: {error}; the page is at {page}");
    }
    super::asked_to_stop(signals).await;
    app.intake.stop();
    let _ = stop.send(true);
    Ok(server.await?)
}
