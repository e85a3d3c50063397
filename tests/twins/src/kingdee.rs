//! kingdee
