//! What can be seen of a contract before a request comes: a look at the rule when it is loaded.

use serde_json::Value;

use super::{Contract, Lists, Others, Standing, Term, all};
use crate::core::{
    claims::Kind,
    problem::{Code, Problem, Problems, Span, did_you_mean},
    rule::{self, Key, Options, Rule, Selection, Text, Written},
};

/// The contract that a rule names; a problem if there is none of that name.
pub fn find(rule: &Rule, problems: &mut Problems) -> Option<&'static Contract> {
    let text = rule.receiver.as_ref()?;
    let found = Contract::find(&text.value);
    if found.is_none() {
        let message = format!("no receiver is named `{}`", text.value);
        let help = did_you_mean(&text.value, all().iter().map(|contract| contract.name));
        let place = rule::place(&rule.source, &text.span);
        problems.add(Problem::new(Code::UnknownReceiver, place, message).label("unknown receiver").help(help));
    }
    found
}

/// Looks at a rule that is sound in all else.
pub fn check(rule: &Rule, contract: &'static Contract, problems: &mut Problems) {
    let Some(receiver) = &rule.receiver else { return };
    let mut checker = Checker { rule, contract, receiver, problems };
    for (key, written) in &rule.claims {
        checker.claim(key, written);
    }
    let read = checker.subject();
    for term in &contract.terms {
        // Told by the subject already.
        if read || !contract.identifies.contains(&term.name) {
            checker.missing(term);
        }
    }
}

/// What is known of a claim's value when the rule is loaded.
#[derive(Clone, Copy)]
enum Guess<'a> {
    /// It has this type, because the rule says so, or by the contract or the standard.
    Kind(Kind),
    /// Anything that a provider may send.
    Anything,
    /// It is this.
    Constant(&'a Value),
}

struct Checker<'a> {
    rule: &'a Rule,
    contract: &'static Contract,
    receiver: &'a Text,
    problems: &'a mut Problems,
}

impl Checker<'_> {
    fn found(&mut self, code: Code, span: &Span, message: String, label: String, help: String) {
        let place = rule::place(&self.rule.source, span);
        self.problems.add(Problem::new(code, place, message).label(label).help(help));
    }

    fn claim(&mut self, key: &Key, written: &Written) {
        let options = match written {
            Written::Options(options) => Some(&**options),
            Written::Text(_) | Written::Chain(_) => None,
        };
        // Its claims have other names.
        if options.is_some_and(|options| options.flatten.is_some()) {
            return;
        }
        let contract = self.contract;
        let term = contract.term(&key.name);
        let guess = guess(key, term, options);
        match (term, guess, &contract.others) {
            (Some(term), Guess::Kind(kind), _) => self.listed(key, term, kind, written, options),
            (Some(_), _, _) | (None, _, Others::Any) => {}
            (None, _, Others::Kind(kind, why)) => self.typed(key, *kind, why, guess),
            (None, _, Others::Unread(why)) => {
                let message = format!("{} does not read `{}`", contract.title, key.name);
                let help = "take it away, or leave it for whoever reads it".into();
                self.found(Code::ReceiverAdvice, &key.span, message, why.clone(), help);
            }
        }
        self.losses(key, guess);
    }

    /// A claim that the contract names.
    fn listed(&mut self, key: &Key, term: &Term, kind: Kind, written: &Written, options: Option<&Options>) {
        let title = &self.contract.title;
        let retype = format!("give it the type that is read, `type = \"{}\"`, or leave `type` out", term.kind.name());
        let (code, what, label, help) = match (term.doubt(kind), impossible(kind, written, options)) {
            (None, None) => return,
            (None, Some((why, help))) => {
                (Code::ReceiverType, "can never be", format!("{why}: {}", term.otherwise), help.to_owned())
            }
            (Some((Standing::Fail, why)), _) => (Code::ReceiverType, "can never be", why, retype),
            (Some((_, why)), _) => (Code::ReceiverDoubt, "may not come through as", why, retype),
        };
        let message = format!("`{}` {what} {} for {title}", key.name, term.reads());
        self.found(code, &key.span, message, label, help);
    }

    /// A claim of which the contract knows the type only.
    fn typed(&mut self, key: &Key, kind: Kind, why: &str, guess: Guess<'_>) {
        let is = match guess {
            Guess::Kind(known) if known == kind => return,
            Guess::Constant(value) if kind.holds(value) => return,
            Guess::Anything => "may be",
            Guess::Kind(_) | Guess::Constant(_) => "is",
        };
        let message = format!("`{}` {is} something else than {} for {}", key.name, kind.words(), self.contract.title);
        let help = format!("give it that type: `type = \"{}\"`", kind.name());
        self.found(Code::ReceiverDoubt, &key.span, message, why.to_owned(), help);
    }

    /// What the receiver would lose or refuse of a claim of the right type.
    fn losses(&mut self, key: &Key, guess: Guess<'_>) {
        let contract = self.contract;
        let Guess::Kind(kind) = guess else { return };
        if let (Some(why), Kind::Boolean) = (&contract.drops, kind) {
            let message = format!("`{}` is lost for {} where it is false", key.name, contract.title);
            let help = "if absent must differ from false, write a text: `{ rhai = \"…\", type = \"string\" }`".into();
            self.found(Code::ReceiverDoubt, &key.span, message, why.clone(), help);
        }
        if let (Some(max), Kind::Strings, Lists::Joined) = (contract.max_text, kind, contract.lists) {
            let message = format!("`{}` may be longer than the {max} characters of {}", key.name, contract.title);
            let help = "select what is needed of the list; an answer that is too long is refused here".into();
            self.found(Code::ReceiverDoubt, &key.span, message, contract.too_long.clone(), help);
        }
        if let (Some(why), Kind::Object) = (&contract.flat, kind) {
            let message = format!("`{}` can never be an object for {}", key.name, contract.title);
            let help = "write `flatten = \"_\"` to turn its members into claims".into();
            self.found(Code::ReceiverType, &key.span, message, why.clone(), help);
        }
    }

    /// False if the receiver takes something else for the user, which is a problem.
    fn subject(&mut self) -> bool {
        let (contract, name) = (self.contract, self.rule.subject_name());
        let span = self.rule.subject.as_ref().unwrap_or(self.receiver).span.clone();
        if contract.identifies.is_empty() {
            return true;
        }
        let names: Vec<_> = contract.identifies.iter().map(|name| format!("`{name}`")).collect();
        let list = names.join(", or else ");
        if !contract.identifies.iter().any(|known| known == name) {
            let message = format!("{} does not read `{name}`, which identifies the user", contract.title);
            let first = &contract.identifies[0];
            let help = format!("name the claim `{first}`, and say `subject = \"{first}\"`");
            self.found(Code::ReceiverSubject, &span, message, format!("it takes {list} for the user"), help);
            return false;
        }
        let sooner = contract.identifies.iter().take_while(|known| *known != name);
        let claims = &self.rule.claims;
        let sooner = sooner.filter_map(|known| claims.iter().find(|(key, _)| key.name == *known)).next();
        if let Some((key, _)) = sooner {
            let message = format!("{} takes `{}` for the user, and not `{name}`", contract.title, key.name);
            let help = format!("leave one of them out, or say `subject = \"{}\"`", key.name);
            self.found(Code::ReceiverSubject, &key.span, message, format!("it takes {list}"), help);
            return false;
        }
        true
    }

    fn missing(&mut self, term: &Term) {
        if self.rule.claims.iter().any(|(key, _)| key.name == term.name) {
            return;
        }
        let (contract, name, span) = (self.contract, &term.name, self.receiver.span.clone());
        let elsewhere = self.rule.script.is_some() || !self.rule.include.is_empty();
        let help = format!("add it to [claims]: `{name} = \"$.…\"`");
        match (&term.required, &term.wanted) {
            (Some(why), _) if elsewhere => {
                let message = format!("`{name}`, without which {} refuses the answer, may be absent", contract.title);
                self.found(Code::ReceiverDoubt, &span, message, why.clone(), help);
            }
            (Some(why), _) => {
                let message = format!("{} needs the claim `{name}`", contract.title);
                self.found(Code::ReceiverMissing, &span, message, why.clone(), help);
            }
            (None, Some(why)) if !elsewhere => {
                let message = format!("{} would like the claim `{name}`", contract.title);
                self.found(Code::ReceiverAdvice, &span, message, why.clone(), help);
            }
            (None, _) => {}
        }
    }
}

/// What is known of a claim. The claims step converts by the rule's type, the contract's or the standard's.
fn guess<'a>(key: &Key, term: Option<&Term>, options: Option<&'a Options>) -> Guess<'a> {
    let declared = options.and_then(|options| Kind::parse(&options.kind.as_ref()?.value));
    let kind = declared.or_else(|| term.map(|term| term.kind)).or_else(|| Kind::of_standard_claim(&key.name));
    if let Some(kind) = kind {
        return Guess::Kind(kind);
    }
    match options {
        Some(options) if options.join.is_some() => Guess::Kind(Kind::String),
        Some(options) if options.many => Guess::Kind(Kind::Strings),
        Some(Options { selection: Selection::Constant(value), .. }) => Guess::Constant(value),
        _ => Guess::Anything,
    }
}

/// Why a value that is written so can never be converted to this type, and what to do.
fn impossible(kind: Kind, written: &Written, options: Option<&Options>) -> Option<(&'static str, &'static str)> {
    let scalar = !matches!(kind, Kind::Strings | Kind::Object);
    if scalar && options.is_some_and(|options| options.many && options.join.is_none()) {
        return Some(("`many` makes it a list", "say `first = true` instead, or `join` the texts"));
    }
    let text = match (written, options.map(|options| &options.selection)) {
        (Written::Text(text), _) | (_, Some(Selection::Path(Written::Text(text)))) => &text.value,
        _ => return None,
    };
    let numeric = matches!(kind, Kind::Integer | Kind::Number);
    let literal = text.contains("${").then(|| text.split("${").enumerate());
    let foreign = |(number, piece): (usize, &str)| {
        let fixed = if number == 0 { piece } else { piece.rsplit('}').next().unwrap_or_default() };
        fixed.chars().any(|c| !c.is_ascii_digit() && !matches!(c, '-' | '.'))
    };
    (numeric && literal.is_some_and(|mut pieces| pieces.any(foreign)))
        .then_some(("it has words around its number", "write a path to the number alone"))
}

impl Term {
    /// What the receiver makes of a value of this type; `None` if it reads it.
    fn doubt(&self, kind: Kind) -> Option<(Standing, String)> {
        let read = |known: &Kind| match (kind, known) {
            (Kind::Integer | Kind::Number | Kind::Time, Kind::Number | Kind::Time) => true,
            _ => kind == *known,
        };
        if read(&self.kind) || self.also.iter().any(read) {
            return None;
        }
        let words = |why: &str| format!("it is {}: {why}", kind.words());
        if let Some((_, why)) = self.doubtful.iter().find(|(known, _)| *known == kind) {
            return Some((Standing::Warn, words(why)));
        }
        // A number may be an integer.
        let may = self.kind == Kind::Integer && matches!(kind, Kind::Number | Kind::Time);
        Some((if may { Standing::Warn } else { Standing::Fail }, words(&self.otherwise)))
    }
}
