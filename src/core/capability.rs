//! What the places that rules run on can do, in one table; and what of a rule a place cannot do.
//!
//! Every host runs the same core, so they differ only in what lies behind the door. A rule that needs what a place has
//! not is refused before it gets there; what works in another way is told.

use std::sync::Arc;

use super::{
    problem::{Code, Problem, Problems, Source, Span},
    rule::{self, Call, Rule},
};

/// A place that rules run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// The program itself, with sockets and files.
    Native,
    /// A Worker of Cloudflare, or of `workerd`.
    Cloudflare,
    /// A function of AWS Lambda.
    Lambda,
    /// A component of `wasi:http`.
    Wasi,
}

/// Something that a rule may want of its host, or an operator may count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `auth.mtls`.
    ClientCertificates,
    /// `{ file = … }` among the secrets.
    SecretFiles,
    /// `method = "GET"` and a body.
    BodyOfGet,
    /// `cache`, keys of issuers, tokens of our own.
    Store,
    /// Waiting for the same answer together with other requests.
    Sharing,
    /// Limits for each upstream: how many requests at once, rests, the budget of `retry`.
    Manners,
    /// The time of scripts and patterns, besides their operations.
    ScriptTime,
    /// Randomness that blinds the work of a private RSA key.
    Blinding,
    /// `upstream.roots`.
    PrivateRoots,
    /// `upstream.allow`, `upstream.proxy`: which addresses calls reach, and how.
    Reach,
}

/// How far a place has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degree {
    /// As the program has it.
    Whole,
    /// In this way.
    Otherwise(&'static str),
    /// Not at all; what to do instead.
    Never(&'static str),
}

impl Platform {
    /// All of them.
    pub const ALL: [Platform; 4] = [Platform::Native, Platform::Cloudflare, Platform::Lambda, Platform::Wasi];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Platform::Native => "native",
            Platform::Cloudflare => "cloudflare",
            Platform::Lambda => "lambda",
            Platform::Wasi => "wasi",
        }
    }

    /// The place of this name.
    ///
    /// # Errors
    /// The names that there are.
    pub fn parse(name: &str) -> Result<Platform, String> {
        let names = Platform::ALL.map(Platform::name).join(", ");
        Platform::ALL.into_iter().find(|platform| platform.name() == name).ok_or_else(|| format!("one of {names}"))
    }

    /// Whether it can do something: the table.
    pub fn degree(self, capability: Capability) -> Degree {
        use Capability as C;
        use Degree::{Never, Otherwise, Whole};
        use Platform as P;
        match (capability, self) {
            (_, P::Native) => Whole,
            (
                C::Reach | C::ClientCertificates | C::SecretFiles | C::ScriptTime | C::Blinding | C::PrivateRoots,
                P::Lambda,
            ) => Whole,
            (C::BodyOfGet, P::Lambda) | (C::BodyOfGet | C::ScriptTime, P::Wasi) => Whole,
            (C::BodyOfGet, P::Cloudflare) => Never("write `method = \"POST\"`, if the provider takes that"),
            (C::ClientCertificates, _) => Never("serve this rule with the program, or on lambda"),
            (C::SecretFiles, P::Cloudflare) => Never("write `{ env = \"NAME\" }`, and `npx wrangler secret put NAME`"),
            (C::SecretFiles, _) => Never("write `{ env = \"NAME\" }`, and set it where the component is started"),
            (C::Reach, _) => Otherwise("the platform decides: the settings have no say"),
            (C::PrivateRoots, _) => Never("give the provider a certificate that the web trusts"),
            (C::Store, P::Cloudflare) => Otherwise(
                "each isolate keeps for itself, within 8 MiB, and forgets when it goes, which may be at any time",
            ),
            (C::Store, P::Lambda) => Otherwise("each execution environment keeps for itself, and forgets when it goes"),
            (C::Store, P::Wasi) => Otherwise("nothing is kept: most hosts give every request an instance of its own"),
            (C::Sharing, P::Cloudflare) => Otherwise("requests do not wait for one another: each asks for itself"),
            (C::Sharing, _) => Otherwise("an instance has one request at a time"),
            (C::Manners, P::Lambda) => Otherwise("each execution environment counts for itself"),
            (C::Manners, _) => Otherwise("upstreams are not counted: `retry` alone bounds what is repeated"),
            (C::ScriptTime, P::Cloudflare) => {
                Otherwise("clocks stand still while a script runs: the count of its operations ends it")
            }
            (C::Blinding, _) => Otherwise("an RSA key works without blinding: prefer a P-256 key"),
        }
    }

    /// What it has not, or has in another way, with the words for it.
    pub fn differences(self) -> impl Iterator<Item = (Capability, Degree)> {
        Capability::ALL
            .into_iter()
            .map(move |capability| (capability, self.degree(capability)))
            .filter(|(_, degree)| *degree != Degree::Whole)
    }
}

impl Capability {
    /// All of them, those first that rules ask for.
    pub const ALL: [Capability; 10] = [
        Capability::ClientCertificates,
        Capability::SecretFiles,
        Capability::BodyOfGet,
        Capability::PrivateRoots,
        Capability::Reach,
        Capability::Store,
        Capability::Sharing,
        Capability::Manners,
        Capability::ScriptTime,
        Capability::Blinding,
    ];

    /// The words for it.
    pub fn name(self) -> &'static str {
        match self {
            Capability::ClientCertificates => "client certificates",
            Capability::SecretFiles => "secrets in files",
            Capability::BodyOfGet => "bodies of GET",
            Capability::Store => "what is kept between requests",
            Capability::Sharing => "answers that requests share",
            Capability::Manners => "limits for each upstream",
            Capability::ScriptTime => "the time of scripts",
            Capability::Blinding => "blinded RSA keys",
            Capability::Reach => "which addresses calls reach (`upstream.allow`, `upstream.proxy`)",
            Capability::PrivateRoots => "private roots (`upstream.roots`)",
        }
    }
}

impl Degree {
    /// Yes, no or how.
    pub fn words(self) -> String {
        match self {
            Degree::Whole => "yes".into(),
            Degree::Otherwise(how) => how.into(),
            Degree::Never(instead) => format!("no: {instead}"),
        }
    }
}

/// What of a rule a place cannot do, which are errors, and does in another way, which is advice. What is wrong with the
/// rule itself is not said here.
pub fn unfit(source: &Arc<Source>, platform: Platform) -> Vec<Problem> {
    let Some(rule) = rule::read(source, &mut Problems::default()) else { return Vec::new() };
    let mut found = Found { rule: &rule, platform, problems: Vec::new() };
    for (key, source) in &rule.secrets {
        if let Some(super::host::SecretSource::File(_)) = source {
            found.wants(Capability::SecretFiles, &key.span, &format!("the secret `{}` stands in a file", key.name));
        }
    }
    if let Some(cache) = &rule.cache {
        found.wants(Capability::Store, &cache.span, "the answers of this rule are kept");
    }
    rule.calls.iter().for_each(|call| found.call(call));
    found.problems.sort_by_key(|problem| problem.place.span.start);
    found.problems
}

struct Found<'a> {
    rule: &'a Rule,
    platform: Platform,
    problems: Vec<Problem>,
}

impl Found<'_> {
    fn call(&mut self, call: &Call) {
        let name = &call.name.name;
        if let Some(mtls) = call.auth.as_ref().and_then(|auth| auth.mtls.as_ref()) {
            let what = format!("[call.{name}] shows a certificate");
            self.wants(Capability::ClientCertificates, &mtls.certificate.span, &what);
        }
        if let Some(method) = call.method.as_ref().filter(|method| call.body.is_some() && method.value == "GET") {
            self.wants(Capability::BodyOfGet, &method.span, &format!("[call.{name}] is a GET with a body"));
        }
        if let Some(cache) = &call.cache {
            self.wants(Capability::Store, &cache.span, &format!("the answers of [call.{name}] are kept"));
        }
        if let Some(retry) = &call.retry {
            self.wants(Capability::Manners, &retry.span, &format!("[call.{name}] is repeated"));
        }
        if let Some(key) = call.jwt().and_then(|jwt| jwt.decrypt.as_ref()) {
            self.wants(Capability::Blinding, &key.span, &format!("[call.{name}] has its answer decrypted"));
        }
    }

    fn wants(&mut self, capability: Capability, span: &Span, what: &str) {
        let place = || rule::place(&self.rule.source, span);
        let platform = self.platform.name();
        self.problems.extend(match self.platform.degree(capability) {
            Degree::Whole => None,
            Degree::Otherwise(how) => Some(
                Problem::new(Code::HostDiffers, place(), format!("{what}, and {platform} does that in its own way"))
                    .label(capability.name())
                    .help(how),
            ),
            Degree::Never(instead) => Some(
                Problem::new(Code::HostCannot, place(), format!("{what}, which {platform} cannot do"))
                    .label(format!("{platform} has no {}", capability.name()))
                    .help(instead),
            ),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_can_do_all_and_others_say_what_they_cannot() {
        assert_eq!(Platform::Native.differences().count(), 0);
        for platform in [Platform::Cloudflare, Platform::Lambda, Platform::Wasi] {
            assert!(platform.differences().count() >= 3, "{platform:?}");
            assert!(platform.differences().all(|(_, degree)| degree.words().len() > 20), "{platform:?}");
        }
        assert_eq!(Platform::parse("lambda"), Ok(Platform::Lambda));
        assert_eq!(Platform::parse("moon"), Err("one of native, cloudflare, lambda, wasi".into()));
    }

    #[test]
    fn every_kind_of_need_is_found_in_a_rule() {
        let text = r#"
            cache = "5m"
            [secrets]
            chain = { file = "/c" }
            key = { env = "K" }
            [call.user]
            method = "GET"
            url = "https://api.example/me"
            body = "x"
            auth = { mtls = { certificate = "${secrets.chain}", key = "${secrets.key}" } }
            cache = "1m"
            retry = 1
            decode = { jwt = { jwks = "https://a.example/k", issuer = "a", audience = "b", decrypt = "${secrets.key}" } }
            [claims]
            sub = "$.user.sub"
        "#;
        let codes = |platform| -> Vec<_> {
            unfit(&Source::new("acme.toml", text), platform).iter().map(|problem| problem.code).collect()
        };
        use Code::{HostCannot as No, HostDiffers as How};
        assert_eq!(codes(Platform::Native), []);
        assert_eq!(codes(Platform::Lambda), [How, How, How]);
        assert_eq!(codes(Platform::Cloudflare), [How, No, No, No, How, How, How]);
        assert_eq!(codes(Platform::Wasi), [How, No, No, How, How, How]);
    }
}
