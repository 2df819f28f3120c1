//! Keeps the house: reads the tree and checks the crate graph, the purity of the cores, module
//! docs, dead files, sizes, and that what `docs/ARCHITECTURE.md` names exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates a crate may link. What is not listed is refused.
const MAY_LINK: &[(&str, &[&str])] = &[
    ("stoa-manifests", &[]),
    ("stoa-store", &[]),
    ("base2histogram", &[]),
    ("stoa-apiserver", &["stoa-manifests", "stoa-store"]),
    ("stoa-controllers", &["stoa-manifests"]),
    ("stoa-agent", &["stoa-manifests"]),
    (
        "stoa",
        &[
            "stoa-manifests",
            "stoa-apiserver",
            "stoa-controllers",
            "stoa-agent",
        ],
    ),
    (
        "stoa-e2e",
        &[
            "stoa-manifests",
            "stoa-store",
            "stoa-apiserver",
            "stoa-controllers",
            "stoa-agent",
        ],
    ),
];

/// Libraries that only the named crates may link.
const OWNED_LIBRARIES: &[(&str, &[&str])] = &[
    ("openraft", &["stoa-store"]),
    ("axum", &["stoa-apiserver", "stoa-agent"]),
    ("clap", &["stoa", "stoa-e2e"]),
];

/// What a pure core may not mention: async, clocks, randomness, files, network, processes.
const IMPURE: &[&str] = &[
    "async fn",
    ".await",
    "tokio::",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "Uuid::new_v4",
    "rand::",
];

/// Longest source file, tests aside.
const LINES_MAX: usize = 450;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("e2e has a parent")
        .to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Members as the root manifest lists them.
fn members() -> Vec<String> {
    let manifest = read(&root().join("Cargo.toml"));
    let list = manifest
        .split("members = [")
        .nth(1)
        .expect("members")
        .split(']')
        .next()
        .expect("]");
    list.split(',')
        .map(|m| m.trim().trim_matches('"').to_owned())
        .filter(|m| !m.is_empty())
        .collect()
}

/// Package name and the keys of its `[dependencies]` and `[dev-dependencies]`.
struct Package {
    name: String,
    dependencies: BTreeSet<String>,
    dev_dependencies: BTreeSet<String>,
}

fn package(member: &str) -> Package {
    let text = read(&root().join(member).join("Cargo.toml"));
    let mut package = Package {
        name: String::new(),
        dependencies: BTreeSet::new(),
        dev_dependencies: BTreeSet::new(),
    };
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim().split('.').next().unwrap_or_default().to_owned();
            match section {
                "[package]" if key == "name" => {
                    value.trim().trim_matches('"').clone_into(&mut package.name);
                }
                "[dependencies]" => _ = package.dependencies.insert(key),
                "[dev-dependencies]" => _ = package.dev_dependencies.insert(key),
                _ => {}
            }
        }
    }
    package
}

/// Maps the workspace's dependency keys of our crates (`manifests`) to package names.
fn our_crates() -> BTreeMap<String, String> {
    let manifest = read(&root().join("Cargo.toml"));
    let ours = manifest
        .lines()
        .filter(|l| l.contains("path = \"") && l.contains("package = \""));
    ours.map(|line| {
        let key = line.split('=').next().expect("key").trim().to_owned();
        let name = line.split("package = \"").nth(1).expect("package");
        (key, name.split('"').next().expect("quote").to_owned())
    })
    .collect()
}

/// Every `.rs` file of the workspace, relative to the root.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for member in members() {
        for folder in ["src", "tests", "examples", "benches"] {
            collect(&root().join(&member).join(folder), &mut found);
        }
    }
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.map(|e| e.expect("entry").path()) {
        if entry.is_dir() {
            collect(&entry, found);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            found.push(
                entry
                    .strip_prefix(root())
                    .expect("below the root")
                    .to_path_buf(),
            );
        }
    }
}

/// The part of a file that is not its tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

fn is_test(path: &Path) -> bool {
    path.components()
        .any(|c| c.as_os_str() == "tests" || c.as_os_str() == "examples")
        || path
            .file_stem()
            .is_some_and(|s| s.to_string_lossy().ends_with("tests"))
}

fn report(what: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{what}:\n  {}", faults.join("\n  "));
}

#[test]
fn crates_link_only_what_the_design_allows() {
    let ours = our_crates();
    let allowed: BTreeMap<_, _> = MAY_LINK.iter().copied().collect();
    let owned: BTreeMap<_, _> = OWNED_LIBRARIES.iter().copied().collect();
    let mut faults = Vec::new();
    for member in members() {
        let package = package(&member);
        let may = allowed
            .get(package.name.as_str())
            .copied()
            .unwrap_or_else(|| panic!("{} is new: say in MAY_LINK what it may link", package.name));
        for key in &package.dependencies {
            if let Some(name) = ours.get(key)
                && !may.contains(&name.as_str())
            {
                faults.push(format!("{} may not link {name}", package.name));
            }
            if let Some(owners) = owned.get(key.as_str())
                && !owners.contains(&package.name.as_str())
            {
                faults.push(format!(
                    "{} may not link {key}: {owners:?} do",
                    package.name
                ));
            }
        }
    }
    report("the crate graph of docs/ARCHITECTURE.md is broken", &faults);
}

#[test]
fn every_file_says_what_lives_there() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|path| !read(&root().join(path)).trim_start().starts_with("//!"))
        .map(|path| path.display().to_string())
        .collect();
    report("files without an opening `//!` line", &silent);
}

#[test]
fn every_file_is_part_of_a_crate() {
    let mut declared = BTreeSet::new();
    for path in sources() {
        let text = read(&root().join(&path));
        for line in text.lines().map(str::trim) {
            let line = line
                .trim_start_matches("pub ")
                .trim_start_matches("pub(crate) ");
            if let Some(name) = line.strip_prefix("mod ").and_then(|l| l.strip_suffix(';')) {
                declared.insert((module_folder(&path), name.to_owned()));
            }
        }
    }
    let dead: Vec<_> = sources()
        .into_iter()
        .filter(|path| !is_crate_root(path))
        .filter(|path| {
            let name = path
                .file_stem()
                .expect("stem")
                .to_string_lossy()
                .into_owned();
            let folder = path.parent().expect("parent").to_path_buf();
            !declared.contains(&(folder, name))
        })
        .map(|path| path.display().to_string())
        .collect();
    report("files no `mod` line names", &dead);
}

/// Where the files of the modules declared in `path` live.
fn module_folder(path: &Path) -> PathBuf {
    if is_crate_root(path) {
        path.parent().expect("parent").to_path_buf()
    } else {
        path.with_extension("")
    }
}

fn is_crate_root(path: &Path) -> bool {
    let stem = path.file_stem().expect("stem");
    let folder = path.parent().and_then(Path::file_name).expect("folder");
    stem == "lib"
        || stem == "main"
        || folder == "tests" && path.components().count() == 3
        || folder == "examples"
        || folder == "bin"
}

#[test]
fn files_hold_one_idea() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|path| !is_test(path))
        .map(|path| (production(&read(&root().join(&path))).lines().count(), path))
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("{}: {lines} lines, at most {LINES_MAX}", path.display()))
        .collect();
    report("files too long for one idea", &long);
}

/// The backquoted paths of a section of the architecture page.
fn named_in_architecture(section: Option<&str>) -> Vec<String> {
    let page = read(&root().join("docs/ARCHITECTURE.md"));
    let text = section.map_or(page.as_str(), |title| {
        let from = page
            .find(&format!("## {title}"))
            .unwrap_or_else(|| panic!("no section {title}"));
        let rest = &page[from + 3..];
        rest.find("\n## ").map_or(rest, |end| &rest[..end])
    });
    let quoted = text.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|q| q.contains('/') && !q.contains(' ') && !q.starts_with('/'));
    paths
        .filter(|q| !q.contains("://") && !q.contains('<'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_the_architecture_names_exists() {
    let missing: Vec<_> = named_in_architecture(None)
        .into_iter()
        .filter(|path| members().iter().any(|m| path.starts_with(&format!("{m}/"))))
        .filter(|path| !root().join(path).exists())
        .collect();
    report("docs/ARCHITECTURE.md names what does not exist", &missing);
}

#[test]
fn cores_are_pure() {
    let mut faults = Vec::new();
    let cores = named_in_architecture(Some("Pure cores"));
    assert!(
        cores.len() >= 10,
        "the list of pure cores has gone: {cores:?}"
    );
    for path in sources() {
        let inside = cores.iter().any(|core| path.starts_with(core));
        if !inside || is_test(&path) || path.components().any(|c| c.as_os_str() == "edge") {
            continue;
        }
        let text = read(&root().join(&path));
        for (number, line) in production(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = IMPURE.iter().find(|word| mentions(code, word)) {
                faults.push(format!("{}:{}: `{word}`", path.display(), number + 1));
            }
        }
    }
    report("a pure core touches the world", &faults);
}

/// True when the word stands in the code as a word: `.await` is not in `.awaits_key()`.
fn mentions(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let next = code[at + word.len()..].chars().next();
        word.ends_with(':') || !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[test]
fn decisions_are_numbered_and_short() {
    let mut faults = Vec::new();
    let folder = root().join("docs/decisions");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .expect("docs/decisions")
        .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    for (index, name) in names.iter().enumerate() {
        if !name.starts_with(&format!("{:03}-", index + 1)) {
            faults.push(format!("{name}: expected number {:03}", index + 1));
        }
        let lines = read(&folder.join(name)).lines().count();
        if lines > 30 {
            faults.push(format!("{name}: {lines} lines; a decision is short"));
        }
    }
    report("docs/decisions", &faults);
}
