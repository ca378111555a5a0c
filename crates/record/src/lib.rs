//! Decide, record, carry out: the durable record of the control plane.
