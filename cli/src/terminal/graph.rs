//! Which service calls which.

use super::asked::{Graph, Whom};
use super::figures::{percent, took_or_unknown};
use super::traces::reported;
use super::{Question, Screen, Table, Tone, toned};
use crate::client::Parameters;
use crate::text::{counted, thousands};
use std::io::{self, Write};

impl Question for Graph {
    type Answer = crate::answer::Graph<'static>;

    fn whom(&self) -> &Whom {
        &self.whom
    }

    fn path(&self) -> String {
        "/api/graph".to_owned()
    }

    fn parameters(&self) -> Parameters {
        self.conditions.with([])
    }

    fn show(&self, answer: &Self::Answer, out: &mut dyn Write, screen: Screen) -> io::Result<()> {
        let mut table = Table::new(&["~caller", "~callee", "#calls", "#failed", "#p50", "#p99"]);
        for call in &answer.calls {
            let failed = percent(call.errors, call.calls);
            let tone = if call.errors > 0 { Tone::Bad } else { Tone::Dim };
            table.row([
                (&*call.from).into(),
                (&*call.to).into(),
                thousands(call.calls).into(),
                toned(failed, tone),
                took_or_unknown(call.p50_nanos).into(),
                took_or_unknown(call.p99_nanos).into(),
            ]);
        }
        if !table.is_empty() {
            table.print(out, screen)?;
            writeln!(out)?;
        }
        let mut nodes = Table::new(&["~service", "kind", "#spans", "#failed"]);
        for node in &answer.services {
            let tone = if node.errors > 0 { Tone::Bad } else { Tone::Dim };
            nodes.row([
                (&*node.service).into(),
                toned(node.kind.replace('_', " "), Tone::Dim),
                thousands(node.spans).into(),
                toned(percent(node.errors, node.spans), tone),
            ]);
        }
        if nodes.is_empty() {
            writeln!(out, "no span fits")?;
        } else {
            nodes.print(out, screen)?;
        }
        if answer.unlinked > 0 {
            let spans = counted(answer.unlinked, "span");
            writeln!(out, "\n{spans} whose parent is not here or does not fit")?;
        }
        reported(&answer.report, out)
    }
}
