//! The paths in a source file, as absolute ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, Meta, Token, UseTree};

use crate::support::repository;

/// A source file without what is compiled for tests alone.
pub struct Source {
    /// Its path below `src/`.
    pub name: String,
    /// The path of its module.
    pub module: Vec<String>,
    /// Whether it belongs to the library, and not to the binary.
    pub in_library: bool,
    /// Its lines.
    pub lines: usize,
    /// What it uses.
    pub found: Found,
    /// Modules that it declares: the files that may hold them.
    children: Vec<Vec<PathBuf>>,
}

/// The source files of `src/`, found as the compiler finds them: from the roots, module by module.
pub fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for (root, in_library) in [("lib.rs", true), ("main.rs", false)] {
        collect(&repository("src"), Path::new(root), in_library, &mut sources);
    }
    assert!(sources.len() > 100, "the sources were not found");
    sources
}

/// Those of the kernels, which are a crate of their own.
pub fn sources_of_kernels() -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&repository("kernels/src"), Path::new("lib.rs"), true, &mut sources);
    assert!(sources.len() > 20, "the kernels' sources were not found");
    sources
}

fn collect(folder: &Path, path: &Path, in_library: bool, sources: &mut Vec<Source>) {
    let code = fs::read_to_string(folder.join(path)).unwrap();
    let source = Source::parse(path, &code, in_library);
    let children = source.children.clone();
    sources.push(source);
    for candidates in children {
        let child = candidates.iter().find(|candidate| folder.join(candidate).exists());
        let child = child.unwrap_or_else(|| panic!("{}: none of {candidates:?}", folder.join(path).display()));
        collect(folder, child, in_library, sources);
    }
}

impl Source {
    /// Reads a file at `src/{path}`.
    pub fn parse(path: &Path, code: &str, in_library: bool) -> Self {
        let file: File = syn::parse_file(code).unwrap_or_else(|e| panic!("src/{}: {e}", path.display()));
        let module = module_of(path);
        let mut reader = Reader { module: module.clone(), in_library, found: Found::default() };
        file.items.iter().for_each(|item| reader.visit_item(item));
        let children = file.items.iter().filter_map(|item| child(path, item)).collect();
        let (name, lines) = (path.to_string_lossy().replace('\\', "/"), lines(code));
        Self { name, module, in_library, lines, found: reader.found, children }
    }
}

/// `flight/mod.rs` and `flight.rs` are `flight`, `lib.rs` and `main.rs` the root.
fn module_of(path: &Path) -> Vec<String> {
    let parts = path.with_extension("");
    let mut parts: Vec<String> = parts.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// The files that may hold the module that `item` declares, if it declares one elsewhere.
fn child(path: &Path, item: &Item) -> Option<Vec<PathBuf>> {
    let Item::Mod(item) = item else { return None };
    if item.content.is_some() || item.attrs.iter().any(is_for_tests) {
        return None;
    }
    let folder = path.parent().unwrap();
    if let Some(Meta::NameValue(named)) = item.attrs.iter().map(|a| &a.meta).find(|meta| meta.path().is_ident("path")) {
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(file), .. }) = &named.value else { return None };
        return Some(vec![folder.join(file.value())]);
    }
    let root: PathBuf = module_of(path).iter().collect();
    let name = item.ident.to_string();
    Some(vec![root.join(format!("{name}.rs")), root.join(name).join("mod.rs")])
}

/// Lines but for the items at the margin that are for tests alone, as rustfmt lays them out.
fn lines(code: &str) -> usize {
    let mut all = code.lines();
    let mut count = 0;
    while let Some(line) = all.next() {
        if line == "#[cfg(test)]" {
            let _item = all.find(|line| *line == "}" || line.ends_with(';') && !line.starts_with(' '));
        } else {
            count += 1;
        }
    }
    count
}

/// Whether what stands under this attribute is compiled for tests alone.
fn is_for_tests(attribute: &Attribute) -> bool {
    let is_cfg = attribute.path().is_ident("cfg");
    attribute.path().is_ident("test")
        || attribute.path().segments.last().is_some_and(|last| last.ident == "test") && !is_cfg
        || is_cfg && attribute.parse_args::<Meta>().is_ok_and(|meta| needs_tests(&meta))
}

fn needs_tests(meta: &Meta) -> bool {
    let Meta::List(list) = meta else { return meta.path().is_ident("test") };
    let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).unwrap_or_default();
    match () {
        () if list.path.is_ident("all") => parts.iter().any(needs_tests),
        () if list.path.is_ident("any") => !parts.is_empty() && parts.iter().all(needs_tests),
        () => false,
    }
}

/// What a file uses.
#[derive(Default)]
pub struct Found {
    /// Of the library: module and item names from the crate's root on.
    inside: BTreeSet<Vec<String>>,
    /// First names of paths that lead elsewhere.
    outside: BTreeSet<String>,
    has_unsafe: bool,
}

impl Found {
    /// The first names below the crate's root; `*` where all are taken in.
    pub fn modules(&self) -> BTreeSet<String> {
        self.inside.iter().filter_map(|path| path.first().cloned()).collect()
    }

    /// Whether a path begins with this crate.
    pub fn uses_crate(&self, name: &str) -> bool {
        self.outside.contains(name)
    }

    /// Whether there is unsafe code.
    pub const fn has_unsafe(&self) -> bool {
        self.has_unsafe
    }
}

/// Walks through a file.
struct Reader {
    module: Vec<String>,
    in_library: bool,
    found: Found,
}

impl Reader {
    /// Takes note of a path of at least two names.
    fn path(&mut self, path: &[String]) {
        let Some((first, rest)) = path.split_first().filter(|(_, rest)| !rest.is_empty()) else { return };
        match first.as_str() {
            // The binary's own, which stands above all.
            "crate" | "self" | "super" if !self.in_library => {}
            "textflight" | "crate" => self.inside(rest),
            "self" => self.inside(&[&self.module[..], rest].concat()),
            "super" => {
                let up = path.iter().take_while(|name| *name == "super").count();
                let above = self.module.len().saturating_sub(up);
                self.inside(&[&self.module[..above], &path[up..]].concat());
            }
            name => drop(self.found.outside.insert(name.to_owned())),
        }
    }

    fn inside(&mut self, path: &[String]) {
        self.found.inside.insert(path.to_vec());
    }

    fn tree(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
            UseTree::Name(name) => self.used(&with(&name.ident)),
            UseTree::Rename(name) => self.used(&with(&name.ident)),
            UseTree::Glob(_) => self.used(&with(&"*")),
        }
    }

    /// Takes note of a whole `use`; that of a crate has one name alone.
    fn used(&mut self, path: &[String]) {
        match path {
            [one] if !["crate", "self", "super"].contains(&one.as_str()) => {
                self.found.outside.insert(one.clone());
            }
            path => self.path(path),
        }
    }

    /// Names with `::` between them, wherever they stand among tokens that may be any language.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    self.found.has_unsafe |= name == "unsafe";
                    if colons != 2 {
                        self.path(&std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.path(&std::mem::take(&mut path));
                    colons = 0;
                    self.tokens(group.stream());
                }
                _ => {
                    self.path(&std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.path(&path);
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !item.attrs.iter().any(is_for_tests) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.found.outside.insert(item.ident.to_string());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.path(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        self.visit_path(attribute.path());
        self.found.has_unsafe |= attribute.path().is_ident("unsafe");
        match &attribute.meta {
            Meta::List(list) => self.tokens(list.tokens.clone()),
            Meta::NameValue(named) => self.visit_expr(&named.value),
            Meta::Path(_) => {}
        }
    }

    fn visit_expr_unsafe(&mut self, _: &'ast syn::ExprUnsafe) {
        self.found.has_unsafe = true;
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.found.has_unsafe |= signature.unsafety.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.found.has_unsafe |= item.unsafety.is_some();
        visit::visit_item_impl(self, item);
    }

    fn visit_item_foreign_mod(&mut self, _: &'ast syn::ItemForeignMod) {
        self.found.has_unsafe = true;
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
