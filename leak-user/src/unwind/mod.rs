//! Unwind tables from ELF files: what the programs need to find callers without
//! frame pointers.
