//! What a workspace must have and how its files must fit together, pinned by the text people see.

use super::*;
use crate::alias::secret::{MachineSecrets, Secret, SecretPlace, SecretRef, SecretSource};
use crate::config::missing_secrets;

const HEAD: &str = "[integration]\ndescription = \"d\"\nowner = { team = \"t\", contact = \"c\" }\n";

/// A workspace on disk; integrations get their head by themselves.
fn workspace(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let head = if name.starts_with("integrations/") { HEAD } else { "" };
        std::fs::write(path, format!("{head}{text}")).unwrap();
    }
    dir
}

/// The problems of a workspace, its folder left out.
fn problems(files: &[(&str, &str)]) -> String {
    let dir = workspace(files);
    let problems = Workspace::load(dir.path(), "dev").unwrap_err().to_string();
    problems.replace(&format!("{}/", dir.path().display()), "").replace(&dir.path().display().to_string(), "DIR")
}

const IN_OUT: &str = "[[source]]\nwebhook = { path = \"/a\", verify = \"none\" }\n[sink]\nplugin = \"p\"\n";

#[test]
fn says_that_there_is_no_workspace() {
    assert_eq!(
        problems(&[]),
        "LG-1011 DIR has neither lockgate.toml nor integrations/\n  fix: name the workspace's folder (`-C DIR`), or write integrations/<name>.toml in it\n\
         LG-1012 no environment `dev`: environments/dev.toml is not there\n  fix: write environments/dev.toml"
    );
}

#[test]
fn lists_the_environments_there_are() {
    let files = [("lockgate.toml", ""), ("environments/qa.toml", ""), ("environments/prod.toml", ""), ("environments/.hidden.toml", "")];
    assert_eq!(problems(&files), "LG-1012 no environment `dev`: environments/dev.toml is not there\n  fix: one of: prod, qa");
    let dir = workspace(&files);
    let outside = Workspace::load(dir.path(), "../environments/qa").unwrap_err();
    assert_eq!(outside.0[0].code, Code::NoEnvironment);
}

#[test]
fn reports_the_mistakes_of_all_files_together() {
    let found = problems(&[
        ("lockgate.toml", "[hosts]\n"),
        ("environments/dev.toml", "[alias.x]\nurl = 5\n"),
        ("integrations/a.toml", "[sink]\nplugin = \"p\"\n"),
        ("integrations/b.toml", "x = 1\n[[source]]\nchannel = \"c\"\n[sink]\nplugin = \"p\"\n"),
    ]);
    let lines: Vec<_> = found.lines().filter(|line| !line.starts_with("  ")).collect();
    assert_eq!(
        lines,
        [
            "lockgate.toml:1:2: LG-1003 unknown key `hosts`",
            "integrations/a.toml:1:1: LG-1004 `source` is missing",
            "integrations/b.toml:4:1: LG-1003 unknown key `integration.x`",
            "environments/dev.toml:2:7: LG-1005 `alias.x.url` must be a text; it is a whole number",
        ]
    );
}

#[test]
fn names_aliases_and_values_that_are_missing() {
    let found = problems(&[
        (
            "environments/dev.toml",
            "[values]\nstage = \"x\"\n[alias.shop]\nurl = \"https://a.example\"\n[alias.crm]\nverify = { bearer = { token = { env = \"T\" } } }\n",
        ),
        (
            "integrations/a.toml",
            "[[source]]\nwebhook = { path = \"/a\", verify = \"shop\" }\n[[step]]\nplugin = \"p\"\nconfig = { s = \"{values.stag}\" }\n[sink]\nplugin = \"q\"\nbind = { a = \"crn\", b = \"crm\", c = \"billing\" }\n",
        ),
    ]);
    assert_eq!(
        found,
        "environments/dev.toml:3:1: LG-1004 alias shop verifies webhooks for integration a, and has no `verify`\n  \
         fix: add `verify = { shopify = { secret = { env = \"SHOP_SECRET\" } } }` to [alias.shop]\n\
         environments/dev.toml:5:1: LG-1004 alias crm is bound to a slot in integration a, and has no `url`\n  \
         fix: add `url = \"https://crm.example\"` to [alias.crm]\n\
         integrations/a.toml:8:16: LG-1007 environment dev has no value `stag`\n  \
         fix: add `stag = \"…\"` under [values] of environments/dev.toml\n\
         integrations/a.toml:11:14: LG-1006 environment dev has no alias `crn`\n  \
         fix: did you mean `crm`? Otherwise add [alias.crn] to environments/dev.toml\n\
         integrations/a.toml:11:36: LG-1006 environment dev has no alias `billing`\n  \
         fix: add [alias.billing] to environments/dev.toml"
    );
}

#[test]
fn refuses_webhooks_of_one_path_that_disagree() {
    let other = IN_OUT.replace("[sink]", "id = [\"body\"]\nkey = \"json:/k\"\n[sink]");
    assert_eq!(
        problems(&[("environments/dev.toml", ""), ("integrations/a.toml", IN_OUT), ("integrations/b.toml", &other)]),
        "integrations/b.toml:4:1: LG-1009 webhook /a has another `id` and `key` here than in integration a\n  \
         fix: give both the same `id` and `key`, or one of them another path"
    );
}

#[test]
fn names_channels_nobody_reads_or_writes() {
    let found = problems(&[
        ("environments/dev.toml", ""),
        ("integrations/a.toml", &IN_OUT.replace("plugin = \"p\"", "channel = \"orders.canonical\"")),
        ("integrations/b.toml", "[[source]]\nchannel = \"order.canonical\"\n[sink]\nplugin = \"p\"\n"),
    ]);
    assert_eq!(
        found,
        "integrations/a.toml:7:11: LG-1010 no integration reads channel orders.canonical\n  \
         fix: did you mean `order.canonical`? Otherwise add an integration that has [[source]] with `channel = \"orders.canonical\"`\n\
         integrations/b.toml:5:11: LG-1010 no integration writes channel order.canonical\n  \
         fix: did you mean `orders.canonical`? Otherwise add an integration that has [sink] with `channel = \"order.canonical\"`"
    );
}

#[test]
fn refuses_an_integration_that_feeds_itself() {
    let found =
        problems(&[("environments/dev.toml", ""), ("integrations/a.toml", "[[source]]\nchannel = \"c\"\n[sink]\nchannel = \"c\"\n")]);
    assert!(found.starts_with("integrations/a.toml:7:11: LG-1005 integration a writes to channel c, which it reads"), "{found}");
}

#[test]
fn refuses_integrations_that_feed_one_another_and_tells_each_circle_once() {
    let flow = |from: &str, to: &str| format!("[[source]]\nchannel = \"{from}\"\n[sink]\nchannel = \"{to}\"\n");
    let found = problems(&[
        ("environments/dev.toml", ""),
        ("integrations/a.toml", &flow("one", "two")),
        ("integrations/b.toml", &flow("two", "three")),
        ("integrations/c.toml", &flow("three", "one")),
        // Led into the circle, and not part of it.
        ("integrations/d.toml", &flow("three", "four")),
        ("integrations/e.toml", "[[source]]\nchannel = \"four\"\n[sink]\nplugin = \"p\"\n"),
    ]);
    assert_eq!(
        found,
        "integrations/a.toml:7:11: LG-1005 integration a writes to channel two, and what it writes comes back to it: a → b → c → a: \
         its messages would go round forever\n  fix: write to another channel"
    );
}

#[test]
fn takes_a_plugin_with_the_queue_for_a_possible_writer() {
    let dir = workspace(&[
        ("environments/dev.toml", ""),
        ("integrations/a.toml", &format!("{IN_OUT}grant = [\"queue\"]\n")),
        ("integrations/b.toml", "[[source]]\nchannel = \"from-plugin\"\n[sink]\nplugin = \"p\"\n"),
    ]);
    Workspace::load(dir.path(), "dev").unwrap();
}

#[test]
fn refuses_files_that_are_not_text_or_far_too_large() {
    let dir = workspace(&[("environments/dev.toml", ""), ("integrations/a.toml", IN_OUT)]);
    std::fs::write(dir.path().join("integrations/b.toml"), [0xff, 0xfe]).unwrap();
    std::fs::write(dir.path().join("integrations/c.toml"), vec![b'#'; 2 << 20]).unwrap();
    let problems = Workspace::load(dir.path(), "dev").unwrap_err();
    let codes: Vec<_> = problems.0.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, [Code::FileUnreadable, Code::FileUnreadable], "{problems}");
}

#[test]
fn what_is_no_file_is_told_and_neither_waited_for_nor_passed_over() {
    let dir = workspace(&[("integrations/a.toml", IN_OUT)]);
    std::fs::create_dir_all(dir.path().join("environments/dev.toml")).unwrap();
    std::fs::create_dir_all(dir.path().join("integrations/folder.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("lockgate.toml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("integrations/device.toml")).unwrap();
    // Nobody will ever write into this pipe.
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("integrations/pipe.toml"), 0o600.into()).unwrap();
    let problems = Workspace::load(dir.path(), "dev").unwrap_err();
    let told: Vec<_> = problems.0.iter().map(|problem| (problem.code, problem.message.rsplit('/').next().unwrap())).collect();
    let unreadable = Code::FileUnreadable;
    assert_eq!(
        told,
        [
            (unreadable, "lockgate.toml: No such file or directory (os error 2)"),
            (unreadable, "device.toml: a pipe, socket or device, not a file"),
            (unreadable, "folder.toml: a folder, not a file"),
            (unreadable, "pipe.toml: a pipe, socket or device, not a file"),
            (unreadable, "dev.toml: a folder, not a file"),
        ],
        "{problems}"
    );
}

#[test]
fn a_file_of_many_values_or_many_mistakes_is_read_in_no_time() {
    // With lines counted anew for each value these take minutes.
    let values = format!("{IN_OUT}config = {{ x = [{}] }}\n", "1,".repeat(400_000));
    let mistakes = format!("{IN_OUT}{}", (0..60_000).map(|n| format!("k{n} = 1\n")).collect::<String>());
    for text in [values, mistakes] {
        let found = problems(&[("environments/dev.toml", ""), ("integrations/a.toml", &text)]);
        assert!(found.starts_with("integrations/a.toml:"), "{}", &found[..200]);
    }
}

/// Secrets from a table.
#[derive(Debug)]
struct Table(&'static [&'static str]);

impl SecretSource for Table {
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem> {
        match &reference.place {
            SecretPlace::Env(name) if self.0.contains(&name.as_str()) => Ok(Secret::new("s")),
            _ => MachineSecrets::new("/nonexistent").read(reference),
        }
    }
}

#[test]
fn names_the_secrets_that_used_aliases_lack() {
    let dir = workspace(&[
        (
            "environments/dev.toml",
            "[alias.used]\nurl = \"https://a.example\"\nauth = { bearer = { token = { env = \"LOCKGATE_TEST_NOWHERE\" } } }\nverify = { github = { secret = { env = \"THERE\" } } }\n[alias.unused]\nurl = \"https://a.example\"\nauth = { bearer = { token = { env = \"LOCKGATE_TEST_NOWHERE\" } } }\n",
        ),
        ("integrations/a.toml", &format!("{IN_OUT}bind = {{ t = \"used\" }}\n")),
    ]);
    let workspace = Workspace::load(dir.path(), "dev").unwrap();
    let problems = missing_secrets(&workspace, &Table(&["THERE"]));
    assert_eq!(
        problems.to_string().replace(&dir.path().display().to_string(), "DIR"),
        "DIR/environments/dev.toml:3:29: LG-1013 alias used: environment variable LOCKGATE_TEST_NOWHERE holds no secret\n  \
         fix: set LOCKGATE_TEST_NOWHERE in the environment of the host, or: lockgate secret set used.token"
    );
    assert!(missing_secrets(&workspace, &Table(&["THERE", "LOCKGATE_TEST_NOWHERE"])).is_empty());
}
