//! Claims for which a name and a shape are not enough: an e-mail and whether it is verified, names, pictures, moments
//! and lists.

use serde_json::Value;

use super::{CERTAIN, Candidate, Choice, Choices, Chooser, Form, contains, ends_with, is_mail, size};
use crate::core::propose::{
    shape::{self, Moment, Shape},
    table::{ENVELOPES, GROUP_NAMES, ROWS, Row, UPDATED_AT, VERIFIED, VERIFIED_AT, VERIFIED_EMAIL, VERIFIED_PHONE},
    walk::{Field, Spot, Step, plain},
};

impl<'p, 's> Chooser<'p, 's> {
    pub(super) fn email(&self, row: &Row, choices: &mut Choices) -> Option<Choice> {
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
    pub(super) fn doubtful(&self) -> Option<Spot> {
        let field = self.parts.fields.iter().find(|field| {
            field.spot.call == self.person.spot.call
                && field.spot.owner() == self.person.spot.steps
                && Shape::Truth.fits(field.value)
                && field.spot.keys().last().is_some_and(|last| VERIFIED.contains(&last.as_str()))
        })?;
        Some(field.spot.clone())
    }

    pub(super) fn name(&self, row: &Row) -> Option<Choice> {
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
    pub(super) fn handle(&self) -> Option<Candidate<'p, 's>> {
        let row = ROWS.iter().find(|row| row.claim == "name")?;
        self.fitting(row, Shape::Word).into_iter().next()
    }

    pub(super) fn picture(&self, row: &Row) -> Option<Choice> {
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

    pub(super) fn phone_verified(&self, choices: &Choices) -> Option<Choice> {
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

    pub(super) fn updated_at(&self) -> Option<Choice> {
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
    pub(super) fn groups(&self, claim: &'static str, names: &[&str]) -> Option<Choice> {
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
