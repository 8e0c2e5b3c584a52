//! What a service may be called: the name is a DNS label for callers, a package for cargo, and a trait in Rust.

use samspill_model::name::is_dns_label;

use super::templates;
use crate::exit::Failure;

/// A name that everything can be called by.
#[derive(Clone, Debug)]
pub(super) struct Name(String);

/// Rust's keywords that a label can be, with those that are reserved (Rust reference, "Keywords").
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "union", "unsafe", "unsized", "use", "virtual", "where", "while",
];

/// Packages that cannot be told from others: the compiler's, cargo's folders beside a binary, and those that the code uses.
const TAKEN: &[&str] = &[
    "alloc",
    "core",
    "proc-macro",
    "std",
    "test",
    "build",
    "deps",
    "examples",
    "incremental",
    "garde",
    "samspill",
    "schemars",
    "serde",
    "tokio",
];

/// What every Rust file sees: a trait of that name would hide it.
const PRELUDE: &[&str] = &[
    "AsMut",
    "AsRef",
    "Box",
    "Clone",
    "Copy",
    "Default",
    "DoubleEndedIterator",
    "Drop",
    "Eq",
    "Err",
    "ExactSizeIterator",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Future",
    "Into",
    "IntoFuture",
    "IntoIterator",
    "Iterator",
    "None",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Result",
    "Send",
    "Sized",
    "Some",
    "String",
    "Sync",
    "ToOwned",
    "ToString",
    "TryFrom",
    "TryInto",
    "Unpin",
    "Vec",
];

impl Name {
    /// # Errors
    /// Something could not be called that: the words say what, and what to type.
    pub(super) fn try_new(name: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("`{name}` cannot be the name of a service: {why}"));
        if !is_dns_label(name) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Err(wrong("it must be a DNS label that begins with a letter")
                .hint("use a-z, 0-9 and inner hyphens, 63 characters at most: orders, price-list"));
        }
        if let Some(rest) = name.strip_suffix("-api") {
            return Err(wrong(&format!("`{name}` is what the crate of the API of `{rest}` is called"))
                .hint(format!("leave `-api` out: {rest}")));
        }
        if KEYWORDS.contains(&name) {
            return Err(wrong("it is a keyword of Rust"));
        }
        if TAKEN.contains(&name) {
            return Err(wrong("a package of that name is there already, or confuses cargo"));
        }
        let name = Self(name.to_owned());
        let of_trait = name.of_trait();
        let types =
            [of_trait.clone(), format!("{of_trait}Api"), format!("{of_trait}Client"), format!("Mock{of_trait}")];
        let is_used = |of_type: &&String| PRELUDE.contains(&of_type.as_str()) || templates::uses(of_type);
        match types.iter().find(is_used) {
            Some(used) => Err(wrong(&format!("its trait would need the name `{used}`, which the code uses already"))),
            None => Ok(name),
        }
    }

    /// What callers say.
    pub(super) fn dns(&self) -> &str {
        &self.0
    }

    /// The package of the contract.
    pub(super) fn api_package(&self) -> String {
        format!("{}-api", self.0)
    }

    /// The crate of the contract, in code.
    pub(super) fn api_crate(&self) -> String {
        self.api_package().replace('-', "_")
    }

    /// `price-list` is `PriceList`.
    pub(super) fn of_trait(&self) -> String {
        let capital = |word: &str| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{}{rest}", first.to_ascii_uppercase())
        };
        self.0.split('-').map(capital).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_packages_crates_and_traits() {
        let name = Name::try_new("price-list-2").unwrap();
        assert_eq!(name.dns(), "price-list-2");
        assert_eq!(name.api_package(), "price-list-2-api");
        assert_eq!(name.api_crate(), "price_list_2_api");
        assert_eq!(name.of_trait(), "PriceList2");
    }

    #[test]
    fn a_bad_name_is_told_why() {
        let too_long = "a".repeat(64);
        for (name, why) in [
            ("", "DNS label"),
            ("Orders", "DNS label"),
            ("price_list", "DNS label"),
            ("-orders", "DNS label"),
            ("orders-", "DNS label"),
            ("2orders", "begins with a letter"),
            ("../orders", "DNS label"),
            (too_long.as_str(), "63 characters"),
            ("orders-api", "leave `-api` out: orders"),
            ("async", "keyword"),
            ("gen", "keyword"),
            ("serde", "package"),
            ("test", "package"),
            ("greeting", "`Greeting`"),
            ("greet-error", "`GreetError`"),
            ("call", "`Call`"),
            ("option", "`Option`"),
            ("string", "`String`"),
        ] {
            let failure = Name::try_new(name).unwrap_err();
            assert!(failure.text.contains(why), "{name}: {}", failure.text);
            assert_eq!(failure.exit, crate::exit::Exit::Usage);
        }
        for name in ["orders", "a", "main", "greetings", "macros", "who-is-who"] {
            Name::try_new(name).unwrap();
        }
    }
}
