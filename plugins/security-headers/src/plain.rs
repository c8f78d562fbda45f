//! Headers that are one word: their names, usual values, and the words that mean something.
//!
//! A word that no browser knows is refused, since it would switch the protection off in silence. What is too new to be
//! known here can be sent through `extra`.

use crate::config::{Config, Defaults, Text};
use portcullis_sdk::prelude::*;

/// One header.
struct Plain {
    name: &'static str,
    /// The value of `true`.
    usual: &'static str,
    /// Whether helmet sends it.
    helmet: bool,
    /// The words that mean something. A parameter (`; report-to="…"`) may follow.
    words: &'static [&'static str],
    chosen: fn(&Config) -> &Option<Text>,
}

const PLAIN: [Plain; 11] = [
    Plain {
        name: "cross-origin-opener-policy",
        usual: "same-origin",
        helmet: true,
        words: &["unsafe-none", "same-origin-allow-popups", "same-origin", "noopener-allow-popups"],
        chosen: |config| &config.cross_origin_opener_policy,
    },
    Plain {
        name: "cross-origin-embedder-policy",
        usual: "require-corp",
        helmet: false,
        words: &["unsafe-none", "require-corp", "credentialless"],
        chosen: |config| &config.cross_origin_embedder_policy,
    },
    Plain {
        name: "cross-origin-resource-policy",
        usual: "same-origin",
        helmet: true,
        words: &["same-site", "same-origin", "cross-origin"],
        chosen: |config| &config.cross_origin_resource_policy,
    },
    Plain {
        name: "origin-agent-cluster",
        usual: "?1",
        helmet: true,
        words: &["?1", "?0"],
        chosen: |config| &config.origin_agent_cluster,
    },
    Plain {
        name: "referrer-policy",
        usual: "no-referrer",
        helmet: true,
        words: &[
            "no-referrer",
            "no-referrer-when-downgrade",
            "same-origin",
            "origin",
            "strict-origin",
            "origin-when-cross-origin",
            "strict-origin-when-cross-origin",
            "unsafe-url",
        ],
        chosen: |config| &config.referrer_policy,
    },
    Plain {
        name: "x-content-type-options",
        usual: "nosniff",
        helmet: true,
        words: &["nosniff"],
        chosen: |config| &config.x_content_type_options,
    },
    Plain {
        name: "x-dns-prefetch-control",
        usual: "off",
        helmet: true,
        words: &["off", "on"],
        chosen: |config| &config.x_dns_prefetch_control,
    },
    Plain {
        name: "x-download-options",
        usual: "noopen",
        helmet: true,
        words: &["noopen"],
        chosen: |config| &config.x_download_options,
    },
    Plain {
        name: "x-frame-options",
        usual: "SAMEORIGIN",
        helmet: true,
        words: &["SAMEORIGIN", "DENY"],
        chosen: |config| &config.x_frame_options,
    },
    Plain {
        name: "x-permitted-cross-domain-policies",
        usual: "none",
        helmet: true,
        words: &["none", "none-this-response", "master-only", "by-content-type", "by-ftp-filename", "all"],
        chosen: |config| &config.x_permitted_cross_domain_policies,
    },
    Plain {
        name: "x-xss-protection",
        usual: "0",
        helmet: true,
        words: &["0", "1"],
        chosen: |config| &config.x_xss_protection,
    },
];

/// Name and value of each header that is on.
pub(crate) fn values(config: &Config) -> Result<Vec<(&'static str, String)>> {
    let mut values = Vec::new();
    for plain in &PLAIN {
        let value = match (plain.chosen)(config) {
            None if plain.helmet && config.defaults == Defaults::Helmet => plain.usual,
            Some(Text::Switch(true)) => plain.usual,
            Some(Text::Value(value)) => plain.checked(value)?,
            None | Some(Text::Switch(false)) => continue,
        };
        values.push((plain.name, value.to_owned()));
    }
    Ok(values)
}

impl Plain {
    fn checked<'a>(&self, value: &'a str) -> Result<&'a str> {
        // Only Referrer-Policy is a list, but no word of the others has a comma.
        for part in value.split(',') {
            let word = part.split(';').next().unwrap_or(part).trim();
            if !self.words.iter().any(|known| known.eq_ignore_ascii_case(word)) {
                let known = self.words.join(", ");
                return Err(format!("{}: `{word}` means nothing to a browser; it knows {known}", self.name).into());
            }
        }
        Ok(value)
    }
}
