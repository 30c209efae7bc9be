//! Lists and maps.

use std::{cmp::Ordering, collections::HashSet};

use rhai::{Array, Dynamic};

use super::{Call, Raw, as_text};
use crate::core::value::{engine::order, from_script};

pub(super) fn join(call: &Call<'_>) -> Raw<Dynamic> {
    let separator = call.text(1)?;
    call.list(0, |list| {
        let mut joined = String::new();
        for item in list.iter().filter(|item| !item.is_unit()) {
            let text = as_text(item).ok_or_else(|| call.wants(0, "a list of texts and integers"))?;
            if text.is_empty() {
                continue;
            }
            call.fits(joined.len() + separator.len() + text.len())?;
            if !joined.is_empty() {
                joined.push_str(&separator);
            }
            joined.push_str(&text);
        }
        Ok(joined.into())
    })
}

pub(super) fn unique(call: &Call<'_>) -> Raw<Dynamic> {
    call.list(0, |list| {
        let (mut seen, mut kept) = (HashSet::new(), Array::new());
        for item in list {
            let value = from_script(item).map_err(|_| call.wants(0, "a list of plain values"))?;
            if seen.insert(value.map(|value| value.to_string())) {
                kept.push(item.clone());
            }
        }
        Ok(Dynamic::from_array(kept))
    })
}

pub(super) fn pick_max(call: &Call<'_>) -> Raw<Dynamic> {
    let member = call.text(1)?;
    call.list(0, |list| {
        let mut greatest: Option<(Dynamic, &Dynamic)> = None;
        for item in list.iter().filter(|item| !item.is_unit()) {
            let map = item.as_map_ref().map_err(|_| call.wants(0, "a list of maps"))?;
            let Some(number) = map.get(member.as_str()).filter(|number| !number.is_unit()) else { continue };
            let order = match &greatest {
                None => order(number, number).map(|_| Ordering::Greater),
                Some((most, _)) => order(number, most),
            };
            match order {
                Some(Ordering::Greater) => greatest = Some((number.clone(), item)),
                Some(_) => {}
                None => return Err(call.fault("wants numbers to compare")),
            }
        }
        Ok(greatest.map_or(Dynamic::UNIT, |(_, item)| item.clone()))
    })
}

pub(super) fn sorted_pairs(call: &Call<'_>) -> Raw<Dynamic> {
    let separator = call.text(1)?;
    call.map(0, |map| {
        let mut pairs = String::new();
        // Maps are in the order of their names, byte for byte.
        for (name, value) in map.iter().filter(|(_, value)| !value.is_unit()) {
            let text = as_text(value).ok_or_else(|| call.wants(0, "a map of texts and integers"))?;
            call.fits(pairs.len() + separator.len() + name.len() + 1 + text.len())?;
            if !pairs.is_empty() {
                pairs.push_str(&separator);
            }
            pairs.push_str(name);
            pairs.push('=');
            pairs.push_str(&text);
        }
        Ok(pairs.into())
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, run};

    #[test]
    fn lists_are_joined_without_what_is_not_there() {
        check(&[
            ("join([], \" \")", "\"\""),
            ("join([(), \"\"], \" \")", "\"\""),
            ("join([\"a\", 7, 'b'], \"\")", "\"a7b\""),
            ("join([\"a\", [\"b\"]], \" \")", "!`join` wants a list of texts and integers as `list`"),
            ("join(\"ab\", \" \")", "!`join` wants a list as `list`"),
            ("join([\"a\"], ())", "!`join` wants a text as `separator`"),
        ]);
        let long = "x".repeat(1000);
        let told = run(&format!("let l = []; l.pad(100, \"a\"); join(l, `{long}`)")).expect_err("it is too long");
        assert!(told.contains("Length of string"), "{told}");
    }

    #[test]
    fn what_comes_again_is_left_out() {
        check(&[
            ("unique([])", "[]"),
            ("unique([1, \"1\", 1, (), (), true, [1], [1], #{a: 1}, #{a: 1}])", "[1,\"1\",null,true,[1],{\"a\":1}]"),
            ("unique([|x| x])", "!`unique` wants a list of plain values as `list`"),
        ]);
    }

    #[test]
    fn the_greatest_is_picked_exactly() {
        check(&[
            ("pick_max([], \"w\")", "absent"),
            ("pick_max([#{u: 1}, #{w: ()}, ()], \"w\")", "absent"),
            ("pick_max([#{w: 1, u: 1}, #{w: 2, u: 2}, #{w: 2, u: 3}], \"w\").u", "2"),
            ("pick_max([#{w: 1.5, u: 1}, #{w: 1, u: 2}, #{w: -3, u: 3}], \"w\").u", "1"),
            ("pick_max([#{w: 9007199254740992, u: 1}, #{w: 9007199254740993, u: 2}], \"w\").u", "2"),
            (
                "pick_max([#{w: 1}, #{w: parse_json(\"18446744073709551616\")}, #{w: parse_json(\"18446744073709551617\")}], \"w\").w",
                "18446744073709551617",
            ),
            ("pick_max([#{w: 1}, #{w: \"2\"}], \"w\")", "!`pick_max` wants numbers to compare"),
            ("pick_max([#{w: \"2\"}], \"w\")", "!`pick_max` wants numbers to compare"),
            ("pick_max([1], \"w\")", "!`pick_max` wants a list of maps as `list`"),
        ]);
    }

    #[test]
    fn pairs_are_in_the_order_of_their_names() {
        check(&[
            ("sorted_pairs(#{}, \"&\")", "\"\""),
            ("sorted_pairs(#{b: 2, a: (), B: 1, c: \"\"}, \"\")", "\"B=1b=2c=\""),
            ("sorted_pairs(#{a: []}, \"&\")", "!`sorted_pairs` wants a map of texts and integers as `map`"),
        ]);
    }
}
