//! `lockgate.lock`: which version of each plugin the integrations run, and what exactly it is.
//!
//! Depends on `config::reader` for reading. Written sorted and in full, so that the same workspace gives the same bytes.

use std::fmt;
use std::io::Write;
use std::path::Path;

use semver::{Version, VersionReq};
use serde::Serialize;

use super::library::Kind;
use crate::config::reader::{Keys, Node, Page, Table};
use crate::config::workspace::read_text;
use crate::problem::{Code, Problem};

/// The name of the file in a workspace.
pub const LOCK_FILE: &str = "lockgate.lock";

const FORMAT: u64 = 1;
const PLUGINS_MAX: usize = 10_000;
const HEADER: &str = "# Written by `lockgate update`: which version of each plugin the integrations run, and what exactly it is.\n# Commit this file; do not edit it.\n";

const ROOT: Keys = Keys::all(&["format", "plugin"]);
const PLUGIN: Keys = Keys::all(&["name", "version", "requirements", "kind", "digest"]);

/// The content of a lock file, sorted by name and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lock {
    pub plugins: Vec<Locked>,
}

/// One plugin at one version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Locked {
    pub name: String,
    pub version: Version,
    /// The version requirements it was picked for: `^1.2`, `*`.
    pub requirements: Vec<String>,
    pub kind: Kind,
    /// SHA-256 as 64 hex digits.
    pub digest: String,
}

impl Lock {
    /// A lock of these plugins.
    pub fn of(plugins: impl IntoIterator<Item = Locked>) -> Self {
        let mut plugins: Vec<_> = plugins.into_iter().collect();
        plugins.sort();
        Self { plugins }
    }

    /// What was picked for `name` and `requirement`.
    pub fn find(&self, name: &str, requirement: &VersionReq) -> Option<&Locked> {
        let requirement = requirement.to_string();
        self.plugins.iter().find(|locked| locked.name == name && locked.requirements.contains(&requirement))
    }

    /// The lock of the workspace `dir`; none if there is no lock file.
    ///
    /// # Errors
    /// `LG-1014` if it cannot be understood.
    pub fn read(dir: &Path) -> Result<Option<Self>, Problem> {
        let path = dir.join(LOCK_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let read = read_text(&path).and_then(|text| Page::new(&path, &text).read(ROOT, read));
        read.map(|(lock, _)| Some(lock)).map_err(|problems| {
            let first = problems.0.into_iter().next();
            let why = first.as_ref().map(|problem| problem.message.clone()).unwrap_or_default();
            let problem = Problem::new(Code::LockOutdated, format!("{LOCK_FILE} cannot be understood: {why}")).fix("lockgate update");
            match first.and_then(|problem| problem.location) {
                Some(location) => problem.at(location),
                None => problem,
            }
        })
    }

    /// Writes the lock file of the workspace `dir`: all of it, or nothing.
    pub fn write(&self, dir: &Path) -> Result<(), Problem> {
        let failed = |error: std::io::Error| {
            Problem::new(Code::FileUnreadable, format!("{} cannot be written: {error}", dir.join(LOCK_FILE).display()))
                .fix("make the workspace writable, or run `lockgate update` where it is and copy the lock file")
        };
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
        file.write_all(self.to_string().as_bytes()).map_err(failed)?;
        use std::os::unix::fs::PermissionsExt;
        // Temporary files are private; this one is committed and shared.
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
        file.persist(dir.join(LOCK_FILE)).map(drop).map_err(|error| failed(error.error))
    }

    /// What is different in `new`.
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        let gone = self.plugins.iter().filter(|old| !new.has(old)).map(|old| Change::of(Some(old), new.instead_of(old, self)));
        let added = new.plugins.iter().filter(|locked| !self.has(locked) && self.instead_of(locked, new).is_none());
        gone.chain(added.map(|locked| Change::of(None, Some(locked)))).collect()
    }

    fn has(&self, other: &Locked) -> bool {
        self.plugins.iter().any(|locked| (&locked.name, &locked.version, &locked.digest) == (&other.name, &other.version, &other.digest))
    }

    /// What stands here for a plugin of `other`: one of its name that `other` does not have, of the same version, or
    /// picked for a requirement of it, or the only one of its name.
    fn instead_of(&self, gone: &Locked, other: &Self) -> Option<&Locked> {
        let fresh: Vec<_> = self.plugins.iter().filter(|locked| locked.name == gone.name && !other.has(locked)).collect();
        let shares = |locked: &&&Locked| locked.requirements.iter().any(|requirement| gone.requirements.contains(requirement));
        let same = fresh.iter().find(|locked| locked.version == gone.version).or_else(|| fresh.iter().find(shares));
        let alone = other.plugins.iter().filter(|locked| locked.name == gone.name && !self.has(locked)).count() == 1;
        same.copied().or_else(|| fresh.first().copied().filter(|_| alone && fresh.len() == 1))
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}format = {FORMAT}")?;
        for Locked { name, version, requirements, kind, digest } in &self.plugins {
            let requirements: Vec<_> = requirements.iter().map(|requirement| format!("\"{requirement}\"")).collect();
            let kind = if *kind == Kind::File { "file" } else { "source" };
            let requirements = requirements.join(", ");
            writeln!(f, "\n[[plugin]]\nname = \"{name}\"\nversion = \"{version}\"\nrequirements = [{requirements}]")?;
            writeln!(f, "kind = \"{kind}\"\ndigest = \"sha256:{digest}\"")?;
        }
        Ok(())
    }
}

/// One difference between two lock files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub name: String,
    /// None: added.
    pub from: Option<Version>,
    /// None: removed.
    pub to: Option<Version>,
}

impl Change {
    fn of(old: Option<&Locked>, new: Option<&Locked>) -> Self {
        let name = old.or(new).map(|locked| locked.name.clone()).unwrap_or_default();
        Self { name, from: old.map(|old| old.version.clone()), to: new.map(|new| new.version.clone()) }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) if from == to => write!(f, "{} {to}: content changed", self.name),
            (Some(from), Some(to)) => write!(f, "{} {from} → {to}", self.name),
            (None, Some(to)) => write!(f, "{} {to}: added", self.name),
            (Some(from), None) => write!(f, "{} {from}: removed", self.name),
            (None, None) => write!(f, "{}", self.name),
        }
    }
}

fn read(root: &Table<'_>) -> Option<Lock> {
    root.required("format", "format = 1")?.integer(FORMAT..FORMAT + 1, "1")?;
    let nodes = root.optional("plugin").map_or_else(|| Some(Vec::new()), |node| node.list(PLUGINS_MAX, "[[plugin]]"))?;
    let plugins: Vec<_> = nodes.iter().map(locked).collect();
    Some(Lock::of(plugins.into_iter().collect::<Option<Vec<_>>>()?))
}

fn locked(node: &Node<'_>) -> Option<Locked> {
    let table = node.table(PLUGIN, "[[plugin]]")?;
    let text = |key: &str| table.required(key, &format!("{key} = \"…\""));
    let requirements = text("requirements")?.list(1000, "[\"^1.2\"]")?;
    Some(Locked {
        name: text("name")?.parsed("\"shop-order\"", crate::config::name_of)?,
        version: text("version")?.parsed("\"1.0.0\"", |text| Version::parse(text).map_err(|why| why.to_string()))?,
        requirements: requirements.iter().map(|node| node.text(128, "\"^1.2\"").map(str::to_owned)).collect::<Option<_>>()?,
        kind: text("kind")?.word(&[("file", Kind::File), ("source", Kind::Source)])?,
        digest: text("digest")?.parsed("\"sha256:…\"", digest)?,
    })
}

fn digest(text: &str) -> Result<String, String> {
    let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex.map(str::to_owned).ok_or_else(|| "expected `sha256:` and 64 hex digits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(name: &str, version: &str, digest: char) -> Locked {
        let requirements = vec![format!("^{}", &version[..1])];
        Locked {
            name: name.into(),
            version: version.parse().unwrap(),
            requirements,
            kind: Kind::File,
            digest: digest.to_string().repeat(64),
        }
    }

    #[test]
    fn refuses_what_it_cannot_understand_with_the_command_that_mends_it() {
        for text in ["format = 2\n", "format = 1\n[[plugin]]\nname = \"a\"\n", "plugin", "format = 1\nextra = 1\n"] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(LOCK_FILE), text).unwrap();
            let problem = Lock::read(dir.path()).unwrap_err();
            assert_eq!((problem.code, problem.fix.as_deref()), (Code::LockOutdated, Some("lockgate update")), "{text}");
        }
    }

    #[test]
    fn comes_back_as_it_was_written_and_sorted() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lock::read(dir.path()).unwrap(), None);
        let lock = Lock::of([locked("b", "1.10.0", 'a'), locked("b", "1.9.0", 'b'), locked("a", "2.0.0", 'c')]);
        lock.write(dir.path()).unwrap();
        assert_eq!(Lock::read(dir.path()).unwrap(), Some(lock.clone()));
        let text = std::fs::read_to_string(dir.path().join(LOCK_FILE)).unwrap();
        assert!(
            text.starts_with("# Written by `lockgate update`")
                && text.find("2.0.0") < text.find("1.9.0")
                && text.find("1.9.0") < text.find("1.10.0"),
            "{text}"
        );
        assert_eq!(lock.find("a", &"2".parse().unwrap()).unwrap().version.to_string(), "2.0.0");
    }

    #[test]
    fn says_what_an_update_changed() {
        let old = Lock::of([locked("a", "1.0.0", 'a'), locked("b", "1.0.0", 'b'), locked("c", "1.0.0", 'c'), locked("d", "1.0.0", 'd')]);
        let new = Lock::of([locked("a", "1.0.0", 'a'), locked("b", "1.1.0", 'b'), locked("c", "1.0.0", 'x'), locked("e", "1.0.0", 'e')]);
        let changes: Vec<_> = old.changes(&new).iter().map(Change::to_string).collect();
        assert_eq!(changes, ["b 1.0.0 → 1.1.0", "c 1.0.0: content changed", "d 1.0.0: removed", "e 1.0.0: added"]);
        assert!(old.changes(&old).is_empty());
    }
}
