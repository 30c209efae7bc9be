//! The Rhai engine: what a script may use, its limits, and JSON in and out of it.
//!
//! One engine serves all rules and threads. It has no file, network, module,
//! environment or clock; what could block, or build a value before its size is
//! checked, is taken away or replaced.

use std::{
    cell::{Cell, RefCell},
    cmp::Ordering,
    ops::{Range, RangeInclusive},
    sync::OnceLock,
    time::Duration,
};

use rhai::{
    Array, Dynamic, EvalAltResult, INT, ImmutableString, Map, NativeCallContext, Position, Scope,
    packages::{
        ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
        BasicStringPackage, LanguageCorePackage, LogicPackage, MoreStringPackage, Package,
    },
};
use serde_json::{Number, Value};

use super::{
    explicit::AT,
    functions::{self, Clocks, Functions},
    watch,
};
use crate::core::facts::{Facts, Part, Root};

/// The longest script, in bytes: Rhai's parser takes time that grows faster than its input.
pub const MAX_SCRIPT: usize = 16 * 1024;
/// Operations of one run. These limits grow with the document, see [`Engine`].
const MAX_OPERATIONS: u64 = 20_000;
/// Time of one run.
const BUDGET: Duration = Duration::from_millis(50);
/// Bytes of a string that a script builds, and of all strings in a list or map that it builds.
const MAX_STRING: usize = 16 * 1024;
const MAX_ARRAY: usize = 1_000;
const MAX_MAP: usize = 200;
/// Nesting of what a script hands back; the document itself is bounded when it is read.
const MAX_DEPTH: usize = 32;

/// What compiles and runs expressions.
pub struct Engine {
    /// Compiles, and runs what reads documents of ordinary size.
    pub(super) rhai: rhai::Engine,
    /// For larger documents, built when first needed: Rhai's limits also count what the host hands over,
    /// so a long list could not even be asked for its length. Each has four times the room of the one before.
    roomy: [OnceLock<rhai::Engine>; 8],
    pub(super) functions: Functions,
    clocks: Clocks,
    /// For coverage: runs scripts that tell which of their statements run.
    watching: Option<Box<rhai::Engine>>,
}

/// How much data values hold at all depths, counted as Rhai's limits count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    elements: usize,
    members: usize,
    text: usize,
}

impl Sizes {
    /// Adds those of a value.
    pub(super) fn add(&mut self, value: &Dynamic) {
        if let Ok(text) = value.as_immutable_string_ref() {
            self.text += text.len();
        } else if let Ok(items) = value.as_array_ref() {
            self.elements += items.len();
            items.iter().for_each(|item| self.add(item));
        } else if let Ok(members) = value.as_map_ref() {
            self.members += members.len();
            members.values().for_each(|member| self.add(member));
        }
    }
}

impl Sizes {
    /// Takes those of a value off again.
    fn take_off(&mut self, value: &Dynamic) {
        let mut gone = Sizes::default();
        gone.add(value);
        self.elements -= gone.elements;
        self.members -= gone.members;
        self.text -= gone.text;
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

/// An integer beyond 64 bits signed, with its digits: Rhai has no type for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digits(String);

impl Digits {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// How it compares to any integer of 64 bits: it lies beyond all of them.
    fn beyond(&self) -> Ordering {
        if self.0.starts_with('-') { Ordering::Less } else { Ordering::Greater }
    }

    /// JSON allows no leading zeros, so the longer number is the larger one.
    fn order(&self, other: &Digits) -> Ordering {
        let size = |digits: &Digits| (digits.0.len(), digits.0.clone());
        match (self.beyond(), other.beyond()) {
            (Ordering::Less, Ordering::Less) => size(other).cmp(&size(self)),
            (Ordering::Greater, Ordering::Greater) => size(self).cmp(&size(other)),
            (mine, _) => mine,
        }
    }
}

/// What `reject` throws.
#[derive(Clone, Debug)]
pub(super) struct Rejection {
    pub(super) error: String,
    pub(super) reason: String,
}

/// Why a run must end, whatever the script makes of the error that ends it: some functions
/// of Rhai (`sort`, for one) lose an error of the function that they call.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// Its time was up.
    Budget,
    /// It called `reject`.
    Rejected(Rejection),
}

thread_local! {
    /// When the run on this thread started; `None` until its clock is first looked at.
    static STARTED: Cell<Option<Duration>> = const { Cell::new(None) };
    static ENDED: RefCell<Option<End>> = const { RefCell::new(None) };
}

/// Starts a run on this thread.
pub(super) fn start_run() {
    STARTED.set(None);
    ENDED.take();
}

/// Why the run on this thread had to end, if it had to.
pub(super) fn end_run() -> Option<End> {
    ENDED.take()
}

impl Engine {
    /// Builds the engine; `clock` and `now` are the host's.
    pub fn new(clock: fn() -> Duration, now: fn() -> Duration) -> Self {
        let clocks = Clocks { steady: clock, now };
        let rhai = build(clocks, 1);
        Engine { functions: functions::of_engine(&rhai), rhai, roomy: Default::default(), clocks, watching: None }
    }

    /// The same, for scripts that tell which of their statements run.
    #[must_use]
    pub fn watching(self) -> Self {
        let mut rhai = build(self.clocks, watch::ROOM);
        watch::register(&mut rhai);
        Engine { watching: Some(Box::new(rhai)), ..self }
    }

    /// What runs scripts that tell which of their statements run, if anybody wants to know.
    pub(super) fn watcher(&self) -> Option<&rhai::Engine> {
        self.watching.as_deref()
    }

    /// The engine for a run that is handed this much: at least half of its limits are left to the script.
    pub(super) fn with_room(&self, sizes: Sizes) -> &rhai::Engine {
        let parts = [(sizes.elements, MAX_ARRAY), (sizes.members, MAX_MAP), (sizes.text, MAX_STRING)];
        if parts.iter().all(|(size, limit)| size * 2 <= *limit) {
            return &self.rhai;
        }
        let times = |step: usize| 4_usize << (2 * step);
        let fits = |step: &usize| parts.iter().all(|(size, limit)| size * 2 <= limit * times(*step));
        let last = self.roomy.len() - 1;
        let step = (0..last).find(fits).unwrap_or(last);
        self.roomy[step].get_or_init(|| build(self.clocks, times(step)))
    }
}

/// An engine whose limits are this many times the usual ones.
fn build(clocks: Clocks, times: usize) -> rhai::Engine {
    let mut rhai = rhai::Engine::new_raw();
    LanguageCorePackage::new().register_into_engine(&mut rhai);
    ArithmeticPackage::new().register_into_engine(&mut rhai);
    LogicPackage::new().register_into_engine(&mut rhai);
    BasicFnPackage::new().register_into_engine(&mut rhai);
    BasicIteratorPackage::new().register_into_engine(&mut rhai);
    BasicMathPackage::new().register_into_engine(&mut rhai);
    BasicStringPackage::new().register_into_engine(&mut rhai);
    MoreStringPackage::new().register_into_engine(&mut rhai);
    BasicArrayPackage::new().register_into_engine(&mut rhai);
    BasicMapPackage::new().register_into_engine(&mut rhai);
    limit(&mut rhai, clocks.steady, times);
    take_away(&mut rhai);
    absence(&mut rhai);
    numbers(&mut rhai);
    functions::register(&mut rhai, clocks);
    rhai.set_strict_variables(true);
    rhai.register_fn("reject", reject);
    rhai
}

fn limit(rhai: &mut rhai::Engine, clock: fn() -> Duration, times: usize) {
    rhai.set_max_operations(MAX_OPERATIONS * times as u64)
        .set_max_call_levels(16)
        .set_max_expr_depths(32, 16)
        .set_max_string_size(MAX_STRING * times)
        .set_max_array_size(MAX_ARRAY * times)
        .set_max_map_size(MAX_MAP * times)
        .set_max_variables(64)
        .set_max_functions(16);
    // An operation may be a native call over a whole list, so their number bounds no time.
    // The clock is looked at every few operations only: most scripts end before that.
    rhai.on_progress(move |operations| {
        if operations % 8 != 0 {
            return None;
        }
        match STARTED.get() {
            None => {
                STARTED.set(Some(clock()));
                None
            }
            Some(started) if clock().saturating_sub(started) > BUDGET => {
                ENDED.replace(Some(End::Budget));
                Some(Dynamic::UNIT)
            }
            Some(_) => None,
        }
    });
}

type Raw<T> = Result<T, Box<EvalAltResult>>;
type Context<'a> = NativeCallContext<'a>;

fn take_away(rhai: &mut rhai::Engine) {
    for symbol in ["eval", "print", "debug", "curry", "import", "export"] {
        rhai.disable_symbol(symbol);
    }
    // `sleep` blocks its thread past any budget, also when called through a function pointer.
    rhai.register_fn("sleep", |_: INT| -> Raw<()> { Err("there is no `sleep` in a rule".into()) });
    rhai.register_fn("sleep", |_: f64| -> Raw<()> { Err("there is no `sleep` in a rule".into()) });
    // Rhai's `replace` builds its answer before the size is checked. Ours asks first, and gives
    // the new text back, as every other function here does.
    rhai.register_fn("replace", |context: Context<'_>, text: &mut ImmutableString, from: &str, to: &str| {
        replace(&context, text, from, to)
    });
    rhai.register_fn("replace", |context: Context<'_>, text: &mut ImmutableString, from: char, to: &str| {
        replace(&context, text, from.encode_utf8(&mut [0; 4]), to)
    });
    rhai.register_fn("replace", |context: Context<'_>, text: &mut ImmutableString, from: &str, to: char| {
        replace(&context, text, from, to.encode_utf8(&mut [0; 4]))
    });
    rhai.register_fn("replace", |context: Context<'_>, text: &mut ImmutableString, from: char, to: char| {
        replace(&context, text, from.encode_utf8(&mut [0; 4]), to.encode_utf8(&mut [0; 4]))
    });
    // Rhai's `trim` changes its text in place, which a part of the document does not allow.
    rhai.register_fn("trim", |text: ImmutableString| ImmutableString::from(text.trim()));
    // Rhai's `parse_json` and `to_json` round long integers.
    rhai.register_fn("parse_json", |text: &str| -> Raw<Dynamic> {
        let value: Value = serde_json::from_str(text).map_err(|_| "this is not JSON")?;
        Ok(to_script(&value))
    });
    rhai.register_fn("to_json", |map: Map| -> Raw<String> {
        let value = from_script(&Dynamic::from_map(map))?.unwrap_or_default();
        Ok(value.to_string())
    });
    // Rhai's `pad` never ends with an empty padding, and its size check of a list overflows, after
    // which memory runs out and the process ends.
    rhai.register_fn("pad", |context: Context<'_>, text: &mut ImmutableString, length: INT, with: &str| {
        pad_text(&context, text, length, with)
    });
    rhai.register_fn("pad", |context: Context<'_>, text: &mut ImmutableString, length: INT, with: char| {
        pad_text(&context, text, length, with.encode_utf8(&mut [0; 4]))
    });
    rhai.register_fn("pad", pad_list);
}

fn replace(context: &Context<'_>, text: &str, from: &str, to: &str) -> Raw<ImmutableString> {
    if from.is_empty() {
        return Err("`replace` looks for an empty text".into());
    }
    let growth = text.matches(from).count() * to.len().saturating_sub(from.len());
    if text.len() + growth > context.engine().max_string_size() {
        return Err(EvalAltResult::ErrorDataTooLarge("Length of string".into(), Position::NONE).into());
    }
    Ok(text.replace(from, to).into())
}

fn pad_text(context: &Context<'_>, text: &mut ImmutableString, length: INT, with: &str) -> Raw<()> {
    if with.is_empty() {
        return Err("`pad` has nothing to pad with".into());
    }
    let missing = usize::try_from(length).unwrap_or(0).saturating_sub(text.chars().count());
    // A character has at most four bytes.
    if missing.saturating_mul(4).saturating_add(text.len()) > context.engine().max_string_size() {
        return Err(EvalAltResult::ErrorDataTooLarge("Length of string".into(), Position::NONE).into());
    }
    *text = text.chars().chain(with.chars().cycle().take(missing)).collect::<String>().into();
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "Rhai hands arguments over by value")]
fn pad_list(context: Context<'_>, list: &mut Array, length: INT, with: Dynamic) -> Raw<()> {
    let missing = usize::try_from(length).unwrap_or(0).saturating_sub(list.len());
    let mut each = Sizes::default();
    each.add(&with);
    let (engine, elements) = (context.engine(), each.elements + 1);
    if missing.saturating_mul(elements) > engine.max_array_size()
        || missing.saturating_mul(each.members) > engine.max_map_size()
        || missing.saturating_mul(each.text) > engine.max_string_size()
    {
        return Err(EvalAltResult::ErrorDataTooLarge("Size of array".into(), Position::NONE).into());
    }
    list.extend(std::iter::repeat_n(with, missing));
    Ok(())
}

/// Reading a member of something absent is absent, and so is calling a method of it.
///
/// The three hooks are marked deprecated by Rhai only to say that their form may
/// change between versions; the lock file holds the version.
#[expect(deprecated, reason = "volatile, not deprecated: see above")]
fn absence(rhai: &mut rhai::Engine) {
    // What has no members: an indexer, which Rhai also asks for the members of all but maps.
    rhai.register_fn("index$get$", |_: &mut Dynamic, _: Dynamic| ());
    rhai.register_fn(AT, at);
    // Nothing is in something absent, and nothing absent in anything; nor is a value of one type in one that could
    // not hold it. Rhai prefers the functions that name their types.
    rhai.register_fn("contains", |_: &mut Dynamic, _: Dynamic| false);
    rhai.register_fn("contains", |range: &mut Range<INT>, number: f64| {
        range.start as f64 <= number && number < range.end as f64
    });
    rhai.register_fn("contains", |range: &mut RangeInclusive<INT>, number: f64| {
        *range.start() as f64 <= number && number <= *range.end() as f64
    });
    // Nothing can be calculated with something absent; on the left of an operator it is the last hook's.
    for operator in ["+", "-", "*", "/", "%", "**", "<<", ">>", "&", "|", "^"] {
        rhai.register_fn(operator, |_: Dynamic, _: ()| ());
    }
    rhai.on_invalid_array_index(|_, _, _| Ok(Dynamic::UNIT.into()));
    rhai.on_missing_function(|name, args, _, _| {
        let absent = args.first().is_some_and(|first| first.is_unit());
        Ok(match name {
            _ if !absent => None,
            "!" => Some(Dynamic::TRUE),
            "reject" => None,
            _ => Some(Dynamic::UNIT),
        })
    });
}

/// What stands in brackets behind a value, as Rhai has it, but for what is not there: that is absent, whatever the
/// value is.
#[expect(clippy::needless_pass_by_value, reason = "Rhai hands arguments over by value")]
fn at(value: &mut Dynamic, index: Dynamic) -> Raw<Dynamic> {
    if index.is::<Range<INT>>() || index.is::<RangeInclusive<INT>>() {
        return Err("a range is written out where it cuts a text: `[0..2]`".into());
    }
    let number = index.as_int();
    // Counted from the end if it is negative.
    let place = |length: usize| {
        let number = number.ok()?;
        let back = usize::try_from(number.unsigned_abs()).ok()?;
        if number < 0 { length.checked_sub(back) } else { Some(back) }
    };
    if let Ok(list) = value.as_array_ref() {
        return Ok(place(list.len()).and_then(|place| list.get(place).cloned()).unwrap_or_default());
    }
    if let (Ok(map), Ok(name)) = (value.as_map_ref(), index.as_immutable_string_ref()) {
        return Ok(map.get(name.as_str()).cloned().unwrap_or_default());
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        let length = if number.is_ok_and(|number| number < 0) { text.chars().count() } else { 0 };
        return Ok(place(length).and_then(|place| text.chars().nth(place)).map_or(Dynamic::UNIT, Dynamic::from_char));
    }
    if let Ok(bits) = value.as_int() {
        return Ok(place(64)
            .filter(|place| *place < 64)
            .map_or(Dynamic::UNIT, |place| (bits >> place & 1 == 1).into()));
    }
    Ok(Dynamic::UNIT)
}

/// Long integers can be compared and written out; they are no numbers to calculate with.
fn numbers(rhai: &mut rhai::Engine) {
    rhai.register_type_with_name::<Digits>("integer");
    rhai.register_fn("to_string", |digits: &mut Digits| digits.0.clone());
    rhai.register_fn("==", |left: Digits, right: Digits| left == right);
    rhai.register_fn("!=", |left: Digits, right: Digits| left != right);
    // Rhai answers `false` to any order that it does not know.
    type Holds = fn(Ordering) -> bool;
    let orders: [(&str, Holds); 4] =
        [("<", Ordering::is_lt), ("<=", Ordering::is_le), (">", Ordering::is_gt), (">=", Ordering::is_ge)];
    for (operator, holds) in orders {
        rhai.register_fn(operator, move |left: Digits, right: Digits| holds(left.order(&right)));
        rhai.register_fn(operator, move |left: Digits, _: INT| holds(left.beyond()));
        rhai.register_fn(operator, move |_: INT, right: Digits| holds(right.beyond().reverse()));
    }
}

/// How two numbers compare: integers exactly. `None` if one is no number.
pub(super) fn order(left: &Dynamic, right: &Dynamic) -> Option<Ordering> {
    if let (Ok(left), Ok(right)) = (left.as_int(), right.as_int()) {
        return Some(left.cmp(&right));
    }
    let digits = |value: &Dynamic| value.read_lock::<Digits>().map(|digits| digits.clone());
    match (digits(left), digits(right)) {
        (Some(left), Some(right)) => return Some(left.order(&right)),
        (Some(left), None) if right.is_int() => return Some(left.beyond()),
        (None, Some(right)) if left.is_int() => return Some(right.beyond().reverse()),
        _ => {}
    }
    let float = |value: &Dynamic| {
        let integer = value.as_int().ok().map(|integer| integer as f64);
        value.as_float().ok().or(integer).or_else(|| digits(value)?.0.parse().ok())
    };
    float(left)?.partial_cmp(&float(right)?)
}

fn reject(error: &str, reason: &str) -> Raw<()> {
    ENDED.replace(Some(End::Rejected(Rejection { error: error.into(), reason: reason.into() })));
    // A termination, unlike a thrown error, cannot be caught by the script.
    Err(EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into())
}

/// The script's view of the document, built when a script first asks for a part of it.
#[derive(Debug, Default)]
pub struct Memory {
    pub(super) scope: Scope<'static>,
    present: Vec<Root>,
    sizes: Sizes,
    /// The time of the request, once something has asked for it.
    pub(super) now: Option<Duration>,
}

impl Memory {
    /// Makes sure that these parts are there, as constants.
    pub(super) fn recall(&mut self, roots: &[(Root, Box<str>)], facts: &Facts<'_>) {
        for (root, name) in roots {
            if !self.present.contains(root) {
                self.present.push(*root);
                let value = facts.get(*root).map_or(Dynamic::UNIT, part_to_script);
                self.sizes.add(&value);
                self.scope.push_constant_dynamic(&**name, value);
            }
        }
    }

    /// What a run is handed: the document so far, and what stands in the scope from `base` on.
    pub(super) fn sizes(&self, base: usize) -> Sizes {
        let mut sizes = self.sizes;
        let own = self.scope.len().saturating_sub(base);
        // The newest come first.
        self.scope.iter_raw().take(own).for_each(|(_, _, value)| sizes.add(value));
        sizes
    }

    /// Takes a part back whose value has changed, by its name: the next to ask gets the new one.
    pub fn forget(&mut self, root: Root, name: &str) {
        let Some(at) = self.present.iter().position(|present| *present == root) else { return };
        self.present.remove(at);
        if let Some(value) = self.scope.remove::<Dynamic>(name) {
            self.sizes.take_off(&value);
        }
    }
}

/// What is kept of an answer as a script's value: a map of the members that are there.
fn part_to_script(part: Part<'_>) -> Dynamic {
    match part {
        Part::Whole(value) => to_script(value),
        Part::Members(shapes, slots) => {
            let members = shapes
                .iter()
                .zip(slots)
                .filter_map(|((name, shape), slot)| Some((name, part_to_script(Part::of(shape, slot)?))));
            map_to_script(members)
        }
    }
}

/// JSON to a script's value, without loss.
pub fn to_script(value: &Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(flag) => Dynamic::from_bool(*flag),
        Value::Number(number) => number_to_script(number),
        Value::String(text) => Dynamic::from(ImmutableString::from(text.as_str())),
        Value::Array(items) => Dynamic::from_array(items.iter().map(to_script).collect()),
        Value::Object(members) => map_to_script(members.iter().map(|(name, value)| (name, to_script(value)))),
    }
}

/// Members are put into their map one after another: collecting would sort them first, though they are.
fn map_to_script<'n>(members: impl Iterator<Item = (&'n String, Dynamic)>) -> Dynamic {
    let mut map = Map::new();
    for (name, value) in members {
        map.insert(name.as_str().into(), value);
    }
    Dynamic::from_map(map)
}

fn number_to_script(number: &Number) -> Dynamic {
    if let Some(integer) = number.as_i64() {
        return Dynamic::from_int(integer);
    }
    let text = number.as_str();
    match text.parse::<f64>() {
        Ok(float) if text.contains(['.', 'e', 'E']) => Dynamic::from_float(float),
        _ => Dynamic::from(Digits(text.to_owned())),
    }
}

/// A script's value to JSON; `None` for the absent one.
///
/// # Errors
/// What cannot be a value of a claim: functions, ranges, infinite numbers, deep nesting.
pub fn from_script(value: &Dynamic) -> Result<Option<Value>, &'static str> {
    json(value, 0)
}

/// The members of a script's map as JSON, by name.
///
/// # Errors
/// As [`from_script`], and when it is no map.
pub fn members_from_script(value: &Dynamic) -> Result<Vec<(String, Value)>, &'static str> {
    let map = value.as_map_ref().map_err(|_| "the script made it something else than a map")?;
    members(&map, 0).collect()
}

fn members(map: &Map, depth: usize) -> impl Iterator<Item = Result<(String, Value), &'static str>> {
    map.iter().map(move |(name, value)| Ok((name.as_str().to_owned(), json(value, depth + 1)?.unwrap_or_default())))
}

fn json(value: &Dynamic, depth: usize) -> Result<Option<Value>, &'static str> {
    if depth > MAX_DEPTH {
        return Err("it is nested too deep");
    }
    if value.is_unit() {
        return Ok(None);
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Ok(Some(Value::from(text.as_str())));
    }
    if let Ok(flag) = value.as_bool() {
        return Ok(Some(Value::Bool(flag)));
    }
    if let Ok(integer) = value.as_int() {
        return Ok(Some(Value::from(integer)));
    }
    if let Ok(float) = value.as_float() {
        let number = Number::from_f64(float).ok_or("it is not a finite number")?;
        return Ok(Some(Value::Number(number)));
    }
    if let Ok(c) = value.as_char() {
        return Ok(Some(Value::String(c.to_string())));
    }
    if let Ok(items) = value.as_array_ref() {
        let items = items.iter().map(|item| json(item, depth + 1).map(Option::unwrap_or_default));
        return Ok(Some(Value::Array(items.collect::<Result<_, _>>()?)));
    }
    if let Ok(map) = value.as_map_ref() {
        return Ok(Some(Value::Object(members(&map, depth).collect::<Result<_, _>>()?)));
    }
    let digits = value.read_lock::<Digits>().ok_or("it is neither text, number, boolean, list nor map")?;
    digits.0.parse().map(|number| Some(Value::Number(number))).map_err(|_| "it is not a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_comes_back_from_a_script_digit_for_digit() {
        for text in [
            "9007199254740993",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "123456789012345678901234567890",
            "12.5",
            "true",
            r#""x""#,
            r#"{"a":[1,"b",{"c":null}]}"#,
        ] {
            let value: Value = serde_json::from_str(text).expect("test data is JSON");
            let back = from_script(&to_script(&value)).expect("it is plain data").expect("it is there");
            assert_eq!(back.to_string(), text);
        }
    }

    #[test]
    fn integers_beyond_64_bits_are_in_order() {
        let engine = Engine::new(|| Duration::ZERO, || Duration::ZERO);
        let value = |text: &str| to_script(&serde_json::from_str(text).expect("test data is JSON"));
        let numbers = [
            "-99999999999999999999",
            "-9223372036854775809",
            "-9223372036854775808",
            "5",
            "9223372036854775807",
            "18446744073709551615",
            "99999999999999999999",
        ];
        for (left, a) in numbers.iter().enumerate() {
            for (right, b) in numbers.iter().enumerate() {
                let mut scope = Scope::new();
                scope.push_dynamic("a", value(a)).push_dynamic("b", value(b));
                let mut is = |operator: &str| {
                    let text = format!("a {operator} b");
                    engine.rhai.eval_with_scope::<bool>(&mut scope, &text).expect("it is a comparison")
                };
                let found = [is("<"), is("<="), is("=="), is("!="), is(">="), is(">")];
                let expected = [left < right, left <= right, left == right, left != right, left >= right, left > right];
                assert_eq!(found, expected, "{a} {b}");
            }
        }
    }

    #[test]
    fn null_is_absent_and_infinity_is_refused() {
        assert_eq!(from_script(&to_script(&Value::Null)), Ok(None));
        assert!(from_script(&Dynamic::from_float(f64::INFINITY)).is_err());
    }
}
