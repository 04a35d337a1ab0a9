//! What a plugin says of itself, written to keep whoever reads it busy: it is refused for what it is, and a host that runs goes on.

use std::fmt::Write;

use lockgate::plugin::component::embed_manifest;

use super::{Place, component};
use crate::support::host::Host;

const MANIFEST: &str = "name = \"hostile\"\nversion = \"1.0.0\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = [\"sink\"]\n";

/// A schema in which each of ten levels leads to the next three times, and the last says of 60 properties that they are missing.
fn multiplying() -> String {
    let next = |level: usize| vec![format!("{{ \"$ref\" = \"#/$defs/d{level}\" }}"); 3].join(", ");
    let mut schema = format!("[config]\ntype = \"object\"\nallOf = [{}]\n", next(0));
    for level in 0..9 {
        writeln!(schema, "[config.\"$defs\".d{level}]\nallOf = [{}]", next(level + 1)).unwrap();
    }
    writeln!(schema, "[config.\"$defs\".d9]\nallOf = [{}]", vec!["{ required = [\"zz\"] }"; 60].join(", ")).unwrap();
    schema
}

#[test]
fn a_schema_whose_references_multiply_is_told_after_a_bounded_number_of_steps_and_the_host_goes_on() {
    let mut place = Place::new();
    let host = Host::start(&place.workspace);
    place.with_hostile(&embed_manifest("hostile", &component(""), &format!("{MANIFEST}{}", multiplying())).unwrap());
    for told in [place.refused_check(), super::told(&place.workspace.lockgate(&["deploy", "--env", "test"]))] {
        assert!(told.contains("LG-2008") && told.contains("takes more than 1000000 steps to check it"), "{told}");
    }
    place.goes_on(&host);
}

#[test]
fn a_manifest_of_megabytes_is_refused_before_anything_reads_it() {
    let mut place = Place::new();
    let host = Host::start(&place.workspace);
    place.with_hostile(&embed_manifest("hostile", &component(""), &"=\n".repeat(2 << 20)).unwrap());
    for told in [place.refused_check(), super::told(&place.workspace.lockgate(&["inspect", "own/hostile@1.0.0.wasm"]))] {
        assert!(told.contains("LG-2006") && told.contains("262144 are the most"), "{told}");
    }
    place.goes_on(&host);
}
