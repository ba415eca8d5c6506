//! Verdicts on programs that nobody wrote for a test.

mod last_use;
mod real_programs;
mod zombies;
