//! Records, and how many there are.

use super::both::Page;
use super::find::find;
use super::lists::Lists;
use super::problem::Problem;
use super::tiers::Tiers;
use crate::answer;
use crate::serve::app::App;
use crate::serve::ask::{After, Asked, Asking, HISTORY, KEPT, MOMENT, PAGING, token};
use crate::serve::given::Given;
use crate::serve::past::{self, Reaching};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use slipring::otlp::{Encoding, encode};
use slipring::{Store, Telemetry};
use std::sync::Arc;

/// The store of a signal.
pub type StoreOf<T> = fn(&Telemetry) -> &Store<T>;

/// What records are asked for by, beside conditions.
pub const OF_RECORDS: [&str; 7] =
    [PAGING[0], PAGING[1], PAGING[2], PAGING[3], MOMENT, KEPT, HISTORY];

/// What numbers of records are asked for by, beside conditions.
pub const OF_COUNTS: [&str; 3] = [MOMENT, KEPT, HISTORY];

/// Answers with records.
pub async fn records<T: Asking>(
    State(app): State<Arc<App>>,
    given: Given,
    store: StoreOf<T>,
) -> Result<Response, Problem> {
    let asked = Asked::read::<T>(&given.read()?, &OF_RECORDS).map_err(Problem::Bad)?;
    let of = Arc::clone(&app);
    find(app, move |telemetry| {
        const OTLP: [(HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];
        let token = |next: Option<After>| {
            let next = next.as_ref().map(token).transpose();
            next.map_err(|error| Problem::Failed(error.to_string()))
        };
        let keep = of.keep.as_deref();
        let tiers = Tiers::new(store(telemetry), &asked, keep);
        let older = match Reaching::of(&of, store(telemetry), &asked)? {
            Reaching::Files(files, since) => {
                let page = past::Page::find(&tiers, &asked, files, since)?;
                if asked.otlp {
                    return Ok((OTLP, encode(page.records(), Encoding::Json)).into_response());
                }
                return Ok(Json(page.shown(token(page.next.clone())?)).into_response());
            }
            Reaching::Memory(older) => older,
        };
        // A trace may be kept between two pages: which records were shown matters then.
        if (keep.is_some() && asked.asks_kept()) || asked.continues_both() {
            let none = Lists::default();
            let lists = keep.map_or(&none, |keep| &keep.lists);
            let mut page = Page::find(store(telemetry), &asked, &tiers, lists)?;
            page.is_of_times(older.as_ref())?;
            if asked.otlp {
                return Ok((OTLP, encode(page.records(), Encoding::Json)).into_response());
            }
            return Ok(Json(page.shown(token(page.next.clone())?)).into_response());
        }
        let answer = asked.page(store(telemetry).query()).collect()?;
        let reach = match &older {
            Some(older) => {
                older.unless_found(!answer.is_empty())?;
                Some(older.shown())
            }
            None => None,
        };
        if asked.otlp {
            return Ok((OTLP, answer.to_otlp(Encoding::Json)).into_response());
        }
        let next = token(answer.report.next.clone().map(After::Store))?;
        // Written as it is, not by way of values, which would take its bytes several times.
        Ok(Json(T::answer(&answer, next, reach)).into_response())
    })
    .await
}

/// Answers how many records there are.
pub async fn count<T: Asking>(
    State(app): State<Arc<App>>,
    given: Given,
    store: StoreOf<T>,
) -> Result<Response, Problem> {
    let asked = Asked::read::<T>(&given.read()?, &OF_COUNTS).map_err(Problem::Bad)?;
    let of = Arc::clone(&app);
    find(app, move |telemetry| {
        let tiers = Tiers::new(store(telemetry), &asked, of.keep.as_deref());
        let reaching = Reaching::of(&of, store(telemetry), &asked)?;
        let report = past::each(&tiers, &asked, &reaching, |_, _| ())?;
        let (count, from_kept) = (report.shown as usize, report.from_kept);
        Ok(Json(answer::Count { count, from_kept, history: report.history }))
    })
    .await
}
