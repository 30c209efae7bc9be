//! Every kind of problem, with a code that keeps its meaning for good.
//!
//! The first digit says which part of the rule it is about: 1 text, 2 names,
//! 3 JSONPath, 4 expressions and scripts, 5 calls, 6 claims, 8 the receiver, 9 security.

use super::Severity;

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// The file is not TOML.
    NotToml,
    /// A key that the rule language does not have.
    UnknownKey,
    /// A value of another type than the key takes.
    WrongType,
    /// A key that must be there is not.
    MissingKey,
    /// A value of the right type that is not among the allowed ones.
    BadValue,
    /// Keys that exclude each other.
    Conflict,
    /// The rule or the script is larger than the bound.
    TooLarge,
    /// A name with characters that names may not have, or one that is taken.
    BadName,
    /// A name that nothing in the rule declares.
    UnknownName,
    /// A name that stands for something which is not offered here.
    NotHere,
    /// A secret that could not be resolved.
    MissingSecret,
    /// A script file that could not be read.
    MissingFile,
    /// Not a JSONPath of RFC 9535.
    BadPath,
    /// A JSONPath that this engine would answer wrongly, refused instead.
    UnsafePath,
    /// A path that may select several nodes, and does not say which are meant.
    SeveralNodes,
    /// A Rhai expression or script that does not compile.
    BadScript,
    /// A `${` without its `}`.
    BadTemplate,
    /// An argument that is written out, and that its function cannot take.
    BadArgument,
    /// A URL that is not one, or whose origin is not fixed by the rule.
    BadUrl,
    /// Calls that wait for one another.
    Cycle,
    /// A header that may not be set, or a value that no header can have.
    BadHeader,
    /// A plain string where a value is meant.
    PlainText,
    /// No claim says who the user is.
    NoSubject,
    /// A claim that can never be flat.
    Nested,
    /// A receiver that there is no contract for.
    UnknownReceiver,
    /// A claim that can never have the type that the receiver reads.
    ReceiverType,
    /// A claim that the receiver may lose, bend or refuse.
    ReceiverDoubt,
    /// A claim that the receiver needs is not there.
    ReceiverMissing,
    /// The receiver takes another claim for the user.
    ReceiverSubject,
    /// A claim that the receiver does not read, or would like.
    ReceiverAdvice,
    /// A rule wants what the place that it is to run on cannot do.
    HostCannot,
    /// A rule wants what the place that it is to run on does in its own way.
    HostDiffers,
    /// A call without TLS.
    PlainHttp,
    /// The caller's token goes to several origins.
    SeveralOrigins,
    /// A claim says "verified" by a constant.
    ConstantVerified,
    /// What identifies the user can change, or pass to somebody else.
    MutableSubject,
    /// What identifies the user is the first of several values.
    SubjectChain,
    /// A credential in the query of an address.
    CredentialInQuery,
    /// Redirects may lead to another origin.
    RedirectAcross,
    /// A call without a limit of its own.
    NoTimeout,
    /// A script that no case tries.
    UntriedScript,
    /// An acceptance that accepts nothing.
    UnusedAccept,
    /// A call that signs with the caller's token, and does not send it.
    TokenNotSent,
}

/// What a check looks at, in the order in which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Is it TOML, and not too large?
    Text,
    /// Are the keys known, and of the right type?
    Schema,
    /// Do names, paths, addresses and types hold?
    Names,
    /// Do expressions and scripts compile?
    Scripts,
    /// Is it safe?
    Security,
}

impl Level {
    /// All of them.
    pub const ALL: [Level; 5] = [Level::Text, Level::Schema, Level::Names, Level::Scripts, Level::Security];

    /// The name as it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Level::Text => "text",
            Level::Schema => "schema",
            Level::Names => "names and types",
            Level::Scripts => "scripts",
            Level::Security => "security",
        }
    }
}

impl Code {
    /// All codes, in the order of their numbers.
    pub const ALL: [Code; 43] = [
        Code::NotToml,
        Code::UnknownKey,
        Code::WrongType,
        Code::MissingKey,
        Code::BadValue,
        Code::Conflict,
        Code::TooLarge,
        Code::BadName,
        Code::UnknownName,
        Code::NotHere,
        Code::MissingSecret,
        Code::MissingFile,
        Code::BadPath,
        Code::UnsafePath,
        Code::SeveralNodes,
        Code::BadScript,
        Code::BadTemplate,
        Code::BadArgument,
        Code::BadUrl,
        Code::Cycle,
        Code::BadHeader,
        Code::PlainText,
        Code::NoSubject,
        Code::Nested,
        Code::HostCannot,
        Code::HostDiffers,
        Code::UnknownReceiver,
        Code::ReceiverType,
        Code::ReceiverDoubt,
        Code::ReceiverMissing,
        Code::ReceiverSubject,
        Code::ReceiverAdvice,
        Code::PlainHttp,
        Code::SeveralOrigins,
        Code::ConstantVerified,
        Code::MutableSubject,
        Code::SubjectChain,
        Code::CredentialInQuery,
        Code::RedirectAcross,
        Code::NoTimeout,
        Code::UntriedScript,
        Code::UnusedAccept,
        Code::TokenNotSent,
    ];

    /// The code as it is printed.
    pub fn id(self) -> &'static str {
        match self {
            Code::NotToml => "CS1001",
            Code::UnknownKey => "CS1002",
            Code::WrongType => "CS1003",
            Code::MissingKey => "CS1004",
            Code::BadValue => "CS1005",
            Code::Conflict => "CS1006",
            Code::TooLarge => "CS1007",
            Code::BadName => "CS2001",
            Code::UnknownName => "CS2002",
            Code::NotHere => "CS2003",
            Code::MissingSecret => "CS2004",
            Code::MissingFile => "CS2005",
            Code::BadPath => "CS3001",
            Code::UnsafePath => "CS3002",
            Code::SeveralNodes => "CS3003",
            Code::BadScript => "CS4001",
            Code::BadTemplate => "CS4002",
            Code::BadArgument => "CS4003",
            Code::BadUrl => "CS5001",
            Code::Cycle => "CS5002",
            Code::BadHeader => "CS5003",
            Code::PlainText => "CS6001",
            Code::NoSubject => "CS6002",
            Code::Nested => "CS6003",
            Code::HostCannot => "CS7001",
            Code::HostDiffers => "CS7002",
            Code::UnknownReceiver => "CS8001",
            Code::ReceiverType => "CS8002",
            Code::ReceiverDoubt => "CS8003",
            Code::ReceiverMissing => "CS8004",
            Code::ReceiverSubject => "CS8005",
            Code::ReceiverAdvice => "CS8006",
            Code::PlainHttp => "CS9001",
            Code::SeveralOrigins => "CS9002",
            Code::ConstantVerified => "CS9003",
            Code::MutableSubject => "CS9004",
            Code::SubjectChain => "CS9005",
            Code::CredentialInQuery => "CS9006",
            Code::RedirectAcross => "CS9007",
            Code::NoTimeout => "CS9008",
            Code::UntriedScript => "CS9009",
            Code::UnusedAccept => "CS9010",
            Code::TokenNotSent => "CS9011",
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Code::NoTimeout | Code::ReceiverAdvice | Code::HostDiffers => Severity::Advice,
            Code::SeveralNodes | Code::ReceiverDoubt => Severity::Warning,
            _ if self.level() == Level::Security => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// What was being looked at.
    pub fn level(self) -> Level {
        match (self, self.id().as_bytes()[2]) {
            (Code::NotToml | Code::TooLarge, _) => Level::Text,
            (_, b'1') => Level::Schema,
            (_, b'4') => Level::Scripts,
            (_, b'9') => Level::Security,
            _ => Level::Names,
        }
    }

    /// The code with this number.
    pub fn parse(id: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.id() == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_order() {
        let ids: Vec<_> = Code::ALL.iter().map(|code| code.id()).collect();
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(ids, sorted);
    }
}
