/// Bytes that are no answer of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It says that it is longer than what there is, or shorter than its own
    /// header.
    #[error("a {what} says that it has {says} bytes where there are {have}")]
    Length {
        /// Message or attribute.
        what: &'static str,
        /// The length that it says.
        says: usize,
        /// The bytes that are left.
        have: usize,
    },
    /// An attribute does not have the size of its type.
    #[error("attribute {attribute} of a {what} has {have} bytes, {want} are expected")]
    Size {
        /// What it belongs to.
        what: &'static str,
        /// Its number.
        attribute: u16,
        /// The size that it has.
        have: usize,
        /// The size of its type.
        want: usize,
    },
    /// An attribute has a value that the kernel does not write.
    #[error("attribute {attribute} of a {what} is {value}, which is no {expected}")]
    Value {
        /// What it belongs to.
        what: &'static str,
        /// Its number.
        attribute: u16,
        /// Its value.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// An attribute is not there.
    #[error("a {what} without its attribute {attribute}")]
    Missing {
        /// What it should belong to.
        what: &'static str,
        /// Its name.
        attribute: &'static str,
    },
}
