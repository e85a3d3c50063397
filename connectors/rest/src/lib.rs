//! huiliu-rest
