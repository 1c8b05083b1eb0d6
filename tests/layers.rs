//! Imports run one way: no modules import from each other in a circle, and folders don't either.

#[path = "layers/imports.rs"]
mod imports;

use imports::Imports;
use std::path::Path;

fn of_the_library() -> Imports {
    Imports::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// The folders and files at the top of `src` and of `src/engine`, each above those that it may
/// import from.
const LAYERS: [&str; 19] = [
    "sync",
    "error",
    "wire",
    "signal",
    "engine::tuning",
    "engine::reentrancy",
    "engine::ring",
    "engine::index",
    "engine::shard",
    "engine::router",
    "engine::state",
    "engine::indexer",
    "engine::push",
    "query",
    "store",
    "analysis",
    "otlp",
    "telemetry",
    "recorder",
];

#[test]
fn no_modules_import_from_each_other_in_a_circle() {
    assert_eq!(of_the_library().circles(), Vec::<Vec<String>>::new());
}

#[test]
fn no_folders_import_from_each_other_in_a_circle() {
    assert_eq!(of_the_library().between_folders().circles(), Vec::<Vec<String>>::new());
}

#[test]
fn no_layer_imports_from_one_above_it() {
    let layer = |module: &str| {
        LAYERS
            .iter()
            .position(|layer| module == *layer || module.starts_with(&format!("{layer}::")))
    };
    let imports = of_the_library();
    let upward: Vec<_> = imports
        .edges()
        .filter(|(from, to)| layer(from).zip(layer(to)).is_some_and(|(from, to)| from < to))
        .collect();
    assert_eq!(upward, [], "each pair imports from a layer above its own");
    let missing: Vec<_> = LAYERS
        .iter()
        .filter(|layer| {
            !imports.edges().any(|(from, to)| from.starts_with(*layer) || to.starts_with(*layer))
        })
        .collect();
    assert!(missing.is_empty(), "there is no such layer: {missing:?}");
}

/// A crate of two modules that import from each other, one of them through a re-export.
#[test]
fn a_circle_through_a_re_export_is_found() {
    let folder = std::env::temp_dir().join(format!("slipring-layers-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("inner")).unwrap();
    for (file, text) in [
        ("lib.rs", "mod inner; mod outer; pub use inner::Thing;"),
        ("inner/mod.rs", "mod part; pub use part::Thing;"),
        ("inner/part.rs", "pub struct Thing; fn up(_: crate::outer::Other) {}"),
        (
            "outer.rs",
            "use crate::Thing; pub struct Other(Thing); #[cfg(test)] mod tests { use crate::inner::part; }",
        ),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
    }
    let imports = Imports::read(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(imports.circles(), [["inner::part", "outer"]]);
    assert_eq!(imports.between_folders().circles(), [["inner", "outer"]]);
    let edges: Vec<_> = imports.edges().collect();
    assert_eq!(edges, [("inner::part", "outer"), ("outer", "inner::part")]);
}
