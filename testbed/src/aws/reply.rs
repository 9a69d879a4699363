//! Answers in AWS's Query protocol.

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;

use super::listener::Answer;
use super::xml::Xml;

/// An error as AWS answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
}

impl ApiError {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(super) fn throttling() -> Self {
        Self::new(400, "Throttling", "Rate exceeded")
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }
}

/// The namespace of a service's answers.
pub(super) type Namespace = &'static str;

/// Wraps what an operation answers.
pub(super) fn success(
    namespace: Namespace,
    operation: &str,
    seq: u64,
    result: impl FnOnce(&mut Xml),
) -> Answer {
    let mut xml = Xml::default();
    xml.root(
        &format!("{operation}Response"),
        &format!(" xmlns=\"{namespace}\""),
        |xml| {
            xml.element(&format!("{operation}Result"), result);
            xml.element("ResponseMetadata", |xml| {
                xml.text("RequestId", request_id(seq));
            });
        },
    );
    answer(200, seq, xml)
}

/// Wraps an error.
pub(super) fn failure(namespace: Namespace, seq: u64, error: &ApiError) -> Answer {
    let mut xml = Xml::default();
    xml.root("ErrorResponse", &format!(" xmlns=\"{namespace}\""), |xml| {
        xml.element("Error", |xml| {
            xml.text(
                "Type",
                if error.status < 500 {
                    "Sender"
                } else {
                    "Receiver"
                },
            );
            xml.text("Code", error.code);
            xml.text("Message", &error.message);
        });
        xml.text("RequestId", request_id(seq));
    });
    answer(error.status, seq, xml)
}

/// Looks like AWS's, and tells the call.
fn request_id(seq: u64) -> String {
    format!("00000000-0000-4000-8000-{seq:012x}")
}

fn answer(status: u16, seq: u64, xml: Xml) -> Answer {
    Response::builder()
        .status(status)
        .header("Content-Type", "text/xml")
        .header("x-amzn-RequestId", request_id(seq))
        .body(Full::new(Bytes::from(xml.into_string())))
        .expect("status and headers are valid")
}
