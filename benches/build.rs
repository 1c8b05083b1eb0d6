//! Passes the compiler's version to the benches, whose figures carry it.

use std::process::Command;

fn main() {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok());
    println!(
        "cargo::rustc-env=BUILT_BY={}",
        version.as_deref().map_or("an unknown rustc", str::trim)
    );
    println!("cargo::rerun-if-changed=build.rs");
}
