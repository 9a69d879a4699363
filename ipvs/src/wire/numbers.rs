//! The numbers of `linux/ip_vs.h`.

use neli::consts::genl::{Cmd, NlAttrType};
use neli::neli_enum;

/// The family's version.
pub(crate) const VERSION: u8 = 1;

/// `AF_INET` and `AF_INET6`, which are no attributes but their values.
pub(super) const INET: u16 = 2;
pub(super) const INET6: u16 = 10;

/// `IPVS_CMD_*`, those in use. FLUSH (17) is left out on purpose.
#[neli_enum(serialized_type = "u8")]
pub(crate) enum Cmds {
    NewService = 1,
    SetService = 2,
    DelService = 3,
    GetService = 4,
    NewDest = 5,
    SetDest = 6,
    DelDest = 7,
    GetDest = 8,
    SetConfig = 12,
    GetConfig = 13,
    GetInfo = 15,
    Zero = 16,
}

impl Cmd for Cmds {}

/// `IPVS_CMD_ATTR_*`.
#[neli_enum(serialized_type = "u16")]
pub(crate) enum Top {
    Service = 1,
    Dest = 2,
    TimeoutTcp = 4,
    TimeoutTcpFin = 5,
    TimeoutUdp = 6,
}

impl NlAttrType for Top {}

/// `IPVS_SVC_ATTR_*`.
#[neli_enum(serialized_type = "u16")]
pub(crate) enum Svc {
    Af = 1,
    Protocol = 2,
    Addr = 3,
    Port = 4,
    Fwmark = 5,
    SchedName = 6,
    Flags = 7,
    Timeout = 8,
    Netmask = 9,
    Stats = 10,
    PeName = 11,
    Stats64 = 12,
}

impl NlAttrType for Svc {}

/// `IPVS_DEST_ATTR_*`.
#[neli_enum(serialized_type = "u16")]
pub(crate) enum Dest {
    Addr = 1,
    Port = 2,
    FwdMethod = 3,
    Weight = 4,
    UThresh = 5,
    LThresh = 6,
    ActiveConns = 7,
    InactConns = 8,
    PersistConns = 9,
    Stats = 10,
    AddrFamily = 11,
    Stats64 = 12,
    TunType = 13,
    TunPort = 14,
    TunFlags = 15,
}

impl NlAttrType for Dest {}

/// `IPVS_STATS_ATTR_*`. 11 is padding.
#[neli_enum(serialized_type = "u16")]
pub(crate) enum Stat {
    Conns = 1,
    InPkts = 2,
    OutPkts = 3,
    InBytes = 4,
    OutBytes = 5,
    Cps = 6,
    InPps = 7,
    OutPps = 8,
    InBps = 9,
    OutBps = 10,
}

impl NlAttrType for Stat {}

/// `IPVS_INFO_ATTR_*`.
#[neli_enum(serialized_type = "u16")]
pub(crate) enum Inf {
    Version = 1,
    ConnTabSize = 2,
}

impl NlAttrType for Inf {}

/// `IP_VS_CONN_F_*` as forwarding methods.
pub(super) const MASQ: u32 = 0;
pub(super) const LOCAL: u32 = 1;
pub(super) const TUNNEL: u32 = 2;
pub(super) const DIRECT: u32 = 3;

/// `IP_VS_CONN_F_TUNNEL_TYPE_*`.
pub(super) const IPIP: u8 = 0;
pub(super) const GUE: u8 = 1;
pub(super) const GRE: u8 = 2;

/// `IP_VS_TUNNEL_ENCAP_FLAG_*`.
pub(super) const CSUM: u16 = 1;
pub(super) const REMCSUM: u16 = 2;
