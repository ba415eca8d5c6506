//! Verdicts on programs that nobody wrote for a test.

mod last_use;
mod pool_ran_dry;
mod real_programs;
mod zombies;
