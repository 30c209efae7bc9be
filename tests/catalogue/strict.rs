//! The providers that are asked for most, over real sockets with TLS: upstreams that refuse every request which is not
//! what the provider documents (`tier1.toml`), behind the real gateway with the rule as it is shipped.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock},
};

use http::{HeaderMap, HeaderName};
use regex::Regex;
use rustls::version::TLS13;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::{Position, Url};

use super::{
    shelf::{self, Answer, Case, Entry},
    stage::same,
};
use crate::support::{Authority, Clients, Reply, Seen, Setup, Upstream};

/// A status that no provider has.
const REFUSED: u16 = 599;

#[derive(Deserialize)]
struct Documents {
    provider: Vec<Provider>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    rule: String,
    docs: String,
    request: Vec<Documented>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Documented {
    #[serde(default = "get")]
    method: String,
    url: String,
    token: Vec<String>,
    #[serde(default)]
    headers: BTreeMap<String, Expected>,
    #[serde(default)]
    query: BTreeMap<String, Expected>,
    form: Option<BTreeMap<String, Expected>>,
    graphql: Option<Vec<String>>,
    #[serde(default)]
    optional: bool,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Expected {
    Text(String),
    Each { each: Vec<String> },
    Like { like: String },
    Secret { secret: String },
    Caller { caller: String },
}

fn get() -> String {
    "GET".into()
}

/// A request as an upstream got it.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    /// With the origin of the provider, which the reroute stands for.
    url: Url,
    /// Whether it named the one whom it reached.
    at_home: bool,
    headers: HeaderMap,
    body: String,
}

/// What the upstreams share: who is being tried, and what they saw.
struct Stand {
    provider: Provider,
    case: Case,
    served: Vec<(usize, Asked)>,
    refused: Vec<String>,
}

type Fields = Vec<(String, String)>;

fn documents() -> Vec<Provider> {
    let documents: Documents = toml::from_str(include_str!("tier1.toml")).expect("the file is sound");
    documents.provider
}

/// What of a request is not as documented.
fn judge(documented: &Documented, asked: &Asked, case: &Case) -> Result<(), String> {
    let fault = |what: &str| Err(format!("{} {}: {what}", asked.method, asked.url));
    if asked.method != documented.method {
        return fault("another method");
    }
    if asked.url.scheme() != "https" || !asked.at_home {
        return fault("not for this server");
    }
    if !pattern(&documented.url).is_match(&asked.url[..Position::AfterPath]) {
        return fault("another address");
    }
    let mut fields = Places {
        query: asked.url.query_pairs().into_owned().collect(),
        headers: headers(&asked.headers),
        form: Vec::new(),
    };
    if let Err(why) = body(documented, asked, &mut fields) {
        return fault(&why);
    }
    if let Err(why) = token(documented, asked, case, &mut fields) {
        return fault(&why);
    }
    let form = documented.form.clone().unwrap_or_default();
    let parts = [("query", &documented.query, &fields.query), ("form", &form, &fields.form)];
    for (what, expected, found) in parts {
        if let Err(why) = exactly(expected, found, case) {
            return fault(&format!("{what}: {why}"));
        }
    }
    usual_headers(documented, &mut fields.headers)
        .and_then(|()| exactly(&documented.headers, &fields.headers, case))
        .or_else(|why| fault(&format!("headers: {why}")))
}

/// What is left of a request to be accounted for.
struct Places {
    query: Fields,
    headers: Fields,
    form: Fields,
}

fn headers(headers: &HeaderMap) -> Fields {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

/// A text with patterns in braces, as a whole.
fn pattern(text: &str) -> Regex {
    let mut pattern = String::from("^");
    let mut rest = text;
    while let Some((plain, after)) = rest.split_once('{') {
        let (inner, after) = after.split_once('}').expect("every brace is closed");
        pattern += &format!("{}(?:{inner})", regex::escape(plain));
        rest = after;
    }
    Regex::new(&format!("{pattern}{}$", regex::escape(rest))).expect("a sound pattern")
}

/// The body, by what it is called; the fields of a form are still to be looked at.
fn body(documented: &Documented, asked: &Asked, fields: &mut Places) -> Result<(), String> {
    let kind = asked.headers.get("content-type").map(|kind| String::from_utf8_lossy(kind.as_bytes()).into_owned());
    let kind = kind.as_deref().map(|kind| kind.split(';').next().unwrap_or_default());
    let expected = match (&documented.form, &documented.graphql) {
        (Some(_), _) => Some("application/x-www-form-urlencoded"),
        (None, Some(_)) => Some("application/json"),
        (None, None) => None,
    };
    if kind != expected {
        return Err(format!("the body is called {kind:?}"));
    }
    if documented.form.is_some() {
        fields.form = url::form_urlencoded::parse(asked.body.as_bytes()).into_owned().collect();
    } else if let Some(known) = &documented.graphql {
        let body: Map<String, Value> = serde_json::from_str(&asked.body).map_err(|_| "the body is no JSON object")?;
        let Some(Value::String(query)) = body.get("query").filter(|_| body.len() == 1) else {
            return Err("the body is not a query alone".into());
        };
        let asked = selection(query).ok_or("the query is none")?;
        if let Some(unknown) = asked.iter().find(|field| !known.contains(field)) {
            return Err(format!("there is no field {unknown}"));
        }
    } else if !asked.body.is_empty() {
        return Err("there is a body".into());
    }
    Ok(())
}

/// The fields that a query asks for, with those above them: `viewer.id`.
fn selection(query: &str) -> Option<Vec<String>> {
    let words = Regex::new(r"[A-Za-z_]\w*|[{}]|\S").expect("a sound pattern");
    let (mut above, mut last, mut fields) = (Vec::new(), None, Vec::new());
    for word in words.find_iter(query).map(|word| word.as_str()) {
        let done = last.take();
        match word {
            "{" => above.push(done),
            "}" => {
                fields.extend(done.map(|field| path(&above, field)));
                above.pop()?;
            }
            word if word.starts_with(|c: char| c.is_alphabetic() || c == '_') && !above.is_empty() => {
                fields.extend(done.map(|field| path(&above, field)));
                last = Some(word);
            }
            _ => return None,
        }
    }
    (above.is_empty() && !fields.is_empty()).then_some(fields)
}

fn path(above: &[Option<&str>], field: &str) -> String {
    above.iter().flatten().copied().chain([field]).collect::<Vec<_>>().join(".")
}

/// The caller's token stands in one of the places for it, and nowhere else.
fn token(documented: &Documented, asked: &Asked, case: &Case, fields: &mut Places) -> Result<(), String> {
    let own = |place: &&String| -> bool {
        let (kind, name) = place.split_once(':').unwrap_or((place, ""));
        let authorization = |text: String| fields.headers.contains(&("authorization".to_owned(), text));
        let pair = (name.to_owned(), case.token.clone());
        match kind {
            "bearer" => authorization(format!("Bearer {}", case.token)),
            "scheme" => authorization(format!("{name} {}", case.token)),
            "bare" => authorization(case.token.clone()),
            "header" => fields.headers.contains(&pair),
            "query" => fields.query.contains(&pair),
            "form" => fields.form.contains(&pair),
            "path" => asked.url.path().split('/').any(|part| part == case.token),
            "none" => true,
            _ => panic!("no place for a token: {place}"),
        }
    };
    let Some(place) = documented.token.iter().find(own) else {
        return Err("the token is not where it should be".into());
    };
    let (kind, name) = place.split_once(':').unwrap_or((place, ""));
    let authorization = ["bearer", "scheme", "bare"].contains(&kind);
    let taken = |fields: &mut Fields, name: &str| {
        let at = fields.iter().position(|(known, _)| known == name);
        at.map(|at| fields.remove(at));
    };
    match kind {
        _ if authorization => taken(&mut fields.headers, "authorization"),
        "header" => taken(&mut fields.headers, name),
        "query" => taken(&mut fields.query, name),
        "form" => taken(&mut fields.form, name),
        _ => {}
    }
    let path = if kind == "path" { "" } else { asked.url.path() };
    let rest = [&fields.query, &fields.headers, &fields.form].into_iter().flatten();
    let json = if documented.graphql.is_some() { &*asked.body } else { "" };
    if rest.map(|(_, value)| &**value).chain([path, json]).any(|text| text.contains(&case.token)) {
        return Err("the token stands elsewhere too".into());
    }
    Ok(())
}

/// All that has to be there, once, and nothing besides but what may.
fn exactly(expected: &BTreeMap<String, Expected>, found: &Fields, case: &Case) -> Result<(), String> {
    let names: BTreeSet<_> = found.iter().map(|(name, _)| name).collect();
    if names.len() < found.len() {
        return Err("something stands twice".into());
    }
    for (name, value) in found {
        let known = expected.get(name).or_else(|| expected.get(&format!("{name}?")));
        match known {
            None => return Err(format!("`{name}` is not documented")),
            Some(known) if !known.fits(value, case) => return Err(format!("`{name}` is {value}")),
            Some(_) => {}
        }
    }
    let missing = expected.keys().find(|name| !name.ends_with('?') && !names.contains(name));
    missing.map_or(Ok(()), |name| Err(format!("`{name}` is missing")))
}

impl Expected {
    fn fits(&self, value: &str, case: &Case) -> bool {
        match self {
            Expected::Text(text) => value == text,
            Expected::Each { each } => value.split(',').all(|part| each.iter().any(|known| known == part)),
            Expected::Like { like } => Regex::new(&format!("^(?:{like})$")).expect("a sound pattern").is_match(value),
            Expected::Secret { secret } => case.secrets.get(secret).is_some_and(|secret| secret == value),
            Expected::Caller { caller } => case.request.query.get(caller).is_some_and(|sent| sent == value),
        }
    }
}

/// The headers of every request: who asks, for JSON, and how long the body is. Takes them away.
fn usual_headers(documented: &Documented, found: &mut Fields) -> Result<(), String> {
    let mut take = |name: &str| {
        let at = found.iter().position(|(known, _)| known == name).filter(|_| !documented.headers.contains_key(name));
        at.map(|at| found.remove(at).1)
    };
    if !documented.headers.contains_key("user-agent") && take("user-agent").is_none_or(|agent| agent.is_empty()) {
        return Err("nobody says who asks".into());
    }
    let json = |accept: String| accept.split(',').any(|kind| kind.trim().starts_with("application/json"));
    if !documented.headers.contains_key("accept") && !take("accept").is_some_and(json) {
        return Err("JSON is not asked for".into());
    }
    for name in ["host", "content-length", "content-type"] {
        take(name);
    }
    Ok(())
}

/// Answers as the case has them, to requests that are as documented.
fn answer(stand: &Mutex<Stand>, origin: &str, seen: &Seen, authority: &str) -> Reply {
    let mut stand = stand.lock().expect("nothing panics while it holds this");
    let asked = Asked {
        method: seen.method.clone(),
        url: format!("{origin}{}", seen.target).parse().expect("a path makes an address"),
        at_home: seen.authority == authority,
        headers: seen.headers.clone(),
        body: String::from_utf8_lossy(&seen.body).into_owned(),
    };
    let case = stand.case.clone();
    let judged = stand.provider.request.iter().map(|documented| judge(documented, &asked, &case));
    let judged: Vec<_> = judged.collect();
    let Some(number) = judged.iter().position(Result::is_ok) else {
        let reasons: Vec<_> = judged.into_iter().filter_map(Result::err).collect();
        let reason = reasons.join("; or ");
        stand.refused.push(reason.clone());
        return Reply::new(REFUSED, reason);
    };
    let fits = |answer: &Answer| {
        answer.method == asked.method && same(&answer.url.parse().expect("addresses of cases are sound"), &asked.url)
    };
    let Some(answer) = case.answers.iter().find(|answer| fits(answer)).cloned() else {
        let reason = format!("{} {}: the case has no answer", asked.method, asked.url);
        stand.refused.push(reason.clone());
        return Reply::new(REFUSED, reason);
    };
    stand.served.push((number, asked));
    let kind = answer.headers.get("Content-Type").cloned();
    Reply::new(answer.status, answer.text()).header("content-type", kind.unwrap_or("application/json".into()))
}

/// The origins of what is documented.
fn origins(providers: &[Provider]) -> BTreeSet<String> {
    let requests = providers.iter().flat_map(|provider| &provider.request);
    requests.map(|request| origin(&request.url)).collect()
}

fn origin(url: &str) -> String {
    let url: Url = url.parse().expect("the host holds no pattern");
    url.origin().ascii_serialization()
}

/// The gateway with these rules, led to strict upstreams.
struct Bench {
    gateway: crate::support::Gateway,
    stand: Arc<Mutex<Stand>>,
    _upstreams: Vec<Upstream>,
}

impl Bench {
    fn new(entries: &[Entry], providers: &[Provider]) -> Self {
        let authority = Authority::new();
        let stand = Stand {
            provider: providers[0].clone(),
            case: entries[0].normal().clone(),
            served: Vec::new(),
            refused: Vec::new(),
        };
        let stand = Arc::new(Mutex::new(stand));
        let roots = authority.file();
        let mut setup = Setup::new().with(|settings| settings.upstream.roots = Some(roots));
        // Without TLS nobody is at home; and nothing leaves the machine.
        let shared = stand.clone();
        let plain = Upstream::new(move |seen| {
            let reason = format!("{} {}: without TLS", seen.method, seen.target);
            shared.lock().expect("nothing panics while it holds this").refused.push(reason.clone());
            Reply::new(REFUSED, reason)
        });
        let mut upstreams = Vec::new();
        for origin in origins(providers) {
            let (shared, own, address) = (stand.clone(), origin.clone(), Arc::new(OnceLock::new()));
            let here = address.clone();
            let upstream = Upstream::secure(authority.server(Clients::Anybody, &[&TLS13]), move |seen| {
                let reply = answer(&shared, &own, &seen, here.get().map_or("", String::as_str));
                async move { reply }
            });
            address.get_or_init(|| upstream.origin.trim_start_matches("https://").to_owned());
            setup = setup.reroute(&origin, &upstream.origin);
            setup = setup.reroute(&origin.replacen("https:", "http:", 1), &plain.origin);
            upstreams.push(upstream);
        }
        upstreams.push(plain);
        let mut secrets = Vec::new();
        for entry in entries {
            let case = entry.normal();
            setup = setup.rule(&entry.name, &entry.source.text);
            setup =
                setup.with(|settings| settings.rule.entry(entry.name.clone()).or_default().vars = case.vars.clone());
            let named = entry.rule.get("secrets").and_then(toml::Value::as_table).into_iter().flatten();
            secrets.extend(
                named.map(|(name, place)| {
                    (place["env"].as_str().expect("an environment variable"), &*case.secrets[name])
                }),
            );
        }
        Bench { gateway: setup.secrets(&secrets).start(), stand, _upstreams: upstreams }
    }

    /// The login of a rule's first case: what is wrong with it, and the requests that were served.
    fn login(&self, entry: &Entry, provider: &Provider) -> (Vec<String>, Vec<(usize, Asked)>) {
        let case = entry.normal();
        *self.stand.lock().expect("nothing panics while it holds this") =
            Stand { provider: provider.clone(), case: case.clone(), served: Vec::new(), refused: Vec::new() };
        let mut path = url::form_urlencoded::Serializer::new(format!("/{}?", entry.name));
        path.extend_pairs(&case.request.query);
        let answer = self.gateway.get(path.finish().trim_end_matches('?'), &case.token);
        let stand = self.stand.lock().expect("nothing panics while it holds this");
        let mut wrong = stand.refused.clone();
        let claims: Option<Map<String, Value>> = serde_json::from_str(&answer.body).ok();
        if answer.status != 200 || claims != case.claims() {
            wrong.push(format!("{} {}", answer.status, answer.body));
        }
        for (number, documented) in provider.request.iter().enumerate() {
            let times = stand.served.iter().filter(|(served, _)| *served == number).count();
            if times > 1 || times == 0 && !documented.optional {
                wrong.push(format!("{} {} was asked for {times} times", documented.method, documented.url));
            }
        }
        if stand.served.len() != case.answers.len() {
            wrong.push("not all answers of the case were asked for".to_owned());
        }
        (wrong, stand.served.clone())
    }
}

/// The rule of a provider. A case that asks others would leave this machine, and is not started.
fn entry(provider: &Provider) -> Entry {
    let entry = shelf::entry(&provider.rule);
    let known = origins(std::slice::from_ref(provider));
    let asked = entry.normal().answers.iter().map(|answer| origin(&answer.url));
    let strange: Vec<_> = asked.filter(|origin| !known.contains(origin)).collect();
    assert!(strange.is_empty(), "{}: {strange:?} is not documented", provider.rule);
    entry
}

#[test]
fn every_provider_of_the_first_tier_gets_what_it_documents() {
    let providers = documents();
    let tiers: BTreeMap<String, Vec<String>> =
        toml::from_str(include_str!("../../src/catalogue/tiers.toml")).expect("the file is sound");
    let named: Vec<_> = providers.iter().map(|provider| &provider.rule).collect();
    assert_eq!(named, tiers["1"].iter().collect::<Vec<_>>(), "the whole first tier, in its order");
    assert!(providers.iter().all(|provider| provider.docs.starts_with("https://")));
    let entries: Vec<_> = providers.iter().map(entry).collect();
    let bench = Bench::new(&entries, &providers);
    let mut wrong = Vec::new();
    for (entry, provider) in entries.iter().zip(&providers) {
        let (found, served) = bench.login(entry, provider);
        wrong.extend(found.into_iter().map(|found| format!("{}: {found}", entry.name)));
        for (number, asked) in served {
            let passed = alterations(&asked).into_iter().filter(|(_, altered)| {
                provider.request.iter().any(|documented| judge(documented, altered, entry.normal()).is_ok())
            });
            let passed = passed.map(|(what, _)| format!("{}: request {number} passes although {what}", entry.name));
            wrong.extend(passed);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same request with one thing wrong, in all the ways that there are.
fn alterations(asked: &Asked) -> Vec<(String, Asked)> {
    let mut all = Vec::new();
    let mut add = |what: &str, change: &dyn Fn(&mut Asked)| {
        let mut altered = asked.clone();
        change(&mut altered);
        all.push((what.to_owned(), altered));
    };
    add("the method is another", &|asked| asked.method = if asked.method == "GET" { "POST" } else { "GET" }.into());
    add("it has no TLS", &|asked| asked.url.set_scheme("http").expect("a scheme"));
    add("it is for another server", &|asked| asked.at_home = false);
    add("the host is another", &|asked| asked.url.set_host(Some("api.example.net")).expect("a host"));
    add("the path is longer", &|asked| _ = asked.url.path_segments_mut().expect("a path").extend(&["x"]));
    add("the path is shorter", &|asked| _ = asked.url.path_segments_mut().expect("a path").pop_if_empty().pop());
    add("the query has more", &|asked| _ = asked.url.query_pairs_mut().append_pair("debug", "1"));
    add("there is a cookie", &|asked| header(asked, "cookie", Some("t=1")));
    add("there is an API key", &|asked| header(asked, "x-api-key", Some("k3y")));
    add("there are two credentials", &|asked| header(asked, "proxy-authorization", Some("Basic YTpi")));
    add("the token is in the query too", &|asked| _ = asked.url.query_pairs_mut().append_pair("token2", "t0ken"));
    add("nobody says who asks", &|asked| header(asked, "user-agent", None));
    add("HTML is asked for", &|asked| header(asked, "accept", Some("text/html")));
    add("the body has more", &|asked| asked.body.push_str("&x=1"));
    add("the body is called something else", &|asked| header(asked, "content-type", Some("text/plain")));
    match asked.headers.get("authorization") {
        None => add("there is an Authorization", &|asked| header(asked, "authorization", Some("Bearer t0ken"))),
        Some(_) => {
            add("there is no Authorization", &|asked| header(asked, "authorization", None));
            add("it has another token", &|asked| header(asked, "authorization", Some("Bearer other")));
            add("it has another scheme", &|asked| header(asked, "authorization", Some("Basic t0ken")));
        }
    }
    let pairs: Vec<(String, String)> = asked.url.query_pairs().into_owned().collect();
    for (number, (name, value)) in pairs.iter().enumerate() {
        let with = |pairs: Vec<(String, String)>| {
            move |asked: &mut Asked| _ = asked.url.query_pairs_mut().clear().extend_pairs(&pairs)
        };
        let mut other = pairs.clone();
        other[number].1 = format!("{value}~");
        add(&format!("`{name}` is another"), &with(other));
        let mut twice = pairs.clone();
        twice.push((name.clone(), value.clone()));
        add(&format!("`{name}` stands twice"), &with(twice));
    }
    let usual = ["host", "content-length", "accept", "user-agent", "content-type", "authorization"];
    for name in asked.headers.keys().filter(|name| !usual.contains(&name.as_str())) {
        add(&format!("`{name}` is another"), &|asked| header(asked, name.as_str(), Some("0ther")));
    }
    if !asked.body.is_empty() {
        add("there is no body", &|asked| asked.body.clear());
        add("the body is another", &|asked| asked.body = asked.body.replacen(['e', 'i'], "~", 1));
    }
    all
}

fn header(asked: &mut Asked, name: &str, value: Option<&str>) {
    match value {
        Some(value) => {
            let name: HeaderName = name.parse().expect("a sound header");
            asked.headers.insert(name, value.parse().expect("a sound header"));
        }
        None => _ = asked.headers.remove(name),
    }
}

/// The rule for GitHub, written wrong, asks in vain: the check is not blind.
#[test]
fn a_rule_that_asks_otherwise_gets_nothing() {
    let github = documents().into_iter().find(|provider| provider.rule == "github").expect("it is documented");
    let shipped = entry(&github);
    let cases = std::fs::read_to_string(shelf::folder().join("github.test.toml")).expect("it has cases");
    let call = "[call.user]\n";
    for (from, to, reason) in [
        ("/user\"\nheaders", "/users\"\nheaders", "another address"),
        ("application/vnd.github+json", "application/json", "`accept` is application/json"),
        ("https://api.github.com\"", "http://api.github.com\"", "without TLS"),
        (call, "[call.user]\nmethod = \"POST\"\n", "another method"),
        (call, "[call.user]\ntoken = \"bare\"\n", "the token is not where it should be"),
        (call, "[call.user]\ntoken = { query = \"access_token\" }\n", "the token is not where it should be"),
        (call, "[call.user]\nquery = { debug = 1 }\n", "query: `debug` is not documented"),
        (call, "[call.user]\nquery = { t = \"${token}\" }\n", "the token is not where it should be"),
        (call, "[call.user]\ntoken = \"bearer\"\nquery = { t = \"${token}\" }\n", "the token stands elsewhere too"),
        (call, "[call.user]\njson = { a = 1 }\nmethod = \"GET\"\n", "the body is called Some(\"application/json\")"),
    ] {
        let text = shipped.source.text.replacen(from, to, 1);
        assert_ne!(text, shipped.source.text, "{from} is in the rule");
        let wrong = shelf::parse("github", text, &cases);
        let bench = Bench::new(std::slice::from_ref(&wrong), std::slice::from_ref(&github));
        let (found, served) = bench.login(&wrong, &github);
        assert!(served.iter().all(|(number, _)| *number == 1), "{to}: the user was served");
        assert!(found.iter().any(|found| found.contains(reason)), "{to}: {found:?}");
        assert!(found.iter().any(|found| found.starts_with("502 ")), "{to}: no login came of it: {found:?}");
    }
}
