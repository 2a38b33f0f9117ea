//! What is whose: the policy as a model, the file it is read from, and the decision.

pub mod file;
pub mod identity;
pub mod layout;
mod layout_file;
pub mod model;
pub mod pattern;
pub mod roles;
mod roles_file;
pub(crate) mod sources;

pub use identity::*;
pub use layout::{Home, Layouts};
pub use model::*;
pub use pattern::TenantPattern;
pub use roles::*;
