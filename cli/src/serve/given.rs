//! Reads the parameters of a query from its URL or, to avoid escaping, from a JSON body.

use super::api::Problem;
use axum::RequestExt;
use axum::extract::{FromRequest, Query, Request};
use axum::http::Method;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::convert::Infallible;
use std::fmt;

/// Maximum bytes of a query's body. A URL may have about as many.
const MOST: usize = 64 << 10;

/// All parameters, including repeated ones; or why they cannot be read.
pub struct Given(Result<Vec<(String, String)>, Problem>);

impl Given {
    pub fn read(self) -> Result<Vec<(String, String)>, Problem> {
        self.0
    }
}

/// All members of a JSON object, including repeated ones. A map would keep one of each, and the
/// query would silently lose conditions.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = object.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

impl<S: Send + Sync> FromRequest<S> for Given {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parameters(request).await))
    }
}

async fn parameters(mut request: Request) -> Result<Vec<(String, String)>, Problem> {
    let in_url: Result<Query<Vec<(String, String)>>, _> = request.extract_parts().await;
    let Query(mut parameters) = in_url.map_err(|error| Problem::Bad(error.body_text()))?;
    if request.method() != Method::POST {
        return Ok(parameters);
    }
    let read = axum::body::to_bytes(request.into_body(), MOST).await;
    let body = read.map_err(|error| {
        Problem::Bad(format!("the body was not read; it may have {MOST} bytes: {error}"))
    })?;
    if body.is_empty() {
        return Ok(parameters);
    }
    let Members(members) = serde_json::from_slice(&body).map_err(|error| {
        Problem::Bad(format!("the body is no JSON object of parameters: {error}"))
    })?;
    for (name, value) in members {
        match value {
            Value::Array(values) => {
                if values.is_empty() {
                    // An empty list would add no parameter, and the condition would be lost.
                    return Err(Problem::Bad(format!(
                        "{name}: the list is empty; leave it out, or give one or several"
                    )));
                }
                for value in values {
                    parameters.push((name.clone(), single(&name, value)?));
                }
            }
            value => {
                let value = single(&name, value)?;
                parameters.push((name, value));
            }
        }
    }
    Ok(parameters)
}

fn single(name: &str, value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(Problem::Bad(format!("{name}: give a text, a number, or a list of them"))),
    }
}
