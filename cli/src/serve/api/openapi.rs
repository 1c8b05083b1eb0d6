//! The OpenAPI document, made from the table of routes and from the types of the answers.

use super::parameters::{Parameter, SIGNS, parameter};
use super::table::{Route, Told};
use crate::serve::ask::HISTORY;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Returns the document.
pub fn document(table: &[Route]) -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let paths: Map<String, Value> =
        table.iter().map(|one| (one.path.to_owned(), path(one, &mut generator))).collect();
    let mut schemas = generator.take_definitions(true);
    schemas.insert(
        "Error".to_owned(),
        json!({
            "type": "object",
            "required": ["error"],
            "properties": { "error": { "type": "string", "description": "What was wrong, and what to write instead" } },
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "slipring",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("Questions about the telemetry that is held. Conditions take signs before their =, as far as they say so: {SIGNS}. /api/reference explains what answers say of themselves."),
        },
        // Beside the document, so that it also holds below a proxy's path.
        "servers": [{ "url": ".." }],
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn path(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let in_path =
        route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = route.takes.iter().flat_map(|name| in_query(&parameter(name)));
    let parameters: Vec<Value> = in_path.chain(in_query).collect();
    let (kind, schema, what) = match route.told {
        Told::Json(schema) => ("application/json", schema(generator).into(), "The answer"),
        Told::Object => ("application/json", json!({ "type": "object" }), "The answer"),
        Told::Page => ("text/html", json!({ "type": "string" }), "A page"),
        Told::File => (
            "application/x-ndjson",
            json!({ "type": "string" }),
            "OTLP/JSON, an export request a line; with format=protobuf application/octet-stream, each request behind its length in four bytes",
        ),
        Told::Events(schema) => (
            "text/event-stream",
            schema(generator).into(),
            "The schema is that of an event's data; an event `missed` says how many records were evicted before they could be sent",
        ),
    };
    let error = |what: &str| {
        json!({
            "description": what,
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
        })
    };
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({ "description": what, "content": { kind: { "schema": schema } } }),
    );
    if !matches!(route.told, Told::Page) {
        responses.insert("400".to_owned(), error("The question can't mean anything"));
        responses.insert("503".to_owned(), error("Too many questions are being answered"));
    }
    // Times that memory does not hold any more may be asked for.
    if ["since", HISTORY].iter().all(|name| route.takes.contains(name)) {
        responses.insert(
            "410".to_owned(),
            error("All that is asked for was evicted, and no files are asked"),
        );
    }
    if route.path.contains('{') {
        responses.insert("404".to_owned(), error("Nothing is there"));
    }
    let mut operations = Map::new();
    operations.insert(
        "get".to_owned(),
        json!({ "summary": route.what, "parameters": parameters, "responses": responses }),
    );
    if route.takes_body() {
        let members: Map<String, Value> = route
            .takes
            .iter()
            .flat_map(|name| names(&parameter(name)))
            .map(|name| (name, json!({ "$ref": "#/components/schemas/ParameterValue" })))
            .collect();
        generator.definitions_mut().entry("ParameterValue".to_owned()).or_insert_with(|| {
            let one = json!({ "type": ["string", "number", "boolean"] });
            json!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
        });
        operations.insert(
            "post".to_owned(),
            json!({
                "summary": format!("{}; the parameters stand in a body", route.what),
                "requestBody": { "content": { "application/json": { "schema": {
                    "type": "object",
                    "properties": members,
                    "additionalProperties": false,
                } } } },
                "responses": responses,
            }),
        );
    }
    Value::Object(operations)
}

/// Returns the names under which a parameter is given: `service`, `service!`, `service~`.
fn names(one: &Parameter) -> Vec<String> {
    let signs = one.signs.split(", ").filter(|sign| !sign.is_empty());
    let signs = signs.map(|sign| format!("{}{}", one.name, sign.trim_end_matches('=')));
    std::iter::once(one.name.to_owned()).chain(signs).collect()
}

fn in_query(one: &Parameter) -> Vec<Value> {
    let told = |name: String| {
        let mut told = json!({ "name": name, "in": "query", "description": one.what });
        told["schema"] = if one.repeats {
            json!({ "type": "array", "items": { "type": "string" } })
        } else {
            json!({ "type": "string" })
        };
        if !one.example.is_empty() {
            told["example"] = if one.repeats { json!([one.example]) } else { one.example.into() };
        }
        told
    };
    names(one).into_iter().map(told).collect()
}
