//! huiliu-webhooks
