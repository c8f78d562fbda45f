//! The house rules, as tests: what STYLE and DESIGN ask of every file and a reader should not have to check.
//!
//! They read source as text, line by line, and count on rustfmt's layout. A rule that needs more than that is clippy's.
//! A broken rule is reported with file and line; all places at once.

mod absences;
mod floors;
mod shape;
mod source;
