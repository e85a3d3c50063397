//! huiliu-twins
