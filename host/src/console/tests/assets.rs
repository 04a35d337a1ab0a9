//! The files pages are made with.

use super::*;

/// Paths of the files that the front page names.
async fn named(host: &Host) -> Vec<String> {
    let page = Browser::signed_in(host).await.get("/").await.body;
    let paths = page.split('"').filter(|part| part.starts_with("/assets/")).map(str::to_owned);
    let mut paths: Vec<String> = paths.collect();
    paths.sort();
    paths.dedup();
    paths
}

#[tokio::test]
async fn serves_every_file_a_page_names_for_good() {
    let host = Host::start().await;
    let paths = named(&host).await;
    assert_eq!(paths.len(), 4, "{paths:?}");
    for path in paths {
        let reply = ask(&host, "GET", &path, "", "").await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let tag = reply.header("etag").unwrap().to_owned();
        let again = ask(&host, "GET", &path, &format!("if-none-match: {tag}\r\n"), "").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""), "{path}");
    }
}

#[tokio::test]
async fn has_no_file_under_the_hash_of_another() {
    let host = Host::start().await;
    let path = named(&host).await.remove(0);
    let name = path.rsplit('/').next().unwrap();
    for path in [format!("/assets/0000000000000000/{name}"), path.replace(name, "none.css")] {
        assert_eq!(ask(&host, "GET", &path, "", "").await.status, 404, "{path}");
    }
}

#[test]
fn keeps_the_licence_of_what_is_not_ours_beside_it() {
    let vendored = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/assets/vendor");
    for folder in std::fs::read_dir(vendored).unwrap() {
        let folder = folder.unwrap().path();
        assert!(folder.join("LICENSE").is_file(), "{}", folder.display());
        assert!(folder.join("README.md").is_file(), "{}: where it came from", folder.display());
    }
}
