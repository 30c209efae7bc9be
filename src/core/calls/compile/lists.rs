//! `each`, `paginate` and `retry`.

use http::Method;

use super::{Compiler, Spot};
use crate::core::{
    calls::{
        lists::{By, Each, Paginate},
        retry::{Retry, USUAL},
    },
    facts::Root,
    problem::{Code, Problem, Span},
    rule::{self, Body, PageBy, Text, is_claim_name},
    trace::Asking,
    value::{Known, Mentions, Path, looks_like_path},
};

impl Compiler<'_> {
    pub(super) fn each(&mut self, each: &rule::Each) -> Option<Each> {
        // The values are looked up before there is one of them.
        let known = Known { each: false, ..*self.known };
        let help = "write `each = \"$.teams[*].id\"`: the call is made for every value that it selects";
        if !looks_like_path(&each.path.value) {
            self.bad(Code::PlainText, &each.path, "`each` takes a JSONPath", "not a path", help);
            return None;
        }
        let path = Path::compile(&Spot::text(self.source, &each.path), &each.path.value, &known, self.problems)?;
        if !path.is_plural() {
            self.bad(Code::BadValue, &each.path, "this path selects one value at most", "no list of values", help);
            return None;
        }
        Some(Each { path, max: each.max, concurrency: each.concurrency })
    }

    pub(super) fn paginate(&mut self, call: &rule::Call, paginate: &rule::Paginate) -> Option<Paginate> {
        let items =
            paginate.items.as_ref().map(|text| self.in_page(call, text).filter(|path| self.one_list(text, path)));
        let until = paginate.until.as_ref().map(|text| {
            let until = self.condition(call, Asking::Until, text)?;
            let mut mentions = Mentions::default();
            until.mentions(&mut mentions);
            self.mentions.extend(&mentions);
            Some(until)
        });
        let by = match &paginate.by {
            PageBy::Link => Some(By::Link),
            PageBy::Next(path) => self.in_page(call, path).map(By::Next),
            PageBy::Cursor { path, param } => {
                self.in_page(call, path).map(|path| By::Cursor { path, param: param.value.clone() })
            }
            PageBy::Number { first, param } => Some(By::Number { first: *first, param: param.value.clone() }),
        };
        if let Some(claim) = paginate.truncated.as_ref().filter(|claim| !is_claim_name(&claim.value)) {
            let message = format!("`{}` cannot be the name of a claim", claim.value);
            self.bad(Code::BadName, claim, message, "not a name", "up to 255 characters, none a control character");
        }
        Some(Paginate {
            by: by?,
            items: lift(items)?,
            until: lift(until)?,
            max_pages: paginate.max_pages,
            truncated: paginate.truncated.as_ref().map(|text| text.value.clone()),
        })
    }

    /// False, with a problem, if `items` names the items one by one: a page without its list, an error in a 200 for
    /// one, would then pass as a page without items.
    fn one_list(&mut self, text: &Text, path: &Path) -> bool {
        if path.is_plural() {
            let help = match text.value.strip_suffix("[*]").filter(|list| !list.contains('*')) {
                Some(list) => format!("write `{list}`"),
                None => "write the path to the list; what is wanted of its items is chosen where it is read".into(),
            };
            let message = "`items` names the list itself, not what is in it";
            self.bad(Code::BadValue, text, message, "can select several values", help);
        }
        !path.is_plural()
    }

    /// A path into a page: it stands under the call's own name.
    fn in_page(&mut self, call: &rule::Call, text: &Text) -> Option<Path> {
        let name = &call.name.name;
        let help = format!("a page is read by the call's own name: `$.{name}.…`");
        if !looks_like_path(&text.value) {
            self.bad(Code::PlainText, text, "a JSONPath is wanted here", "not a path", help);
            return None;
        }
        let path = Path::compile(&Spot::text(self.source, text), &text.value, self.known, self.problems)?;
        let mut mentions = Mentions::default();
        path.mentions(&mut mentions);
        if !mentions
            .paths
            .iter()
            .any(|(root, _)| matches!(root, Root::Call(number) if self.known.calls[*number] == *name))
        {
            self.bad(
                Code::BadValue,
                text,
                "this path does not look into the page",
                "another part of the document",
                help,
            );
            return None;
        }
        self.mentions.extend(&mentions);
        Some(path)
    }

    pub(super) fn retry(&mut self, call: &rule::Call, retry: &rule::Retry) -> Option<Retry> {
        let method = self.method(call)?;
        let reads = match &call.body {
            // A GraphQL query is a read, whatever HTTP method carries it.
            Some(Body::Graphql { query, .. }) => !may_change(&query.value),
            _ => [Method::GET, Method::HEAD, Method::PUT, Method::DELETE].contains(&method),
        };
        if retry.times > 0 && !reads && !retry.idempotent {
            let what = match call.body {
                Some(Body::Graphql { .. }) => "a GraphQL mutation".into(),
                _ => format!("a {method} request"),
            };
            let message = format!("{what} is not repeated: it may have done its work already");
            let help = "if a second one does no harm, say so: `retry = { times = 2, idempotent = true }`";
            self.bad_span(Code::Conflict, &retry.span, message, "would repeat it", help);
            return None;
        }
        let on = retry.on.clone().unwrap_or(USUAL.to_vec());
        (retry.times > 0).then_some(Retry { times: retry.times, on })
    }

    fn bad_span(&mut self, code: Code, span: &Span, message: String, label: &str, help: &str) {
        let place = rule::place(self.source, span);
        self.problems.add(Problem::new(code, place, message).label(label).help(help));
    }
}

/// Whether a GraphQL document may hold a mutation. The word anywhere counts, also as the name of a field: an
/// operation may stand behind others and behind fragments, and to be told apart it would have to be parsed.
pub(super) fn may_change(document: &str) -> bool {
    document.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "mutation")
}

/// What is written must compile; what is not written need not be there.
#[expect(clippy::option_option, reason = "the outer one says whether it is written, the inner whether it is sound")]
fn lift<T>(written: Option<Option<T>>) -> Option<Option<T>> {
    match written {
        Some(None) => None,
        Some(sound) => Some(sound),
        None => Some(None),
    }
}
