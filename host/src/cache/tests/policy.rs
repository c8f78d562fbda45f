//! The policy against RFC 9111 written down once more, in whole seconds and without regard to speed.
//!
//! What a response says is made up as a list of meanings and only then spelled, in one of many ways; the model never reads fields.

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};
use proptest::prelude::*;

use crate::cache::policy::*;
use crate::cache::stored::Stored;
use crate::cache::{Marks, Trouble};

/// 2000-01-01 00:00:00, in seconds; when every response comes.
const NOW: i64 = 946_684_800;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Good(i64),
    Bad,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    MaxAge(Number),
    SMaxage(Number),
    WhileRevalidate(Number),
    IfError(Number),
    MinFresh(i64),
    MaxStale(Option<i64>),
    NoStore,
    NoCache,
    Private,
    Public,
    MustRevalidate,
    ProxyRevalidate,
    MustUnderstand,
    OnlyIfCached,
    Unknown,
}

#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    says: Vec<Says>,
    /// In `CDN-Cache-Control`, without anything bad.
    targeted: Vec<Says>,
    /// Seconds from now; none: no date.
    expires: Vec<Option<i64>>,
    date: Option<Option<i64>>,
    age: Option<Number>,
    modified: Option<i64>,
    has_tag: bool,
    sets_cookie: bool,
    pragma: bool,
    took: i64,
}

#[derive(Debug, Clone)]
struct Question {
    says: Vec<Says>,
    authorized: bool,
    cookie: bool,
    pragma: bool,
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        3 => (0_i64..20).prop_map(Number::Good),
        3 => (0_i64..600).prop_map(Number::Good),
        1 => Just(Number::Good(1 << 40)),
        1 => Just(Number::Bad),
    ]
}

fn says() -> impl Strategy<Value = Says> {
    prop_oneof![
        6 => number().prop_map(Says::MaxAge),
        2 => number().prop_map(Says::SMaxage),
        3 => number().prop_map(Says::WhileRevalidate),
        3 => number().prop_map(Says::IfError),
        1 => Just(Says::NoStore),
        1 => Just(Says::NoCache),
        1 => Just(Says::Private),
        2 => Just(Says::Public),
        1 => Just(Says::MustRevalidate),
        1 => Just(Says::ProxyRevalidate),
        1 => Just(Says::MustUnderstand),
        2 => Just(Says::Unknown),
    ]
}

fn asks() -> impl Strategy<Value = Says> {
    prop_oneof![
        3 => (0_i64..600).prop_map(|seconds| Says::MaxAge(Number::Good(seconds))),
        1 => Just(Says::MaxAge(Number::Bad)),
        3 => (0_i64..600).prop_map(Says::MinFresh),
        3 => prop::option::of(0_i64..600).prop_map(Says::MaxStale),
        1 => Just(Says::NoStore),
        1 => Just(Says::NoCache),
        1 => Just(Says::OnlyIfCached),
        1 => Just(Says::Unknown),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let is_good = |says: &Says| {
        !matches!(
            says,
            Says::MaxAge(Number::Bad)
                | Says::SMaxage(Number::Bad)
                | Says::WhileRevalidate(Number::Bad)
                | Says::IfError(Number::Bad)
        )
    };
    let statuses = prop::sample::select(vec![200_u16, 200, 200, 203, 204, 301, 302, 307, 404, 418, 500, 503, 599]);
    let date = prop::option::of(-600_i64..600);
    let fields = (
        prop::collection::vec(date.clone(), 0..3),
        prop::option::weighted(0.7, date),
        prop::option::weighted(0.3, number().prop_filter("an age of years", |age| *age != Number::Good(1 << 40))),
        prop::option::weighted(0.4, -100_000_i64..100),
    );
    let targeted = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(says().prop_filter("is good", is_good), 1..4),
    ];
    (
        (statuses, prop::collection::vec(says(), 0..5), targeted),
        fields,
        (any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2), 0_i64..5),
    )
        .prop_map(
            |((status, says, targeted), (expires, date, age, modified), (has_tag, sets_cookie, pragma, took))| Answer {
                status,
                says,
                targeted,
                expires,
                date,
                age,
                modified,
                has_tag,
                sets_cookie,
                pragma,
                took,
            },
        )
}

fn question() -> impl Strategy<Value = Question> {
    let rarely = prop::bool::weighted(0.2);
    (prop::collection::vec(asks(), 0..3), rarely, rarely, rarely)
        .prop_map(|(says, authorized, cookie, pragma)| Question { says, authorized, cookie, pragma })
}

fn policies() -> impl Strategy<Value = Policy> {
    let window = prop_oneof![Just(0_u64), 0_u64..600];
    (window.clone(), window.clone(), window, 0_u8..=100, any::<(bool, bool)>()).prop_map(
        |(while_revalidate, if_error, if_unreachable, percent, (refuses, ignores))| Policy {
            heuristic_percent: percent,
            heuristic_max: Duration::from_secs(300),
            stale_while_revalidate: Duration::from_secs(while_revalidate),
            stale_if_error: Duration::from_secs(if_error),
            stale_if_unreachable: Duration::from_secs(if_unreachable),
            authorization: if refuses { Authorization::Refuse } else { Authorization::AsSaid },
            client_directives: if ignores { ClientDirectives::Ignored } else { ClientDirectives::Heard },
            ..Policy::default()
        },
    )
}

/// How things are spelled.
#[derive(Debug, Clone, Copy)]
struct Style {
    upper: bool,
    quoted: bool,
    lines: bool,
    blanks: &'static str,
}

fn style() -> impl Strategy<Value = Style> {
    (any::<(bool, bool, bool)>(), prop::sample::select(vec!["", " ", "\t", " , ", ",,"]))
        .prop_map(|((upper, quoted, lines), blanks)| Style { upper, quoted, lines, blanks })
}

fn word(says: Says, quoted: bool) -> String {
    let with = |name: &str, number: Number| match number {
        Number::Good(seconds) if quoted => format!("{name}=\"{seconds}\""),
        Number::Good(seconds) => format!("{name}={seconds}"),
        Number::Bad => format!("{name}=1x"),
    };
    match says {
        Says::MaxAge(number) => with("max-age", number),
        Says::SMaxage(number) => with("s-maxage", number),
        Says::WhileRevalidate(number) => with("stale-while-revalidate", number),
        Says::IfError(number) => with("stale-if-error", number),
        Says::MinFresh(seconds) => with("min-fresh", Number::Good(seconds)),
        Says::MaxStale(None) => "max-stale".to_owned(),
        Says::MaxStale(Some(seconds)) => with("max-stale", Number::Good(seconds)),
        Says::NoStore => "no-store".to_owned(),
        Says::NoCache => "no-cache".to_owned(),
        Says::Private => "private".to_owned(),
        Says::Public => "public".to_owned(),
        Says::MustRevalidate => "must-revalidate".to_owned(),
        Says::ProxyRevalidate => "proxy-revalidate".to_owned(),
        Says::MustUnderstand => "must-understand".to_owned(),
        Says::OnlyIfCached => "only-if-cached".to_owned(),
        Says::Unknown => "x-unknown=\"max-age=1, private\"".to_owned(),
    }
}

fn spell(headers: &mut HeaderMap, said: &[Says], style: Style) {
    let spelled = said.iter().map(|says| {
        let text = word(*says, style.quoted);
        if style.upper { text.to_ascii_uppercase() } else { text }
    });
    let words: Vec<_> = spelled.collect();
    if style.lines {
        for word in &words {
            headers.append(header::CACHE_CONTROL, word.parse().unwrap());
        }
    } else if !words.is_empty() {
        let text = words.join(&format!("{},{}", style.blanks, style.blanks));
        headers.append(header::CACHE_CONTROL, text.parse().unwrap());
    }
}

fn http_date(seconds: i64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs((NOW + seconds) as u64))
}

fn fields_of(answer: &Answer, style: Style) -> HeaderMap {
    let mut headers = HeaderMap::new();
    spell(&mut headers, &answer.says, style);
    if !answer.targeted.is_empty() {
        let words: Vec<_> = answer.targeted.iter().map(|says| word(*says, false)).collect();
        headers.append("cdn-cache-control", words.join(", ").parse().unwrap());
    }
    let mut add = |name: HeaderName, text: String| {
        headers.append(name, text.parse().unwrap());
    };
    for expires in &answer.expires {
        add(header::EXPIRES, expires.map_or("0".to_owned(), http_date));
    }
    if let Some(date) = answer.date {
        add(header::DATE, date.map_or("yesterday".to_owned(), http_date));
    }
    match answer.age {
        Some(Number::Good(age)) => add(header::AGE, format!("{age}, 7")),
        Some(Number::Bad) => add(header::AGE, "-1".to_owned()),
        None => {}
    }
    if let Some(modified) = answer.modified {
        add(header::LAST_MODIFIED, http_date(modified));
    }
    if answer.has_tag {
        add(header::ETAG, "\"a\"".to_owned());
    }
    if answer.sets_cookie {
        add(header::SET_COOKIE, "a=b".to_owned());
    }
    if answer.pragma {
        add(header::PRAGMA, "No-Cache".to_owned());
    }
    headers
}

fn fields_of_question(question: &Question, style: Style) -> HeaderMap {
    let mut headers = HeaderMap::new();
    spell(&mut headers, &question.says, style);
    let mut add = |name: HeaderName, text: &str, has: bool| {
        if has {
            headers.append(name, text.parse().unwrap());
        }
    };
    add(header::AUTHORIZATION, "Basic x", question.authorized);
    add(header::COOKIE, "a=b", question.cookie);
    add(header::PRAGMA, "no-cache", question.pragma);
    headers
}

/// What several values of one directive mean: one, if they agree; otherwise nothing that can be understood.
fn agreed(values: &[Number]) -> Option<Number> {
    let first = *values.first()?;
    Some(if values.iter().all(|value| *value == first) { first } else { Number::Bad })
}

/// What the model knows of a stored response.
#[derive(Debug)]
struct Kept {
    lifetime: i64,
    age: i64,
    no_cache: bool,
    never_stale: bool,
    while_revalidate: i64,
    if_error: i64,
    if_unreachable: i64,
}

#[derive(Debug, PartialEq, Eq)]
enum Use {
    Fresh,
    Stale,
    WhileRevalidating,
    Validated,
}

/// RFC 9111 section 3, and section 4.2 at the time when it comes.
fn kept(policy: &Policy, question: &Question, answer: &Answer) -> Option<Kept> {
    // A field in which nothing is understood counts as absent.
    let targeted = answer.targeted.iter().any(|says| *says != Says::Unknown);
    let says = if targeted { &answer.targeted } else { &answer.says };
    let has = |wanted: Says| says.contains(&wanted);
    let values = |of: fn(&Says) -> Option<Number>| -> Option<Number> {
        let all: Vec<_> = says.iter().filter_map(of).collect();
        // Of a dictionary's members with one name the last counts (RFC 8941 section 3.2).
        if targeted { all.last().copied() } else { agreed(&all) }
    };
    let capped = |number: Number| match number {
        Number::Good(seconds) => Some(seconds.min(1 << 31)),
        Number::Bad => None,
    };
    let max_age = values(|says| if let Says::MaxAge(number) = says { Some(*number) } else { None });
    let s_maxage = values(|says| if let Says::SMaxage(number) = says { Some(*number) } else { None });
    let window =
        |of, default: Duration| values(of).and_then(capped).unwrap_or(i64::try_from(default.as_secs()).unwrap());
    let heard = policy.client_directives == ClientDirectives::Heard;

    let understood = [200, 203, 204, 301, 302, 307, 404, 500, 503].contains(&answer.status);
    let by_default = [200, 203, 204, 301, 404].contains(&answer.status);
    let no_store = if has(Says::MustUnderstand) { !understood } else { has(Says::NoStore) };
    let shared = has(Says::Public) || has(Says::MustRevalidate) || s_maxage.is_some();
    let hides = question.authorized && (!shared || policy.authorization == Authorization::Refuse);
    if no_store || heard && question.says.contains(&Says::NoStore) || has(Says::Private) || hides {
        return None;
    }
    let date = answer.date.flatten();
    let sent = date.unwrap_or(0);
    let explicit = match (s_maxage.or(max_age), answer.expires.as_slice()) {
        (Some(number), _) => Some(capped(number).unwrap_or(0)),
        (None, [_, ..]) if targeted => None,
        (None, [Some(expires)]) => Some((expires - sent).max(0)),
        (None, [_, ..]) => Some(0),
        (None, []) => None,
    };
    let lifetime = match explicit {
        Some(lifetime) => lifetime * 100,
        None if answer.sets_cookie || !by_default && !has(Says::Public) => return None,
        None if answer.pragma => 0,
        None => {
            let unchanged = answer.modified.map_or(0, |modified| (sent - modified).max(0));
            (unchanged * i64::from(policy.heuristic_percent)).min(30_000)
        }
    };
    let told = match answer.age {
        Some(Number::Good(age)) => age + answer.took,
        _ => 0,
    };
    let age = told.max(date.map_or(0, |date| -date)).max(0);
    let never_stale =
        has(Says::MustRevalidate) || has(Says::ProxyRevalidate) || has(Says::NoCache) || s_maxage.is_some();
    let none_if = |window: i64| if never_stale { 0 } else { window };
    let if_error = values(|says| if let Says::IfError(number) = says { Some(*number) } else { None }).and_then(capped);
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap();
    let (error, unreachable) = (seconds(policy.stale_if_error), seconds(policy.stale_if_unreachable));
    let kept = Kept {
        lifetime,
        age,
        no_cache: has(Says::NoCache),
        never_stale,
        while_revalidate: none_if(window(
            |says| if let Says::WhileRevalidate(number) = says { Some(*number) } else { None },
            policy.stale_while_revalidate,
        )),
        if_error: none_if(if_error.unwrap_or(error)),
        if_unreachable: none_if(if_error.unwrap_or(unreachable.max(error))),
    };
    // Nothing is kept that nobody could ever be given.
    let late = age * 100 - lifetime;
    let longest = kept.while_revalidate.max(kept.if_error).max(kept.if_unreachable);
    let usable = late < 0 && !kept.no_cache || longest * 100 > late.max(0);
    let validator = answer.has_tag || answer.modified.is_some();
    (usable || validator && (explicit.is_some() || !question.cookie)).then_some(kept)
}

/// RFC 9111 sections 4 and 5.2.1, so many seconds after it came. Times in hundredths.
fn used(policy: &Policy, kept: &Kept, question: &Question, after: i64) -> Use {
    let heard = policy.client_directives == ClientDirectives::Heard;
    let says = if heard { question.says.as_slice() } else { &[] };
    let age = (kept.age + after) * 100;
    let staleness = age - kept.lifetime;
    let max_ages: Vec<_> =
        says.iter().filter_map(|says| if let Says::MaxAge(number) = says { Some(*number) } else { None }).collect();
    let max_age = agreed(&max_ages).map(|number| if let Number::Good(seconds) = number { seconds } else { 0 });
    let min_freshs: Vec<_> = says
        .iter()
        .filter_map(|says| if let Says::MinFresh(seconds) = says { Some(Number::Good(*seconds)) } else { None })
        .collect();
    let min_fresh = match agreed(&min_freshs) {
        Some(Number::Good(seconds)) => seconds * 100,
        _ => 0,
    };
    // The last counts.
    let max_stale = says.iter().rev().find_map(|says| match says {
        Says::MaxStale(seconds) => Some(seconds.map(|seconds| seconds * 100)),
        _ => None,
    });
    let no_cache = says.contains(&Says::NoCache) || heard && says.is_empty() && question.pragma;
    if kept.no_cache || no_cache || max_age.is_some_and(|most| age > most * 100 || most == 0) {
        return Use::Validated;
    }
    if staleness < 0 {
        return if -staleness >= min_fresh { Use::Fresh } else { Use::Validated };
    }
    if kept.never_stale || min_fresh > 0 {
        return Use::Validated;
    }
    match max_stale {
        Some(None) => return Use::Stale,
        Some(Some(most)) if staleness <= most => return Use::Stale,
        None if max_age.is_some() => return Use::Validated,
        _ => {}
    }
    if staleness < kept.while_revalidate * 100 { Use::WhileRevalidating } else { Use::Validated }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn the_policy_is_what_the_rfc_says(
        policy in policies(),
        first in question(),
        answer in answer(),
        later in prop::collection::vec((question(), 0_i64..1200), 1..6),
        styles in (style(), style()),
    ) {
        let request = fields_of_question(&first, styles.0);
        let response = fields_of(&answer, styles.1);
        let status = StatusCode::from_u16(answer.status).unwrap();
        let storing = Storing {
            method: &Method::GET,
            request: &request,
            status,
            response: &response,
            now: Duration::from_secs(NOW as u64),
            took: Duration::from_secs(answer.took as u64),
        };
        let decided = admission(&policy, &storing);
        let model = kept(&policy, &first, &answer);
        prop_assert_eq!(decided.is_ok(), model.is_some(), "{:?} {:?} {:?}", decided, model, response);
        let (Ok(admission), Some(model)) = (decided, model) else { return Ok(()) };
        let came = crate::time::now() + Duration::from_secs(10_000);
        let marks = (Arc::new(Marks::new("".into(), "".into(), Vec::new())), 0);
        let stored = Stored::new(admission, &request, status, &response, marks, came).unwrap();
        for (question, after) in &later {
            let now = came + Duration::from_secs(*after as u64);
            let asked = Asked::read(&policy, &fields_of_question(question, styles.0));
            let reused = match reuse(&stored.facts(now), &asked) {
                Reuse::Fresh => Use::Fresh,
                Reuse::Stale => Use::Stale,
                Reuse::WhileRevalidating => Use::WhileRevalidating,
                Reuse::Validated => Use::Validated,
            };
            prop_assert_eq!(stored.age(now).as_secs(), (model.age + after) as u64);
            let expected = used(&policy, &model, question, *after);
            prop_assert_eq!(reused, expected, "{:?} {:?} {:?}", stored.facts(now), asked, model);
            let staleness = ((model.age + after) * 100 - model.lifetime).max(0);
            let within = |window: i64| !model.never_stale && !model.no_cache && staleness < window * 100;
            prop_assert_eq!(stored.replaces_error(now, Trouble::Answer), within(model.if_error));
            prop_assert_eq!(stored.replaces_error(now, Trouble::NoAnswer), within(model.if_unreachable));
        }
    }
}
