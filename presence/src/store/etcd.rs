//! etcd itself.
