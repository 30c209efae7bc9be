//! `claimsmith config`

use super::{Common, DONE, output};
use crate::config;

pub(super) fn run(common: &Common) -> Result<u8, String> {
    let rows = config::load(&common.flags())?.table();
    let width = rows.iter().map(|(key, value, _)| key.len() + value.len()).max().unwrap_or_default() + 3;
    for (key, value, origin) in rows {
        let setting = format!("{key} = {value}");
        output::say(&format!("{setting:width$}  # {origin}"));
    }
    Ok(DONE)
}
