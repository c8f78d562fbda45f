//! `portcullis ctl`: everything that the admin API can do, with tables for people and `--json` for programs.
//!
//! Each order becomes one call; what the gateway refuses is told with its reasons on standard error, and the exit code is 1.

mod ask;
mod orders;
mod show;
mod table;
mod top;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::operator::{Call, Operator, Refused, encoded};
use ask::{asked, problem, settled};
use orders::{ConfigOrder, Order, PluginOrder};
use show::Subject;

/// What stands before every path.
const PREFIX: &str = "/api/v1";

#[derive(Debug, Args)]
pub(super) struct Ctl {
    #[command(flatten)]
    operator: Operator,
    /// Print what the gateway answers, as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    order: Order,
}

/// Does what was ordered. With `--json` what is refused is told as JSON, too.
pub(super) fn ctl(ctl: Ctl) -> anyhow::Result<()> {
    let Ctl { operator, json, order } = ctl;
    let done = obey(&operator, json, order);
    if let (true, Err(error)) = (json, &done)
        && let Some(problem) = problem(error)
    {
        super::print(&format!("{problem:#}\n"))?;
    }
    done
}

fn obey(operator: &Operator, json: bool, order: Order) -> anyhow::Result<()> {
    match order {
        Order::Top { seconds, watch } => loop {
            let live = asked(operator, &Call::get(format!("{PREFIX}/live?seconds={seconds}")))?;
            if watch && !json {
                // Home and clear (ECMA-48): what was shown before is old.
                super::print("\x1b[H\x1b[2J")?;
            }
            let text = if json {
                format!("{live}\n")
            } else {
                top::shown(&live, &asked(operator, &Call::get(format!("{PREFIX}/plugins")))?)
            };
            super::print(&text)?;
            if !watch {
                return Ok(());
            }
            std::thread::sleep(Duration::from_secs(2));
        },
        Order::Drain { yes: false } => bail!("draining ends the gateway; write `ctl drain --yes` if that is meant"),
        order => {
            let (call, subject) = call(settled(operator, order)?)?;
            let answer = asked(operator, &call)?;
            super::print(&if json { format!("{answer:#}\n") } else { show::shown(subject, &answer) })?;
            // For programs: what is not valid is not well.
            if subject == Subject::Validity && answer.get("valid") == Some(&Value::Bool(false)) {
                return Err(Refused { answer: Value::Null, text: "the configuration is not valid".to_owned() }.into());
            }
            Ok(())
        }
    }
}

/// The call that an order is, and what its answer is about.
fn call(order: Order) -> anyhow::Result<(Call, Subject)> {
    let get = |path: &str| Call::get(format!("{PREFIX}{path}"));
    let send = |method: &str, path: &str, body: Value| Call::json(method, format!("{PREFIX}{path}"), &body);
    Ok(match order {
        Order::State => (get("/state"), Subject::State),
        Order::Health => (get("/health"), Subject::Health),
        Order::Top { .. } => (get("/live"), Subject::Fields),
        Order::Plugins { plugin: None } => (get("/plugins"), Subject::Plugins),
        Order::Plugins { plugin: Some(plugin) } => (get(&format!("/plugins/{}", encoded(&plugin))), Subject::Plugin),
        Order::Plugin { order } => return plugin_call(order),
        Order::Routes => (get("/routes"), Subject::Routes),
        Order::Explain { method, url } => {
            (send("POST", "/routes/explain", json!({ "method": method, "url": url })), Subject::Fields)
        }
        Order::Config { order } => return config_call(order),
        Order::Upstreams => (get("/upstreams"), Subject::Upstreams),
        Order::Endpoint { upstream, endpoint, drain, undrain, weight } => {
            let draining = (drain || undrain).then(|| ("draining", json!(drain)));
            let weight = weight.map(|weight| ("weight", json!(weight)));
            let body: serde_json::Map<String, Value> =
                [draining, weight].into_iter().flatten().map(|(key, value)| (key.to_owned(), value)).collect();
            if body.is_empty() {
                bail!("say what is to become of the endpoint: --drain, --undrain or --weight NUMBER");
            }
            let path = format!("/upstreams/{}/endpoints/{}", encoded(&upstream), encoded(&endpoint));
            (send("PATCH", &path, Value::Object(body)), Subject::Changes)
        }
        Order::Certificates => (get("/certificates"), Subject::Certificates),
        Order::Log { filter: None } => (get("/log"), Subject::Fields),
        Order::Log { filter: Some(filter) } => (send("PUT", "/log", json!({ "filter": filter })), Subject::Fields),
        Order::Mode { mode: None } => (get("/mode"), Subject::Fields),
        Order::Mode { mode: Some(mode) } => (send("PUT", "/mode", json!({ "mode": mode })), Subject::Fields),
        Order::Alerts => (get("/alerts"), Subject::Alerts),
        Order::Advice => (get("/advice"), Subject::Advice),
        Order::Bans => (get("/bans"), Subject::Bans),
        Order::Ban { address, seconds, reason } => {
            let body = match reason {
                None => json!({ "address": address, "seconds": seconds }),
                Some(reason) => json!({ "address": address, "seconds": seconds, "reason": reason }),
            };
            (send("POST", "/bans", body), Subject::Fields)
        }
        Order::Pardon { address } => {
            (Call::bare("DELETE", format!("{PREFIX}/bans/{}", encoded(&address))), Subject::Fields)
        }
        Order::Audit { limit } => (get(&format!("/audit?limit={limit}")), Subject::Audit),
        Order::Drain { .. } => (Call::bare("POST", format!("{PREFIX}/drain")), Subject::Fields),
        Order::Call { method, path, body: None } => (Call::bare(&method, path), Subject::Fields),
        Order::Call { method, path, body: Some(body) } => {
            let body: Value = serde_json::from_str(&body).context("the body is not JSON")?;
            (Call::json(&method, path, &body), Subject::Fields)
        }
    })
}

fn plugin_call(order: PluginOrder) -> anyhow::Result<(Call, Subject)> {
    let path = |plugin: &str, rest: &str| format!("{PREFIX}/plugins/{}{rest}", encoded(plugin));
    let enabled = |plugin: &str, on: bool| Call::json("PATCH", path(plugin, ""), &json!({ "enabled": on }));
    Ok(match order {
        PluginOrder::Enable { plugin } => (enabled(&plugin, true), Subject::Changes),
        PluginOrder::Disable { plugin, .. } => (enabled(&plugin, false), Subject::Changes),
        PluginOrder::Upload { file, plugin } => {
            let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let stem = || Some(file.file_stem()?.to_str()?.to_owned());
            let plugin = plugin.or_else(stem).context("the file's name is no name for a plugin; write --plugin")?;
            (Call::bytes("PUT", path(&plugin, "/file"), "application/wasm", bytes), Subject::Fields)
        }
        PluginOrder::Remove { plugin } => (Call::bare("DELETE", path(&plugin, "")), Subject::Changes),
        PluginOrder::Versions { plugin } => (Call::get(path(&plugin, "/versions")), Subject::PluginVersions),
        PluginOrder::Rollback { plugin, hash } => {
            (Call::json("POST", path(&plugin, "/rollback"), &json!({ "hash": hash })), Subject::Fields)
        }
        PluginOrder::Traps { plugin } => (Call::get(path(&plugin, "/traps")), Subject::Traps),
        PluginOrder::Order { plugins } => {
            (Call::json("PUT", format!("{PREFIX}/plugins/order"), &json!({ "order": plugins })), Subject::Changes)
        }
        PluginOrder::Configure { plugin, file } => {
            (Call::json("PATCH", path(&plugin, ""), &json!({ "config": read(&file)? })), Subject::Changes)
        }
    })
}

fn config_call(order: ConfigOrder) -> anyhow::Result<(Call, Subject)> {
    let path = |rest: &str| format!("{PREFIX}/configuration{rest}");
    let document = |file: &Path| anyhow::Ok(json!({ "document": read(file)? }));
    Ok(match order {
        ConfigOrder::Show => (Call::get(path("")), Subject::Document),
        ConfigOrder::Validate { file } => (Call::json("POST", path("/validate"), &document(&file)?), Subject::Validity),
        ConfigOrder::Diff { file } => (Call::json("POST", path("/diff"), &document(&file)?), Subject::Changes),
        ConfigOrder::Apply { file, if_match } => {
            let call = Call::json("PUT", path(""), &document(&file)?);
            (if_match.into_iter().fold(call, Call::if_match), Subject::Changes)
        }
        ConfigOrder::History => (Call::get(path("/history")), Subject::History),
        ConfigOrder::Rollback { id } => (Call::json("POST", path("/rollback"), &json!({ "id": id })), Subject::Changes),
    })
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", file.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        ctl: Ctl,
    }

    fn of(line: &str) -> (Call, Subject) {
        call(Line::try_parse_from(std::iter::once("ctl").chain(line.split(' '))).unwrap().ctl.order).unwrap()
    }

    #[test]
    fn orders_become_calls() {
        let check = |line: &str, method: &str, target: &str, body: Option<Value>| {
            let (call, _) = of(line);
            assert_eq!((call.method.as_str(), call.target.as_str()), (method, target), "{line}");
            assert_eq!(call.body.map(|(_, body)| serde_json::from_slice::<Value>(&body).unwrap()), body, "{line}");
        };
        check("state", "GET", "/api/v1/state", None);
        check("plugin disable a", "PATCH", "/api/v1/plugins/a", Some(json!({ "enabled": false })));
        check("plugin order b a", "PUT", "/api/v1/plugins/order", Some(json!({ "order": ["b", "a"] })));
        check(
            "endpoint up [::1]:80 --drain --weight 3",
            "PATCH",
            "/api/v1/upstreams/up/endpoints/%5B::1%5D:80",
            Some(json!({ "draining": true, "weight": 3 })),
        );
        check(
            "endpoint up a/b --undrain",
            "PATCH",
            "/api/v1/upstreams/up/endpoints/a%2Fb",
            Some(json!({ "draining": false })),
        );
        check("mode maintenance", "PUT", "/api/v1/mode", Some(json!({ "mode": "maintenance" })));
        check("pardon 2001:db8::1", "DELETE", "/api/v1/bans/2001:db8::1", None);
        check("call POST /x {\"a\":1}", "POST", "/x", Some(json!({ "a": 1 })));
    }
}
