//! huiliu-kingdee
