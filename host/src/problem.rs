//! What a person is told when something is wrong: a stable code, the place, what was expected, and the fix.
//!
//! Every code has a section in `docs/errors.md`. Depends on nothing.

use std::fmt;
use std::path::PathBuf;

/// Codes people can look up. The first digit says where: 1 configuration, 2 plugins, 3 data folder and message
/// store, 4 intake, 5 delivery, 6 aliases, 7 administration and commands.
macro_rules! codes {
    ($($name:ident = $code:literal : $title:literal),+ $(,)?) => {
        /// A stable error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($name),+ }

        impl Code {
            /// Every code, its text and its title.
            pub const ALL: &[(Self, &str, &str)] = &[$((Self::$name, $code, $title)),+];

            /// `LG-1001`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// What it stands for, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }
        }
    };
}

codes! {
    FileUnreadable = "LG-1001": "a file cannot be read",
    FileSyntax = "LG-1002": "a file is not valid TOML",
    UnknownKey = "LG-1003": "a key nobody knows",
    MissingKey = "LG-1004": "a key is missing",
    WrongValue = "LG-1005": "a value is of the wrong type or form",
    UnknownAlias = "LG-1006": "an alias the environment does not have",
    UnknownValue = "LG-1007": "a value the environment does not have",
    HardCodedEndpoint = "LG-1008": "a URL or host in an integration file",
    ConflictingWebhooks = "LG-1009": "integrations that share a webhook path disagree",
    UnreadChannel = "LG-1010": "a channel nobody reads or nobody writes",
    NoWorkspace = "LG-1011": "no workspace in this folder",
    NoEnvironment = "LG-1012": "no such environment",
    MissingSecret = "LG-1013": "a secret has no value",
    LockOutdated = "LG-1014": "lockgate.lock does not match the workspace",
    OverCeiling = "LG-1015": "an integration asks for more than its host allows",

    PluginMissing = "LG-2001": "no plugin matches",
    NotAComponent = "LG-2002": "the file is not a Wasm component",
    NotGranted = "LG-2003": "a component imports what its integration does not grant",
    UnboundSlot = "LG-2004": "a slot is not bound to an alias",
    WrongRole = "LG-2005": "a plugin does not have the role it is used in",
    BadManifest = "LG-2006": "a plugin manifest is invalid",
    BuildFailed = "LG-2007": "a plugin does not build",
    BadPluginConfig = "LG-2008": "a step's config does not fit the plugin",
    CompileFailed = "LG-2009": "a component does not compile",
    UnknownImport = "LG-2010": "a component imports what no host offers",
    UnknownSlot = "LG-2011": "a binding for a slot the plugin does not have",
    CompileLimit = "LG-2020": "a component takes too much to compile",
    Unsigned = "LG-2021": "a plugin is not signed by a trusted key",
    PluginRevoked = "LG-2022": "a plugin is revoked or older than its floor",
    EndpointInPlugin = "LG-2023": "a URL in a plugin",

    DataFolderUnwritable = "LG-3001": "the data folder cannot be written",
    DataFolderInUse = "LG-3002": "another host uses the data folder",
    DataFolderNewer = "LG-3003": "the data folder was written by a newer version",
    DataFolderNetwork = "LG-3004": "the data folder is on a network file system",
    StoreFailed = "LG-3005": "the message store failed",
    StoreDamaged = "LG-3006": "the message store is damaged",
    DiskFull = "LG-3007": "the disk is full",
    BadBackup = "LG-3008": "a backup is damaged or not whole",
    BackupUnderWay = "LG-3009": "a backup is being made",
    SecretsKey = "LG-3010": "the key of the secrets store is missing or does not fit",
    LedgerUnreadable = "LG-3011": "the ledger cannot be read",
    NothingRecorded = "LG-3012": "nothing is recorded",

    BadSignature = "LG-4001": "the request's signature is not valid",
    NoSuchPath = "LG-4002": "no integration listens on this path",
    BodyTooLarge = "LG-4003": "the body is over the limit",
    MethodNotAllowed = "LG-4004": "only POST is accepted here",
    TooManyWaiting = "LG-4005": "too many deliveries are waiting",
    IntakeBusy = "LG-4006": "the message could not be stored in time",
    BadRequest = "LG-4007": "the request cannot be understood",
    UnsupportedMediaType = "LG-4008": "the content type is not accepted",
    ShuttingDown = "LG-4009": "the host is shutting down",
    TooSlow = "LG-4010": "the request did not arrive in time",
    InvalidEdit = "LG-4011": "the edited message cannot be delivered",
    ListenerCertificate = "LG-4012": "the listener's certificate cannot be used",

    GaveUp = "LG-5001": "a delivery was given up",
    Unkeyed = "LG-5002": "a message has no key",
    PluginFault = "LG-5003": "a plugin was stopped by its limits or trapped",
    PermanentFailure = "LG-5004": "a plugin or its target refused a message",
    PollFailed = "LG-5005": "a source cannot be polled",
    BadPage = "LG-5006": "what a source gave cannot be taken",

    CredentialRefused = "LG-6001": "a target refuses the alias's credential",
    AddressRefused = "LG-6002": "an address the alias may not dial",
    AliasUnreachable = "LG-6003": "a target cannot be reached, or fails",
    RequestDenied = "LG-6004": "a request that breaks the egress rules",
    SenselessRetryAfter = "LG-6005": "a target asks for a wait that makes no sense",
    SenselessLifetime = "LG-6006": "a token endpoint names a lifetime that makes no sense",

    PortInUse = "LG-7001": "a listener's address cannot be bound",
    HostUnreachable = "LG-7002": "no host answers",
    Unauthorized = "LG-7003": "the token is missing or not valid",
    NotFound = "LG-7004": "there is no such thing",
    Superseded = "LG-7005": "newer messages of the key were delivered since",
    WrongUsage = "LG-7006": "the command was used wrongly",
    ToolMissing = "LG-7007": "a tool this needs is not installed",
    Elsewhere = "LG-7008": "the request comes from another site, or for another host",
    TooManyStreams = "LG-7009": "too many streams are open",
    Ambiguous = "LG-7010": "several things fit",
    BenchFailed = "LG-7011": "a measurement could not be made",
    Retired = "LG-7012": "an integration is retired",
    NotAllowed = "LG-7013": "the token's role does not allow it",
    TokenExists = "LG-7014": "a token of this name cannot be made",
    AuditMisfit = "LG-7015": "the audit trail is not what was written",
    PluginsLacking = "LG-7016": "a host lacks the plugins of a release",
    ReleaseMoved = "LG-7017": "another release was activated meanwhile",
    NeedsApproval = "LG-7018": "a release has to be approved",
    NotYours = "LG-7019": "who brought a release cannot approve it",
    CanaryRefused = "LG-7020": "a release cannot be tried beside the active one",
    AlreadyThere = "LG-7021": "something is there already",
    Internal = "LG-7999": "a fault in Lockgate itself",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place in a file. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
}

/// Something wrong that a person can mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: Code,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    pub location: Option<Location>,
    /// What to change. Every problem should have one.
    pub fix: Option<String>,
}

impl Problem {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), location: None, fix: None }
    }

    pub fn at(mut self, location: Location) -> Self {
        self.location = Some(location);
        self
    }

    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl fmt::Display for Problem {
    /// `file:line:column: LG-1003 message` and, on a line of its own, `  fix: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.location {
            write!(f, "{}:{}:{}: ", at.file.display(), at.line, at.column)?;
        }
        write!(f, "{} {}", self.code, self.message)?;
        if let Some(fix) = &self.fix {
            write!(f, "\n  fix: {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl serde::Serialize for Problem {
    /// `{code, message, file, line, column, fix}`, absent parts left out.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.code.as_str())?;
        map.serialize_entry("message", &self.message)?;
        if let Some(at) = &self.location {
            map.serialize_entry("file", &at.file)?;
            map.serialize_entry("line", &at.line)?;
            map.serialize_entry("column", &at.column)?;
        }
        if let Some(fix) = &self.fix {
            map.serialize_entry("fix", fix)?;
        }
        map.end()
    }
}

/// Everything that is wrong, not only the first thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value` if nothing is wrong.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_its_section_in_the_documentation_and_no_section_is_left_over() {
        let documentation = include_str!("../../docs/errors.md");
        let sections: Vec<&str> = documentation.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let codes: Vec<String> = Code::ALL.iter().map(|(_, code, title)| format!("{code} {title}")).collect();
        assert_eq!(sections, codes);
    }

    #[test]
    fn every_section_says_how_to_mend_it() {
        for section in include_str!("../../docs/errors.md").split("### ").skip(1) {
            assert!(section.contains("**Fix:**"), "{section}");
        }
    }

    #[test]
    fn no_code_stands_for_two_things() {
        let codes: BTreeSet<&str> = Code::ALL.iter().map(|(_, code, _)| *code).collect();
        assert_eq!(codes.len(), Code::ALL.len());
    }
}
