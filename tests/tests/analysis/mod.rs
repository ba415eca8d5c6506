//! What becomes of what the tracer is told: failures and forecasts.

mod failures;
mod forecast;
