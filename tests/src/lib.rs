//! huiliu-tests
