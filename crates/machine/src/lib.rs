//! The life of one server as a pure state machine.
