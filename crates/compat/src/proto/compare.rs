//! Two descriptors of the same package.

use std::collections::BTreeMap;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto, MethodDescriptorProto,
    ServiceDescriptorProto,
};

use super::Proto;
use crate::{Change, Effect, Rule};

/// Everything of a package, by its name in the package.
#[derive(Default)]
struct Names<'a> {
    messages: BTreeMap<String, &'a DescriptorProto>,
    enums: BTreeMap<String, &'a EnumDescriptorProto>,
    services: BTreeMap<String, &'a ServiceDescriptorProto>,
}

impl<'a> Names<'a> {
    fn new(proto: &'a Proto) -> Self {
        let mut names = Self::default();
        let full = |scope: &str, name: &str| format!("{scope}.{name}");
        let mut pending = Vec::new();
        for file in &proto.files {
            names.services.extend(file.service.iter().map(|service| (service.name().to_owned(), service)));
            names.enums.extend(file.enum_type.iter().map(|list| (list.name().to_owned(), list)));
            pending.extend(file.message_type.iter().map(|message| (message.name().to_owned(), message)));
        }
        while let Some((name, message)) = pending.pop() {
            names.enums.extend(message.enum_type.iter().map(|list| (full(&name, list.name()), list)));
            pending.extend(message.nested_type.iter().map(|nested| (full(&name, nested.name()), nested)));
            names.messages.insert(name, message);
        }
        names
    }
}

/// Names are compared without the package: a next version has another one.
struct Comparison<'a> {
    old_package: &'a str,
    package: &'a str,
    changes: Vec<Change>,
}

pub(super) fn packages(old: &Proto, new: &Proto) -> Vec<Change> {
    let mut comparison = Comparison { old_package: &old.package, package: &new.package, changes: Vec::new() };
    let (before, after) = (Names::new(old), Names::new(new));
    for (name, was) in &before.services {
        match after.services.get(name) {
            Some(is) => comparison.services(name, was, is),
            None => comparison.removed(Rule::ServiceRemoved, "service", name),
        }
    }
    for (name, was) in &before.messages {
        match after.messages.get(name) {
            Some(is) => comparison.messages(name, was, is),
            // A map's entry goes with its field, which is told.
            None if is_map_entry(was) => {}
            None => comparison.removed(Rule::MessageRemoved, "message", name),
        }
    }
    for (name, was) in &before.enums {
        match after.enums.get(name) {
            Some(is) => comparison.enums(name, was, is),
            None => comparison.removed(Rule::EnumRemoved, "enum", name),
        }
    }
    for (name, _) in after.messages.iter().filter(|(_, message)| !is_map_entry(message)) {
        comparison.added(Rule::MessageAdded, "message", name, before.messages.contains_key(name));
    }
    for name in after.enums.keys() {
        comparison.added(Rule::EnumAdded, "enum", name, before.enums.contains_key(name));
    }
    for name in after.services.keys() {
        comparison.added(Rule::ServiceAdded, "service", name, before.services.contains_key(name));
    }
    comparison.changes
}

impl Comparison<'_> {
    /// `owner` is a name in the package; `member` stands below it.
    fn tell(
        &mut self,
        rule: Rule,
        effect: Effect,
        owner: &str,
        member: Option<&str>,
        was: Option<String>,
        is: Option<String>,
    ) {
        let steps = std::iter::once(owner).chain(member).map(str::to_owned).collect();
        // What is gone has its name in the older package.
        let package = if is.is_none() && was.is_some() { self.old_package } else { self.package };
        let parts = [Some(package), Some(owner), member].into_iter().flatten().filter(|part| !part.is_empty());
        let pointer = parts.collect::<Vec<_>>().join(".");
        self.changes.push(Change { rule, effect, pointer, steps, was, is });
    }

    /// Whether two names of types mean the same one, each in its package.
    fn is_same(&self, was: &str, is: &str) -> bool {
        was == is
            || matches!((local(self.old_package, was), local(self.package, is)), (Some(was), Some(is)) if was == is)
    }

    fn removed(&mut self, rule: Rule, kind: &str, name: &str) {
        self.tell(rule, Effect::CompatibleForService, name, None, Some(format!("{kind} {name}")), None);
    }

    fn added(&mut self, rule: Rule, kind: &str, name: &str, was_there: bool) {
        if !was_there {
            self.tell(rule, Effect::CompatibleForCallers, name, None, None, Some(format!("{kind} {name}")));
        }
    }

    fn services(&mut self, owner: &str, old: &ServiceDescriptorProto, new: &ServiceDescriptorProto) {
        for was in &old.method {
            let name = was.name();
            let Some(is) = new.method.iter().find(|method| method.name() == name) else {
                self.tell(Rule::RpcRemoved, Effect::CompatibleForService, owner, Some(name), Some(rpc(was)), None);
                continue;
            };
            let (before, after) = (Some(rpc(was)), Some(rpc(is)));
            let (takes, returns) =
                (self.is_same(was.input_type(), is.input_type()), self.is_same(was.output_type(), is.output_type()));
            if !takes || !returns {
                self.tell(Rule::RpcTypeChanged, Effect::Breaking, owner, Some(name), before.clone(), after.clone());
            }
            if (was.client_streaming(), was.server_streaming()) != (is.client_streaming(), is.server_streaming()) {
                self.tell(Rule::RpcStreamingChanged, Effect::Breaking, owner, Some(name), before, after);
            }
            let deprecated = |method: &MethodDescriptorProto| method.options.as_ref().is_some_and(|o| o.deprecated());
            self.deprecation(owner, name, deprecated(was), deprecated(is));
        }
        for is in new.method.iter().filter(|is| old.method.iter().all(|was| was.name() != is.name())) {
            self.tell(Rule::RpcAdded, Effect::CompatibleForCallers, owner, Some(is.name()), None, Some(rpc(is)));
        }
    }

    fn messages(&mut self, owner: &str, old: &DescriptorProto, new: &DescriptorProto) {
        for was in &old.field {
            match new.field.iter().find(|field| field.number() == was.number()) {
                Some(is) => self.fields(owner, (old, was), (new, is)),
                None => {
                    // The end of a message's range is not in it.
                    let is_reserved =
                        new.reserved_range.iter().any(|range| (range.start()..range.end()).contains(&was.number()))
                            && new.reserved_name.iter().any(|name| name == was.name());
                    let rule = if is_reserved { Rule::FieldRetired } else { Rule::FieldRemoved };
                    let before = Some(field(old, was));
                    self.tell(rule, Effect::CompatibleForService, owner, Some(was.name()), before, None);
                }
            }
        }
        for is in new.field.iter().filter(|is| old.field.iter().all(|was| was.number() != is.number())) {
            let (rule, effect) = match is.label() {
                Label::Required => (Rule::RequiredFieldAdded, Effect::Breaking),
                Label::Optional | Label::Repeated => (Rule::FieldAdded, Effect::CompatibleForCallers),
            };
            self.tell(rule, effect, owner, Some(is.name()), None, Some(field(new, is)));
        }
        let ranges = |message: &DescriptorProto| -> Vec<(i32, i32)> {
            message.reserved_range.iter().map(|range| (range.start(), range.end() - 1)).collect()
        };
        self.reservations(owner, (&ranges(old), &old.reserved_name), (&ranges(new), &new.reserved_name));
    }

    fn fields(
        &mut self,
        owner: &str,
        (old, was): (&DescriptorProto, &FieldDescriptorProto),
        (new, is): (&DescriptorProto, &FieldDescriptorProto),
    ) {
        let label = |field: &FieldDescriptorProto| (field.label(), field.proto3_optional());
        let oneof = |message: &DescriptorProto, field: &FieldDescriptorProto| {
            let index = field.oneof_index.filter(|_| !field.proto3_optional())?;
            let oneof = message.oneof_decl.get(usize::try_from(index).ok()?)?;
            Some(oneof.name().to_owned())
        };
        let (renamed, retyped) =
            (was.name() != is.name(), was.r#type() != is.r#type() || !self.is_same(was.type_name(), is.type_name()));
        let rules = [
            (renamed && retyped, Rule::FieldNumberReused),
            (renamed && !retyped, Rule::FieldRenamed),
            (retyped && !renamed, Rule::FieldTypeChanged),
            (!renamed && was.json_name() != is.json_name(), Rule::FieldJsonNameChanged),
            (label(was) != label(is), Rule::FieldLabelChanged),
            (oneof(old, was) != oneof(new, is), Rule::FieldOneofChanged),
            (was.default_value() != is.default_value(), Rule::DefaultChanged),
        ];
        for (_, rule) in rules.into_iter().filter(|(broken, _)| *broken) {
            let (before, after) = (Some(field(old, was)), Some(field(new, is)));
            self.tell(rule, Effect::Breaking, owner, Some(is.name()), before, after);
        }
        let deprecated = |field: &FieldDescriptorProto| field.options.as_ref().is_some_and(|o| o.deprecated());
        self.deprecation(owner, is.name(), deprecated(was), deprecated(is));
    }

    fn enums(&mut self, owner: &str, old: &EnumDescriptorProto, new: &EnumDescriptorProto) {
        for was in &old.value {
            // Several names may share a number: `allow_alias`.
            let same_number = |value: &&EnumValueDescriptorProto| value.number() == was.number();
            let same = new.value.iter().find(|value| same_number(value) && value.name() == was.name());
            match same.or_else(|| new.value.iter().find(same_number)) {
                Some(is) if is.name() == was.name() => {}
                Some(is) => {
                    let (before, after) = (Some(constant(was)), Some(constant(is)));
                    self.tell(Rule::ConstantRenamed, Effect::Breaking, owner, Some(was.name()), before, after);
                }
                None => {
                    // The end of an enum's range is in it.
                    let is_reserved =
                        new.reserved_range.iter().any(|range| (range.start()..=range.end()).contains(&was.number()))
                            && new.reserved_name.iter().any(|name| name == was.name());
                    let rule = if is_reserved { Rule::ConstantRetired } else { Rule::ConstantRemoved };
                    let before = Some(constant(was));
                    self.tell(rule, Effect::CompatibleForService, owner, Some(was.name()), before, None);
                }
            }
        }
        let added = |is: &&EnumValueDescriptorProto| old.value.iter().all(|was| was.number() != is.number());
        for is in new.value.iter().filter(added) {
            let after = Some(constant(is));
            self.tell(Rule::ConstantAdded, Effect::CompatibleForService, owner, Some(is.name()), None, after);
        }
        let ranges = |list: &EnumDescriptorProto| -> Vec<(i32, i32)> {
            list.reserved_range.iter().map(|range| (range.start(), range.end())).collect()
        };
        self.reservations(owner, (&ranges(old), &old.reserved_name), (&ranges(new), &new.reserved_name));
    }

    /// Ranges with both ends in them.
    fn reservations(
        &mut self,
        owner: &str,
        (old_ranges, old_names): (&[(i32, i32)], &[String]),
        (new_ranges, new_names): (&[(i32, i32)], &[String]),
    ) {
        // Ranges may be written in several pieces.
        let mut covers = new_ranges.to_vec();
        covers.sort_unstable();
        for (start, end) in old_ranges {
            let mut next = i64::from(*start);
            for (from, to) in &covers {
                if i64::from(*from) <= next {
                    next = next.max(i64::from(*to) + 1);
                }
            }
            if next <= i64::from(*end) {
                let before =
                    if start == end { format!("reserved {start}") } else { format!("reserved {start} to {end}") };
                self.tell(Rule::ReservationRemoved, Effect::Breaking, owner, None, Some(before), None);
            }
        }
        for name in old_names.iter().filter(|name| !new_names.contains(name)) {
            let before = Some(format!("reserved \"{name}\""));
            self.tell(Rule::ReservationRemoved, Effect::Breaking, owner, None, before, None);
        }
    }

    fn deprecation(&mut self, owner: &str, member: &str, was: bool, is: bool) {
        if was != is {
            let word = |deprecated: bool| Some(format!("deprecated = {deprecated}"));
            self.tell(Rule::DocumentationChanged, Effect::Documentation, owner, Some(member), word(was), word(is));
        }
    }
}

/// `.shop.v1.Parcel` is `Parcel` in `shop.v1`. Of another package: `None`.
fn local<'a>(package: &str, name: &'a str) -> Option<&'a str> {
    let name = name.strip_prefix('.')?;
    if package.is_empty() { Some(name) } else { name.strip_prefix(package)?.strip_prefix('.') }
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

/// As it is written in the file.
fn rpc(method: &MethodDescriptorProto) -> String {
    let part =
        |streams: bool, name: &str| format!("{}{}", if streams { "stream " } else { "" }, name.trim_start_matches('.'));
    let input = part(method.client_streaming(), method.input_type());
    let output = part(method.server_streaming(), method.output_type());
    format!("rpc {}({input}) returns ({output})", method.name())
}

/// As it is written in the file.
fn field(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let label = match (field.label(), field.proto3_optional()) {
        (Label::Repeated, _) => "repeated ",
        (Label::Required, _) => "required ",
        (Label::Optional, true) => "optional ",
        (Label::Optional, false) => "",
    };
    let kind = match field.r#type() {
        Type::Message | Type::Enum | Type::Group => field.type_name().trim_start_matches('.').to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_ascii_lowercase(),
    };
    let entry = message
        .nested_type
        .iter()
        .find(|nested| is_map_entry(nested) && kind.ends_with(&format!(".{}", nested.name())));
    let (label, kind) = match entry {
        Some(_) => ("", "map".to_owned()),
        None => (label, kind),
    };
    let default = field.default_value.as_ref().map(|value| format!(" [default = {value}]")).unwrap_or_default();
    format!("{label}{kind} {} = {}{default}", field.name(), field.number())
}

fn constant(value: &EnumValueDescriptorProto) -> String {
    format!("{} = {}", value.name(), value.number())
}
