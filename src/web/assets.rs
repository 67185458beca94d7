//! The files that pages load, inside the binary. Their address carries their content's hash, so that a browser keeps them for ever.

use std::sync::OnceLock;

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest, Sha256};

pub struct Asset {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
    href: OnceLock<String>,
}

pub static STYLE: Asset = Asset::new("snowgate.css", "text/css; charset=utf-8", include_str!("../../assets/snowgate.css"));
pub static SCRIPT: Asset = Asset::new("snowgate.js", "text/javascript; charset=utf-8", include_str!("../../assets/snowgate.js"));
/// htmx: parts of pages are exchanged without loading the whole (0BSD, see assets/LICENSES).
pub static HTMX: Asset = Asset::new("htmx.min.js", "text/javascript; charset=utf-8", include_str!("../../assets/htmx.min.js"));
/// idiomorph, as htmx uses it: what is exchanged keeps what did not change, its focus and what is unfolded.
pub static MORPH: Asset =
    Asset::new("idiomorph-ext.min.js", "text/javascript; charset=utf-8", include_str!("../../assets/idiomorph-ext.min.js"));
pub static ICON: Asset = Asset::new("icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg"));

impl Asset {
    const fn new(name: &'static str, content_type: &'static str, text: &'static str) -> Self {
        Self { name, content_type, text, href: OnceLock::new() }
    }

    pub fn href(&self) -> &str {
        self.href.get_or_init(|| {
            let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(self.text)[..6]);
            format!("/assets/{}?v={digest}", self.name)
        })
    }
}

/// `GET /assets/{name}`
pub async fn asset(name: web::Path<String>, request: HttpRequest) -> Result<HttpResponse, super::fault::Fault> {
    let asset = [&STYLE, &SCRIPT, &HTMX, &MORPH, &ICON]
        .into_iter()
        .find(|asset| asset.name == name.as_str())
        .ok_or_else(|| super::fault::Fault::not_found("There is no such file."))?;
    // an address with another hash is of another version: it gets what there is now, and must ask again
    let current = request.uri().path_and_query().is_some_and(|asked| asked.as_str() == asset.href());
    let keep = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, keep))
        .insert_header(ContentType(asset.content_type.parse().map_err(|_| super::fault::Fault::internal("a media type"))?))
        .body(asset.text))
}

/// `GET /favicon.ico`, which browsers ask for on pages that are not ours (the JSON of the API).
pub async fn favicon() -> HttpResponse {
    HttpResponse::Ok().content_type(ICON.content_type).insert_header((CACHE_CONTROL, "public, max-age=86400")).body(ICON.text)
}
