//! Questions from the terminal: the query API's, with answers as tables, lines and a waterfall.

mod asked;
pub mod figures;
mod graph;
mod logs;
mod screen;
mod series;
mod table;
mod tail;
mod traces;
mod value;
mod waterfall;

pub use asked::{Graph, Logs, Metrics, Services, Tail, Trace, Traces};
pub use screen::{Screen, Tone};
pub use table::{Cell, Table, toned};

use crate::client::{Address, Client, Parameters};
use crate::files::size;
use crate::serve::holdings;
use crate::text::json_printable;
use crate::{End, Fallible};
use asked::Whom;
use serde::de::DeserializeOwned;
use slipring::Telemetry;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

/// A question: where it is asked, with what, and how its answer is shown.
trait Question {
    type Answer: DeserializeOwned;

    fn whom(&self) -> &Whom;

    fn path(&self) -> String;

    fn parameters(&self) -> Parameters;

    /// Shows an answer to people.
    fn show(&self, answer: &Self::Answer, out: &mut dyn Write, screen: Screen) -> io::Result<()>;
}

/// Asks a question and prints its answer.
fn ask(question: &impl Question) -> Fallible<End> {
    let (client, end) = client(question.whom())?;
    let runtime = runtime()?;
    let (path, parameters) = (question.path(), question.parameters());
    let out = &mut BufWriter::new(io::stdout().lock());
    if question.whom().json {
        let answer = runtime.block_on(client.bytes(&path, &parameters))?;
        let text = String::from_utf8_lossy(&answer);
        // What a sender wrote must not steer a terminal. For a program it stays as it is.
        let text = if io::stdout().is_terminal() { json_printable(&text) } else { text };
        writeln!(out, "{text}")?;
    } else {
        let answer = runtime.block_on(client.get(&path, &parameters))?;
        question.show(&answer, out, Screen::of_stdout())?;
    }
    out.flush()?;
    Ok(end)
}

/// A question of any kind.
#[derive(Debug)]
pub enum Asked<'a> {
    Traces(&'a Traces),
    Trace(&'a Trace),
    Logs(&'a Logs),
    Metrics(&'a Metrics),
    Services(&'a Services),
    Graph(&'a Graph),
    Tail(&'a Tail),
}

/// Asks a question, of a server or of files, and prints its answer.
pub fn run(question: &Asked<'_>) -> Fallible<End> {
    match question {
        Asked::Traces(question) => ask(*question),
        Asked::Trace(question) => ask(*question),
        Asked::Logs(question) => ask(*question),
        Asked::Metrics(question) => ask(*question),
        Asked::Services(question) => ask(*question),
        Asked::Graph(question) => ask(*question),
        Asked::Tail(question) => tail::run(question),
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Returns whom to ask: a server, or stores with the files. The end says whether some of the files
/// was damaged.
fn client(whom: &Whom) -> Fallible<(Client, End)> {
    client_of(&whom.server, whom.token.as_deref(), &whom.file)
}

/// Returns a client of a server, or of stores with the files, if there are some.
pub fn client_of(
    server: &Address,
    token: Option<&str>,
    files: &[PathBuf],
) -> Fallible<(Client, End)> {
    if files.is_empty() {
        return Ok((Client::of_server(server.clone(), token)?, End::Well));
    }
    let sizes = size::sizes(files)?;
    let [traces, logs, metrics] = size::capacities(&sizes);
    let telemetry = Telemetry::builder().traces(traces).logs(logs).metrics(metrics);
    let telemetry = telemetry.max_record_bytes(1 << 20).build()?;
    let loaded = holdings::load(files, &sizes, &telemetry)?;
    for problem in loaded.problems() {
        eprintln!("{problem}");
    }
    let end = if loaded.is_in_order() { End::Well } else { End::WithProblems };
    Ok((Client::of_stores(telemetry), end))
}
