//! The pages of the admin listener: files that are part of the program.
//!
//! A page loads nothing from elsewhere and has no inline script or style, since the answers' `Content-Security-Policy` forbids both.

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

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

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
    let file = |media, content, audience| Some(File { media, content, audience });
    match path {
        "/" => file(HTML, include_bytes!("../../assets/dashboard/index.html"), Audience::Operators),
        "/assets/login.css" => file(CSS, include_bytes!("../../assets/dashboard/login.css"), Audience::Anybody),
        _ => None,
    }
}
