//! [`Trust`]: which plugins a host runs. What `[plugins]` of `lockgate.toml` says about signatures, revocation and the oldest version.
//!
//! Asked wherever a plugin comes in and before any of it is compiled: `check`, `update`, `run`, and for what the data folder keeps at
//! every start. Depends on `signature` and on what a manifest inside a component says.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde::Serialize;

use super::component::manifest_inside;
use super::signature::{PublicKey, Signature};
use crate::integration::PinnedPlugin;
use crate::problem::{Code, Problem};

/// The rules. By default everything is run that a workspace names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Nothing runs that none of `keys` has signed.
    pub require_signed: bool,
    /// By the name that people are told.
    pub keys: BTreeMap<String, PublicKey>,
    pub revoked: BTreeSet<Revoked>,
    /// The oldest version that runs, by plugin.
    pub floor: BTreeMap<String, Version>,
}

/// What is not to run any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revoked {
    /// Exactly these bytes: SHA-256 as 64 hex digits, lower case.
    Digest(String),
    /// Whatever says that it is this.
    Version(String, Version),
}

/// What a signature beside a component is worth to this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Standing {
    /// One of the trusted keys has signed it: this one.
    Signed { by: String },
    /// There is no signature.
    Unsigned,
    /// There is one, and it is none of a trusted key's over these bytes.
    Untrusted,
}

impl Trust {
    /// Whose signature over `bytes` it is, if it is a trusted one's.
    pub fn signer(&self, bytes: &[u8], signature: &Signature) -> Option<&str> {
        self.keys.iter().find(|(_, key)| key.has_signed(bytes, signature)).map(|(name, _)| name.as_str())
    }

    /// What `signature` over `bytes` is worth.
    pub fn standing(&self, bytes: &[u8], signature: Option<&Signature>) -> Standing {
        match signature.map(|signature| self.signer(bytes, signature)) {
            None => Standing::Unsigned,
            Some(None) => Standing::Untrusted,
            Some(Some(by)) => Standing::Signed { by: by.to_owned() },
        }
    }

    /// Whether it is neither revoked nor too old, as far as name, version and digest tell.
    ///
    /// # Errors
    /// LG-2022.
    pub fn allows(&self, plugin: &PinnedPlugin) -> Result<(), Problem> {
        let PinnedPlugin { name, version, digest } = plugin;
        let refused = |why: String, fix: String| Err(Problem::new(Code::PluginRevoked, format!("plugin {name}@{version} {why}")).fix(fix));
        let revoked = |revoked: &&Revoked| match revoked {
            Revoked::Digest(of) => of == digest,
            // Build metadata is no other version: whoever adds some gets round nothing.
            Revoked::Version(of, revoked) => of == name && revoked.cmp_precedence(version) == Ordering::Equal,
        };
        if let Some(entry) = self.revoked.iter().find(revoked) {
            let fix = format!(
                "`lockgate update` picks another version of {name} if the plugin folders have one that fits; then `lockgate run --deploy`"
            );
            return refused(format!("is revoked: `revoked` under [plugins] in lockgate.toml has \"{entry}\""), fix);
        }
        match self.floor.get(name).filter(|floor| version.cmp_precedence(floor) == Ordering::Less) {
            Some(floor) => refused(
                format!("is older than {floor}, the oldest that may run: `floor` under [plugins] in lockgate.toml"),
                format!("put {name}@{floor} or a newer one into a plugin folder, then `lockgate update` and `lockgate run --deploy`"),
            ),
            None => Ok(()),
        }
    }

    /// Whether any file is revoked whatever it is called.
    pub fn revokes_digests(&self) -> bool {
        self.revoked.iter().any(|revoked| matches!(revoked, Revoked::Digest(_)))
    }

    /// Whether nothing that is said of versions keeps this one from running.
    pub fn allows_version(&self, name: &str, version: &Version) -> bool {
        self.allows(&PinnedPlugin { name: name.to_owned(), version: version.clone(), digest: String::new() }).is_ok()
    }

    /// Whether the component `bytes` may run as `plugin`. They are what `plugin.digest` says; that is the caller's to know.
    ///
    /// # Errors
    /// LG-2022 as [`Trust::allows`], LG-2021 where a signature is needed and `signature` is not one of a trusted key.
    pub fn admits(&self, plugin: &PinnedPlugin, bytes: &[u8], signature: Option<&Signature>) -> Result<(), Problem> {
        self.allows(plugin)?;
        if !self.require_signed {
            return Ok(());
        }
        let name = format!("plugin {}@{}", plugin.name, plugin.version);
        let why = match signature {
            None => "is not signed",
            Some(signature) if self.signer(bytes, signature).is_none() => {
                "has a signature that none of the trusted keys made over this file"
            }
            Some(_) => return says_what_it_is(plugin, bytes),
        };
        let keys: Vec<&str> = self.keys.keys().map(String::as_str).collect();
        let message = format!("{name} {why}, and lockgate.toml says `require-signed`; trusted keys: {}", keys.join(", "));
        let fix = format!("get {name}.wasm and {name}.wasm.sig from who signs it, or sign it: `lockgate sign`").replace("plugin ", "");
        Err(Problem::new(Code::Unsigned, message).fix(fix))
    }

    /// That the plugin `name` is there as sources, if that is not enough.
    ///
    /// # Errors
    /// LG-2021: what a machine builds from sources is nobody's signed file.
    pub fn allows_source(&self, name: &str, version: &Version) -> Result<(), Problem> {
        if !self.require_signed {
            return Ok(());
        }
        let message = format!("plugin {name}@{version} is there as sources, and lockgate.toml says `require-signed`");
        let fix = format!(
            "build it where it is signed, and put {name}@{version}.wasm and {name}@{version}.wasm.sig into a plugin folder instead"
        );
        Err(Problem::new(Code::Unsigned, message).fix(fix))
    }
}

/// A signature covers a file and not its name, so that what is signed has to say itself what it is: else an old version would be a new one
/// under another name.
fn says_what_it_is(plugin: &PinnedPlugin, bytes: &[u8]) -> Result<(), Problem> {
    let PinnedPlugin { name, version, .. } = plugin;
    let (is, fix) = match manifest_inside(name, bytes)? {
        Some(manifest) if manifest.name == *name && manifest.version == *version => return Ok(()),
        Some(manifest) => {
            (format!("says inside that it is {} {}", manifest.name, manifest.version), "give the file the name of what is in it")
        }
        None => (
            "has no manifest inside that says which plugin and version was signed".to_owned(),
            "build it with its plugin.toml, and sign that",
        ),
    };
    Err(Problem::new(Code::Unsigned, format!("plugin {name}@{version} {is}, and lockgate.toml says `require-signed`")).fix(fix))
}

impl std::fmt::Display for Revoked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digest(digest) => write!(f, "sha256:{digest}"),
            Self::Version(name, version) => write!(f, "{name}@{version}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::component::embed_manifest;
    use super::super::sha256_hex;
    use super::super::signature::tests::key;
    use super::*;

    /// A component that says it is `p` at `version`.
    fn component(version: &str) -> Vec<u8> {
        let manifest = format!("name = \"p\"\nversion = \"{version}\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = [\"sink\"]\n");
        embed_manifest("p", &wat::parse_str("(component)").unwrap(), &manifest).unwrap()
    }

    fn pinned(version: &str, bytes: &[u8]) -> PinnedPlugin {
        PinnedPlugin { name: "p".into(), version: version.parse().unwrap(), digest: sha256_hex(bytes) }
    }

    fn strict() -> Trust {
        Trust { require_signed: true, keys: [("acme".to_owned(), key(1).public())].into(), ..Trust::default() }
    }

    fn why(result: Result<(), Problem>) -> String {
        let problem = result.unwrap_err();
        assert!(problem.fix.is_some() && matches!(problem.code, Code::Unsigned | Code::PluginRevoked), "{problem}");
        problem.message
    }

    #[test]
    fn what_is_not_signed_by_a_trusted_key_is_refused() {
        let bytes = component("1.0.0");
        let plugin = pinned("1.0.0", &bytes);
        let trust = strict();
        assert!(why(trust.admits(&plugin, &bytes, None)).contains("plugin p@1.0.0 is not signed"));
        let others = key(2).sign(&bytes);
        assert!(why(trust.admits(&plugin, &bytes, Some(&others))).contains("none of the trusted keys"));
        let of_another = key(1).sign(&component("1.0.1"));
        assert!(why(trust.admits(&plugin, &bytes, Some(&of_another))).contains("none of the trusted keys"));
        assert!(why(trust.allows_source("p", &plugin.version)).contains("as sources"));
        let signed = key(1).sign(&bytes);
        assert_eq!(trust.admits(&plugin, &bytes, Some(&signed)), Ok(()));
        assert_eq!(trust.standing(&bytes, Some(&signed)), Standing::Signed { by: "acme".to_owned() });
    }

    #[test]
    fn an_old_version_is_not_a_new_one_under_another_name() {
        let old = component("1.0.0");
        let trust = Trust { floor: [("p".to_owned(), Version::new(1, 4, 2))].into(), ..strict() };
        let renamed = pinned("1.5.0", &old);
        assert!(why(trust.admits(&renamed, &old, Some(&key(1).sign(&old)))).contains("says inside that it is p 1.0.0"));
        let bare = wat::parse_str("(component)").unwrap();
        assert!(why(trust.admits(&pinned("1.5.0", &bare), &bare, Some(&key(1).sign(&bare)))).contains("no manifest inside"));
    }

    #[test]
    fn what_is_revoked_or_too_old_is_refused_whoever_signed_it() {
        let bytes = component("1.3.0");
        let signed = key(1).sign(&bytes);
        let admits = |trust: &Trust| trust.admits(&pinned("1.3.0", &bytes), &bytes, Some(&signed));
        let revoked = |entry: Revoked| Trust { revoked: [entry].into(), ..strict() };
        let floor = |floor: &str| Trust { floor: [("p".to_owned(), floor.parse().unwrap())].into(), ..strict() };
        assert!(why(admits(&revoked(Revoked::Digest(sha256_hex(&bytes))))).contains("is revoked"));
        assert!(why(admits(&revoked(Revoked::Version("p".into(), Version::new(1, 3, 0))))).contains("has \"p@1.3.0\""));
        assert!(why(admits(&floor("1.3.1"))).contains("is older than 1.3.1"));
        for allowed in
            [revoked(Revoked::Digest("00".repeat(32))), revoked(Revoked::Version("p".into(), Version::new(1, 2, 9))), floor("1.3.0")]
        {
            assert_eq!(admits(&allowed), Ok(()));
        }
    }

    #[test]
    fn a_version_is_the_same_with_other_build_metadata_and_older_as_a_pre_release() {
        let trust = Trust {
            revoked: [Revoked::Version("p".into(), "1.3.0".parse().unwrap())].into(),
            floor: [("p".to_owned(), "1.2.0".parse().unwrap())].into(),
            ..Trust::default()
        };
        let allows = |version: &str| trust.allows(&pinned(version, b"")).is_ok();
        assert!(!allows("1.3.0+again") && !allows("1.2.0-rc.1") && !allows("1.1.9"));
        assert!(allows("1.2.0") && allows("1.3.1") && allows("1.2.0+x"));
    }
}
