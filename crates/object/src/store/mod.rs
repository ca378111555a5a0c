//! The local engine: how objects last. The log of segments is the truth, the index
//! follows it.
