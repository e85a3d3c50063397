//! huiliu-file
