//! Signatures that are none, and versions that are not to run any more.

use std::path::{Path, PathBuf};

use lockgate::plugin::sha256_hex;

use super::{Place, told};
use crate::support::build::plugin_files;
use crate::support::host::Host;

/// The example whose plugins are signed by `acme`, whom its host trusts; `mallory` has a key, too.
struct Signed {
    place: Place,
    trusted: String,
}

impl Signed {
    fn new() -> Self {
        let place = Place::new();
        let public = |name: &str| {
            let output = place.workspace.lockgate(&["sign", "--new-key", &format!("{name}.pem")]);
            let told = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success());
            told.lines().find_map(|line| line.strip_prefix(&format!("{name} = "))).unwrap().to_owned()
        };
        let trusted = format!("[plugins.trusted-keys]\nacme = {}\n", public("acme"));
        public("mallory");
        let signed = Self { place, trusted };
        for entry in std::fs::read_dir(plugin_files()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".wasm") {
                std::fs::copy(&path, signed.place.own(name)).unwrap();
                signed.sign("acme", name);
            }
        }
        signed.rules("");
        signed
    }

    fn sign(&self, key: &str, name: &str) {
        let output = self.place.workspace.lockgate(&["sign", "--key", &format!("{key}.pem"), &format!("own/{name}")]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Only what `acme` signed, and these rules.
    fn rules(&self, rules: &str) {
        let text = format!("[plugins]\npaths = [\"own\"]\nrequire-signed = true\n{rules}\n{}", self.trusted);
        self.place.workspace.write("lockgate.toml", &text);
    }

    /// What `check` and `update` say, alike.
    #[track_caller]
    fn refused(&self) -> String {
        let lock = self.place.workspace.path().join("lockgate.lock");
        let kept = std::fs::read(&lock).ok();
        let updated = told(&self.place.workspace.lockgate(&["update"]));
        assert_eq!(std::fs::read(&lock).ok(), kept, "the lock is as it was");
        drop(std::fs::remove_file(&lock));
        let checked = self.place.refused_check();
        if let Some(kept) = kept {
            std::fs::write(lock, kept).unwrap();
        }
        for told in [&checked, &updated] {
            assert!(told.contains("integration orders-to-crm, sink: ") && told.contains("salesforce@1.0.0"), "{told}");
        }
        checked
    }

    /// The component that is attacked, and its signature.
    fn salesforce(&self) -> (PathBuf, PathBuf) {
        (self.place.own("salesforce@1.0.0.wasm"), self.place.own("salesforce@1.0.0.wasm.sig"))
    }
}

/// `component` with a custom section more, which changes nothing of what it does.
fn with_a_section(component: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(component).unwrap();
    bytes.extend(b"\0\x05\x04note");
    bytes
}

#[test]
fn what_no_trusted_key_signed_over_this_very_file_is_refused() {
    let mut signed = Signed::new();
    let host = Host::start(&signed.place.workspace);
    signed.place.goes_on(&host);
    let (component, signature) = signed.salesforce();
    let (good, good_signature) = (std::fs::read(&component).unwrap(), std::fs::read(&signature).unwrap());
    let restore = || {
        std::fs::write(&component, &good).unwrap();
        std::fs::write(&signature, &good_signature).unwrap();
    };

    std::fs::write(&component, with_a_section(&component)).unwrap();
    assert!(signed.refused().contains("LG-2021"), "a custom section was added");
    restore();
    std::fs::remove_file(&signature).unwrap();
    assert!(signed.refused().contains("is not signed"));
    restore();
    signed.sign("mallory", "salesforce@1.0.0.wasm");
    assert!(signed.refused().contains("none of the trusted keys"));
    let inspected = signed.place.workspace.lockgate(&["inspect", "own/salesforce@1.0.0.wasm"]);
    assert!(String::from_utf8(inspected.stdout).unwrap().contains("signed   NOT BY ANYBODY"));
    std::fs::copy(signed.place.own("shop-order@1.2.0.wasm.sig"), &signature).unwrap();
    assert!(signed.refused().contains("none of the trusted keys"), "a signature over another file");
    let (many, flipped) = (good_signature.repeat(1000), good_signature.iter().map(|byte| byte ^ 1).collect());
    for (bytes, why) in
        [(good_signature[..63].to_vec(), "63 bytes"), (many, "more than 64 bytes"), (flipped, "none of"), (Vec::new(), "0 bytes")]
    {
        std::fs::write(&signature, bytes).unwrap();
        let told = signed.refused();
        assert!(told.contains("LG-2021") && told.contains(why), "{why}: {told}");
    }
    restore();
    signed.place.checks();
    let inspected = signed.place.workspace.lockgate(&["inspect", "own/salesforce@1.0.0.wasm", "--json"]);
    let inspected: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(inspected["signature"], serde_json::json!({ "state": "signed", "by": "acme" }));
    signed.place.goes_on(&host);
}

#[test]
fn an_old_version_does_not_come_back_by_its_own_name_or_by_another() {
    let mut signed = Signed::new();
    let host = Host::start(&signed.place.workspace);
    signed.rules("floor = { salesforce = \"1.0.1\" }");
    assert!(signed.refused().contains("LG-2022"));
    // What was rightly signed once, under a name that would pass.
    let (component, signature) = signed.salesforce();
    std::fs::rename(component, signed.place.own("salesforce@1.2.0.wasm")).unwrap();
    std::fs::rename(signature, signed.place.own("salesforce@1.2.0.wasm.sig")).unwrap();
    let told = told(&signed.place.workspace.lockgate(&["update"]));
    assert!(told.contains("LG-2021") && told.contains("says inside that it is salesforce 1.0.0"), "{told}");
    signed.place.goes_on(&host);
}

#[test]
fn what_is_there_as_sources_is_nobodys_signed_file() {
    let signed = Signed::new();
    signed.place.workspace.write(
        "lockgate.toml",
        &format!(
            "[plugins]\npaths = [{:?}]\nrequire-signed = true\n{}",
            crate::support::build::root().join("plugins").display().to_string(),
            signed.trusted
        ),
    );
    let told = signed.place.refused_check();
    assert!(told.contains("LG-2021") && told.contains("is there as sources"), "{told}");
}

#[test]
fn a_revoked_plugin_that_ran_runs_in_no_host_that_starts_until_another_is_deployed() {
    let mut signed = Signed::new();
    let host = Host::start(&signed.place.workspace);
    let (component, signature) = signed.salesforce();
    let digest = sha256_hex(&std::fs::read(&component).unwrap());
    signed.rules("revoked = [\"salesforce@1.0.0+x\"]");
    assert!(signed.refused().contains("LG-2022"));
    signed.rules(&format!("revoked = [\"sha256:{digest}\"]"));
    assert!(signed.refused().contains("is revoked"));
    // A host that runs does not look again.
    signed.place.goes_on(&host);
    assert!(host.stop().success());

    // Another build is in the workspace, and the revoked one is what is active.
    std::fs::write(&component, with_a_section(&component)).unwrap();
    signed.sign("acme", "salesforce@1.0.0.wasm");
    assert!(signed.place.workspace.lockgate(&["update"]).status.success());
    let told = signed.place.refused_start(&[]);
    for part in ["LG-2022", "release of orders-to-crm, sink", "salesforce@1.0.0 is revoked", "lockgate run --deploy"] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    let host = Host::start_with(&signed.place.workspace, &["--deploy"]);
    signed.place.goes_on(&host);
    assert!(host.stop().success());

    // Its signature is kept beside it, and is what counts at a start once the workspace has other bytes.
    let kept = signed.place.workspace.data().join("plugins").join(format!("{}.wasm.sig", sha256_hex(&std::fs::read(&component).unwrap())));
    assert_eq!(std::fs::read(&kept).unwrap(), std::fs::read(&signature).unwrap());
    std::fs::write(&component, with_a_section(&component)).unwrap();
    signed.sign("acme", "salesforce@1.0.0.wasm");
    assert!(signed.place.workspace.lockgate(&["update"]).status.success());
    signed.place.goes_on(&Host::start(&signed.place.workspace));
    std::fs::write(&kept, [7; 64]).unwrap();
    let told = signed.place.refused_start(&[]);
    assert!(told.contains("LG-2021") && told.contains("release of orders-to-crm, sink"), "{told}");
}

#[test]
fn no_key_is_written_over_and_nothing_is_signed_that_does_not_say_what_it_is() {
    let signed = Signed::new();
    let before = std::fs::read(signed.place.workspace.path().join("acme.pem")).unwrap();
    assert!(told(&signed.place.workspace.lockgate(&["sign", "--new-key", "acme.pem"])).contains("LG-1001"));
    assert_eq!(std::fs::read(signed.place.workspace.path().join("acme.pem")).unwrap(), before);
    std::fs::write(signed.place.own("bare@1.0.0.wasm"), wat::parse_str("(component)").unwrap()).unwrap();
    assert!(told(&signed.place.workspace.lockgate(&["sign", "--key", "acme.pem", "own/bare@1.0.0.wasm"])).contains("LG-2006"));
    assert!(!signed.place.own("bare@1.0.0.wasm.sig").exists());
}
