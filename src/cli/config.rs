//! `claimsmith config`

use super::{DONE, Served, output};
use crate::config;

pub(super) fn run(served: &Served) -> Result<u8, String> {
    let rows = config::load(&served.flags())?.table();
    let width = rows.iter().map(|(key, value, _)| key.len() + value.len()).max().unwrap_or_default() + 3;
    for (key, value, origin) in rows {
        let setting = format!("{key} = {value}");
        output::say(&format!("{setting:width$}  # {origin}"));
    }
    Ok(DONE)
}
