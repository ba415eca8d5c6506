//! Verdicts on programs that nobody wrote for a test.

mod real_programs;
mod zombies;
