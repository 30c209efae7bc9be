//! A page for every kind of problem: what it means, why it matters, a wrong rule and the right one.
//!
//! The pages are Markdown files beside this one. Their form is always the same, and the examples are run by a test.

use super::Code;

/// What there is to know of a kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The whole page.
    pub text: &'static str,
    /// What is the case, in one line.
    pub title: &'static str,
    /// A rule that has the problem.
    pub wrong: &'static str,
    /// The same rule without it.
    pub right: &'static str,
    /// Cases of the right rule, where it takes some to be right.
    pub cases: Option<&'static str>,
}

impl Code {
    /// The page about it.
    pub fn page(self) -> Page {
        let text = text(self);
        let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        let block = |heading| block(text, heading);
        Page {
            text,
            title,
            wrong: block("## Wrong").unwrap_or_default(),
            right: block("## Right").unwrap_or_default(),
            cases: block("## Its cases"),
        }
    }
}

/// The block of TOML under a heading.
fn block(text: &'static str, heading: &str) -> Option<&'static str> {
    let (_, after) = text.split_once(heading)?;
    let (_, block) = after.split_once("```toml\n")?;
    block.split_once("```").map(|(block, _)| block)
}

fn text(code: Code) -> &'static str {
    match code {
        Code::NotToml => include_str!("pages/CS1001.md"),
        Code::UnknownKey => include_str!("pages/CS1002.md"),
        Code::WrongType => include_str!("pages/CS1003.md"),
        Code::MissingKey => include_str!("pages/CS1004.md"),
        Code::BadValue => include_str!("pages/CS1005.md"),
        Code::Conflict => include_str!("pages/CS1006.md"),
        Code::TooLarge => include_str!("pages/CS1007.md"),
        Code::BadName => include_str!("pages/CS2001.md"),
        Code::UnknownName => include_str!("pages/CS2002.md"),
        Code::NotHere => include_str!("pages/CS2003.md"),
        Code::MissingSecret => include_str!("pages/CS2004.md"),
        Code::MissingFile => include_str!("pages/CS2005.md"),
        Code::BadPath => include_str!("pages/CS3001.md"),
        Code::UnsafePath => include_str!("pages/CS3002.md"),
        Code::SeveralNodes => include_str!("pages/CS3003.md"),
        Code::BadScript => include_str!("pages/CS4001.md"),
        Code::BadTemplate => include_str!("pages/CS4002.md"),
        Code::BadArgument => include_str!("pages/CS4003.md"),
        Code::BadUrl => include_str!("pages/CS5001.md"),
        Code::Cycle => include_str!("pages/CS5002.md"),
        Code::BadHeader => include_str!("pages/CS5003.md"),
        Code::PlainText => include_str!("pages/CS6001.md"),
        Code::NoSubject => include_str!("pages/CS6002.md"),
        Code::Nested => include_str!("pages/CS6003.md"),
        Code::HostCannot => include_str!("pages/CS7001.md"),
        Code::HostDiffers => include_str!("pages/CS7002.md"),
        Code::UnknownReceiver => include_str!("pages/CS8001.md"),
        Code::ReceiverType => include_str!("pages/CS8002.md"),
        Code::ReceiverDoubt => include_str!("pages/CS8003.md"),
        Code::ReceiverMissing => include_str!("pages/CS8004.md"),
        Code::ReceiverSubject => include_str!("pages/CS8005.md"),
        Code::ReceiverAdvice => include_str!("pages/CS8006.md"),
        Code::PlainHttp => include_str!("pages/CS9001.md"),
        Code::SeveralOrigins => include_str!("pages/CS9002.md"),
        Code::ConstantVerified => include_str!("pages/CS9003.md"),
        Code::MutableSubject => include_str!("pages/CS9004.md"),
        Code::SubjectChain => include_str!("pages/CS9005.md"),
        Code::CredentialInQuery => include_str!("pages/CS9006.md"),
        Code::RedirectAcross => include_str!("pages/CS9007.md"),
        Code::NoTimeout => include_str!("pages/CS9008.md"),
        Code::UntriedScript => include_str!("pages/CS9009.md"),
        Code::UnusedAccept => include_str!("pages/CS9010.md"),
        Code::TokenNotSent => include_str!("pages/CS9011.md"),
    }
}
