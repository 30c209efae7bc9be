//! All that a page wants to know of the rule that is written on it: one question, one JSON document.
//!
//! A page sends the texts as they are and gets everything that is to be shown; nothing is remembered between two
//! questions. The same runs behind the server of `claimsmith play` and, as WebAssembly, in a page without a server.
//! Places in texts are counted in UTF-16 units, as pages do.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    compare::Outcome,
    complete,
    draft::{self, Draft as Uncalled},
    here::{Here, Kind, Rule},
    hover,
    insert::{Insertion, Step, insert},
    outline::Outline,
    place::{byte_of_unit, unit_of_byte},
    report::Report,
    rewriting::{Change, Rewriting},
    samples::{Samples, call_of},
    used::used,
};
use crate::core::{
    Answered, Cases, CompiledRule, Compiler, Contract, Draft, DraftReply, Fault, Files, Judgement, Sample, Shown, Told,
    Verdict, format, is_rule_name,
    problem::{Code, Problem, Severity, Source, as_json},
    propose,
    record::{Copy, copy},
    set_clock,
};

/// Cases that are run for one question, and answers that may be tried out.
const MOST_CASES: usize = 200;
const MOST_DRAFTS: usize = 50;
/// The time for the cases besides the one that is looked at; what is left is not run.
const TIME: Duration = Duration::from_millis(1500);
/// Completions that are offered at once.
const MOST_ITEMS: usize = 200;

/// What stands around the texts of a page.
pub struct Surroundings<'a> {
    /// Gives files that stand beside the rule.
    pub files: Files<'a>,
    /// The operator's values for the rule's `[vars]`.
    pub vars: &'a Map<String, Value>,
}

/// Answers the questions of a page.
#[derive(Debug)]
pub struct Playground {
    compiler: Compiler,
    clock: fn() -> Duration,
}

/// The texts of a rule as they are on the page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Texts {
    name: String,
    rule: String,
    #[serde(default)]
    cases: String,
    /// The number of the case that is looked at.
    case: Option<usize>,
    #[serde(default)]
    drafts: Vec<Tried>,
    /// The rule as it is saved.
    base: Option<String>,
    /// What is asked about: `rule` or `cases`, and where in it.
    text: Option<What>,
    #[serde(default)]
    at: usize,
    #[serde(default)]
    steps: Vec<Step>,
    /// The name of a new case.
    new: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum What {
    Rule,
    Cases,
}

/// An answer that is tried out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    at: Option<usize>,
    method: String,
    url: String,
    status: u16,
    body: String,
}

/// What a rule is to be made of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proposed {
    name: String,
    samples: Vec<OfCall>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfCall {
    call: String,
    url: String,
    text: String,
}

impl Playground {
    /// One whose scripts are bounded in time by this clock.
    pub fn new(clock: fn() -> Duration) -> Self {
        Playground { compiler: draft::compiler(), clock }
    }

    /// Answers a question, by its name.
    ///
    /// # Errors
    /// A sentence for the page that says why there is no answer.
    pub async fn ask(&self, question: &str, body: &[u8], around: &Surroundings<'_>) -> Result<Value, String> {
        set_clock(self.clock);
        if question == "propose" {
            return proposed(&read(body)?).await;
        }
        let texts: Texts = read(body)?;
        if texts.drafts.len() > MOST_DRAFTS {
            return Err(format!("at most {MOST_DRAFTS} answers can be tried out at once"));
        }
        let page = Page::new(texts, around);
        match question {
            "evaluate" => Ok(self.evaluate(&page).await),
            "complete" => Ok(page.here().map_or(Value::Null, |here| completions(&here))),
            "hover" => Ok(page.here().map_or(Value::Null, |here| hovered(&here))),
            "insert" => Ok(page.insertion().unwrap_or_default()),
            "format" => page.formatted(),
            "case" => page.new_case().await,
            "accept" => page.accepted().await,
            _ => Err("there is no such question".into()),
        }
    }

    /// Everything that is to be shown of the texts as they are.
    async fn evaluate(&self, page: &Page<'_>) -> Value {
        let began = (self.clock)();
        let Page { texts, around, source, cases, .. } = page;
        let script = |file: &str| String::from_utf8((around.files)(file)?).map_err(|_| "it is not UTF-8".to_owned());
        let (rule, mut problems) =
            self.compiler.compile(&texts.name, source, around.vars, &Uncalled { script: &script });
        if let Some(untried) = rule.as_ref().and_then(|rule| rule.untried()).filter(|_| cases.is_empty()) {
            problems.add(untried.clone());
        }
        let problems = problems.sorted();
        let number = texts.case.filter(|number| *number < cases.len());
        let drafts = page.drafts();
        let mut shown = cases.show(number, &drafts, page.rule(), around.vars, around.files).await;
        if shown.ran.is_none() {
            shown = page.without_receiver(&problems, number, &drafts).await.unwrap_or(shown);
        }
        let document = match shown.document {
            Value::Null => page.samples().document(number.unwrap_or_default()).cloned().unwrap_or_default(),
            document => document,
        };
        let report = shown.ran.map(|(rule, outcome, body)| {
            Report { rule: &rule, outcome: &outcome, steps: &shown.verdict.steps, body }.json()
        });
        let receiver = rule.as_ref().and_then(CompiledRule::contract).or_else(|| page.receiver());
        let used = if rule.is_some() { used(&texts.rule, &document) } else { Default::default() };
        let (told, changed) = self.all_cases(page, began).await;
        json!({
            "problems": problems.iter().chain(&page.problems).map(|one| page.problem(one)).collect::<Vec<_>>(),
            "calls": Outline::new(&texts.rule).names(&["call"]),
            "refused": rule.is_none(),
            "receiver": receiver.map(|contract: &Contract| json!({ "name": contract.name, "title": contract.title })),
            "subject": shown.verdict.subject,
            "case": number,
            "verdict": verdict(&shown.verdict),
            "report": report,
            "document": document,
            "used": used,
            "answers": shown.answers.iter().enumerate().map(|(at, told)| page.answer(at, told)).collect::<Vec<_>>(),
            "cases": told,
            "changed": changed,
        })
    }

    /// How all cases go, and what they say of the edit; as far as there is time.
    async fn all_cases(&self, page: &Page<'_>, began: Duration) -> (Vec<Value>, Option<Vec<Value>>) {
        let Page { texts, around, source, cases, .. } = page;
        let base = texts.base.as_ref().map(|base| Source::new(source.name.as_str(), base.as_str()));
        let (mut told, mut changed) = (Vec::new(), base.as_ref().map(|_| Vec::new()));
        for (number, name) in cases.names().enumerate().take(MOST_CASES) {
            let (line, _) = cases.place(number).line_and_column();
            if (self.clock)().saturating_sub(began) > TIME {
                told.push(json!({ "name": name, "line": line, "passed": null }));
                continue;
            }
            let ran = cases.run(number, page.rule(), around.files).await;
            let mut row = verdict(&ran);
            row["name"] = name.into();
            row["line"] = line.into();
            told.push(row);
            // Nothing is asked of a text that is the same.
            if let (Some(base), Some(changed)) = (base.as_ref().filter(|base| base.text != source.text), &mut changed) {
                let before = cases.run(number, (&texts.name, base), around.files).await;
                changed.extend(difference(name, &Outcome::of(&before, &ran)));
            }
        }
        (told, changed)
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    // What was sent is not repeated: it may hold anything.
    serde_json::from_slice(body).map_err(|error| format!("the question is not understood, column {}", error.column()))
}

/// The texts of a page, read.
struct Page<'a> {
    texts: Texts,
    around: &'a Surroundings<'a>,
    source: Arc<Source>,
    cases: Cases,
    /// What is wrong with the cases.
    problems: Vec<Problem>,
}

impl<'a> Page<'a> {
    fn new(texts: Texts, around: &'a Surroundings<'a>) -> Self {
        let source = Source::new(format!("{}.toml", texts.name), texts.rule.as_str());
        let of_cases = Source::new(format!("{}.test.toml", texts.name), texts.cases.as_str());
        let (cases, problems) = Cases::read(&of_cases);
        Page { texts, around, source, cases, problems }
    }

    fn rule(&self) -> (&str, &Arc<Source>) {
        (&self.texts.name, &self.source)
    }

    fn drafts(&self) -> Vec<Draft> {
        let draft = |tried: &Tried| Draft {
            at: tried.at,
            method: tried.method.clone(),
            url: tried.url.clone(),
            reply: DraftReply { status: tried.status, body: tried.body.clone() },
        };
        self.texts.drafts.iter().map(draft).collect()
    }

    /// The contract that the rule names.
    fn receiver(&self) -> Option<&'static Contract> {
        Contract::find(Outline::new(&self.texts.rule).value(&self.texts.rule, &["receiver"])?)
    }

    /// What comes out of a rule that its receiver alone would refuse, and what the receiver would make of that: the
    /// author sees what is wrong with the claims, and not only that something is.
    async fn without_receiver(&self, problems: &[Problem], number: Option<usize>, drafts: &[Draft]) -> Option<Shown> {
        let contract = self.receiver()?;
        let errors = problems.iter().filter(|problem| problem.severity() == Severity::Error);
        if !errors
            .clone()
            .all(|problem| matches!(problem.code, Code::ReceiverType | Code::ReceiverMissing | Code::ReceiverSubject))
            || errors.count() == 0
        {
            return None;
        }
        let (text, outline) = (&self.texts.rule, Outline::new(&self.texts.rule));
        let start = outline.key(&["receiver"])?.span.start;
        let end = outline.values.iter().find(|entry| entry.path == ["receiver"])?.span.end;
        // White space in its place, so that all else stands where it stood.
        let blank = format!("{}{}{}", &text[..start], " ".repeat(end - start), &text[end..]);
        let rule = (&*self.texts.name, &Source::new(self.source.name.as_str(), blank));
        let mut shown = self.cases.show(number, drafts, rule, self.around.vars, self.around.files).await;
        if let Some(Answered::Claims(claims)) = &shown.verdict.answered {
            let judged = contract.judge(claims.iter().map(|(name, value)| (name.as_str(), value)));
            shown.verdict.steps.extend(judged.into_iter().map(|Judgement { claim, standing, words }| {
                crate::core::Step::Judgement { receiver: contract.name, claim, standing: standing.to_string(), words }
            }));
        }
        Some(shown)
    }

    /// The text that is asked about.
    fn text(&self) -> (Kind, &str) {
        match self.texts.text {
            Some(What::Cases) => (Kind::Cases, &self.texts.cases),
            Some(What::Rule) | None => (Kind::Rule, &self.texts.rule),
        }
    }

    fn samples(&self) -> Samples {
        let rule = Rule::new(&self.source.name, self.texts.rule.clone());
        let file = |name: &str| String::from_utf8((self.around.files)(name).ok()?).ok();
        let cases = self.texts.cases.parse().ok();
        cases.map(|cases| Samples::new((&rule.text, &rule.outline), &cases, &file)).unwrap_or_default()
    }

    fn here(&self) -> Option<Here<'_>> {
        let (kind, text) = self.text();
        let at = byte_of_unit(text, self.texts.at);
        let rule = Rule::new(&self.source.name, self.texts.rule.clone());
        Here::new((kind, None), text, at, Some(rule), self.samples())
    }

    fn insertion(&self) -> Option<Value> {
        let here = self.here()?;
        let Insertion { span, text } = insert(&here, &self.texts.steps)?;
        Some(
            json!({ "from": unit_of_byte(here.text, span.start), "to": unit_of_byte(here.text, span.end), "text": text }),
        )
    }

    fn formatted(&self) -> Result<Value, String> {
        let (_, text) = self.text();
        let formatted = format(&Source::new("text", text)).map_err(|_| "it cannot be formatted while it is no TOML")?;
        Ok(json!({ "text": formatted }))
    }

    /// The cases with one more, made of what is on the page.
    async fn new_case(&self) -> Result<Value, String> {
        let name = self.texts.new.as_deref().unwrap_or_default().trim();
        if name.is_empty() {
            return Err("a case has a name, which says what it shows".into());
        }
        if self.cases.names().any(|known| known == name) {
            return Err(format!("there is a case `{name}` already"));
        }
        let drafts = self.drafts();
        let copied =
            Copy { name, number: self.texts.case, drafts: &drafts, vars: self.around.vars, files: self.around.files };
        let text = copy(&self.cases, &copied, self.rule()).await?;
        let gap = match self.texts.cases.as_str() {
            "" => "",
            before if before.ends_with("\n\n") => "",
            before if before.ends_with('\n') => "\n",
            _ => "\n\n",
        };
        Ok(json!({ "text": format!("{}{gap}{text}", self.texts.cases), "case": self.cases.len() }))
    }

    /// The cases, of which the one that is looked at expects what comes out.
    async fn accepted(&self) -> Result<Value, String> {
        let number = self.texts.case.filter(|number| *number < self.cases.len()).ok_or("there is no such case")?;
        let ran = self.cases.run(number, self.rule(), self.around.files).await;
        if !ran.differs_in_answer_alone() {
            return Err("its requests are not those that are recorded, and answers are not made up".into());
        }
        let answered = ran.answered.as_ref().ok_or("the rule gave no answer")?;
        let claims = ran.differences.iter().map(|difference| difference.claim.as_str()).collect();
        let mut rewriting = Rewriting::new(&self.texts.cases)?;
        rewriting.apply(&Change { number, answered, claims })?;
        Ok(json!({ "text": rewriting.text() }))
    }

    /// A problem for a page: places in UTF-16 units of the text that it is in, and what would mend it.
    fn problem(&self, problem: &Problem) -> Value {
        let mut told = as_json(problem);
        let place = &problem.place;
        let (text, of) = match &place.source.name {
            name if *name == self.source.name => ("rule", &*self.texts.rule),
            name if name.ends_with(".test.toml") => ("cases", &*self.texts.cases),
            _ => ("beside", &*place.source.text),
        };
        // The excerpt of a secret has stars for its letters, so there only the letters can be counted.
        let unit = |byte: usize| unit_of_byte(&place.source.text, byte);
        let (from, to) = (unit(place.span.start), unit(place.span.end.max(place.span.start)));
        told["text"] = text.into();
        (told["from"], told["to"]) = (from.into(), to.into());
        told["title"] = problem.code.page().title.into();
        if let Some((span, meant)) = mended(problem).filter(|_| place.source.text == of) {
            told["fix"] = json!({ "from": unit(span.start), "to": unit(span.end), "text": meant });
        }
        told
    }

    /// An answer of the case, with the call that it is for.
    fn answer(&self, at: usize, told: &Told) -> Value {
        let outline = Outline::new(&self.texts.rule);
        let vars = outline.names(&["vars"]).into_iter();
        let vars =
            vars.filter_map(|name| Some((name.to_owned(), outline.value(&self.texts.rule, &["vars", name])?.into())));
        let vars: Map<String, Value> = vars.collect();
        let url = Url::parse(&told.url).ok();
        let call = url.and_then(|url| call_of(&outline, &self.texts.rule, &vars, &url).map(str::to_owned));
        let mut answer = json!({ "at": at, "method": told.method, "url": told.url, "call": call });
        match &told.reply {
            Ok(reply) => (answer["status"], answer["body"]) = (reply.status.into(), reply.body.as_str().into()),
            Err(why) => answer["fails"] = why.as_str().into(),
        }
        answer
    }
}

/// The span of a misspelt name, and the name that was meant.
fn mended(problem: &Problem) -> Option<(std::ops::Range<usize>, String)> {
    let meant = problem.help.as_ref()?.strip_prefix("did you mean `")?.split_once("`?")?.0;
    let span = &problem.place.span;
    let text = problem.place.source.text.get(span.clone())?;
    // The name that the headline is about stands in backticks there.
    let name = problem.message.split('`').skip(1).step_by(2).find(|name| !name.is_empty() && text.contains(*name))?;
    let start = span.start + text.find(name)?;
    Some((start..start + name.len(), meant.to_owned()))
}

fn verdict(verdict: &Verdict) -> Value {
    let differences = verdict.differences.iter().map(|difference| {
        json!({
            "claim": difference.claim,
            "expected": difference.expected,
            "found": difference.found,
            "remark": difference.remark(),
        })
    });
    let faults = verdict.faults.iter().map(|fault| {
        let request = match fault {
            Fault::Unanswered { request, .. } => request.split_once(' '),
            _ => None,
        };
        json!({
            "kind": fault.kind(),
            "words": fault.words(),
            "request": request.map(|(method, url)| json!({ "method": method, "url": url })),
        })
    });
    json!({
        "passed": verdict.passed(),
        "differences": differences.collect::<Vec<_>>(),
        "faults": faults.collect::<Vec<_>>(),
        "acceptable": verdict.differs_in_answer_alone(),
    })
}

/// What an edit changes in a case; `None` if that is nothing.
fn difference(name: &str, outcome: &Outcome) -> Option<Value> {
    match outcome {
        Outcome::Same => None,
        Outcome::Incomparable(why) => Some(json!({ "case": name, "why": why })),
        Outcome::Different { claims, answer } => {
            let claims: Vec<_> =
                claims.iter().map(|claim| json!({ "claim": claim.name, "old": claim.old, "new": claim.new })).collect();
            let answer = answer.as_ref().map(|(old, new)| json!({ "old": old, "new": new }));
            Some(json!({ "case": name, "claims": claims, "answer": answer }))
        }
    }
}

fn completions(here: &Here<'_>) -> Value {
    let shown = complete::complete(here).into_iter().take(MOST_ITEMS).map(|item| {
        json!({
            "label": item.label,
            "kind": item.kind,
            "detail": item.detail,
            "doc": item.doc,
            "from": unit_of_byte(here.text, item.span.start),
            "to": unit_of_byte(here.text, item.span.end),
            "text": item.text,
        })
    });
    shown.collect()
}

fn hovered(here: &Here<'_>) -> Value {
    let Some((words, span)) = hover::hover(here) else { return Value::Null };
    json!({
        "words": words,
        "from": unit_of_byte(here.text, span.start),
        "to": unit_of_byte(here.text, span.end),
    })
}

/// A rule and its cases, made of what a provider answers.
async fn proposed(wanted: &Proposed) -> Result<Value, String> {
    if !is_rule_name(&wanted.name) {
        return Err("the name of a rule has lower-case letters, digits, `-` and `_`, at most 64".into());
    }
    let samples = wanted.samples.iter().map(|sample| Sample {
        call: sample.call.clone(),
        url: Some(sample.url.trim().to_owned()).filter(|url| !url.is_empty()),
        text: sample.text.clone(),
    });
    let proposal = propose(&wanted.name, &samples.collect::<Vec<_>>()).await?;
    Ok(json!({ "rule": proposal.rule, "cases": proposal.cases, "remarks": proposal.remarks }))
}
