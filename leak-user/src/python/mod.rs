//! CPython: where an interpreter keeps its frames, and what its code is called.
