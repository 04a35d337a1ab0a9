//! `/`: every integration and alias at a glance.

use maud::html;

use super::page::{Page, Section};
use super::parts;

pub async fn show() -> Page {
    let body = parts::empty("Nothing to show yet", html! { p { "Figures come here." } });
    Page::new(Section::Overview, "Overview", body)
}
