//! huiliu-email
