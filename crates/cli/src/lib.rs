//! Verbs, tables, progress and doctor.
