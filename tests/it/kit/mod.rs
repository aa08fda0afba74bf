//! What several tests need.

pub(crate) mod host;
pub(crate) mod mime;
pub(crate) mod promises;
pub(crate) mod rules;
pub(crate) mod s3;
