//! Sessions whose connections are lent.
