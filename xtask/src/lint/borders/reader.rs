//! Reads one file into modules: which paths it mentions, and where its submodules are. Code for tests alone is left out.
//!
//! Paths are seen wherever they stand, also in the arguments and the bodies of macros. Calls of methods are not:
//! `path.exists()` names no module.

use std::mem;
use std::path::Path;

use anyhow::{Result, anyhow};
use proc_macro2::{TokenStream, TokenTree};
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, Token, TraitItem, UseTree};

use super::module::{Mention, Module, Segments, Written};

/// What a file has.
#[derive(Debug)]
pub(super) struct Contents {
    /// The module whose file it is, and those inline in it.
    pub(super) modules: Vec<Module>,
    /// Modules that have files of their own, with these files.
    pub(super) files: Vec<(Segments, String)>,
}

/// Reads the text of a file, which is that of the module at `path`; `exists` says whether there is another file.
///
/// # Errors
/// It is not Rust, or the file of a submodule is not there.
pub(super) fn read(
    path: Segments,
    file: &str,
    text: &str,
    exists: &dyn Fn(&str) -> bool,
) -> Result<Contents> {
    let parsed = syn::parse_file(text)
        .map_err(|error| anyhow!("{file}:{}: {error}", error.span().start().line))?;
    let mut reader = Reader::new(path, file, exists);
    reader.visit_file(&parsed);
    match reader.error {
        Some(error) => Err(error),
        None => Ok(Contents {
            modules: reader.done,
            files: reader.files,
        }),
    }
}

struct Reader<'a> {
    exists: &'a dyn Fn(&str) -> bool,
    /// The modules that were left again: inline ones, and at the end that of the file.
    done: Vec<Module>,
    /// The module that is read.
    module: Module,
    /// Modules that have files of their own, with these files.
    files: Vec<(Segments, String)>,
    /// Where those are.
    directory: String,
    error: Option<anyhow::Error>,
}

impl<'a> Reader<'a> {
    fn new(path: Segments, file: &str, exists: &'a dyn Fn(&str) -> bool) -> Reader<'a> {
        let parent = parent(file);
        let stem = file
            .rsplit('/')
            .next()
            .unwrap_or(file)
            .trim_end_matches(".rs");
        let directory = match stem {
            "mod" | "lib" | "main" => parent.to_owned(),
            stem => format!("{parent}{stem}/"),
        };
        Reader {
            exists,
            done: Vec::new(),
            module: Module {
                path,
                file: file.to_owned(),
                ..Module::default()
            },
            files: Vec::new(),
            directory,
            error: None,
        }
    }

    fn mention(&mut self, segments: Segments, absolute: bool, line: usize) {
        self.module.mentions.push(Mention {
            path: Written { segments, absolute },
            line,
            is_glob: false,
            is_use: false,
        });
    }

    /// Takes what a `use` brings in.
    fn bring_in(&mut self, tree: &UseTree, before: &[String], absolute: bool) {
        let written = |segments: Segments| Written { segments, absolute };
        let longer = |name: &syn::Ident| [before, &[plain(name)]].concat();
        let (name, segments, line) = match tree {
            UseTree::Path(path) => {
                return self.bring_in(&path.tree, &longer(&path.ident), absolute);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.bring_in(tree, before, absolute);
                }
                return;
            }
            UseTree::Glob(glob) => {
                self.module.globs.push(written(before.to_vec()));
                (None, before.to_vec(), glob.star_token.spans[0].start().line)
            }
            // `use a::{self}` is `a`.
            UseTree::Name(name) if name.ident == "self" => (
                before.last().cloned(),
                before.to_vec(),
                name.ident.span().start().line,
            ),
            UseTree::Name(name) => (
                Some(plain(&name.ident)),
                longer(&name.ident),
                name.ident.span().start().line,
            ),
            UseTree::Rename(rename) => {
                let segments = if rename.ident == "self" && !before.is_empty() {
                    before.to_vec()
                } else {
                    longer(&rename.ident)
                };
                let line = rename.ident.span().start().line;
                (Some(plain(&rename.rename)), segments, line)
            }
        };
        let is_glob = name.is_none();
        if let Some(name) = name {
            self.module.names.insert(name, written(segments.clone()));
        }
        self.module.mentions.push(Mention {
            path: written(segments),
            line,
            is_glob,
            is_use: true,
        });
    }

    /// Finds the paths in the arguments or the body of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(_) => {
                    at = self.token_path(
                        &tokens,
                        at,
                        Vec::new(),
                        is_colons(&tokens, at.wrapping_sub(2)),
                    );
                    continue;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
    }

    /// Takes the path that begins at `at` of `tokens`; returns where it ends.
    fn token_path(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        before: Segments,
        absolute: bool,
    ) -> usize {
        let mut segments = before;
        let line = tokens[at].span().start().line;
        while let Some(TokenTree::Ident(ident)) = tokens.get(at) {
            segments.push(plain(ident));
            at += 1;
            if !is_colons(tokens, at) {
                break;
            }
            match tokens.get(at + 2) {
                Some(TokenTree::Ident(_)) => at += 2,
                // `a::{b, c}` of a `use` in a macro.
                Some(TokenTree::Group(group)) => {
                    self.token_branches(group.stream(), &segments, absolute);
                    return at + 3;
                }
                _ => break,
            }
        }
        let is_macro =
            matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
        if is_macro && let Some(last) = segments.last_mut() {
            last.push('!');
        }
        // A name alone may be anything.
        if segments.len() > 1 || is_macro {
            self.mention(segments, absolute, line);
        }
        at
    }

    /// Takes the paths in braces behind `before`.
    fn token_branches(&mut self, branches: TokenStream, before: &[String], absolute: bool) {
        let tokens: Vec<TokenTree> = branches.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Ident(_) => self.token_path(&tokens, at, before.to_vec(), absolute),
                TokenTree::Group(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => at + 1,
            };
        }
    }

    fn inline(&mut self, item: &syn::ItemMod, path: Segments, directory: String) {
        let inner = Module {
            path,
            file: self.module.file.clone(),
            ..Module::default()
        };
        let outer = mem::replace(&mut self.module, inner);
        let above = mem::replace(&mut self.directory, directory);
        visit::visit_item_mod(self, item);
        self.directory = above;
        let inner = mem::replace(&mut self.module, outer);
        self.done.push(inner);
    }

    /// Enters an inline module, or notes the file of another.
    fn submodule(&mut self, item: &syn::ItemMod) {
        let name = plain(&item.ident);
        self.module.children.insert(name.clone());
        let path = [self.module.path.as_slice(), std::slice::from_ref(&name)].concat();
        let below = format!("{}{name}/", self.directory);
        if item.content.is_some() {
            self.inline(item, path, below);
            return;
        }
        let named = item.attrs.iter().find_map(path_attribute);
        let candidates = match named {
            Some(file) => vec![format!("{}{file}", parent(&self.module.file))],
            None => vec![
                format!("{}{name}.rs", self.directory),
                format!("{below}mod.rs"),
            ],
        };
        let found = candidates.into_iter().find(|file| (self.exists)(file));
        match found {
            Some(file) => self.files.push((path, file)),
            None => {
                let line = item.ident.span().start().line;
                let problem = format!("{}:{line}: no file of module {name}", self.module.file);
                self.error.get_or_insert(anyhow!(problem));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_file(&mut self, file: &'ast syn::File) {
        visit::visit_file(self, file);
        self.done.push(mem::take(&mut self.module));
    }

    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[Attribute] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes: &[Attribute] = match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !attributes.iter().any(is_for_tests) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !field.attrs.iter().any(is_for_tests) {
            visit::visit_field(self, field);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.submodule(item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.bring_in(&item.tree, &[], item.leading_colon.is_some());
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let segments = vec![plain(&item.ident)];
        let name = item.rename.as_ref().map_or(&item.ident, |(_, name)| name);
        let path = Written {
            segments,
            absolute: true,
        };
        self.module.names.insert(plain(name), path.clone());
        self.module.mentions.push(Mention {
            path,
            line: item.ident.span().start().line,
            is_glob: false,
            is_use: true,
        });
    }

    /// `pub(in crate::a)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        match &attribute.meta {
            Meta::List(list) => self.tokens(list.tokens.clone()),
            Meta::NameValue(pair) => self.visit_expr(&pair.value),
            Meta::Path(_) => {}
        }
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let mut segments = segments(&called.path);
        if let Some(last) = segments.last_mut() {
            last.push('!');
        }
        self.mention(
            segments,
            called.path.leading_colon.is_some(),
            line(&called.path),
        );
        self.tokens(called.tokens.clone());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.mention(segments(path), path.leading_colon.is_some(), line(path));
        visit::visit_path(self, path);
    }
}

/// Whether what has the attribute is compiled for tests alone.
fn is_for_tests(attribute: &Attribute) -> bool {
    if attribute.path().is_ident("test") {
        return true;
    }
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<Meta>()
            .is_ok_and(|condition| needs_test(&condition))
}

fn needs_test(condition: &Meta) -> bool {
    match condition {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("all") => list
            .parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
            .is_ok_and(|all| all.iter().any(needs_test)),
        Meta::List(_) | Meta::NameValue(_) => false,
    }
}

/// The file that `#[path = "..."]` names.
fn path_attribute(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    let syn::Expr::Lit(literal) = &pair.value else {
        return None;
    };
    match &literal.lit {
        syn::Lit::Str(file) if pair.path.is_ident("path") => Some(file.value()),
        _ => None,
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
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn segments(path: &syn::Path) -> Segments {
    path.segments
        .iter()
        .map(|segment| plain(&segment.ident))
        .collect()
}

fn line(path: &syn::Path) -> usize {
    path.segments
        .first()
        .map_or(0, |segment| segment.ident.span().start().line)
}

/// A name without the mark of raw ones: `r#type` is `type`.
fn plain(name: &syn::Ident) -> String {
    let name = name.to_string();
    name.strip_prefix("r#")
        .map_or_else(|| name.clone(), str::to_owned)
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon =
        |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
    colon(at) && colon(at.wrapping_add(1))
}

/// The directory of a file, with the slash at its end.
fn parent(file: &str) -> &str {
    let name = Path::new(file).file_name().map_or(0, |name| name.len());
    &file[..file.len() - name]
}
