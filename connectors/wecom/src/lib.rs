//! huiliu-wecom
