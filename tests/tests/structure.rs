//! The structure of the code: which top module of a crate uses which other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const CRATES: [&str; 11] = [
    "archive",
    "bench",
    "cascade-format",
    "cascade-hash",
    "peer",
    "picture",
    "simulator",
    "swarm",
    "tests",
    "tracker",
    "web",
];

/// Which top modules use which.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// Whoever changes one of several modules that all use each other must have all of them in mind. Two or three small
/// files may belong together in this way; a folder stands for itself.
#[test]
fn no_folder_is_in_a_circle_of_modules_and_no_circle_has_more_than_three_files() {
    for name in CRATES {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        let uses = uses(&source);
        assert!(!uses.is_empty(), "{name} has no modules");
        for circle in circles(&uses) {
            let folder = circle.iter().find(|module| source.join(module).is_dir());
            assert!(folder.is_none(), "{name}: the folder {folder:?} is in the circle {circle:?}");
            assert!(circle.len() <= 3, "{name}: {circle:?}");
        }
    }
}

#[test]
fn circles_are_found() {
    let uses = of(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "a")]);
    assert_eq!(circles(&uses), [BTreeSet::from(["a", "b", "c"].map(str::to_owned))]);
    assert_eq!(circles(&of(&[("a", "b"), ("b", "c"), ("a", "c")])), []);
    let text = "use crate::a::X;\nuse crate::{b::{Y, Z}, c};\n// crate::d\nfn f() { crate::e::g() }\n#[cfg(test)]\nmod tests {\nuse crate::h;";
    assert_eq!(named(text), BTreeSet::from(["a", "b", "c", "e"].map(str::to_owned)));
}

fn of(uses: &[(&str, &str)]) -> Uses {
    let mut all = Uses::new();
    for (from, to) in uses {
        all.entry((*from).to_owned()).or_default().insert((*to).to_owned());
    }
    all
}

/// The uses among the top modules of a crate. Its root, which names all of them, is left out.
fn uses(source: &Path) -> Uses {
    let mut all = Uses::new();
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_string_lossy().into_owned();
        if !["lib", "main"].contains(&module.as_str()) {
            let uses = all.entry(module.clone()).or_default();
            read(&path, uses);
            uses.remove(&module);
        }
    }
    let modules: BTreeSet<String> = all.keys().cloned().collect();
    all.values_mut().for_each(|uses| uses.retain(|used| modules.contains(used)));
    all
}

/// Adds the modules that are named in a file, or in all files of a folder; tests are left out.
fn read(path: &Path, uses: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            read(&entry.unwrap().path(), uses);
        }
    } else if path.extension().is_some_and(|ending| ending == "rs")
        && path.file_name().is_some_and(|name| name != "tests.rs")
    {
        uses.append(&mut named(&fs::read_to_string(path).unwrap()));
    }
}

/// The modules of the crate that a file names as `crate::NAME`; its tests stand at its end.
fn named(text: &str) -> BTreeSet<String> {
    let text = text.split("mod tests {\n").next().unwrap();
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => names.extend(first_names(list)),
            None => names.extend(word(rest)),
        }
    }
    names
}

/// The first name of each path in a list that ends with its brace.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut at) = (0_u32, Vec::new(), 0);
    for (here, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.extend(word(list[at..here].trim_start()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.extend(word(list[at..here].trim_start()));
                at = here + 1;
            }
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// The largest sets of modules, of more than one, in which each is reached from each.
fn circles(uses: &Uses) -> Vec<BTreeSet<String>> {
    let reached = |from: &String| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(module) = next.pop() {
            for used in uses.get(&module).into_iter().flatten() {
                if seen.insert(used.clone()) {
                    next.push(used.clone());
                }
            }
        }
        seen
    };
    let all: BTreeMap<&String, BTreeSet<String>> =
        uses.keys().map(|module| (module, reached(module))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (module, here) in all.iter().filter(|(module, here)| here.contains(**module)) {
        let is_back = |other: &&String| all.get(other).is_some_and(|there| there.contains(*module));
        let circle: BTreeSet<String> = here.iter().filter(is_back).cloned().collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}
