//! The volume data plane: what stands between guests and the engine `volume`.
//!
//! Two processes. The *keeper* holds what must outlive an engine; the *engine* has all
//! logic and is replaced while guests go on.
