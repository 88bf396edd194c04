//! The files of the page, in the program itself.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

/// What the page may do: its own files, its own sockets, pictures that it was sent. Nothing of other
/// sites, and no other site may show it in a frame.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! asset {
    ($path:literal, $file:literal, $kind:expr) => {
        ($path, $kind, include_bytes!(concat!("../assets/", $file)))
    };
}

/// Path, media type, bytes.
const FILES: &[(&str, &str, &[u8])] = &[
    asset!("/", "index.html", HTML),
    asset!("/page.css", "page.css", STYLE),
    asset!("/page.js", "page.js", SCRIPT),
    asset!("/link.js", "link.js", SCRIPT),
    asset!("/bodies.js", "bodies.js", SCRIPT),
    asset!("/figure.js", "figure.js", SCRIPT),
    asset!("/charts.js", "charts.js", SCRIPT),
    asset!("/three.min.js", "three.min.js", SCRIPT),
    asset!("/three.LICENSE.txt", "three.LICENSE.txt", TEXT),
    asset!("/icon.svg", "icon.svg", SVG),
];

/// The file of a path.
pub(crate) async fn serve(uri: Uri) -> Response {
    match FILES.iter().find(|(path, ..)| *path == uri.path()) {
        Some((_, kind, bytes)) => {
            let headers = [(header::CONTENT_TYPE, *kind)];
            (headers, *bytes).into_response()
        }
        None => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}
