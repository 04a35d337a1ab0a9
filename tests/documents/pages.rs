//! The project's Markdown: its pages, their fenced blocks, their code spans; and that every link leads somewhere.

use std::path::{Path, PathBuf};

use crate::support::build::root;

/// A Markdown file of the project.
#[derive(Debug)]
pub struct MarkdownPage {
    pub path: PathBuf,
    pub text: String,
}

/// A fenced block: the words behind the fence, its lines, and the line it starts at.
#[derive(Debug)]
pub struct Block {
    pub info: String,
    pub text: String,
    pub line: usize,
}

impl MarkdownPage {
    /// A page by its path from the project's root.
    pub fn read(path: &str) -> Self {
        let path = root().join(path);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, text }
    }

    /// Its fenced blocks, in order.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut open = false;
        for (index, line) in self.text.lines().enumerate() {
            match line.strip_prefix("```") {
                Some(info) if !open => {
                    blocks.push(Block { info: info.trim().to_owned(), text: String::new(), line: index + 1 });
                    open = true;
                }
                Some(_) => open = false,
                None if open => blocks.last_mut().unwrap().text.extend([line, "\n"]),
                None => {}
            }
        }
        assert!(!open, "{}: a fence is not closed", self.path.display());
        blocks
    }

    /// Its text without fenced blocks.
    pub fn prose(&self) -> String {
        let mut open = false;
        let lines = self.text.lines().filter(|line| {
            let fence = line.starts_with("```");
            open ^= fence;
            !open && !fence
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Its code spans.
    pub fn spans(&self) -> Vec<String> {
        let prose = self.prose();
        let paragraphs = prose.split("\n\n");
        paragraphs
            .flat_map(|paragraph| paragraph.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")).collect::<Vec<_>>())
            .collect()
    }
}

/// Every Markdown file of the project.
pub fn all() -> Vec<MarkdownPage> {
    let pages = below(root());
    assert!(pages.len() > 10, "the project's pages are not where they were");
    pages
}

/// The pages that `lockgate new` writes, with words to be filled in.
pub fn templates() -> Vec<MarkdownPage> {
    let pages = below(&root().join("host/templates"));
    assert!(pages.len() > 1, "the templates are not where they were");
    pages
}

fn below(folder: &Path) -> Vec<MarkdownPage> {
    let mut pages = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules" | "data" | "templates") {
                folders.push(path);
            } else if name.ends_with(".md") {
                pages.push(MarkdownPage { text: std::fs::read_to_string(&path).unwrap(), path });
            }
        }
    }
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    pages
}

/// Where the inline links of a page lead, without anchors.
fn links(page: &MarkdownPage) -> Vec<String> {
    let prose = page.prose();
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.split('#').next().unwrap().to_owned()).collect()
}

fn is_elsewhere(link: &str) -> bool {
    link.is_empty() || link.contains("://") || link.starts_with("mailto:")
}

#[test]
fn every_link_in_the_documents_leads_to_a_file() {
    let mut broken = Vec::new();
    for page in all() {
        let folder = page.path.parent().unwrap_or(Path::new("")).to_path_buf();
        let missing = links(&page).into_iter().filter(|link| !is_elsewhere(link) && !folder.join(link).exists());
        broken.extend(missing.map(|link| format!("{}: {link}", page.path.display())));
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_that_the_architecture_names_is_there() {
    let page = MarkdownPage::read("ARCHITECTURE.md");
    let named = |span: &String| [".rs", ".json", ".md", "/"].iter().any(|end| span.ends_with(end)) && !span.contains(['<', ' ']);
    let places = [root().to_path_buf(), root().join("host/src")];
    let missing: Vec<String> =
        page.spans().into_iter().filter(named).filter(|span| !places.iter().any(|place| place.join(span).exists())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The tests that the last column of the tables in `docs/security.md` names, each once.
fn named_tests(page: &MarkdownPage) -> std::collections::BTreeSet<String> {
    let last = |line: &str| line.trim_end().strip_suffix(" |").and_then(|row| row.rsplit_once(" | ")).map(|(_, last)| last.to_owned());
    let rows = page.text.lines().filter(|line| line.starts_with("| ")).filter_map(last);
    rows.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let sources: Vec<String> = ["host/src", "tests"].iter().flat_map(|folder| rust_files(&root().join(folder))).collect();
    let named = named_tests(&MarkdownPage::read("docs/security.md"));
    assert!(named.len() > 100, "{named:?}");
    let is_there = |name: &str| {
        let (function, table, list) = (format!("fn {name}("), format!("    {name} => "), format!("    {name},\n"));
        sources.iter().any(|text| text.contains(&function) || text.contains(&table) || text.contains(&list))
    };
    let missing: Vec<_> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The texts of every Rust file below `folder`.
fn rust_files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => vec![std::fs::read_to_string(&path).unwrap()],
        None if path.is_dir() => rust_files(&path),
        _ => Vec::new(),
    });
    texts.flatten().collect()
}
