//! [`Role`]: what somebody may ask a host for.

use std::fmt;

/// Roles of tokens. The table of endpoints and that of pages say which one each needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Looks at everything that the console shows, bodies of messages included, and changes nothing.
    Viewer,
    /// A viewer who approves what others want to activate. What there is to approve comes with deploying to a running host.
    Approver,
    /// A viewer who keeps things going: pauses, resumes, replays, edits, discards, sends, tests aliases.
    Operator,
    /// An operator who changes what runs: retires, applies environments, sets secrets, takes backups.
    Deployer,
    /// Who has the data folder's own token: everything, and tokens.
    Local,
}

impl Role {
    /// Those that a token can be given.
    pub const GIVEN: &[Self] = &[Self::Viewer, Self::Operator, Self::Deployer, Self::Approver];

    /// The word for it in the database, in JSON and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Approver => "approver",
            Self::Operator => "operator",
            Self::Deployer => "deployer",
            Self::Local => "local",
        }
    }

    /// The role of a word, of those that can be given.
    pub fn parse(word: &str) -> Option<Self> {
        Self::GIVEN.iter().copied().find(|role| role.as_str() == word)
    }

    /// Whether who has this role may do what needs the role `needed`.
    pub fn may(self, needed: Self) -> bool {
        match needed {
            Self::Viewer => true,
            Self::Approver => matches!(self, Self::Approver | Self::Local),
            Self::Operator => matches!(self, Self::Operator | Self::Deployer | Self::Local),
            Self::Deployer => matches!(self, Self::Deployer | Self::Local),
            Self::Local => self == Self::Local,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_do_what() {
        use Role::{Approver, Deployer, Local, Operator, Viewer};
        for (role, may) in [
            (Viewer, &[Viewer][..]),
            (Approver, &[Viewer, Approver]),
            (Operator, &[Viewer, Operator]),
            (Deployer, &[Viewer, Operator, Deployer]),
            (Local, &[Viewer, Approver, Operator, Deployer, Local]),
        ] {
            for needed in [Viewer, Approver, Operator, Deployer, Local] {
                assert_eq!(role.may(needed), may.contains(&needed), "{role} for {needed}");
            }
        }
    }

    #[test]
    fn nobody_is_given_the_role_of_the_data_folders_own_token() {
        assert_eq!(Role::parse("local"), None);
        assert!(Role::GIVEN.iter().all(|role| Role::parse(role.as_str()) == Some(*role)));
    }
}
