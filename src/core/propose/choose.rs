//! Which value becomes which claim: by its name, by what it looks like, and by how near it is to the person.

use serde_json::Value;

use super::{
    shape::{self, Moment, Shape},
    table::{
        ENVELOPES, GENERIC, GROUP_NAMES, GROUPS, OTHERS, PEOPLE, PREFIXES, ROWS, Row, SIZES, UPDATED_AT, VERIFIED,
        VERIFIED_AT, VERIFIED_EMAIL, VERIFIED_PHONE,
    },
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

    fn email(&self, row: &Row, choices: &mut Choices) -> Option<Choice> {
        let mut candidates = self.candidates(row);
        // One of a list whose entries say whether they are verified is worth more than a bare address.
        if let Some(at) = candidates.iter().position(|candidate| {
            candidate.field.spot.selects_several() && self.verified_beside(candidate.field).is_some()
        }) {
            let listed = candidates.remove(at);
            candidates.insert(0, listed);
        }
        let Some(best) = candidates.first() else { return self.only_empty(row) };
        let listed = best.field.spot.selects_several();
        let why = if listed { "the one that is marked in the list" } else { "an e-mail address" };
        let (form, why) = match candidates.get(1).filter(|second| listed && second.score >= CERTAIN) {
            Some(second) => (Form::FirstOf(vec![best.field.spot.clone(), second.field.spot.clone()]), why.to_owned()),
            None if listed => match self.empty(row, CERTAIN).first() {
                Some(empty) => (Form::FirstOf(vec![best.field.spot.clone(), empty.field.spot.clone()]), why.to_owned()),
                None => (Form::Value(best.field.spot.clone()), why.to_owned()),
            },
            None => self.after_empty(row, best, why.to_owned()),
        };
        let used =
            usize::from(matches!(&form, Form::FirstOf(spots) if spots.len() == 2 && listed && candidates.len() > 1));
        let choice = self.choice("email", form, why, &candidates[(1 + used).min(candidates.len())..]);
        let verified = self.verified(best.field);
        choices.claims.push(choice);
        choices.claims.extend(verified);
        None
    }

    /// A member that says of this e-mail that it is verified.
    fn verified(&self, email: &Field<'_>) -> Option<Choice> {
        let choice = |form, why: &str| Choice { claim: "email_verified", form, why: why.into(), others: Vec::new() };
        if let Some(field) = self.verified_beside(email) {
            return Some(choice(Form::Value(field.spot.clone()), "what the provider says of this address"));
        }
        let home = self.parts.fields.iter().find(|field| {
            field.spot.call == email.spot.call
                && Shape::Truth.fits(field.value)
                && self.distance(&field.spot) <= 5
                && VERIFIED_EMAIL.iter().any(|name| ends_with(&field.spot.keys(), name))
        });
        if let Some(field) = home {
            return Some(choice(Form::Value(field.spot.clone()), "what the provider says"));
        }
        let at = self.parts.fields.iter().find(|field| {
            field.spot.call == email.spot.call
                && shape::moment(field.value).is_some()
                && !field.spot.selects_several()
                && self.distance(&field.spot) <= 5
                && VERIFIED_AT.iter().any(|name| ends_with(&field.spot.keys(), name))
        })?;
        Some(choice(Form::Happened(at.spot.clone()), "true if the provider says when"))
    }

    /// The same, in the object of the e-mail itself or right beside the address in it.
    fn verified_beside(&self, email: &Field<'_>) -> Option<&'p Field<'s>> {
        let owner = email.spot.owner();
        // An object that has nothing but an address: its entry in a list, or `email: { … }`.
        let own = owner != self.person.spot.steps
            && owner.iter().rev().find_map(Step::name).map(plain).is_some_and(|name| is_mail(&name))
            || email.spot.call != self.person.spot.call && owner.last().is_some_and(|step| step.name().is_none());
        self.parts.fields.iter().find(|field| {
            let keys = field.spot.keys();
            let named = VERIFIED_EMAIL.iter().any(|name| ends_with(&keys, name))
                || own && VERIFIED.iter().any(|name| ends_with(&keys, name));
            let inside = field.spot.call == email.spot.call && field.spot.steps.starts_with(owner);
            let near = field.spot.steps.len() <= owner.len() + if own { 2 } else { 1 };
            named && inside && near && Shape::Truth.fits(field.value)
        })
    }

    /// A member of the person that may be about the e-mail.
    fn doubtful(&self) -> Option<Spot> {
        let field = self.parts.fields.iter().find(|field| {
            field.spot.call == self.person.spot.call
                && field.spot.owner() == self.person.spot.steps
                && Shape::Truth.fits(field.value)
                && field.spot.keys().last().is_some_and(|last| VERIFIED.contains(&last.as_str()))
        })?;
        Some(field.spot.clone())
    }

    fn name(&self, row: &Row) -> Option<Choice> {
        let candidates = self.candidates(row);
        let parts: Vec<_> = ["given_name", "family_name"]
            .iter()
            .filter_map(|claim| {
                let row = ROWS.iter().find(|row| row.claim == *claim)?;
                self.candidates(row).first().copied()
            })
            .collect();
        let best = candidates.first();
        // Both parts are better than a name that stands somewhere else, or that is what users call themselves.
        let certain = best.is_some_and(|best| match &parts[..] {
            [given, family] => best.score >= 70 && is_whole(best.field.value, given.field.value, family.field.value),
            _ => true,
        });
        if let Some(best) = best.filter(|_| certain) {
            if let Some(family) = self.other_half(best.field) {
                let spots = vec![best.field.spot.clone(), family.field.spot.clone()];
                return Some(self.choice("name", Form::Joined(spots), "`name` is half of it".into(), &[]));
            }
            let (form, why) = self.after_empty(row, best, String::new());
            return Some(self.choice("name", form, why, &candidates[1..]));
        }
        if parts.len() == 2 {
            let spots = parts.iter().map(|part| part.field.spot.clone()).collect();
            return Some(self.choice("name", Form::Joined(spots), "there is no whole name".into(), &candidates));
        }
        match self.stand_in().or(parts.first().copied()) {
            Some(other) => {
                // Any name goes before a stand-in.
                let other = Candidate { score: 0, ..other };
                let (form, why) = self.after_empty(row, &other, "there is no other name".into());
                Some(self.choice("name", form, why, &[]))
            }
            None => self.only_empty(row),
        }
    }

    /// The family name, where what is called the name is the given name alone.
    fn other_half(&self, name: &Field<'_>) -> Option<Candidate<'p, 's>> {
        let row = |claim: &str| ROWS.iter().find(|row| row.claim == claim);
        let family = self.candidates(row("family_name")?).into_iter().next()?;
        let alone = self.candidates(row("given_name")?).is_empty()
            && family.field.spot.owner() == name.spot.owner()
            && !contains(name.value, family.field.value);
        alone.then_some(family)
    }

    /// What does for a name if there is none: a nickname, or what users call themselves, also with spaces in it.
    fn stand_in(&self) -> Option<Candidate<'p, 's>> {
        ["nickname", "preferred_username"].into_iter().find_map(|claim| {
            let row = ROWS.iter().find(|row| row.claim == claim)?;
            self.fitting(row, Shape::Name).into_iter().next()
        })
    }

    /// A name of one word, where users have no other handle.
    fn handle(&self) -> Option<Candidate<'p, 's>> {
        let row = ROWS.iter().find(|row| row.claim == "name")?;
        self.fitting(row, Shape::Word).into_iter().next()
    }

    fn picture(&self, row: &Row) -> Option<Choice> {
        let candidates = self.candidates(row);
        let Some(best) = candidates.first() else { return self.only_empty(row) };
        if let Some(form) = self.largest(best.field) {
            return Some(self.choice("picture", form, "the largest of the list".into(), &[]));
        }
        let sized = candidates
            .get(1)
            .is_some_and(|second| size(&self.keys(&best.field.spot)) > size(&self.keys(&second.field.spot)));
        let why = if sized { "the largest, by its name" } else { "" };
        let (form, why) = self.after_empty(row, best, why.into());
        Some(self.choice("picture", form, why, &candidates[1..]))
    }

    /// The list that a picture is in, if its entries have sizes.
    fn largest(&self, field: &Field<'_>) -> Option<Form> {
        let [head @ .., Step::First, Step::Member(member)] = &field.spot.steps[..] else { return None };
        let list = self.parts.lists.iter().find(|list| list.spot.call == field.spot.call && list.spot.steps == head)?;
        let sized = |name: &str| {
            let mut items = list.items.iter().filter_map(Value::as_object);
            items.all(|item| item.get(name).is_some_and(Value::is_u64))
        };
        let by = ["width", "height", "size"].into_iter().find(|name| list.items.len() > 1 && sized(name))?;
        list.spot.steps.iter().all(|step| !matches!(step, Step::Flagged(_))).then(|| Form::Largest {
            list: list.spot.clone(),
            by: by.to_owned(),
            member: member.clone(),
        })
    }

    fn phone_verified(&self, choices: &Choices) -> Option<Choice> {
        let phone = choices.claims.iter().find(|choice| choice.claim == "phone_number")?.form.only()?;
        let field = self.parts.fields.iter().find(|field| {
            field.spot.call == phone.call
                && field.spot.owner() == phone.owner()
                && Shape::Truth.fits(field.value)
                && VERIFIED_PHONE.iter().any(|name| ends_with(&field.spot.keys(), name))
        })?;
        let form = Form::Value(field.spot.clone());
        Some(Choice { claim: "phone_number_verified", form, why: "what the provider says".into(), others: Vec::new() })
    }

    fn updated_at(&self) -> Option<Choice> {
        let candidates = self.candidates(&UPDATED_AT);
        let best = candidates.first()?;
        let spot = best.field.spot.clone();
        let (form, why) = match shape::moment(best.field.value)? {
            Moment::Plain if best.field.value.is_number() => (Form::Value(spot), "seconds since 1970"),
            Moment::Plain => (Form::Value(spot), "becomes seconds since 1970"),
            Moment::Other if spot.selects_several() => return None,
            Moment::Other => (Form::Moment(spot), "becomes seconds since 1970; without an offset it is read as UTC"),
        };
        Some(self.choice("updated_at", form, why.into(), &[]))
    }

    /// A list of what the user belongs to.
    fn groups(&self, claim: &'static str, names: &[&str]) -> Option<Choice> {
        let named = |spot: &Spot| {
            let keys = self.keys(spot);
            let last = keys.iter().rev().find(|key| !ENVELOPES.contains(&key.as_str()));
            last.is_some_and(|last| names.contains(&last.as_str()))
        };
        let near = |spot: &Spot| spot.call != self.person.spot.call || self.distance(spot) < 200;
        let texts = self.parts.fields.iter().find(|field| {
            let texts =
                field.value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_string));
            texts && named(&field.spot) && near(&field.spot)
        });
        if let Some(field) = texts {
            return Some(self.choice(claim, Form::Value(field.spot.clone()), "a list of texts".into(), &[]));
        }
        let list = self
            .parts
            .lists
            .iter()
            .find(|list| named(&list.spot) && near(&list.spot) && !list.spot.selects_several())?;
        let member = GROUP_NAMES.iter().find_map(|name| {
            let first = list.items.first()?.as_object()?;
            let member =
                first.iter().find(|(member, value)| plain(member) == *name && !value.is_object() && !value.is_array());
            member.map(|(member, _)| member.clone())
        })?;
        let spot = list.spot.then(Step::Every).then(Step::Member(member));
        Some(self.choice(claim, Form::Many(spot), "one of each entry".into(), &[]))
    }
}

/// True for a name that is made of these two rather than of what users call themselves: `Ada E.`, and not `ada.e`.
fn is_whole(name: &Value, given: &Value, family: &Value) -> bool {
    let text = name.as_str().unwrap_or_default();
    let words = text.contains(char::is_whitespace);
    let handle = !words && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c));
    !handle && (contains(name, family) || words && contains(name, given))
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
