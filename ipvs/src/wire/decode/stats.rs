use super::super::attributes::{Attribute, attributes};
use super::super::error::DecodeError;
use super::super::numbers::Stat;
use super::needed;
use crate::model::{Rates, Stats};

/// Statistics in the two spellings that an answer has: the older one, which
/// Linux before 4.2 has alone, has most numbers in 32 bits. Only the one that
/// is used is decoded: they are most of a dump.
#[derive(Default)]
pub(super) struct RawStats<'a> {
    pub(super) old: Option<Attribute<'a>>,
    pub(super) new: Option<Attribute<'a>>,
}

impl RawStats<'_> {
    pub(super) fn finish(&self, what: &'static str) -> Result<Stats, DecodeError> {
        stats(&needed(self.new.or(self.old), what, "STATS64")?)
    }
}

fn stats(attribute: &Attribute<'_>) -> Result<Stats, DecodeError> {
    let (mut stats, mut rates) = (Stats::default(), Rates::default());
    for counter in attributes("statistics", attribute.payload) {
        let counter = counter?;
        let place = match counter.kind() {
            Stat::Conns => &mut stats.connections,
            Stat::InPkts => &mut stats.packets_in,
            Stat::OutPkts => &mut stats.packets_out,
            Stat::InBytes => &mut stats.bytes_in,
            Stat::OutBytes => &mut stats.bytes_out,
            Stat::Cps => &mut rates.connections,
            Stat::InPps => &mut rates.packets_in,
            Stat::OutPps => &mut rates.packets_out,
            Stat::InBps => &mut rates.bytes_in,
            Stat::OutBps => &mut rates.bytes_out,
            Stat::UnrecognizedConst(_) => continue,
        };
        *place = match counter.payload.len() {
            4 => counter.value::<u32>()?.into(),
            _ => counter.value::<u64>()?,
        };
    }
    Ok(Stats { rates, ..stats })
}
