//! The program as scripts and people meet it.

#[path = "../common/mod.rs"]
mod common;

mod chat;
mod commands;
mod isolation;
mod process;
mod pull;
mod scoring;
