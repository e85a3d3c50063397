//! huiliu
fn main() {}
