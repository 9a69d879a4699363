//! Images from a registry.

use std::time::Duration;

use launcher::runtime::{ContainerRuntime as _, RuntimeError};
use testbed::docker::{Gives, Registry};

use crate::Rig as _;
use crate::real::Real;

async fn registry(real: &Real) -> Registry {
    let gateway = real.docker.gateway().unwrap();
    Registry::start(gateway).await.unwrap()
}

async fn failed(real: &Real, registry: &Registry, gives: Gives) -> RuntimeError {
    registry.set(gives);
    let pulled = real.runtime().pull(&registry.image(), None, |_| ()).await;
    let error = pulled.unwrap_err();
    assert!(error.to_string().contains(&registry.image()), "{error}");
    error
}

pub async fn pulled_with_progress(real: &Real) {
    let registry = registry(real).await;
    let mut words = Vec::new();
    let telling = |progress: &launcher::runtime::PullProgress| words.push(progress.to_string());
    real.runtime()
        .pull(&registry.image(), None, telling)
        .await
        .unwrap();
    let image = real.runtime().image(&registry.image()).await.unwrap();
    assert!(image.unwrap().id.starts_with("sha256:"));
    assert_eq!(
        words.last().unwrap(),
        "1 of 1 layers, 3.1 of 3.1 MB",
        "{words:?}"
    );
    assert!(
        words.iter().any(|words| words.starts_with("0 of 1 layers")),
        "{words:?}"
    );
}

pub async fn not_there(real: &Real) {
    let registry = registry(real).await;
    let missing = format!("{}/image:2", registry.name());
    let error = real
        .runtime()
        .pull(&missing, None, |_| ())
        .await
        .unwrap_err();
    assert!(matches!(error, RuntimeError::NoSuchImage { .. }), "{error}");
    assert!(error.to_string().contains(&missing), "{error}");
}

pub async fn wants_credentials(real: &Real) {
    let registry = registry(real).await;
    let to = Gives::To("me".to_owned(), "secret".to_owned());
    let error = failed(real, &registry, to).await;
    assert!(
        matches!(error, RuntimeError::Unauthorized { .. }),
        "{error}"
    );
    let login = format!("docker login {}", registry.name());
    assert!(error.to_string().contains(&login), "{error}");
}

/// As `docker login` leaves them; or they are kept by a program, which is missing.
pub async fn has_credentials(real: &Real) {
    let registry = registry(real).await;
    registry.set(Gives::To("me".to_owned(), "secret".to_owned()));
    let directory = tempfile::tempdir().unwrap();
    let runtime = real.runtime().clone().with_config(directory.path());
    let config = |content: String| {
        std::fs::write(directory.path().join("config.json"), content).unwrap();
    };
    let name = registry.name();
    // "me:wrong", then "me:secret".
    for (auth, holds) in [("bWU6d3Jvbmc=", false), ("bWU6c2VjcmV0", true)] {
        config(format!(
            r#"{{"auths": {{"{name}": {{"auth": "{auth}"}}}}}}"#
        ));
        let pulled = runtime.pull(&registry.image(), None, |_| ()).await;
        assert_eq!(pulled.is_ok(), holds, "{pulled:?}");
    }
    config(format!(r#"{{"credHelpers": {{"{name}": "of-nobody"}}}}"#));
    let error = runtime
        .pull(&registry.image(), None, |_| ())
        .await
        .unwrap_err();
    assert!(matches!(error, RuntimeError::Credentials { .. }), "{error}");
    assert!(error.to_string().contains("config.json"), "{error}");
}

pub async fn down(real: &Real) {
    let registry = registry(real).await;
    let error = failed(real, &registry, Gives::Status(503)).await;
    assert!(
        matches!(error, RuntimeError::RegistryDown { .. }),
        "{error}"
    );
    assert!(
        error.may_pass() && error.to_string().contains("503"),
        "{error}"
    );
    let image = registry.image();
    drop(registry);
    let error = real.runtime().pull(&image, None, |_| ()).await.unwrap_err();
    assert!(
        matches!(error, RuntimeError::RegistryDown { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("refused"), "{error}");
}

pub async fn silent(real: &Real) {
    let registry = registry(real).await;
    let impatient = real.runtime().clone();
    let impatient = impatient.with_pull_silence(Duration::from_millis(500));
    for gives in [Gives::Nothing, Gives::NoLayer] {
        registry.set(gives);
        let pulled = impatient.pull(&registry.image(), None, |_| ()).await;
        let error = pulled.unwrap_err();
        assert!(
            matches!(error, RuntimeError::RegistryDown { .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains("nothing was heard for 500ms"),
            "{error}"
        );
    }
}
