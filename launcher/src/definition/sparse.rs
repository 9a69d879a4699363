use serde::Serialize;
use serde::ser::{Error, Serializer};
use serde_json::Value;

/// For `serialize_with`: writes only what differs from the defaults. So the canonical form of a
/// definition stays the same when a later version knows more keys.
pub(super) fn sparse<T: Serialize + Default, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    without(value, &T::default())
        .map_err(S::Error::custom)?
        .serialize(serializer)
}

/// The value as JSON, without what is the same in `default`.
pub(super) fn without<T: Serialize>(value: &T, default: &T) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(value)?;
    let default = serde_json::to_value(default)?;
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, field| default.get(name.as_str()) != Some(field));
    }
    Ok(value)
}
