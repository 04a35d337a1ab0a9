//! [`Offer`]: which imports a use of a plugin gets linked. What is not offered does not exist for the plugin.

use std::collections::BTreeSet;

use super::bindings::v0_1_0;
use super::wasi;
use crate::integration::{Grant, PinnedPlugin};
use crate::problem::{Code, Problem};

/// What is linked beyond log, config and WASI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Offer {
    pub http: bool,
    pub key_value: bool,
    pub queue: bool,
}

impl Offer {
    /// Everything a host has.
    pub const ALL: Self = Self { http: true, key_value: true, queue: true };
    /// How many offers there are.
    pub const COUNT: usize = 8;

    /// `http` comes with a binding, the others with their grant.
    pub fn of(grants: &BTreeSet<Grant>, has_bindings: bool) -> Self {
        Self { http: has_bindings, key_value: grants.contains(&Grant::KeyValue), queue: grants.contains(&Grant::Queue) }
    }

    /// Its place among all offers.
    pub fn index(self) -> usize {
        usize::from(self.http) | usize::from(self.key_value) << 1 | usize::from(self.queue) << 2
    }

    /// Every offer, each at its index.
    pub fn every() -> [Self; Self::COUNT] {
        std::array::from_fn(|index| Self { http: index & 1 != 0, key_value: index & 2 != 0, queue: index & 4 != 0 })
    }

    /// Whether every one of `imports` is linked.
    ///
    /// # Errors
    /// LG-2010 for an import no host has, LG-2003 for one that lacks its grant or binding, with the line to add.
    pub fn check(self, plugin: &PinnedPlugin, imports: &[String]) -> Result<(), Problem> {
        imports.iter().try_for_each(|import| self.check_one(plugin, import))
    }

    fn check_one(self, plugin: &PinnedPlugin, import: &str) -> Result<(), Problem> {
        let unknown = || {
            let fix =
                "build the plugin without it, or with the version of the SDK that fits this host; `lockgate inspect` lists what it imports";
            Problem::new(Code::UnknownImport, format!("plugin {} imports {import}, which no host offers", plugin.name)).fix(fix)
        };
        let denied = |fix: &str| {
            let message = format!("plugin {} imports {import}, which its integration does not grant", plugin.name);
            Problem::new(Code::NotGranted, message).fix(fix)
        };
        if let Some(interface) = import.strip_prefix(v0_1_0::PACKAGE).and_then(|rest| rest.strip_suffix(v0_1_0::VERSION)) {
            return match interface {
                "types" | "log" | "config" => Ok(()),
                "http" if !self.http => Err(denied("bind one of the plugin's slots to an alias: bind = { SLOT = \"ALIAS\" }")),
                "key-value" if !self.key_value => Err(denied("add to the plugin's entry in the integration: grant = [\"key-value\"]")),
                "queue" if !self.queue => Err(denied("add to the plugin's entry in the integration: grant = [\"queue\"]")),
                "http" | "key-value" | "queue" => Ok(()),
                _ => Err(unknown()),
            };
        }
        let (interface, version) = import.split_once('@').unwrap_or((import, ""));
        if version.starts_with("0.2.") && wasi::INTERFACES.contains(&interface) { Ok(()) } else { Err(unknown()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offer: Offer, import: &str) -> Result<(), Code> {
        let plugin = PinnedPlugin { name: "p".into(), version: semver::Version::new(1, 0, 0), digest: String::new() };
        offer.check(&plugin, &[import.to_owned()]).map_err(|problem| problem.code)
    }

    #[test]
    fn refuses_what_is_not_granted_and_what_does_not_exist() {
        let nothing = Offer::of(&BTreeSet::new(), false);
        assert_eq!(check(nothing, "lockgate:plugin/http@0.1.0"), Err(Code::NotGranted));
        assert_eq!(check(nothing, "lockgate:plugin/key-value@0.1.0"), Err(Code::NotGranted));
        assert_eq!(check(Offer::of(&BTreeSet::from([Grant::KeyValue]), true), "lockgate:plugin/queue@0.1.0"), Err(Code::NotGranted));
        for import in
            ["wasi:sockets/tcp@0.2.3", "wasi:http/outgoing-handler@0.2.3", "wasi:cli/stdout@0.3.0", "lockgate:plugin/http@0.2.0", "env"]
        {
            assert_eq!(check(Offer::ALL, import), Err(Code::UnknownImport), "{import}");
        }
    }

    #[test]
    fn links_what_is_granted() {
        assert_eq!(check(Offer::of(&BTreeSet::from([Grant::KeyValue]), false), "lockgate:plugin/key-value@0.1.0"), Ok(()));
        assert_eq!(check(Offer::of(&BTreeSet::new(), true), "lockgate:plugin/http@0.1.0"), Ok(()));
        assert_eq!(check(Offer::of(&BTreeSet::new(), false), "wasi:cli/stdout@0.2.6"), Ok(()));
    }

    #[test]
    fn every_offer_is_at_its_index() {
        for (index, offer) in Offer::every().into_iter().enumerate() {
            assert_eq!(offer.index(), index);
        }
    }
}
