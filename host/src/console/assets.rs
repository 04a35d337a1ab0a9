//! The files pages are made with, out of the binary. Their path holds their hash, so that a browser keeps them for good and a
//! new version is a new file. What is not ours is in `assets/vendor`, each with its licence beside it.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

use super::page::Wrong;
use crate::ingress::answer::Refusal;
use crate::problem::Code;

/// Half a year and a bit; a year is the most that makes sense (RFC 9111 §1.2.2).
const KEPT: &str = "public, max-age=31536000, immutable";
/// Enough of a hash to tell one build's file from another's.
const HASH_BYTES: usize = 8;

/// One file.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    hash: LazyLock<String>,
}

macro_rules! asset {
    ($name:literal, $path:literal, $content_type:literal) => {
        Asset {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!($path),
            hash: LazyLock::new(|| hex::encode(&Sha256::digest(include_bytes!($path))[..HASH_BYTES])),
        }
    };
}

static ASSETS: [Asset; 4] = [
    asset!("console.css", "assets/console.css", "text/css; charset=utf-8"),
    asset!("console.js", "assets/console.js", "text/javascript; charset=utf-8"),
    asset!("icon.svg", "assets/icon.svg", "image/svg+xml"),
    asset!("idiomorph.js", "assets/vendor/idiomorph/idiomorph.min.js", "text/javascript; charset=utf-8"),
];

/// Where a page finds a file.
pub fn path(name: &str) -> String {
    let hash = ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| asset.hash.as_str());
    format!("/assets/{hash}/{name}")
}

/// `GET /assets/{hash}/{name}`
pub async fn serve(Path((hash, name)): Path<(String, String)>, headers: HeaderMap) -> Result<Response, Wrong> {
    let asset = ASSETS.iter().find(|asset| asset.name == name && *asset.hash == hash);
    let asset = asset.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, "There is no such file."))?;
    let tag = format!("\"{hash}\"");
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|tags| tags.as_bytes() == tag.as_bytes());
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { asset.bytes.into_response() };
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(KEPT));
    // Hexadecimal digits and quotes: always a header value.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    Ok(response)
}
