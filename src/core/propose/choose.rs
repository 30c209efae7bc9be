//! Which value becomes which claim: by its name, by what it looks like, and by how near it is to the person.
//!
//! `particular` has the claims that want more than that.

mod particular;

use serde_json::Value;

use super::{
    shape::{self, Shape},
    table::{ENVELOPES, GENERIC, GROUPS, OTHERS, PEOPLE, PREFIXES, ROWS, Row, SIZES},
    walk::{Field, Object, Parts, Spot, Step, plain},
};

/// A claim, and what it is made of.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) claim: &'static str,
    pub(super) form: Form,
    /// Why, in a few words.
    pub(super) why: String,
    /// What else would have done, the next best first.
    pub(super) others: Vec<Spot>,
}

/// How a claim is made.
#[derive(Debug)]
pub(super) enum Form {
    /// A value as it is.
    Value(Spot),
    /// The first of these that is there and not empty.
    FirstOf(Vec<Spot>),
    /// These, with a space between them.
    Joined(Vec<Spot>),
    /// All values, as a list.
    Many(Spot),
    /// True if there is such a moment.
    Happened(Spot),
    /// A moment that has to be read first.
    Moment(Spot),
    /// Of the pictures in a list, the one whose member is the greatest number: its address.
    Largest { list: Spot, by: String, member: String },
}

/// All claims of the samples.
#[derive(Debug, Default)]
pub(super) struct Choices {
    pub(super) claims: Vec<Choice>,
    /// What may say that the e-mail is verified, or something else.
    pub(super) doubtful: Option<Spot>,
    /// The subject is nothing but a name or an address.
    pub(super) mutable_subject: bool,
    /// The object that is the person.
    pub(super) person: Option<Spot>,
}

/// A field that may become a claim.
#[derive(Clone, Copy, Debug)]
struct Candidate<'p, 's> {
    field: &'p Field<'s>,
    score: i32,
}

/// What is not taken at any price.
const ENOUGH: i32 = 10;
/// What has exactly one of the best names, where it is expected.
const CERTAIN: i32 = 80;

/// Chooses the claims. `calls` are the names of the calls.
pub(super) fn choose(parts: &Parts<'_>, calls: &[String]) -> Choices {
    let Some(person) = person(parts) else { return Choices::default() };
    let chooser = Chooser { parts, calls, person };
    let mut choices = Choices { person: Some(person.spot.clone()), ..Choices::default() };
    for row in &ROWS {
        let choice = match row.claim {
            "email" => chooser.email(row, &mut choices),
            "name" => chooser.name(row),
            "picture" => chooser.picture(row),
            _ => chooser.plain(row),
        };
        choices.claims.extend(choice);
        if row.claim == "phone_number" {
            choices.claims.extend(chooser.phone_verified(&choices));
        }
    }
    choices.claims.extend(chooser.updated_at());
    choices.claims.extend(GROUPS.iter().filter_map(|(claim, names)| chooser.groups(claim, names)));
    tidy(&mut choices, &chooser);
    choices
}

/// Takes away what says the same twice, and finds a subject where there is none yet.
fn tidy(choices: &mut Choices, chooser: &Chooser<'_, '_>) {
    let spot = |claims: &[Choice], claim: &str| -> Option<Spot> {
        claims.iter().find(|choice| choice.claim == claim).and_then(|choice| choice.form.only()).cloned()
    };
    let email = spot(&choices.claims, "email");
    let name = spot(&choices.claims, "name");
    choices.claims.retain(|choice| match choice.claim {
        "preferred_username" => email.is_none() || choice.form.only() != email.as_ref(),
        "nickname" => name.is_none() || choice.form.only() != name.as_ref(),
        _ => true,
    });
    let handle = || chooser.handle().map(|candidate| candidate.field.spot.clone());
    if !choices.claims.iter().any(|choice| choice.claim == "sub")
        && let Some(spot) =
            ["preferred_username", "email"].iter().find_map(|claim| spot(&choices.claims, claim)).or_else(handle)
    {
        let why = "there is no id".to_owned();
        choices.claims.insert(0, Choice { claim: "sub", form: Form::Value(spot), why, others: Vec::new() });
        choices.mutable_subject = true;
    }
    if choices.claims.iter().any(|choice| choice.claim == "email")
        && !choices.claims.iter().any(|choice| choice.claim == "email_verified")
    {
        choices.doubtful = chooser.doubtful();
    }
}

impl Form {
    /// The one value that it is, if it is one as it stands.
    pub(super) fn only(&self) -> Option<&Spot> {
        match self {
            Form::Value(spot) => Some(spot),
            Form::FirstOf(spots) => spots.last(),
            Form::Joined(_) | Form::Many(_) | Form::Happened(_) | Form::Moment(_) | Form::Largest { .. } => None,
        }
    }
}

/// The object that most likely is the person.
fn person<'p, 's>(parts: &'p Parts<'s>) -> Option<&'p Object<'s>> {
    // Of several that are as good, the first: it is the outer one.
    let mut best: Option<(i32, &Object<'_>)> = None;
    for object in &parts.objects {
        let score = personal(object);
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, object));
        }
    }
    best.map(|(_, object)| object)
}

/// How much an object looks like a person.
fn personal(object: &Object<'_>) -> i32 {
    let mut score = 0;
    for row in &ROWS {
        let weight = match row.claim {
            "sub" | "email" => 4,
            "name" | "preferred_username" => 3,
            "given_name" | "family_name" | "picture" => 2,
            _ => 1,
        };
        let there = object.members.iter().any(|(name, value)| {
            let known = by_name(row, &[plain(name)]).is_some_and(|score| score >= CERTAIN);
            known && (row.shape.fits(value) || value.is_null() || shape::is_empty(value))
        });
        score += if there { weight } else { 0 };
    }
    let keys = object.spot.keys();
    // What is inside of a person belongs to the person, wherever that one is.
    let inner = keys.iter().rposition(|key| PEOPLE.contains(&key.as_str())).unwrap_or_default();
    for key in &keys[inner.min(keys.len())..] {
        score -= if OTHERS.contains(&key.as_str()) { 8 } else { 0 };
    }
    let last = keys.last().map(String::as_str).unwrap_or_default();
    let in_list = object.spot.steps.iter().filter(|step| matches!(step, Step::First | Step::Flagged(_))).count();
    score += if PEOPLE.contains(&last) { 3 } else { 0 };
    // One of several is more often a friend, a session or an account elsewhere.
    let list_of_people = PEOPLE.contains(&last) || ENVELOPES.contains(&last) || keys.is_empty();
    if in_list > 0 && !list_of_people {
        score -= 5;
    }
    score - i32::try_from(keys.len()).unwrap_or(i32::MAX) / 2
}

/// How well a name says that a value is meant; the keys are those that lead to it.
fn by_name(row: &Row, keys: &[String]) -> Option<i32> {
    if let Some(at) = row.names.iter().position(|known| ends_with(keys, known)) {
        return Some(100 - rank(at));
    }
    let mut named = keys.last()?.as_str();
    let mut cost = 0;
    // `avatar.url`, `picture.data.url`, `emails[0].value`
    for parent in keys.iter().rev().skip(1).take(2) {
        if !is_generic(named) {
            break;
        }
        named = parent;
        cost += 6;
        if let Some(at) = row.place(named) {
            return Some(100 - cost - rank(at));
        }
    }
    // Names for something else stay what they are.
    let known = ROWS.iter().any(|row| row.names.contains(&named));
    if let Some(at) = named.strip_suffix('s').and_then(|one| row.place(one)) {
        return Some(96 - cost - rank(at));
    }
    let bare = if row.claim == "picture" { without_size(named) } else { named.to_owned() };
    if let Some(at) = row.place(&bare) {
        return Some(98 - cost - rank(at));
    }
    if let Some(at) = PREFIXES.iter().find_map(|prefix| row.place(bare.strip_prefix(prefix)?)).filter(|_| !known) {
        return Some(90 - cost - rank(at));
    }
    let contained = row.words.iter().any(|word| match word.len() {
        0..=3 => named.ends_with(word) || named.starts_with(word) && row.claim != "sub",
        _ => named.contains(word),
    });
    let against = row.not.iter().any(|word| named.contains(word));
    (contained && !against && !(known && row.claim == "sub")).then_some(40 - cost)
}

impl Row {
    /// Where a name stands in the list.
    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| *known == name)
    }
}

/// What a place in a list of names costs.
fn rank(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX / 4)
}

/// True for a name that says nothing of what it holds, also one that is a size: `64x64`.
fn is_generic(name: &str) -> bool {
    let sized = name.bytes().any(|byte| byte.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'x');
    GENERIC.contains(&name) || sized
}

/// A name without what it says of a size: `avatarlargeurl`, `image128x128`.
fn without_size(name: &str) -> String {
    let word = SIZES.iter().find(|(word, _)| name.contains(word)).map_or("", |(word, _)| word);
    let name = if word.is_empty() { name.to_owned() } else { name.replacen(word, "", 1) };
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'x').to_owned()
}

/// True if the keys end as the name says: `name.first`.
fn ends_with(keys: &[String], name: &str) -> bool {
    let mut keys = keys.iter().rev();
    name.rsplit('.').all(|part| keys.next().is_some_and(|key| key == part))
}

/// How little one wants to take a value for an id: addresses change, and with them the user.
fn reluctance(field: &Field<'_>) -> i32 {
    if field.value.as_str().is_some_and(shape::is_url) { 40 } else { 0 }
}

/// True for a value of this shape. What is called `sub` is one, also if it looks like an address.
fn fits(shape: Shape, field: &Field<'_>) -> bool {
    let subject = || shape == Shape::Id && field.spot.keys().last().is_some_and(|last| last == "sub");
    shape.fits(field.value) || subject() && field.value.as_str().is_some_and(shape::is_email)
}

/// How large a picture is, by the numbers and words of its name.
fn size(keys: &[String]) -> i32 {
    let last = keys[keys.len().saturating_sub(3)..].concat();
    let digits: String = last.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let number = digits.parse::<i32>().map_or(0, |number| (number.min(2_000) / 40).max(1));
    let word = SIZES.iter().find(|(word, _)| last.contains(word)).map_or(0, |(_, size)| *size);
    // Within a few steps of the rank of a name: a size decides between names that are as good.
    word + number.min(9)
}

struct Chooser<'p, 's> {
    parts: &'p Parts<'s>,
    calls: &'p [String],
    person: &'p Object<'s>,
}

impl<'p, 's> Chooser<'p, 's> {
    /// The keys that lead to a value; of another call the name of the call is one.
    fn keys(&self, spot: &Spot) -> Vec<String> {
        let mut keys = spot.keys();
        if spot.call != self.person.spot.call {
            keys.insert(0, plain(&self.calls[spot.call]));
        }
        keys
    }

    /// What it costs to be somewhere else than in the person.
    fn distance(&self, spot: &Spot) -> i32 {
        let (home, owner) = (&self.person.spot, spot.owner());
        let common = match spot.call == home.call {
            true => home.steps.iter().zip(owner).take_while(|(a, b)| a == b).count(),
            false => 0,
        };
        let up = match spot.call == home.call {
            true => home.steps[common..].iter().filter(|step| step.name().is_some()).count(),
            false => 1,
        };
        // Another branch is about something else, more often than not.
        let aside = up > 0 && spot.call == home.call && owner.len() > common;
        let mut cost = 10 * i32::try_from(up).unwrap_or(i32::MAX / 100) + if aside { 25 } else { 0 };
        // What is in a list stands a little further away; its own last step is not the owner's.
        for step in &spot.steps[common..] {
            cost += match step {
                Step::First if aside => 25,
                Step::First => 4,
                Step::Flagged(_) => 1,
                Step::Member(_) | Step::Every => 0,
            };
        }
        for step in &owner[common..] {
            let Some(name) = step.name().map(plain) else { continue };
            cost += match name.as_str() {
                name if OTHERS.contains(&name) => 200,
                name if ENVELOPES.contains(&name) || PEOPLE.contains(&name) => 3,
                _ => 5,
            };
        }
        cost
    }

    /// True for what is beside the person, in an object of its own that is none for people.
    fn is_aside(&self, spot: &Spot) -> bool {
        let (home, owner) = (&self.person.spot, spot.owner());
        let last = owner.iter().rev().find_map(Step::name).map(plain).unwrap_or_default();
        let known = PEOPLE.contains(&last.as_str()) || ENVELOPES.contains(&last.as_str());
        spot.call == home.call && !known && !home.steps.starts_with(owner) && !owner.starts_with(&home.steps)
    }

    fn score(&self, row: &Row, field: &Field<'_>) -> Option<i32> {
        let keys = self.keys(&field.spot);
        let by_name = match by_name(row, &keys) {
            None if row.claim == "email" => 35,
            None if row.claim == "picture" && field.value.as_str().is_some_and(shape::is_image) => {
                let last = keys.last().map(String::as_str).unwrap_or_default();
                if row.not.iter().any(|word| last.contains(word)) { return None } else { 35 }
            }
            named => named?,
        };
        let against = row.claim == "email" && keys.iter().any(|key| row.not.iter().any(|word| key.contains(word)));
        // Every picture has an address, too.
        if row.claim == "profile"
            && field.spot.owner() != self.person.spot.steps
            && keys.last().is_some_and(|last| matches!(last.as_str(), "url" | "link" | "permalink"))
        {
            return None;
        }
        // An id of something else is the worst guess of all.
        let foreign = row.claim == "sub" && self.is_aside(&field.spot);
        Some(by_name - self.distance(&field.spot) - if against || foreign { 40 } else { 0 })
    }

    /// The values that may become a claim, the best first.
    fn candidates(&self, row: &Row) -> Vec<Candidate<'p, 's>> {
        self.fitting(row, row.shape)
    }

    /// The same, of another shape.
    fn fitting(&self, row: &Row, shape: Shape) -> Vec<Candidate<'p, 's>> {
        let fitting = self.parts.fields.iter().filter(|field| fits(shape, field));
        let scored = fitting.filter_map(|field| Some(Candidate { field, score: self.score(row, field)? }));
        let mut candidates: Vec<_> = scored.filter(|candidate| candidate.score >= ENOUGH).collect();
        if row.claim == "picture" {
            candidates.iter_mut().for_each(|candidate| candidate.score += size(&self.keys(&candidate.field.spot)));
        }
        match row.claim {
            "sub" => candidates.iter_mut().for_each(|candidate| candidate.score -= reluctance(candidate.field)),
            "profile" => candidates.retain(|candidate| candidate.field.value.as_str().is_some_and(shape::is_page)),
            "name" => self.prefer_whole_names(&mut candidates),
            _ => {}
        }
        candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.score));
        candidates
    }

    /// A name that is the user name as well says less than one that is not.
    fn prefer_whole_names(&self, candidates: &mut [Candidate<'p, 's>]) {
        let Some(row) = ROWS.iter().find(|row| row.claim == "preferred_username") else { return };
        let Some(username) = self.candidates(row).first().map(|candidate| candidate.field.value) else { return };
        for candidate in candidates.iter_mut().filter(|candidate| candidate.field.value == username) {
            candidate.score -= 12;
        }
    }

    /// Values that are empty in the sample, but have one of the best names: they go first where they are there.
    fn empty(&self, row: &Row, than: i32) -> Vec<Candidate<'p, 's>> {
        let empty = self.parts.fields.iter().filter(|field| shape::is_empty(field.value));
        let scored = empty.filter_map(|field| Some(Candidate { field, score: self.score(row, field)? }));
        let mut found: Vec<_> = scored.filter(|candidate| candidate.score >= CERTAIN.max(than)).collect();
        // A null may be an object for others; a text stays a text, and so does what is called an address.
        found.retain(|candidate| {
            let last = self.keys(&candidate.field.spot).pop().unwrap_or_default();
            match row.shape {
                Shape::Url => candidate.field.value.is_string() || last.ends_with("url"),
                // Other names of e-mails are names of something else if no e-mail is there.
                Shape::Email => is_mail(&last),
                _ => true,
            }
        });
        found.sort_by_key(|candidate| std::cmp::Reverse(candidate.score));
        found.truncate(1);
        found
    }

    fn plain(&self, row: &Row) -> Option<Choice> {
        let candidates = self.candidates(row);
        let Some(best) = candidates.first() else {
            let kept = matches!(row.claim, "given_name" | "family_name" | "preferred_username" | "phone_number");
            return self.only_empty(row).filter(|_| kept);
        };
        let why = words(row, best.field.value);
        Some(self.choice(row.claim, Form::Value(best.field.spot.clone()), why, &candidates[1..]))
    }

    fn choice(&self, claim: &'static str, form: Form, why: String, others: &[Candidate<'p, 's>]) -> Choice {
        let others = others.iter().take(3).map(|other| other.field.spot.clone()).collect();
        Choice { claim, form, why, others }
    }

    /// A claim for a value that the sample has not.
    fn only_empty(&self, row: &Row) -> Option<Choice> {
        let empty = self.empty(row, CERTAIN).into_iter().next()?;
        let spot = empty.field.spot.clone();
        let (form, why) = match empty.field.value {
            Value::Null => (Form::Value(spot), "null in the sample"),
            _ => (Form::FirstOf(vec![spot]), "empty in the sample; in a list it is left out then"),
        };
        Some(self.choice(row.claim, form, why.into(), &[]))
    }

    /// The form for a value that comes after one that is empty in the sample.
    fn after_empty(&self, row: &Row, best: &Candidate<'p, 's>, why: String) -> (Form, String) {
        let spot = best.field.spot.clone();
        match self.empty(row, best.score + 1).first() {
            Some(empty) => {
                (Form::FirstOf(vec![empty.field.spot.clone(), spot]), "the first is empty in the sample".into())
            }
            None => (Form::Value(spot), why),
        }
    }
}

/// True if one text is in the other, whatever the case.
fn contains(whole: &Value, part: &Value) -> bool {
    let lower = |value: &Value| value.as_str().map(str::to_lowercase).unwrap_or_default();
    lower(whole).contains(&lower(part))
}

fn is_mail(name: &str) -> bool {
    let name = name.strip_suffix("es").or_else(|| name.strip_suffix('s')).unwrap_or(name);
    name.ends_with("email") || name.ends_with("mail") || name.ends_with("emailaddress")
}

/// Why a value was taken, where its name does not say it.
fn words(row: &Row, value: &Value) -> String {
    let words = match (row.shape, value) {
        (Shape::Id, Value::Number(_)) => "a number, kept digit for digit",
        (Shape::Id, Value::String(text)) if shape::is_uuid(text) => "a UUID",
        (Shape::Id, _) => "an id",
        (Shape::Locale, _) => "a language tag",
        (Shape::Zone, _) => "a time zone",
        (Shape::Day, _) => "a day",
        (Shape::Phone, _) => "a telephone number",
        _ => "",
    };
    words.to_owned()
}
