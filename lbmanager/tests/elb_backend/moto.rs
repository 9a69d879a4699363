//! Another's idea of the wire.

use lbmanager::backend::{Backend, BackendError};
use testbed::moto::Moto;

use crate::{REGION, backend, done, id, members, settings};

#[tokio::test]
async fn moto_understands_us() {
    let moto = Moto::start().await.unwrap();
    moto.create_load_balancer(REGION, "web").await.unwrap();
    let elb = backend(settings(moto.url()));
    let web = id("web");
    assert_eq!(elb.describe(&web).await.unwrap().registered, members([]));
    let all = members([1, 2, 3]);
    assert_eq!(elb.register(&web, &all).await, done(all.clone()));
    assert_eq!(elb.describe(&web).await.unwrap().registered, all);
    assert_eq!(
        elb.deregister(&web, &members([2])).await,
        done(members([2]))
    );
    assert_eq!(
        elb.describe(&web).await.unwrap().registered,
        members([1, 3])
    );
    assert!(matches!(
        elb.describe(&id("other")).await,
        Err(BackendError::NotFound(_))
    ));
}
