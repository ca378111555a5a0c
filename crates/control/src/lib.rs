//! The control plane: the API, identities, and the loops that carry out what the engines decide.
