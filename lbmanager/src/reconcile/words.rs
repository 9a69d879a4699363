//! Words for the log.

use presence::model::MemberId;

/// The first few, and how many more.
pub(crate) fn list(members: &[MemberId]) -> String {
    const SHOWN: usize = 10;
    let names: Vec<&str> = members.iter().take(SHOWN).map(MemberId::as_str).collect();
    let more = members.len().saturating_sub(SHOWN);
    match more {
        0 => names.join(" "),
        _ => format!("{} and {more} more", names.join(" ")),
    }
}
