//! From what a rule says of a JWT to what verifies it.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use url::Url;

use super::{Failure, Keyring};
use crate::core::{
    host::Host,
    jose::{self, Algorithm, Expectation, KeySet, PrivateKey},
    problem::{Code, Problem, Problems, Source, did_you_mean},
    rule::{self, Jwt, Text},
    value::{Fixed, Known, Position, Spot, Template, endpoint},
};

/// How far clocks may differ when a rule does not say, and the most that it may say.
const LEEWAY: Duration = Duration::from_secs(60);
const MOST_LEEWAY: Duration = Duration::from_secs(600);

/// Verifies JWTs, decrypted first where they are encrypted for us.
#[derive(Debug)]
pub struct Verifier {
    /// None for a token that is encrypted and not signed.
    keyring: Option<Keyring>,
    expectation: Expectation,
    decrypt: Option<PrivateKey>,
}

impl Verifier {
    /// Compiles it. A token of a caller must say when it expires, a signed answer need not.
    pub fn compile(
        source: &Arc<Source>,
        jwt: &Jwt,
        is_token: bool,
        known: &Known<'_>,
        problems: &mut Problems,
    ) -> Option<Verifier> {
        let before = problems.len();
        let mut compiler = Compiler { source, known, problems };
        let keyring = compiler.keyring(jwt);
        let decrypt = compiler.decrypt(jwt);
        let expectation = compiler.expectation(jwt, is_token);
        // A warning is none of this compiler's.
        let sound = compiler.problems.len() == before;
        sound.then_some(Verifier { keyring, expectation: expectation?, decrypt })
    }

    /// Where the keys are fetched from, if they are.
    pub fn key_set(&self) -> Option<&Url> {
        self.keyring.as_ref().and_then(Keyring::address)
    }

    /// How long it may take at most: the keys are fetched when they are not there.
    pub fn longest(&self) -> Duration {
        if self.keyring.is_some() { super::TIMEOUT } else { Duration::ZERO }
    }

    /// Verifies a token, and gives its claims.
    ///
    /// # Errors
    /// When it is not as expected, or the keys cannot be had.
    pub async fn verify<H: Host>(&self, token: &str, host: &H) -> Result<Map<String, Value>, Failure> {
        let token = token.trim();
        let inner = match &self.decrypt {
            Some(key) if jose::is_encrypted(token) => Some(jose::decrypt(token, key).map_err(Failure::Token)?),
            _ => None,
        };
        match (&self.keyring, &inner) {
            (Some(keyring), inner) => keyring.verify(inner.as_deref().unwrap_or(token), &self.expectation, host).await,
            // Only whoever has our public key can have made it, which may be anybody: its claims still must fit.
            (None, Some(inner)) => self.expectation.claims_of(inner, H::now()).map_err(Failure::Token),
            (None, None) => Err(Failure::Token(jose::Failure::Encryption)),
        }
    }
}

struct Compiler<'a> {
    source: &'a Arc<Source>,
    known: &'a Known<'a>,
    problems: &'a mut Problems,
}

impl Compiler<'_> {
    fn bad(&mut self, text: &Text, message: impl Into<String>, label: &str, help: impl Into<String>) {
        let spot = Spot::text(self.source, text);
        let problem = spot.problem(Code::BadValue, 0..text.value.len(), message);
        self.problems.add(problem.label(label).help(help));
    }

    fn incomplete(&mut self, jwt: &Jwt, message: &str, help: &str) {
        let place = rule::place(self.source, &jwt.span);
        self.problems.add(Problem::new(Code::MissingKey, place, message).label("it is needed here").help(help));
    }

    /// A text that is known when the rule is loaded.
    fn fixed(&mut self, text: &Text) -> Option<Fixed> {
        let spot = Spot::text(self.source, text);
        Template::compile_fixed(&spot, &text.value, Position::Raw, "this", self.known, self.problems)
    }

    fn keyring(&mut self, jwt: &Jwt) -> Option<Keyring> {
        match (&jwt.jwks, &jwt.secret) {
            (Some(jwks), None) => {
                let (spot, help) = (Spot::text(self.source, jwks), "write `https://issuer/jwks`");
                let url = endpoint(&spot, &jwks.value, "this", help, self.known, self.problems)?;
                Some(Keyring::remote(url))
            }
            (None, Some(secret)) => {
                let fixed = self.fixed(secret)?;
                if !fixed.stands_in {
                    self.long_enough(jwt, secret, &fixed.value);
                }
                Some(Keyring::Own(Arc::new(KeySet::symmetric(fixed.value.as_bytes()))))
            }
            (None, None) if jwt.decrypt.is_some() => None,
            (Some(_), Some(secret)) => {
                let help = "keep one: an issuer has either a key set or a secret that we share";
                self.bad(secret, "`jwks` and `secret` exclude each other", "both are set here", help);
                None
            }
            (None, None) => {
                let message = "it is not said what the signature is verified with";
                self.incomplete(jwt, message, "name the issuer's key set: `jwks = \"https://issuer/jwks\"`");
                None
            }
        }
    }

    fn long_enough(&mut self, jwt: &Jwt, secret: &Text, value: &str) {
        let named = jwt.algorithms.iter().filter_map(|text| Algorithm::parse(&text.value));
        let least = named.map(Algorithm::least_secret).max().unwrap_or_default();
        if value.len() < least {
            let label = format!("it has fewer than {least} bytes");
            let help = "agree with the issuer on a longer one: this one can be guessed by whoever sees a token";
            self.bad(secret, "the secret is too short for its algorithms", &label, help);
        }
    }

    fn decrypt(&mut self, jwt: &Jwt) -> Option<PrivateKey> {
        let text = jwt.decrypt.as_ref()?;
        let fixed = self.fixed(text)?;
        if fixed.stands_in {
            return None;
        }
        match PrivateKey::parse(&fixed.value) {
            Ok(key) => Some(key),
            Err(why) => {
                self.bad(text, "this is no key to decrypt with", why, "correct the value where the secret comes from");
                None
            }
        }
    }

    fn expectation(&mut self, jwt: &Jwt, is_token: bool) -> Option<Expectation> {
        let issuer: Vec<_> = jwt.issuer.iter().filter_map(|text| Some(self.fixed(text)?.value)).collect();
        // Without a signature it would be nobody's word, and such an answer is plain claims (OpenID Connect Core,
        // section 5.3.2).
        let is_signed = jwt.jwks.is_some() || jwt.secret.is_some() || jwt.decrypt.is_none();
        if jwt.issuer.is_empty() && is_signed {
            let help = "write `issuer = \"https://…\"`, letter for letter as in the claim `iss`; one that has two names \
                of old: `issuer = [\"…\", \"…\"]`";
            self.incomplete(jwt, "it is not said who the issuer must be", help);
        }
        let audience: Vec<_> = jwt.audience.iter().filter_map(|text| Some(self.fixed(text)?.value)).collect();
        let claims: Vec<_> =
            jwt.expect.iter().filter_map(|(key, text)| Some((key.name.clone(), self.fixed(text)?.value))).collect();
        if jwt.audience.is_empty() && jwt.expect.is_empty() && (is_token || jwt.jwks.is_some()) {
            let help = "write `audience = \"…\"`, or `expect = { client_id = \"…\" }` (`azp`, …) where the issuer says it \
                so: a token that another application got must not pass";
            self.incomplete(jwt, "it is not said for whom the token must be", help);
        }
        Some(Expectation {
            algorithms: self.algorithms(jwt),
            issuer,
            audience,
            kind: jwt.kind.as_ref().map(|kind| kind.value.clone()),
            expires: is_token,
            leeway: jwt.leeway.as_ref().map_or(Some(LEEWAY), |leeway| self.leeway(leeway))?,
            claims,
        })
    }

    fn algorithms(&mut self, jwt: &Jwt) -> Vec<Algorithm> {
        let mut algorithms = Vec::new();
        for text in &jwt.algorithms {
            match Algorithm::parse(&text.value) {
                Some(algorithm) if algorithm.is_symmetric() == jwt.secret.is_some() => algorithms.push(algorithm),
                Some(_) => {
                    let message = format!("`{}` does not go with this kind of key", text.value);
                    let help =
                        "HMAC (`HS256`, …) goes with `secret`, all others with `jwks`: a public key is no secret";
                    self.bad(text, message, "another kind of algorithm", help);
                }
                None if text.value == "none" => {
                    let help = "take it away: a token without a signature can be anybody's";
                    self.bad(text, "`none` is never accepted", "no signature", help);
                }
                None => {
                    let help = did_you_mean(&text.value, Algorithm::ALL.map(|(name, _)| name));
                    let message = format!("not a signature algorithm: `{}`", text.value);
                    self.bad(text, message, "unknown", help);
                }
            }
        }
        match (&jwt.secret, jwt.algorithms.is_empty()) {
            (Some(_), true) => {
                let help = "with a `secret`, say which is meant: `algorithms = [\"HS256\"]`";
                self.incomplete(jwt, "symmetric algorithms are accepted only by name", help);
            }
            (None, true) => algorithms = Algorithm::asymmetric(),
            _ => {}
        }
        algorithms
    }

    fn leeway(&mut self, text: &Text) -> Option<Duration> {
        let parsed = text.value.parse::<jiff::SignedDuration>().ok().and_then(|parsed| Duration::try_from(parsed).ok());
        let sound = parsed.filter(|leeway| *leeway <= MOST_LEEWAY);
        if sound.is_none() {
            self.bad(text, format!("not a leeway: `{}`", text.value), "out of range", "from `0s` to `600s`");
        }
        sound
    }
}
