//! The two schemas of one place, member by member.
//!
//! Pairs of schemas wait in a list instead of on the stack, and each pair of places is compared once for each side: a schema
//! that contains itself ends, and a long chain of schemas needs no deep stack.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Number, Value};

use super::flat::{Flat, Variants};
use super::pointer::{Found, join};
use crate::{Change, Effect, Rule};

/// Who writes what the schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// Callers write it, the service reads it.
    Request,
    /// The service writes it, callers read it.
    Answer,
}

/// Whether a schema allows more or less than before.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Wider,
    Narrower,
}

impl Side {
    /// Whoever reads must understand all that is written: a wider request is no harm to old callers, a narrower answer neither.
    fn effect(self, turn: Turn) -> Effect {
        match (self, turn) {
            (Self::Request, Turn::Wider) | (Self::Answer, Turn::Narrower) => Effect::CompatibleForCallers,
            (Self::Request, Turn::Narrower) | (Self::Answer, Turn::Wider) => Effect::CompatibleForService,
        }
    }
}

/// Where a pair of things is: for people, and on which side.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) steps: Vec<String>,
    pub(super) side: Side,
}

impl At {
    fn step(&self, step: impl Into<String>) -> Self {
        let mut steps = self.steps.clone();
        steps.push(step.into());
        Self { steps, side: self.side }
    }
}

/// The comparison of two documents, while it goes on.
pub(super) struct Comparison<'a> {
    pub(super) old: &'a Value,
    pub(super) new: &'a Value,
    changes: Vec<Change>,
    pending: VecDeque<(Found<'a>, Found<'a>, At)>,
    seen: BTreeSet<(String, String, Side)>,
}

/// A limit, and whether it is itself excluded.
type Bound = Option<(Number, bool)>;

/// What a missing schema means: anything.
static ANYTHING: Value = Value::Bool(true);

/// Members that say nothing about the wire.
const DOCUMENTATION: [&str; 8] =
    ["title", "description", "summary", "example", "examples", "externalDocs", "deprecated", "xml"];

/// Bounds below: a greater one allows less. With what a missing one means.
const LOWER: [&str; 3] = ["minLength", "minItems", "minProperties"];
/// Bounds above: a smaller one allows less.
const UPPER: [&str; 3] = ["maxLength", "maxItems", "maxProperties"];

/// Members that [`Comparison::schemas`] has looked at, one by one.
const COMPARED: [&str; 18] = [
    "type",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "minItems",
    "minProperties",
    "maxLength",
    "maxItems",
    "maxProperties",
    "pattern",
    "multipleOf",
    "uniqueItems",
    "items",
    "additionalProperties",
    "default",
];

impl<'a> Comparison<'a> {
    pub(super) fn new(old: &'a Value, new: &'a Value) -> Self {
        Self { old, new, changes: Vec::new(), pending: VecDeque::new(), seen: BTreeSet::new() }
    }

    /// Everything that was told, after all pending schemas were compared.
    pub(super) fn finish(mut self) -> Vec<Change> {
        while let Some((old, new, at)) = self.pending.pop_front() {
            self.schemas(&old, &new, &at);
        }
        self.changes
    }

    /// Compares two schemas later. Where one is missing, anything is allowed.
    pub(super) fn enqueue(&mut self, old: Option<Found<'a>>, new: Option<Found<'a>>, at: impl FnOnce() -> At) {
        let anything = |pointer: &str| Found { value: &ANYTHING, pointer: pointer.to_owned() };
        let pair = match (old, new) {
            (None, None) => return,
            (Some(old), Some(new)) => (old, new),
            (Some(old), None) => {
                let new = anything(&old.pointer);
                (old, new)
            }
            (None, Some(new)) => (anything(&new.pointer), new),
        };
        self.pending.push_back((pair.0, pair.1, at()));
    }

    pub(super) fn tell(
        &mut self,
        rule: Rule,
        effect: Effect,
        pointer: impl Into<String>,
        at: &[String],
        was_is: (Option<String>, Option<String>),
    ) {
        let (was, is) = was_is;
        self.changes.push(Change { rule, effect, pointer: pointer.into(), steps: at.to_vec(), was, is });
    }

    /// Tells a difference of members that say nothing about the wire.
    pub(super) fn documentation(&mut self, old: &Found<'_>, new: &Found<'_>, also: &[&str], at: &[String]) {
        let is_documentation = |key: &str| DOCUMENTATION.contains(&key) || also.contains(&key) || key.starts_with("x-");
        let keys: BTreeSet<&str> = old.members().chain(new.members()).map(|(key, _)| key).collect();
        for key in keys.into_iter().filter(|key| is_documentation(key)) {
            let (was, is) = (old.value.get(key), new.value.get(key));
            if was != is {
                let pointer = join(if is.is_some() { &new.pointer } else { &old.pointer }, key);
                self.tell(
                    Rule::DocumentationChanged,
                    Effect::Documentation,
                    pointer,
                    at,
                    (was.map(short), is.map(short)),
                );
            }
        }
    }

    /// Tells a difference of members that nobody has compared.
    pub(super) fn others(&mut self, old: &Found<'_>, new: &Found<'_>, compared: &[&str], at: &[String]) {
        let is_other = |key: &str| !DOCUMENTATION.contains(&key) && !compared.contains(&key) && !key.starts_with("x-");
        let keys: BTreeSet<&str> = old.members().chain(new.members()).map(|(key, _)| key).collect();
        for key in keys.into_iter().filter(|key| is_other(key)) {
            let (was, is) = (old.value.get(key), new.value.get(key));
            if was != is {
                let pointer = join(if is.is_some() { &new.pointer } else { &old.pointer }, key);
                self.tell(Rule::OtherChanged, Effect::Breaking, pointer, at, (was.map(short), is.map(short)));
            }
        }
    }

    fn turn(&mut self, rule: Rule, turn: Turn, pointer: String, at: &At, was_is: (Option<String>, Option<String>)) {
        self.tell(rule, at.side.effect(turn), pointer, &at.steps, was_is);
    }

    fn schemas(&mut self, old: &Found<'a>, new: &Found<'a>, at: &At) {
        // What is no schema at all is not looked into.
        if [old, new].iter().any(|found| !found.value.is_object() && found.value != &ANYTHING) {
            if old.value != new.value {
                let was_is = (Some(short(old.value)), Some(short(new.value)));
                self.tell(Rule::SchemaChanged, Effect::Breaking, new.pointer.clone(), &at.steps, was_is);
            }
            return;
        }
        // What is missing has the pointer of its counterpart, and is another schema all the same.
        let key = |found: &Found<'a>, flat: &Flat<'a>| match found.value == &ANYTHING {
            true => String::new(),
            false => flat.pointer.clone(),
        };
        let (before, after) = (Flat::new(old, self.old), Flat::new(new, self.new));
        if !self.seen.insert((key(old, &before), key(new, &after), at.side)) {
            return;
        }
        let (old, new) = (before, after);
        self.schema_documentation(&old, &new, at);
        if !self.types(&old, &new, at) {
            return;
        }
        self.nullable(&old, &new, at);
        self.format(&old, &new, at);
        self.values(&old, &new, at);
        self.bounds(&old, &new, at);
        self.properties(&old, &new, at);
        self.additional_properties(&old, &new, at);
        self.items(&old, &new, at);
        self.variants(&old, &new, at);
        self.remaining(&old, &new, at);
    }

    fn schema_documentation(&mut self, old: &Flat<'_>, new: &Flat<'_>, at: &At) {
        let keys: BTreeSet<&str> = old.keywords().chain(new.keywords()).collect();
        for key in keys.into_iter().filter(|key| DOCUMENTATION.contains(key) || key.starts_with("x-")) {
            let (was, is) = (old.said(key), new.said(key));
            if !same(was, is) {
                let pointer = if is.is_empty() { old.place(key) } else { new.place(key) };
                let was_is = (was.first().map(|found| short(found.value)), is.first().map(|found| short(found.value)));
                self.tell(Rule::DocumentationChanged, Effect::Documentation, pointer, &at.steps, was_is);
            }
        }
    }

    /// Whether it makes sense to go on.
    fn types(&mut self, old: &Flat<'_>, new: &Flat<'_>, at: &At) -> bool {
        let (was, is) = (old.kind(), new.kind());
        let effect = match (was, is) {
            _ if was == is && same(old.said("type"), new.said("type")) => return true,
            // A type that follows from the values of an `enum` may also be written down.
            _ if was == is && was.is_some() => return true,
            // What has alternatives is told as a change of these.
            (None, Some(_)) if old.variants.is_some() => Effect::Breaking,
            (Some(_), None) if new.variants.is_some() => Effect::Breaking,
            (None, _) | (Some("number"), Some("integer")) => at.side.effect(Turn::Narrower),
            (_, None) | (Some("integer"), Some("number")) => at.side.effect(Turn::Wider),
            _ => Effect::Breaking,
        };
        let rule =
            if old.variants.is_some() != new.variants.is_some() { Rule::SchemaChanged } else { Rule::TypeChanged };
        self.tell(rule, effect, new.place("type"), &at.steps, (Some(old.describe()), Some(new.describe())));
        false
    }

    fn nullable(&mut self, old: &Flat<'_>, new: &Flat<'_>, at: &At) {
        let (rule, turn) = match (old.nullable, new.nullable) {
            (false, true) => (Rule::NullAllowed, Turn::Wider),
            (true, false) => (Rule::NullRefused, Turn::Narrower),
            _ => return,
        };
        self.turn(rule, turn, new.pointer.clone(), at, (Some(old.describe()), Some(new.describe())));
    }

    fn format(&mut self, old: &Flat<'_>, new: &Flat<'_>, at: &At) {
        let (was, is) = (old.said("format"), new.said("format"));
        if same(was, is) {
            return;
        }
        let text = |found: &[Found<'_>]| found.first().and_then(|found| found.value.as_str().map(str::to_owned));
        let effect = match (text(was).as_deref(), text(is).as_deref()) {
            (None, Some(_)) => at.side.effect(Turn::Narrower),
            (Some(_), None) => at.side.effect(Turn::Wider),
            (Some(was), Some(is)) if holds(is, was) => at.side.effect(Turn::Wider),
            (Some(was), Some(is)) if holds(was, is) => at.side.effect(Turn::Narrower),
            _ => Effect::Breaking,
        };
        self.tell(Rule::FormatChanged, effect, new.place("format"), &at.steps, (text(was), text(is)));
    }

    fn values(&mut self, old: &Flat<'_>, new: &Flat<'_>, at: &At) {
        let list = |values: &[Found<'_>]| {
            let values: Vec<String> = values.iter().map(|found| found.value.to_string()).collect();
            clip(&format!("one of {}", values.join(", ")))
        };
        let pointer = join(&new.pointer, "enum");
        match (&old.values, &new.values) {
            (None, None) => {}
            (None, Some(values)) => {
                let was_is = (Some("any value".to_owned()), Some(list(values)));
                self.turn(Rule::ConstraintNarrowed, Turn::Narrower, pointer, at, was_is);
            }
            (Some(values), None) => {
                let was_is = (Some(list(values)), Some("any value".to_owned()));
                self.turn(Rule::ConstraintWidened, Turn::Wider, pointer, at, was_is);
            }
            (Some(old), Some(new)) => {
                for gone in old.iter().filter(|value| !contains(new, value)) {
                    let was_is = (Some(short(gone.value)), None);
                    self.turn(Rule::EnumValueRemoved, Turn::Narrower, gone.pointer.clone(), at, was_is);
                }
                for added in new.iter().filter(|value| !contains(old, value)) {
                    let was_is = (None, Some(short(added.value)));
                    self.turn(Rule::EnumValueAdded, Turn::Wider, added.pointer.clone(), at, was_is);
                }
            }
        }
    }

    fn bounds(&mut self, old: &Flat<'_>, new: &Flat<'_>, at: &At) {
        for (keyword, exclusive, direction) in
            [("minimum", "exclusiveMinimum", Ordering::Greater), ("maximum", "exclusiveMaximum", Ordering::Less)]
        {
            let bound = |flat: &Flat<'_>| {
                let limit = flat.get(keyword)?.value.as_number()?.clone();
                let is_exclusive = flat.said(exclusive).iter().any(|found| found.value == &Value::Bool(true));
                Some((limit, is_exclusive))
            };
            self.bound(keyword, direction, (bound(old), bound(new)), (old, new), at);
        }
        let missing_below = Number::from(0);
        for keyword in LOWER {
            let limit = |flat: &Flat<'_>| Some(number(flat, keyword).unwrap_or_else(|| missing_below.clone()));
            let bounds = (limit(old).map(|limit| (limit, false)), limit(new).map(|limit| (limit, false)));
            self.bound(keyword, Ordering::Greater, bounds, (old, new), at);
        }
        for keyword in UPPER {
            let limit = |flat: &Flat<'_>| number(flat, keyword).map(|limit| (limit, false));
            self.bound(keyword, Ordering::Less, (limit(old), limit(new)), (old, new), at);
        }
        let unique = |flat: &Flat<'_>| flat.said("uniqueItems").iter().any(|found| found.value == &Value::Bool(true));
        let (rule, turn) = match (unique(old), unique(new)) {
            (false, true) => (Some(Rule::ConstraintNarrowed), Turn::Narrower),
            (true, false) => (Some(Rule::ConstraintWidened), Turn::Wider),
            _ => (None, Turn::Wider),
        };
        if let Some(rule) = rule {
            let word = |unique: bool| Some(if unique { "uniqueItems true" } else { "uniqueItems false" }.to_owned());
            self.turn(rule, turn, new.place("uniqueItems"), at, (word(unique(old)), word(unique(new))));
        }
        for keyword in ["pattern", "multipleOf"] {
            let (was, is) = (old.said(keyword), new.said(keyword));
            if same(was, is) {
                continue;
            }
            let (rule, effect) = match (was.is_empty(), is.is_empty()) {
                (true, _) => (Rule::ConstraintNarrowed, at.side.effect(Turn::Narrower)),
                (_, true) => (Rule::ConstraintWidened, at.side.effect(Turn::Wider)),
                _ => (Rule::ConstraintChanged, Effect::Breaking),
            };
            let text = |said: &[Found<'_>]| {
                Some(said.first().map_or(format!("no {keyword}"), |one| format!("{keyword} {}", short(one.value))))
            };
            self.tell(rule, effect, new.place(keyword), &at.steps, (text(was), text(is)));
        }
    }

    /// `narrower`: how a limit that allows less compares with the other.
    fn bound(
        &mut self,
        keyword: &str,
        narrower: Ordering,
        (was, is): (Bound, Bound),
        (old, new): (&Flat<'_>, &Flat<'_>),
        at: &At,
    ) {
        let order = match (&was, &is) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => narrower,
            (Some(_), None) => narrower.reverse(),
            (Some((was, was_exclusive)), Some((is, is_exclusive))) => {
                let exclusive = is_exclusive.cmp(was_exclusive);
                compare(is, was).then(if narrower == Ordering::Greater { exclusive } else { exclusive.reverse() })
            }
        };
        let text = |bound: Bound| {
            Some(match bound {
                None => format!("no {keyword}"),
                Some((limit, false)) => format!("{keyword} {limit}"),
                Some((limit, true)) => format!("{keyword} {limit}, itself excluded"),
            })
        };
        let is_gone = new.said(keyword).is_empty() && !old.said(keyword).is_empty();
        let pointer = if is_gone { old.place(keyword) } else { new.place(keyword) };
        if order == narrower {
            self.turn(Rule::ConstraintNarrowed, Turn::Narrower, pointer, at, (text(was), text(is)));
        } else if order != Ordering::Equal {
            self.turn(Rule::ConstraintWidened, Turn::Wider, pointer, at, (text(was), text(is)));
        }
    }

    fn properties(&mut self, old: &Flat<'a>, new: &Flat<'a>, at: &At) {
        let names: BTreeSet<&str> =
            [old, new].into_iter().flat_map(|flat| flat.properties.keys().chain(&flat.required)).copied().collect();
        for name in names {
            let there = |flat: &Flat<'a>, root: &'a Value| {
                let list = flat.properties.get(name)?;
                // `readOnly` is never sent by callers, `writeOnly` never by the service.
                let absent = if at.side == Side::Request { "readOnly" } else { "writeOnly" };
                let is_absent = |found: &Found<'a>| found.is_true(absent) || found.resolve(root).is_true(absent);
                (!list.iter().any(is_absent)).then(|| list.clone())
            };
            let (was, is) = (there(old, self.old), there(new, self.new));
            let (was_required, is_required) = (old.required.contains(name), new.required.contains(name));
            let at = at.step(name);
            match (was, is) {
                (None, Some(added)) if old.properties.contains_key(name) || !was_required => {
                    self.property_added(&added, is_required, old.is_closed(), &at);
                }
                (Some(gone), None) if new.properties.contains_key(name) || !is_required => {
                    self.property_removed(&gone, was_required, &at);
                }
                (was, is) => {
                    if was_required != is_required {
                        let (rule, turn) = if is_required {
                            (Rule::PropertyBecameRequired, Turn::Narrower)
                        } else {
                            (Rule::PropertyBecameOptional, Turn::Wider)
                        };
                        let pointer = is.as_ref().and_then(|list| list.first()).map(|found| found.pointer.clone());
                        let word = |required| Some(if required { "required" } else { "optional" }.to_owned());
                        let pointer = pointer.unwrap_or_else(|| join(&new.pointer, "required"));
                        self.turn(rule, turn, pointer, &at, (word(was_required), word(is_required)));
                    }
                    let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
                    let several = was.len().max(is.len());
                    let (mut was, mut is) = (was.into_iter(), is.into_iter());
                    for _ in 0..several {
                        self.enqueue(was.next(), is.next(), || at.clone());
                    }
                }
            }
        }
    }

    fn property_added(&mut self, added: &[Found<'a>], required: bool, was_closed: bool, at: &At) {
        let Some(first) = added.first() else { return };
        let (rule, effect) = match (at.side, required, was_closed) {
            (Side::Request, false, _) => (Rule::OptionalPropertyAddedToRequest, Effect::CompatibleForCallers),
            (Side::Request, true, _) => (Rule::RequiredPropertyAddedToRequest, Effect::Breaking),
            (Side::Answer, _, false) => (Rule::PropertyAddedToAnswer, Effect::CompatibleForCallers),
            (Side::Answer, false, true) => (Rule::PropertyAddedToAnswer, Effect::CompatibleForService),
            (Side::Answer, true, true) => (Rule::PropertyAddedToAnswer, Effect::Breaking),
        };
        let is = property(&Flat::new(first, self.new), required);
        self.tell(rule, effect, first.pointer.clone(), &at.steps, (None, Some(is)));
    }

    fn property_removed(&mut self, gone: &[Found<'a>], required: bool, at: &At) {
        let Some(first) = gone.first() else { return };
        let (rule, effect) = match (at.side, required) {
            (Side::Request, false) => (Rule::PropertyRemovedFromRequest, Effect::CompatibleForService),
            (Side::Request, true) => (Rule::PropertyRemovedFromRequest, Effect::Breaking),
            (Side::Answer, _) => (Rule::PropertyRemovedFromAnswer, Effect::CompatibleForService),
        };
        let was = property(&Flat::new(first, self.old), required);
        self.tell(rule, effect, first.pointer.clone(), &at.steps, (Some(was), None));
    }

    fn additional_properties(&mut self, old: &Flat<'a>, new: &Flat<'a>, at: &At) {
        const KEYWORD: &str = "additionalProperties";
        let word = |flat: &Flat<'_>| {
            Some(
                if flat.is_closed() { "unknown properties are refused" } else { "unknown properties are allowed" }
                    .to_owned(),
            )
        };
        let (rule, turn) = match (old.is_closed(), new.is_closed()) {
            (true, true) => return,
            (false, true) => (Rule::UnknownPropertiesRefused, Turn::Narrower),
            (true, false) => (Rule::UnknownPropertiesAllowed, Turn::Wider),
            (false, false) => {
                let schema = |flat: &Flat<'a>| flat.get(KEYWORD).cloned();
                return self.enqueue(schema(old), schema(new), || at.step("each value"));
            }
        };
        let pointer = if new.said(KEYWORD).is_empty() { old.place(KEYWORD) } else { new.place(KEYWORD) };
        self.turn(rule, turn, pointer, at, (word(old), word(new)));
    }

    fn items(&mut self, old: &Flat<'a>, new: &Flat<'a>, at: &At) {
        let (was, is) = (old.get("items"), new.get("items"));
        let is_tuple = |items: Option<&Found<'a>>| items.is_some_and(|items| items.value.is_array());
        if !is_tuple(was) || !is_tuple(is) {
            return self.enqueue(was.cloned(), is.cloned(), || at.step("each item"));
        }
        // A list of schemas is JSON Schema's way for tuples. OpenAPI 3.0 has it not, and generators write it all the same.
        let list =
            |items: Option<&Found<'a>>| items.map(|items| items.elements().collect::<Vec<_>>()).unwrap_or_default();
        let (was, is) = (list(was), list(is));
        if was.len() != is.len() {
            let count = |list: &[Found<'a>]| Some(format!("{} items", list.len()));
            let was_is = (count(&was), count(&is));
            return self.tell(Rule::SchemaChanged, Effect::Breaking, new.place("items"), &at.steps, was_is);
        }
        for (index, (was, is)) in was.into_iter().zip(is).enumerate() {
            self.pending.push_back((was, is, at.step(format!("item {}", index + 1))));
        }
    }

    fn variants(&mut self, old: &Flat<'a>, new: &Flat<'a>, at: &At) {
        let (was, is) = match (&old.variants, &new.variants) {
            (None, None) => return,
            (Some(was), Some(is)) => (was, is),
            (was, is) => {
                let found = is.as_ref().or(was.as_ref());
                let pointer = found.map_or_else(|| new.pointer.clone(), |variants| variants.pointer.clone());
                let was_is = (Some(old.describe()), Some(new.describe()));
                return self.tell(Rule::SchemaChanged, Effect::Breaking, pointer, &at.steps, was_is);
            }
        };
        if was.keyword != is.keyword {
            let (rule, turn) = match is.keyword {
                "anyOf" => (Rule::ConstraintWidened, Turn::Wider),
                _ => (Rule::ConstraintNarrowed, Turn::Narrower),
            };
            let was_is = (Some(was.keyword.to_owned()), Some(is.keyword.to_owned()));
            self.turn(rule, turn, is.pointer.clone(), at, was_is);
        }
        let mut unmatched = Named::list(was, self.old);
        let mut added = Vec::new();
        for variant in Named::list(is, self.new) {
            match unmatched.iter().position(|other| other.name == variant.name) {
                Some(index) => self.pair(unmatched.remove(index), variant, at),
                None => added.push(variant),
            }
        }
        // A variant that is known only by its type's name may be renamed.
        let by_schema = |variant: &Named<'a>| !variant.is_tagged;
        while let Some(index) = added.iter().position(by_schema) {
            let Some(other) = unmatched.iter().position(by_schema) else { break };
            self.pair(unmatched.remove(other), added.remove(index), at);
        }
        for gone in unmatched {
            let was_is = (Some(gone.name), None);
            self.turn(Rule::VariantRemoved, Turn::Narrower, gone.found.pointer, at, was_is);
        }
        for added in added {
            let was_is = (None, Some(added.name));
            self.turn(Rule::VariantAdded, Turn::Wider, added.found.pointer, at, was_is);
        }
    }

    fn pair(&mut self, old: Named<'a>, new: Named<'a>, at: &At) {
        let at = at.step(format!("variant {}", new.name));
        self.pending.push_back((old.found, new.found, at));
    }

    /// Members that have no rule of their own, and those that an `allOf` says several times.
    fn remaining(&mut self, old: &Flat<'_>, new: &Flat<'_>, at: &At) {
        let keys: BTreeSet<&str> = old.keywords().chain(new.keywords()).collect();
        for key in keys {
            let (was, is) = (old.said(key), new.said(key));
            let is_compared = COMPARED.contains(&key) && key != "default" && was.len() < 2 && is.len() < 2;
            let is_absence = ["readOnly", "writeOnly", "$ref"].contains(&key);
            if is_compared || is_absence || DOCUMENTATION.contains(&key) || key.starts_with("x-") || same(was, is) {
                continue;
            }
            if key == "discriminator" && same_discriminator(was, is) {
                continue;
            }
            let rule = match key {
                "default" => Rule::DefaultChanged,
                "not" | "discriminator" | "oneOf" | "anyOf" => Rule::SchemaChanged,
                _ if COMPARED.contains(&key) => Rule::SchemaChanged,
                _ => Rule::OtherChanged,
            };
            let text = |said: &[Found<'_>]| said.first().map(|found| short(found.value));
            let pointer = if is.is_empty() { old.place(key) } else { new.place(key) };
            self.tell(rule, Effect::Breaking, pointer, &at.steps, (text(was), text(is)));
        }
    }
}

/// A variant, and by what it is found again.
struct Named<'a> {
    found: Found<'a>,
    name: String,
    /// By something that is on the wire, not by a name in the document.
    is_tagged: bool,
}

impl<'a> Named<'a> {
    fn list(variants: &Variants<'a>, root: &'a Value) -> Vec<Self> {
        let mut list: Vec<Self> = variants.items.iter().map(|item| Self::new(item, root)).collect();
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        for variant in &list {
            *count.entry(variant.name.clone()).or_default() += 1;
        }
        // What several have does not tell them apart.
        for (index, variant) in list.iter_mut().enumerate() {
            if count[&variant.name] > 1 {
                variant.name = format!("{} {}", variant.name, index + 1);
                variant.is_tagged = false;
            }
        }
        list
    }

    fn new(found: &Found<'a>, root: &'a Value) -> Self {
        let flat = Flat::new(found, root);
        let tag = flat.required.iter().find_map(|name| {
            let property = Flat::new(flat.properties.get(name)?.first()?, root);
            match property.values.as_deref() {
                Some([one]) => {
                    Some(format!("{name}={}", one.value.as_str().map_or_else(|| one.value.to_string(), str::to_owned)))
                }
                _ => None,
            }
        });
        let only_property = || match (flat.properties.len(), flat.required.first(), flat.required.len()) {
            (1, Some(name), 1) => Some((*name).to_owned()),
            _ => None,
        };
        let constant = || match flat.values.as_deref() {
            Some([one]) => Some(one.value.to_string()),
            _ => None,
        };
        let found = found.clone();
        if let Some(name) = tag.or_else(only_property).or_else(constant) {
            return Self { found, name, is_tagged: true };
        }
        let component = found.pointer.strip_prefix("#/components/schemas/").filter(|rest| !rest.contains('/'));
        let name = component.map_or_else(|| flat.describe(), str::to_owned);
        Self { found, name, is_tagged: false }
    }
}

fn property(flat: &Flat<'_>, required: bool) -> String {
    format!("{}, {}", flat.describe(), if required { "required" } else { "optional" })
}

/// Whether every number of the format `small` has the format `large`.
fn holds(large: &str, small: &str) -> bool {
    const SIZES: [&[&str]; 3] =
        [&["int8", "int16", "int32", "int64"], &["uint8", "uint16", "uint32", "uint64"], &["float", "double"]];
    let size = |sizes: &[&str], format: &str| sizes.iter().position(|other| *other == format);
    SIZES
        .iter()
        .any(|sizes| matches!((size(sizes, large), size(sizes, small)), (Some(large), Some(small)) if large > small))
}

/// A value as one short line.
pub(super) fn short(value: &Value) -> String {
    clip(&value.to_string())
}

/// So that a report stays readable.
const LONGEST: usize = 100;

fn clip(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

fn same(old: &[Found<'_>], new: &[Found<'_>]) -> bool {
    old.len() == new.len() && old.iter().all(|value| contains(new, value))
}

fn contains(list: &[Found<'_>], value: &Found<'_>) -> bool {
    list.iter().any(|other| other.value == value.value)
}

fn number(flat: &Flat<'_>, keyword: &str) -> Option<Number> {
    flat.get(keyword)?.value.as_number().cloned()
}

/// Integers exactly, anything else as `f64`.
fn compare(a: &Number, b: &Number) -> Ordering {
    let integer = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
    }
}

/// The tag's name and its values count; the names of the types behind them do not.
fn same_discriminator(old: &[Found<'_>], new: &[Found<'_>]) -> bool {
    let essence = |said: &[Found<'_>]| {
        let found = said.first()?;
        let tags: BTreeSet<String> = found.get("mapping")?.members().map(|(tag, _)| tag.to_owned()).collect();
        Some((found.text("propertyName")?.to_owned(), tags))
    };
    essence(old).is_some() && essence(old) == essence(new)
}
