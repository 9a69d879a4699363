use neli::ToBytes;
use neli::consts::genl::{CtrlAttr, CtrlCmd};
use neli::consts::nl::{GenlId, NlmF};
use neli::genl::{AttrTypeBuilder, GenlmsghdrBuilder, NlattrBuilder};
use neli::nl::{NlPayload, NlmsghdrBuilder};
use neli::types::GenlBuffer;

/// The name that the kernel's family has, whatever its number.
const NAME: &str = "IPVS";

/// The question which number it has.
pub(super) fn question(sequence: u32) -> Vec<u8> {
    const WHY: &str = "every part is set and small";
    let kind = AttrTypeBuilder::default().nla_type(CtrlAttr::FamilyName);
    let name = NlattrBuilder::default()
        .nla_type(kind.build().expect(WHY))
        .nla_payload(NAME)
        .build()
        .expect(WHY);
    let body = GenlmsghdrBuilder::default()
        .cmd(CtrlCmd::Getfamily)
        .version(1)
        .attrs(std::iter::once(name).collect::<GenlBuffer<_, _>>())
        .build()
        .expect(WHY);
    let message = NlmsghdrBuilder::default()
        .nl_type(GenlId::Ctrl)
        .nl_flags(NlmF::REQUEST)
        .nl_seq(sequence)
        .nl_payload(NlPayload::Payload(body))
        .build()
        .expect(WHY);
    let mut bytes = std::io::Cursor::new(Vec::new());
    message.to_bytes(&mut bytes).expect(WHY);
    bytes.into_inner()
}
