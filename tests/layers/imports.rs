//! Reads the imports between the modules of `src` from the source files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use syn::visit::{self, Visit};

/// A module's path from the crate's root: empty for the root itself.
type Module = Vec<String>;

/// For each module, the modules that define what it names. A path through a re-export leads to the
/// module that defines the name, so a folder's `mod.rs` does not stand between two files.
pub struct Imports(BTreeMap<String, BTreeSet<String>>);

impl Imports {
    /// Reads all source files below a crate's `src` folder. Code behind `#[cfg(test)]` is left out.
    pub fn read(src: &Path) -> Self {
        let mut files = BTreeMap::new();
        read_folder(src, &Vec::new(), &mut files);
        let for_tests: Vec<Module> =
            files.values().flat_map(|file: &File| file.for_tests.iter().cloned()).collect();
        files.retain(|module, _| !for_tests.iter().any(|test| module.starts_with(test)));
        let mut edges = BTreeMap::new();
        for (module, file) in &files {
            let targets = file.paths.iter().filter_map(|path| resolve(&files, path, 0));
            let targets = targets.filter(|target| target != module).map(|target| target.join("::"));
            edges.insert(module.join("::"), targets.collect());
        }
        Self(edges)
    }

    /// Returns each import as importing and imported module.
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|(from, targets)| targets.iter().map(move |to| (from.as_str(), to.as_str())))
    }

    /// Returns the imports between folders that hold no other folder. What lies in
    /// `engine/ring/slot.rs` counts for `engine::ring`; a file beside folders counts for itself.
    pub fn between_folders(&self) -> Self {
        let is_inner = |folder: &str| {
            let mut within =
                self.0.keys().filter_map(|module| module.strip_prefix(folder)?.strip_prefix("::"));
            within.all(|rest| !rest.contains("::"))
        };
        let folder = |module: &str| match module.rsplit_once("::") {
            _ if self.0.keys().any(|other| other.starts_with(&format!("{module}::"))) => {
                module.to_owned()
            }
            Some((folder, _)) if is_inner(folder) => folder.to_owned(),
            _ => module.to_owned(),
        };
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in self.edges() {
            let (from, to) = (folder(from), folder(to));
            if from != to {
                edges.entry(from).or_default().insert(to);
            }
        }
        Self(edges)
    }

    /// Returns the groups of modules that import from each other in a circle (strongly connected
    /// components of more than one).
    pub fn circles(&self) -> Vec<Vec<String>> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.0.keys().map(|from| (from.as_str(), self.reach(from))).collect();
        let mut circles: Vec<Vec<String>> = Vec::new();
        for (&from, reached) in &reach {
            if !reached.contains(from)
                || circles.iter().any(|circle| circle.iter().any(|module| module == from))
            {
                continue;
            }
            let circle =
                reached.iter().filter(|to| reach.get(*to).is_some_and(|back| back.contains(from)));
            circles.push(circle.map(|module| (*module).to_owned()).collect());
        }
        circles
    }

    fn reach(&self, from: &str) -> BTreeSet<&str> {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(module) = next.pop() {
            for to in self.0.get(module).into_iter().flatten() {
                if reached.insert(to.as_str()) {
                    next.push(to);
                }
            }
        }
        reached
    }
}

/// What one source file names.
#[derive(Default)]
struct File {
    /// Absolute paths of what it uses, without those that it only re-exports.
    paths: Vec<Vec<String>>,
    /// Names that it re-exports, and their absolute paths.
    exports: BTreeMap<String, Vec<String>>,
    /// Its children that exist in tests only.
    for_tests: Vec<Module>,
}

fn read_folder(folder: &Path, module: &Module, files: &mut BTreeMap<Module, File>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            read_folder(&path, &[module.as_slice(), &[name]].concat(), files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let is_root = ["lib", "mod"].contains(&name.as_str());
            let module =
                if is_root { module.clone() } else { [module.as_slice(), &[name]].concat() };
            let parsed = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            let mut reader = Reader { module: module.clone(), file: File::default() };
            reader.visit_file(&parsed);
            files.insert(module, reader.file);
        }
    }
}

/// The module that defines what a path names, if it lies in this crate.
fn resolve(files: &BTreeMap<Module, File>, path: &[String], depth: usize) -> Option<Module> {
    let length = (0..=path.len()).rev().find(|&length| files.contains_key(&path[..length]))?;
    let module = path[..length].to_vec();
    match path.get(length).and_then(|name| files[&module].exports.get(name)) {
        Some(target) if depth < 10 => {
            resolve(files, &[target.as_slice(), &path[length + 1..]].concat(), depth + 1)
        }
        _ => Some(module),
    }
}

struct Reader {
    module: Module,
    file: File,
}

impl Reader {
    /// An absolute path for one that begins with `crate`, `self` or `super`, or with the name of a
    /// child.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut module = self.module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => module.clear(),
            "self" => {}
            "super" => {
                return {
                    while rest.first().is_some_and(|part| part == "super") {
                        module.pop()?;
                        rest = &rest[1..];
                    }
                    Some([module.as_slice(), rest].concat())
                };
            }
            _ => return None,
        }
        rest = &rest[1..];
        Some([module.as_slice(), rest].concat())
    }

    fn tree(&mut self, tree: &syn::UseTree, mut before: Vec<String>, is_export: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before, is_export);
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.tree(tree, before.clone(), is_export));
            }
            syn::UseTree::Name(name) => {
                let known = name.ident.to_string();
                if known != "self" {
                    before.push(known.clone());
                }
                self.named(before, &known, is_export);
            }
            syn::UseTree::Rename(rename) => {
                before.push(rename.ident.to_string());
                self.named(before, &rename.rename.to_string(), is_export);
            }
            syn::UseTree::Glob(_) => self.named(before, "*", is_export),
        }
    }

    fn named(&mut self, path: Vec<String>, known: &str, is_export: bool) {
        // `use child::Name` in a folder's file.
        let path = self.absolute(&path).unwrap_or_else(|| [self.module.as_slice(), &path].concat());
        if is_export {
            self.file.exports.insert(known.to_owned(), path);
        } else {
            self.file.paths.push(path);
        }
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                let tokens = list.tokens.to_string();
                tokens.split(|c: char| !c.is_alphanumeric()).any(|word| word == "test")
            })
    })
}

impl Visit<'_> for Reader {
    fn visit_item(&mut self, item: &syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        } else if let syn::Item::Mod(module) = item {
            self.file
                .for_tests
                .push([self.module.as_slice(), &[module.ident.to_string()]].concat());
        }
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        let is_export = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, Vec::new(), is_export);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let parts: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(path) = self.absolute(&parts)
            && parts.len() > 1
        {
            self.file.paths.push(path);
        }
        visit::visit_path(self, path);
    }
}
