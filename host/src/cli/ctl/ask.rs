//! What is asked before an order is carried out: which version is meant, and whether it is meant at all. And how what is refused is told.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::bail;
use serde_json::{Value, json};

use super::super::operator::{Call, Operator, Refused, encoded};
use super::PREFIX;
use super::orders::{ConfigOrder, Order, PluginOrder};
use super::show::{self, of};

/// What the gateway answers; what it refuses is an error.
pub(super) fn asked(operator: &Operator, call: &Call) -> anyhow::Result<Value> {
    let (status, answer) = operator.call(call)?;
    if (200..300).contains(&status) {
        return Ok(answer);
    }
    let text = show::refusal(status, &answer);
    let answer = if answer.is_object() { answer } else { json!({ "status": status, "detail": text }) };
    Err(Refused { answer, text }.into())
}

/// An error as JSON; none where it has been told.
pub(super) fn problem(error: &anyhow::Error) -> Option<Value> {
    match error.downcast_ref::<Refused>() {
        Some(Refused { answer: Value::Null, .. }) => None,
        Some(refused) => Some(refused.answer.clone()),
        None => Some(json!({ "title": "not done", "reason": "ctl", "detail": format!("{error:#}") })),
    }
}

/// An order with everything in it that the gateway wants to know, or an error where it is not meant.
pub(super) fn settled(operator: &Operator, order: Order) -> anyhow::Result<Order> {
    Ok(match order {
        Order::Plugin { order: PluginOrder::Disable { plugin, yes: false } } => {
            let told = asked(operator, &Call::get(format!("{PREFIX}/plugins/{}", encoded(&plugin))))?;
            if of(&told, "state") != "disabled" && may_refuse(&told) {
                confirm(&plugin)?;
            }
            Order::Plugin { order: PluginOrder::Disable { plugin, yes: true } }
        }
        Order::Plugin { order: PluginOrder::Rollback { plugin, hash } } => {
            let path = format!("{PREFIX}/plugins/{}/versions", encoded(&plugin));
            let hash = whole(&asked(operator, &Call::get(path))?, "hash", hash)?;
            Order::Plugin { order: PluginOrder::Rollback { plugin, hash } }
        }
        Order::Config { order: ConfigOrder::Rollback { id } } => {
            let id = whole(&asked(operator, &Call::get(format!("{PREFIX}/configuration/history")))?, "id", id)?;
            Order::Config { order: ConfigOrder::Rollback { id } }
        }
        order => order,
    })
}

/// Whether a plugin has a hook that can refuse requests.
pub(super) fn may_refuse(plugin: &Value) -> bool {
    let hooks = of(plugin, "hooks").as_array().into_iter().flatten();
    hooks.into_iter().any(|hook| hook == "pre-handler" || hook == "pre-route")
}

/// Asks whoever sits there whether it is meant; a program has to say so at once.
fn confirm(plugin: &str) -> anyhow::Result<()> {
    let caution = format!(
        "{plugin} has a hook that can refuse requests; if it decides who may pass, everybody may while it is off"
    );
    if !io::stdin().is_terminal() {
        bail!("{caution}. Write `ctl plugin disable {plugin} --yes` if that is meant");
    }
    let mut out = io::stderr();
    write!(out, "{caution}. Switch it off? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if !["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        bail!("nothing was changed");
    }
    Ok(())
}

/// The whole of what only the beginning was written of, out of the versions that there are. What there is none of is left to the gateway.
fn whole(answer: &Value, name: &str, begun: String) -> anyhow::Result<String> {
    let versions = of(answer, "versions").as_array().into_iter().flatten();
    let matching: Vec<&str> =
        versions.filter_map(|version| of(version, name).as_str()).filter(|known| known.starts_with(&begun)).collect();
    match matching.as_slice() {
        [] => Ok(begun),
        _ if matching.contains(&begun.as_str()) => Ok(begun),
        [one] => Ok((*one).to_owned()),
        several => bail!("{begun} is the beginning of {}; write more of it", several.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_enough_where_it_is_the_only_one() {
        let answer = json!({ "versions": [{ "id": "20261121-1" }, { "id": "20261121-12" }, { "id": "20261120-3" }] });
        let check = |begun: &str, expected: &str| {
            assert_eq!(whole(&answer, "id", begun.to_owned()).unwrap(), expected);
        };
        check("20261120", "20261120-3");
        check("20261121-1", "20261121-1");
        check("2025", "2025");
        assert!(whole(&answer, "id", "20261121".to_owned()).is_err());
    }

    #[test]
    fn what_is_refused_is_told_as_the_gateway_told_it() {
        let answer = json!({ "status": 404, "detail": "there is none" });
        let refused = anyhow::Error::from(Refused { answer: answer.clone(), text: "no".to_owned() });
        assert_eq!(problem(&refused.context("at x")), Some(answer));
        let told = problem(&anyhow::anyhow!("nobody listens")).unwrap();
        assert_eq!(of(&told, "detail"), "nobody listens");
    }

    #[test]
    fn who_may_refuse_is_known_by_its_hooks() {
        assert!(may_refuse(&json!({ "hooks": ["init", "pre-handler"] })));
        assert!(!may_refuse(&json!({ "hooks": ["post-handler"] })));
    }
}
