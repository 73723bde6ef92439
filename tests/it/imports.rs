use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::tokens::{Token, tokens_of};

/// Which file of the source imports which names from which other file, with re-exports followed to where a name is defined.
pub struct Imports {
    /// The names by importing file and imported file; both relative to the folder of the source.
    pub arrows: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

/// What a module is, as far as names are concerned.
#[derive(Default)]
struct Module {
    file: String,
    children: BTreeSet<String>,
    /// Items that the module defines itself.
    defined: BTreeSet<String>,
    /// Names that `use` brings in, with their paths as written.
    used: Vec<Use>,
    /// Paths in the rest of the code, and the single names there.
    paths: Vec<Vec<String>>,
    names: BTreeSet<String>,
}

/// One name of a `use` declaration.
#[derive(Clone)]
struct Use {
    /// The name in this module; `*` for all.
    name: String,
    path: Vec<String>,
    public: bool,
}

/// The modules by their path from the root.
type Modules = BTreeMap<Vec<String>, Module>;

impl Imports {
    /// Reads every file of a crate from its `lib.rs` on. Tests inside the source are left out.
    pub fn of(source: &Path) -> Imports {
        let mut modules = Modules::new();
        read_module(source, "lib.rs".into(), Vec::new(), &mut modules);
        let mut arrows = BTreeMap::new();
        for (path, module) in &modules {
            let from: &mut BTreeMap<String, BTreeSet<String>> = arrows.entry(module.file.clone()).or_default();
            for (file, name) in imported(path, module, &modules) {
                if file != module.file {
                    from.entry(file).or_default().insert(name);
                }
            }
        }
        Imports { arrows }
    }

    /// A shortest circle through each file that is in one and in no circle before it, as files with the names that each takes
    /// from the next.
    pub fn circles(&self) -> Vec<Vec<(String, String)>> {
        let mut found: Vec<Vec<(String, String)>> = Vec::new();
        for file in self.arrows.keys() {
            if found.iter().any(|circle| circle.iter().any(|(member, _)| member == file)) {
                continue;
            }
            found.extend(self.circle_through(file));
        }
        found
    }

    fn circle_through(&self, start: &str) -> Option<Vec<(String, String)>> {
        let mut reached: BTreeMap<&str, &str> = BTreeMap::new();
        let mut waiting = VecDeque::from([start]);
        while let Some(file) = waiting.pop_front() {
            for next in self.arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
                if reached.contains_key(next.as_str()) {
                    continue;
                }
                reached.insert(next, file);
                if next == start {
                    return Some(self.walked_back(start, &reached));
                }
                waiting.push_back(next);
            }
        }
        None
    }

    fn walked_back(&self, start: &str, reached: &BTreeMap<&str, &str>) -> Vec<(String, String)> {
        let mut circle = Vec::new();
        let mut to = start;
        loop {
            let from = reached[to];
            let names: Vec<_> = self.arrows[from][to].iter().map(String::as_str).collect();
            circle.push((from.to_owned(), names.join(", ")));
            to = from;
            if to == start {
                break;
            }
        }
        circle.reverse();
        circle
    }
}

/// Reads a module's file and those of its children.
fn read_module(source: &Path, file: String, path: Vec<String>, modules: &mut Modules) {
    let tokens = tokens_of(&std::fs::read_to_string(source.join(&file)).unwrap());
    let module = Module { file: file.clone(), ..module_of(&tokens) };
    for child in &module.children {
        let mut inside = path.clone();
        inside.push(child.clone());
        let folder: PathBuf = path.iter().collect();
        let candidates = [folder.join(format!("{child}.rs")), folder.join(child).join("mod.rs")];
        let found = candidates.iter().find(|candidate| source.join(candidate).is_file());
        // A module that is written out inside its parent's file has none of its own.
        if let Some(found) = found {
            read_module(source, found.to_str().unwrap().to_owned(), inside, modules);
        }
    }
    modules.insert(path, module);
}

/// Takes a module's tokens apart: its children, its own items, what it uses, and the paths in its code.
fn module_of(tokens: &[Token]) -> Module {
    let mut module = Module::default();
    let (mut at, mut depth) = (0, 0_usize);
    while at < tokens.len() {
        let text = tokens[at].text.as_str();
        let next = tokens.get(at + 1).map_or("", |token| token.text.as_str());
        match text {
            "{" => depth += 1,
            "}" => depth -= 1,
            // `use<…>` in a type says what it captures.
            "use" if next != "<" => {
                let public = at > 0 && ["pub", ")"].contains(&tokens[at - 1].text.as_str());
                let end = at + tokens[at..].iter().position(|token| token.text == ";").unwrap();
                let mut inside = tokens[at + 1..end].iter().map(|token| token.text.as_str()).peekable();
                read_use(&mut inside, &[], public, &mut module.used);
                at = end;
            }
            "mod" if tokens.get(at + 2).is_some_and(|token| token.text == ";") => {
                module.children.insert(next.to_owned());
            }
            "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" if depth == 0 => {
                let name = if next == "fn" || next == "mut" { &tokens[at + 2].text } else { next };
                module.defined.insert(name.to_owned());
            }
            _ => {}
        }
        if is_name(text) && !["use", "mod"].contains(&text) && (at == 0 || ![".", "::"].contains(&tokens[at - 1].text.as_str())) {
            let path = path_at(&tokens[at..]);
            module.names.insert(text.to_owned());
            if path.len() > 1 {
                module.paths.push(path);
            }
        }
        at += 1;
    }
    module
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// The names that `::` joins from here on.
fn path_at(tokens: &[Token]) -> Vec<String> {
    let mut path = vec![tokens[0].text.clone()];
    for pair in tokens[1..].chunks(2) {
        match pair {
            [colons, name] if colons.text == "::" && is_name(&name.text) => path.push(name.text.clone()),
            _ => break,
        }
    }
    path
}

/// Reads one tree of a `use` declaration, after the path that stands before it.
fn read_use<'a>(tokens: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>, before: &[String], public: bool, used: &mut Vec<Use>) {
    let mut path = before.to_vec();
    while let Some(token) = tokens.next() {
        match token {
            "::" => {}
            "{" => {
                while tokens.peek().is_some_and(|next| *next != "}") {
                    read_use(tokens, &path, public, used);
                    if tokens.peek() == Some(&",") {
                        tokens.next();
                    }
                }
                tokens.next();
                return;
            }
            "*" => return used.push(Use { name: "*".into(), path, public }),
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
        if matches!(tokens.peek(), None | Some(&"," | &"}")) {
            return used.push(Use { name: path.last().unwrap().clone(), path, public });
        }
        if tokens.peek() == Some(&"as") {
            tokens.next();
            let name = tokens.next().unwrap().to_owned();
            return used.push(Use { name, path, public });
        }
    }
}

/// Every file and name that a module takes from others.
fn imported(path: &[String], module: &Module, modules: &Modules) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for import in &module.used {
        if !is_handed_on(path, import, module, modules) {
            found.extend(definition(path, &import.path, modules, 0));
        }
        if import.name == "*" {
            let everything = module.names.iter().filter_map(|name| {
                let full: Vec<_> = import.path.iter().chain([name]).cloned().collect();
                definition(path, &full, modules, 0)
            });
            found.extend(everything);
        }
    }
    found.extend(module.paths.iter().filter_map(|used| definition(path, used, modules, 0)));
    found
}

/// Whether a name of a module's own child is re-exported, and not used by the module itself.
fn is_handed_on(path: &[String], import: &Use, module: &Module, modules: &Modules) -> bool {
    let is_own = import.path.first().is_some_and(|first| first == "self" || module.children.contains(first));
    let is_used = module.names.contains(&import.name) || import.name == "*" && !module.defined.is_empty();
    import.public && is_own && !is_used && definition(path, &import.path, modules, 0).is_some()
}

/// The file that defines what a path in a module leads to, and its name there. Modules alone are no items, and other crates are
/// not followed.
fn definition(at: &[String], path: &[String], modules: &Modules, depth: usize) -> Option<(String, String)> {
    assert!(depth < 20, "the path {path:?} in {at:?} leads in a circle");
    let module = modules.get(at)?;
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => definition(&[], rest, modules, depth + 1),
        "self" => definition(at, rest, modules, depth + 1),
        "super" => definition(at.split_last()?.1, rest, modules, depth + 1),
        name if module.children.contains(name) => {
            let inside: Vec<_> = at.iter().chain([first]).cloned().collect();
            if modules.contains_key(&inside) {
                definition(&inside, rest, modules, depth + 1)
            } else {
                Some((module.file.clone(), name.to_owned()))
            }
        }
        name if module.defined.contains(name) => Some((module.file.clone(), name.to_owned())),
        name => {
            let named = module.used.iter().find(|import| import.name == name && import.path[0] != name);
            if let Some(import) = named {
                let full: Vec<_> = import.path.iter().chain(rest).cloned().collect();
                return definition(at, &full, modules, depth + 1);
            }
            let all = module.used.iter().filter(|import| import.name == "*" && depth > 0);
            all.map(|import| import.path.iter().chain(path).cloned().collect::<Vec<_>>())
                .find_map(|full| definition(at, &full, modules, depth + 1))
        }
    }
}
