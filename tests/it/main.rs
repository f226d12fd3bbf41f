//! The whole system, as its users meet it: one binary, a server process and a
//! database for each test.

mod access;
mod commands;
mod jobs;
mod live;
mod pages;
mod resume;
mod uploads;
