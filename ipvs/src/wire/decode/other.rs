use std::time::Duration;

use neli::consts::genl::CtrlAttr;

use super::super::attributes::attributes;
use super::super::error::DecodeError;
use super::super::numbers::{Inf, Top};
use super::needed;
use crate::info::{Info, Version};
use crate::timeouts::Timeouts;

/// What the kernel says of its IPVS.
pub fn info(payload: &[u8]) -> Result<Info, DecodeError> {
    let (mut version, mut size) = (None, None);
    for attribute in attributes("info", payload) {
        let attribute = attribute?;
        match attribute.kind() {
            Inf::Version => version = Some(attribute.value()?),
            Inf::ConnTabSize => size = Some(attribute.value()?),
            Inf::UnrecognizedConst(_) => (),
        }
    }
    Ok(Info {
        version: Version::from_code(needed(version, "info", "VERSION")?),
        connection_table: needed(size, "info", "CONN_TAB_SIZE")?,
    })
}

/// The time-outs of connections.
pub fn timeouts(payload: &[u8]) -> Result<Timeouts, DecodeError> {
    let (mut tcp, mut fin, mut udp) = (None, None, None);
    for attribute in attributes("timeouts", payload) {
        let attribute = attribute?;
        let place = match attribute.kind() {
            Top::TimeoutTcp => &mut tcp,
            Top::TimeoutTcpFin => &mut fin,
            Top::TimeoutUdp => &mut udp,
            _ => continue,
        };
        *place = Some(Duration::from_secs(attribute.value::<u32>()?.into()));
    }
    Ok(Timeouts {
        tcp: needed(tcp, "timeouts", "TIMEOUT_TCP")?,
        tcp_fin: needed(fin, "timeouts", "TIMEOUT_TCP_FIN")?,
        udp: needed(udp, "timeouts", "TIMEOUT_UDP")?,
    })
}

/// The number of a family, in the answer to the question for it.
pub fn family_number(payload: &[u8]) -> Result<Option<u16>, DecodeError> {
    for attribute in attributes("family", payload) {
        let attribute = attribute?;
        if attribute.kind::<CtrlAttr>() == CtrlAttr::FamilyId {
            return attribute.value().map(Some);
        }
    }
    Ok(None)
}
