//! Builds victims, runs the tracer beside them, reads its report.
