//! What an error of the SDK means to us.

use std::error::Error;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{DispatchFailure, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::{Call, words};
use crate::backend::BackendError;

/// Why a call failed. What it was about is added by [`Failure::about`], since
/// one call may be about many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: Kind,
    /// AWS's code, if AWS answered with one.
    pub code: Option<String>,
    /// AWS's message, likewise.
    pub message: Option<String>,
    operation: &'static str,
    region: String,
    what: String,
}

/// Kinds of failure, by what they say of other calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was asked for does not exist.
    NotFound,
    /// Too many calls.
    Throttled,
    /// We may not, or nobody knows who we are.
    Denied,
    /// Nothing could be sent: the endpoint cannot be reached.
    Unreachable,
    /// No answer in time, none that can be understood, or one that says
    /// "later".
    Unanswered,
    /// The request is wrong.
    Rejected,
}

impl Failure {
    /// One that is not from AWS.
    pub(super) fn own(kind: Kind, call: &Call, region: &str, what: String) -> Self {
        Self {
            kind,
            code: None,
            message: None,
            operation: call.operation,
            region: region.to_owned(),
            what,
        }
    }

    pub(super) fn timed_out(call: &Call, region: &str, deadline: Duration) -> Self {
        let what = format!("AWS did not answer within {} s", deadline.as_secs());
        Self::own(Kind::Unanswered, call, region, what)
    }

    /// From an error of the SDK.
    pub(super) fn from_sdk<E>(call: &Call, region: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let own = |kind, what| Self::own(kind, call, region, what);
        match error {
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                Self::from_answer(call, region, status, answer.err())
            }
            SdkError::DispatchFailure(failure) => {
                let (kind, what) = not_sent(failure);
                own(kind, what)
            }
            SdkError::TimeoutError(_) => {
                own(Kind::Unanswered, "AWS did not answer in time".to_owned())
            }
            SdkError::ResponseError(answer) => {
                let status = answer.raw().status().as_u16();
                let what = format!("the answer (HTTP {status}) cannot be understood");
                own(Kind::Unanswered, what)
            }
            other => own(
                Kind::Rejected,
                format!("the request could not be made: {}", words::chain(other)),
            ),
        }
    }

    fn from_answer(
        call: &Call,
        region: &str,
        status: u16,
        error: &impl ProvideErrorMetadata,
    ) -> Self {
        let Some(code) = error.code() else {
            let kind = match status {
                429 => Kind::Throttled,
                401 | 403 => Kind::Denied,
                _ => Kind::Unanswered,
            };
            let what = format!("HTTP {status} without an AWS error code; is a proxy in the way?");
            return Self::own(kind, call, region, what);
        };
        let message = error.message().map(words::message);
        let message = message.filter(|_| !words::is_revealing(code));
        let said = message.as_ref().map(|text| format!(": {text}"));
        let advice = words::advice(code, call.action).map(|advice| format!(" ({advice})"));
        let what = [Some(code.to_owned()), said, advice];
        Self {
            kind: kind_of(code, status),
            code: Some(code.to_owned()),
            message,
            ..Self::own(
                Kind::Rejected,
                call,
                region,
                what.into_iter().flatten().collect(),
            )
        }
    }

    /// For tests of what deals with failures.
    #[cfg(test)]
    pub(super) fn sample(kind: Kind, code: &str, message: &str) -> Self {
        Self {
            kind,
            code: Some(code.to_owned()),
            message: Some(message.to_owned()),
            operation: "Sample",
            region: "eu-west-1".to_owned(),
            what: message.to_owned(),
        }
    }

    /// The error of one load balancer.
    pub fn about(&self, subject: &str) -> BackendError {
        let Self {
            operation, region, ..
        } = self;
        let words = format!("{operation} of {subject} in {region}: {}", self.what);
        match self.kind {
            Kind::NotFound => BackendError::NotFound(words),
            Kind::Throttled => BackendError::Throttled(words),
            Kind::Denied => BackendError::Denied(words),
            Kind::Unreachable | Kind::Unanswered => BackendError::Unavailable(words),
            Kind::Rejected => BackendError::Rejected(words),
        }
    }

    /// Whether there was no answer in time, or none that can be understood.
    pub(super) fn is_timeout(&self) -> bool {
        self.kind == Kind::Unanswered && self.code.is_none()
    }

    /// Whether AWS knows who we are, and says that we may not.
    pub fn is_forbidden(&self) -> bool {
        self.code.as_deref().is_some_and(words::is_about_permission)
    }

    /// Whether other credentials may help.
    pub(super) fn blames_credentials(&self) -> bool {
        self.kind == Kind::Denied && self.code.is_some() && !self.is_forbidden()
    }
}

/// Also where it was sent, and the connection then broke: that may be due to
/// what was asked, and a write may have been done.
fn not_sent(failure: &DispatchFailure) -> (Kind, String) {
    let Some(error) = failure.as_connector_error() else {
        let what = "the request could not be sent".to_owned();
        return (Kind::Unreachable, what);
    };
    let chain = words::chain(error);
    // The SDK's HTTP client tells it in one way or the other.
    let sent = error.connection_metadata().is_some() || chain.contains("(SendRequest)");
    if sent {
        let what = format!("the connection broke before the answer: {chain}");
        return (Kind::Unanswered, what);
    }
    let what = if failure.is_io() || failure.is_timeout() {
        format!(
            "there is no connection to AWS: {chain} \
             (is the region right? and AWS_ENDPOINT_URL, if it is set?)"
        )
    } else {
        let cause = words::root(error);
        format!("the request could not be sent: {cause} (check AWS_ENDPOINT_URL, if it is set)")
    };
    (Kind::Unreachable, what)
}

/// Codes as in the API references of ELB, ELBv2 and Route 53 and their common
/// errors; the throttling ones as the SDK's own retry classifier has them.
fn kind_of(code: &str, status: u16) -> Kind {
    match code {
        "LoadBalancerNotFound"
        | "AccessPointNotFound"
        | "TargetGroupNotFound"
        | "NoSuchHostedZone" => Kind::NotFound,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "DependencyThrottle"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded"
        | "SlowDown"
        | "PriorRequestNotComplete" => Kind::Throttled,
        _ if words::advice(code, "").is_some() => Kind::Denied,
        _ => match status {
            429 => Kind::Throttled,
            401 | 403 => Kind::Denied,
            500.. => Kind::Unanswered,
            _ => Kind::Rejected,
        },
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    const DESCRIBE: Call = Call {
        operation: "DescribeLoadBalancers",
        action: "elasticloadbalancing:DescribeLoadBalancers",
        write: false,
    };

    #[derive(Debug)]
    struct Answer(ErrorMetadata);

    impl std::fmt::Display for Answer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.fmt(f)
        }
    }

    impl Error for Answer {}

    impl ProvideErrorMetadata for Answer {
        fn meta(&self) -> &ErrorMetadata {
            &self.0
        }
    }

    fn response(status: u16) -> HttpResponse {
        HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty())
    }

    fn answered(status: u16, code: Option<&str>, message: &str) -> Failure {
        let mut meta = ErrorMetadata::builder().message(message);
        if let Some(code) = code {
            meta = meta.code(code);
        }
        let error = SdkError::service_error(Answer(meta.build()), response(status));
        Failure::from_sdk(&DESCRIBE, "eu-west-1", &error)
    }

    #[test]
    fn codes_have_their_kinds() {
        for (status, code, kind) in [
            (400, "LoadBalancerNotFound", Kind::NotFound),
            (400, "Throttling", Kind::Throttled),
            (400, "DependencyThrottle", Kind::Throttled),
            (503, "RequestLimitExceeded", Kind::Throttled),
            (403, "AccessDenied", Kind::Denied),
            (403, "InvalidClientTokenId", Kind::Denied),
            (400, "ExpiredToken", Kind::Denied),
            (403, "SomethingNew", Kind::Denied),
            (500, "InternalFailure", Kind::Unanswered),
            (503, "ServiceUnavailable", Kind::Unanswered),
            (400, "InvalidInstance", Kind::Rejected),
            (400, "ValidationError", Kind::Rejected),
        ] {
            assert_eq!(answered(status, Some(code), "").kind, kind, "{code}");
        }
        assert_eq!(answered(502, None, "").kind, Kind::Unanswered);
        assert_eq!(answered(403, None, "").kind, Kind::Denied);
    }

    #[test]
    fn the_words_say_what_where_and_what_to_do() {
        let failure = answered(403, Some("AccessDenied"), "User is not authorized.");
        assert_eq!(
            failure.about("load balancer web"),
            BackendError::Denied(
                "DescribeLoadBalancers of load balancer web in eu-west-1: \
                 AccessDenied: User is not authorized. \
                 (allow elasticloadbalancing:DescribeLoadBalancers in IAM)"
                    .into()
            )
        );
    }

    #[test]
    fn what_quotes_the_request_is_not_passed_on() {
        let quoted = "The Canonical String should have been x-amz-security-token:hush";
        let failure = answered(403, Some("SignatureDoesNotMatch"), quoted);
        let words = failure.about("load balancer web").to_string();
        assert!(
            !words.contains("hush") && words.contains("clock"),
            "{words}"
        );
    }

    #[test]
    fn an_unreachable_endpoint_makes_one_doubt_the_region() {
        let cause = ConnectorError::io("failed to lookup address information".into());
        let error: SdkError<Answer, HttpResponse> = SdkError::dispatch_failure(cause);
        let failure = Failure::from_sdk(&DESCRIBE, "xx-nowhere-1", &error);
        assert_eq!(failure.kind, Kind::Unreachable);
        let words = failure.about("load balancer web").to_string();
        assert!(words.contains("lookup"), "{words}");
        assert!(words.contains("is the region right"), "{words}");
    }
}
