//! The pages of the admin listener: files that are part of the program.
//!
//! A page loads nothing from elsewhere and has no inline script or style, since the answers' `Content-Security-Policy` forbids both.

use sha2::{Digest as _, Sha256};

/// Who may have a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Whoever wants to sign in.
    Anybody,
    /// Who has signed in.
    Operators,
}

/// A file.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub(super) media: &'static str,
    pub(super) content: &'static [u8],
    pub(super) audience: Audience,
}

impl File {
    /// Its entity tag: what it contains.
    pub(super) fn tag(&self) -> String {
        Sha256::digest(self.content).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
    }
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The files below `/assets/`, as name, media type, and who may have them.
macro_rules! files {
    ($($name:literal $media:ident $audience:ident,)*) => {
        &[$((concat!("/assets/", $name), File {
            media: $media,
            content: include_bytes!(concat!("../../assets/dashboard/", $name)),
            audience: Audience::$audience,
        }),)*]
    };
}

const FILES: &[(&str, File)] = files![
    "base.css" CSS Anybody,
    "icon.svg" SVG Anybody,
    "login.js" SCRIPT Anybody,
    "theme.js" SCRIPT Anybody,
    "advice.js" SCRIPT Operators,
    "api.js" SCRIPT Operators,
    "app.js" SCRIPT Operators,
    "bans.js" SCRIPT Operators,
    "cache.js" SCRIPT Operators,
    "changes.js" SCRIPT Operators,
    "chart.js" SCRIPT Operators,
    "configuration.js" SCRIPT Operators,
    "diff.js" SCRIPT Operators,
    "dom.js" SCRIPT Operators,
    "editor.js" SCRIPT Operators,
    "figures.js" SCRIPT Operators,
    "flow.js" SCRIPT Operators,
    "format.js" SCRIPT Operators,
    "head.js" SCRIPT Operators,
    "notable.js" SCRIPT Operators,
    "operations.js" SCRIPT Operators,
    "order.js" SCRIPT Operators,
    "overview.js" SCRIPT Operators,
    "plugin.js" SCRIPT Operators,
    "plugins.js" SCRIPT Operators,
    "protection.js" SCRIPT Operators,
    "routes.js" SCRIPT Operators,
    "settings.js" SCRIPT Operators,
    "table.js" SCRIPT Operators,
    "talk.js" SCRIPT Operators,
    "upstreams.js" SCRIPT Operators,
    "views.css" CSS Operators,
];

/// The dashboard.
const INDEX: File =
    File { media: HTML, content: include_bytes!("../../assets/dashboard/index.html"), audience: Audience::Operators };

/// The page that asks for a token; its form goes to `/login`.
pub(super) const LOGIN: File =
    File { media: HTML, content: include_bytes!("../../assets/dashboard/login.html"), audience: Audience::Anybody };

/// The same after a wrong one.
pub(super) const LOGIN_AGAIN: File = File {
    media: HTML,
    content: include_bytes!("../../assets/dashboard/login-again.html"),
    audience: Audience::Anybody,
};

/// What is there at a path, `/` and those that begin with `/assets/`.
pub(super) fn file(path: &str) -> Option<File> {
    if path == "/" {
        return Some(INDEX);
    }
    FILES.iter().find(|(known, _)| *known == path).map(|(_, file)| *file)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/dashboard");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let page = ["index.html", "login.html", "login-again.html"].contains(&name.as_str());
            assert!(page || file(&format!("/assets/{name}")).is_some(), "{name} is not in the list");
        }
    }

    #[test]
    fn pages_ask_for_nothing_that_the_policy_forbids_and_for_no_file_that_is_missing() {
        for page in [LOGIN, LOGIN_AGAIN, INDEX] {
            let text = std::str::from_utf8(page.content).unwrap();
            assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains("://"), "{text}");
            assert!(!text.contains("<script>"), "{text}");
            for reference in text.split(['"', '\'']).filter(|part| part.starts_with("/assets/")) {
                let found = file(reference).unwrap();
                assert!(found.audience == Audience::Anybody || page.audience == Audience::Operators, "{reference}");
            }
        }
    }

    #[test]
    fn scripts_make_no_markup_of_what_they_are_told() {
        for (path, file) in FILES.iter().filter(|(_, file)| file.media == SCRIPT) {
            let text = std::str::from_utf8(file.content).unwrap();
            for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
                assert!(!text.contains(word), "{path}: {word}");
            }
        }
    }

    #[test]
    fn tags_differ_where_contents_do() {
        assert_eq!(LOGIN.tag(), LOGIN.tag());
        assert_ne!(LOGIN.tag(), LOGIN_AGAIN.tag());
    }
}
